//! What is written but not in the record yet.

use std::fs::{self, File};
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::body::Body;
use super::database::{self, sqlite_trouble};
use super::frame::{self, End, Position};
use super::home::Home;
use super::segment::{self, SUFFIX, trouble};
use super::sequencer::problem;
use super::{Action, Entry, Problem};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{AgentId, SegmentId, Token};

/// What stands for a payload that was dropped: JSON for "nothing".
const DROPPED: &[u8] = b"null";

/// Actions that the record has an index for, because there are few of them among many others.
const INDEXED: [Action; 6] = [Action::Retention, Action::Metric, Action::Violation, Action::Promotion, Action::Approval, Action::Approver];

/// How many entries there seem to be.
pub(super) fn count(home: &Home) -> Result<u64> {
    let connection = database::reader(&home.database(), false)?;
    let mut count = 0;
    for (path, id) in files(home)? {
        let (Ok(id), Ok(file)) = (id, File::open(&path)) else { continue };
        if let Some(position) = place(&connection, &id).map_err(|e| sqlite_trouble(&home.database(), e))? {
            count += frame::count(&file, &position).unwrap_or(0);
        }
    }
    Ok(count)
}

/// What is wrong with them, and how many are whole.
pub(super) fn check(connection: &Connection, home: &Home) -> Result<(Vec<Problem>, u64)> {
    let (mut problems, mut count) = (Vec::new(), 0);
    for (path, id) in files(home)? {
        let id = match id {
            Ok(id) => id,
            Err(name) => {
                problems.push(Problem { segment: name, number: 1, offset: 0, why: "its name is not a segment's".to_owned() });
                continue;
            }
        };
        // A file that is gone now is in the record by now.
        let Ok(file) = File::open(&path) else { continue };
        let Some(mut position) = place(connection, &id).map_err(|e| sqlite_trouble(&home.database(), e))? else { continue };
        loop {
            let chunk = frame::read(&file, &id, &mut position, usize::MAX).map_err(|e| trouble(&path, &e))?;
            count += chunk.len() as u64;
            match chunk.end {
                End::More => {}
                End::Clean | End::Torn(_) => break,
                End::Damaged(why) => {
                    problems.push(problem(&id, &position, why));
                    break;
                }
            }
        }
    }
    Ok((problems, count))
}

/// Everything that a segment holds or held. A payload that was dropped reads as `null`.
pub(super) fn entries_of(home: &Home, segment: &SegmentId) -> Result<Vec<(u64, Entry)>> {
    let path = home.segments().join(format!("{segment}.{SUFFIX}"));
    // Opened first: what is put away meanwhile can still be read.
    let file = File::open(&path);
    let connection = database::reader(&home.database(), false)?;
    let sql = |e| sqlite_trouble(&home.database(), e);
    connection.execute_batch("BEGIN").map_err(sql)?;
    let mut entries: Vec<_> =
        rows(&connection, "FROM runs JOIN agent_actions ON seq BETWEEN first AND last WHERE runs.segment = ?", &[segment.as_str()])
            .map_err(sql)?
            .into_iter()
            .map(|row| row.read().map(|(_, number, entry)| (number, entry)))
            .collect::<Result<_>>()?;
    if let Some(position) = place(&connection, segment).map_err(sql)? {
        let file = file.map_err(|e| trouble(&path, &e))?;
        entries.extend(segment::entries_after(&file, &path, segment, position)?);
    } else if state(&connection, segment).map_err(sql)?.as_deref() != Some("closed") && entries.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "no_segment", format!("nothing is known of the segment `{segment}`")));
    }
    Ok(entries)
}

/// What is looked for: entries about these actions, whoever did them, and about others of one agent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted<'a> {
    pub by_all: &'a [Action],
    pub by_one: Option<(&'a AgentId, &'a [Action])>,
}

impl Wanted<'_> {
    fn takes(&self, entry: &Entry) -> bool {
        let by_one = self.by_one.is_some_and(|(agent, actions)| actions.contains(&entry.action) && entry.agent.as_ref() == Some(agent));
        by_one || self.by_all.contains(&entry.action)
    }
}

/// Every entry that is wanted, in the record or not yet.
pub(super) fn entries_about(home: &Home, wanted: Wanted<'_>) -> Result<Vec<(Token, Entry)>> {
    // Opened first: what is put away meanwhile can still be read.
    let mut open = Vec::new();
    for (path, id) in files(home)? {
        let Ok(id) = id else { continue };
        match File::open(&path) {
            Ok(file) => open.push((path, id, file)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(trouble(&path, &e)),
        }
    }
    let connection = database::reader(&home.database(), false)?;
    let sql = |e| sqlite_trouble(&home.database(), e);
    connection.execute_batch("BEGIN").map_err(sql)?;
    let of: Vec<_> = wanted.by_one.iter().map(|(agent, _)| agent.as_str()).collect();
    let mut entries = Vec::new();
    for row in rows(&connection, &about(wanted), &of).map_err(sql)? {
        let (segment, number, entry) = row.read()?;
        entries.push((Token::of_intent(&segment, number), entry));
    }
    for (path, id, file) in open {
        let Some(position) = place(&connection, &id).map_err(sql)? else { continue };
        let waiting = segment::entries_after(&file, &path, &id, position)?;
        let waiting = waiting.into_iter().filter(|(_, entry)| wanted.takes(entry));
        entries.extend(waiting.map(|(number, entry)| (Token::of_intent(&id, number), entry)));
    }
    Ok(entries)
}

/// The rows that are wanted, the agent's id being the only parameter.
fn about(wanted: Wanted<'_>) -> String {
    let mut asked = places(wanted.by_all, "");
    if let Some((_, actions)) = wanted.by_one {
        asked.extend(places(actions, " AND agent_id = ?1"));
    }
    format!("FROM agent_actions WHERE seq IN ({})", asked.join(" UNION ALL "))
}

/// Where entries about these actions are. An index of one action is used only where that action is written out, alone.
fn places(actions: &[Action], and: &str) -> Vec<String> {
    let (indexed, others): (Vec<Action>, Vec<Action>) = actions.iter().copied().partition(|action| INDEXED.contains(action));
    let mut asked: Vec<_> = indexed.iter().map(|action| format!("SELECT seq FROM agent_actions WHERE action = '{action}'{and}")).collect();
    if !others.is_empty() {
        let names: Vec<_> = others.iter().map(|action| format!("'{action}'")).collect();
        asked.push(format!("SELECT seq FROM agent_actions WHERE action IN ({}){and}", names.join(", ")));
    }
    asked
}

/// A row of the record, read but not understood.
struct Raw {
    segment: String,
    number: i64,
    at: i64,
    texts: [Option<Vec<u8>>; 7],
}

impl Raw {
    fn read(&self) -> Result<(SegmentId, u64, Entry)> {
        let [kind, action, agent, pipeline, intent, result, payload] = self.texts.each_ref().map(Option::as_deref);
        let body = Body {
            segment: self.segment.as_bytes(),
            number: self.number,
            at: self.at,
            kind: kind.unwrap_or_default(),
            action: action.unwrap_or_default(),
            agent,
            pipeline,
            intent,
            result,
        };
        Ok((SegmentId::new(&self.segment)?, self.number.cast_unsigned(), body.entry(payload.unwrap_or(DROPPED))?))
    }
}

/// Rows of the record, in order.
fn rows(connection: &Connection, from: &str, parameters: &[&str]) -> rusqlite::Result<Vec<Raw>> {
    let sql = format!(
        "SELECT agent_actions.segment, agent_actions.number, at, kind, action, agent_id, pipeline_id, intent, result, payload {from} ORDER BY seq"
    );
    let mut statement = connection.prepare(&sql)?;
    let read = statement.query_map(params_from_iter(parameters), |row| {
        let mut texts = [const { None }; 7];
        for (text, column) in texts.iter_mut().zip(3..) {
            *text = row.get_ref(column)?.as_bytes_or_null()?.map(<[u8]>::to_vec);
        }
        Ok(Raw { segment: row.get(0)?, number: row.get(1)?, at: row.get(2)?, texts })
    })?;
    read.collect()
}

/// How far a segment is in the record; nothing if it has ended.
pub(super) fn place(connection: &Connection, segment: &SegmentId) -> rusqlite::Result<Option<Position>> {
    let mut statement = connection.prepare_cached("SELECT state, number, offset, chain FROM segments WHERE id = ?")?;
    let found = statement.query_row([segment.as_str()], |row| {
        let (state, number, offset): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let position = Position { number: number.cast_unsigned(), offset: offset.cast_unsigned(), chain: row.get(3)? };
        Ok((state == "open").then_some(position))
    });
    Ok(found.optional()?.unwrap_or(Some(Position::default())))
}

fn state(connection: &Connection, segment: &SegmentId) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT state FROM segments WHERE id = ?", [segment.as_str()], |row| row.get(0)).optional()
}

/// The segments' files, each with its id or the name that is none.
pub(super) fn files(home: &Home) -> Result<Vec<(PathBuf, std::result::Result<SegmentId, String>)>> {
    let directory = home.segments();
    let listing = match fs::read_dir(&directory) {
        Ok(listing) => listing,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(trouble(&directory, &e)),
    };
    let mut paths: Vec<_> = listing.filter_map(|found| Some(found.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == SUFFIX));
    paths.sort();
    let named = |path: PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let id = SegmentId::new(&name).map_err(|_| name);
        (path, id)
    };
    Ok(paths.into_iter().map(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_again_and_again_is_found_without_reading_the_whole_record() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("migrations/0001_ledger.sql")).unwrap();
        let agent = AgentId::new("alpha-1").unwrap();
        let plan = |wanted: Wanted<'_>| -> Vec<String> {
            let of: Vec<_> = wanted.by_one.iter().map(|(agent, _)| agent.as_str()).collect();
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN SELECT at {} ORDER BY seq", about(wanted))).unwrap();
            plan.query_map(params_from_iter(of), |row| row.get(3)).unwrap().map(Result::unwrap).collect()
        };
        // What rests on an approval: who may give one, and what is known of the agent's own requests, however many there are of others.
        let own = plan(Wanted { by_all: &[Action::Approver], by_one: Some((&agent, &[Action::Approval])) });
        assert!(own.iter().any(|step| step.contains("SEARCH") && step.contains("agent_actions_approval (agent_id=?)")), "{own:?}");
        let done = plan(Wanted { by_one: Some((&agent, &[Action::ToolCall, Action::Violation])), ..Wanted::default() });
        for by_all in
            [&[Action::Approver, Action::Approval] as &[_], &[Action::Approver], &[Action::Promotion, Action::Violation], &INDEXED]
        {
            let steps = [plan(Wanted { by_all, by_one: None }), own.clone(), done.clone()].concat();
            let whole: Vec<_> = steps.iter().filter(|step| step.starts_with("SCAN") && !step.contains(" INDEX agent_actions_")).collect();
            assert!(whole.is_empty() && steps.iter().any(|step| step.contains(" INDEX agent_actions_")), "{steps:?}");
        }
    }
}
