//! What becomes of segments whose owners are dead: their open intents end `unknown`, and the record says who took them over.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::OptionalExtension;
use rustix::fs::FallocateFlags;

use super::frame::{End, Position};
use super::runs::ELSEWHERE;
use super::segment::{NEW, trouble};
use super::sequencer::{Ended, Reached, Sequenced, Sequencer, Source};
use super::{Action, Entry, OutcomeResult, Segment};
use crate::error::Result;
use crate::vocabulary::{AgentId, Millis, PipelineId, SegmentId, Token};

/// Segments that are being made become old enough to be left-overs after this.
const LEFT_OVER: Duration = Duration::from_secs(60);
/// How much of a living segment is given back to the disk at once.
const HOLE: u64 = 64 << 20;

/// Writes, into the caller's own segment, how dead and vanished segments ended. All of them have been read to their ends.
pub(super) fn settle(
    sequencer: &Sequencer,
    sources: &[Source],
    reached: &[Option<Reached>],
    vanished: &[SegmentId],
    own: &dyn Fn() -> Result<Arc<Segment>>,
    done: &mut Sequenced,
) -> Result<Vec<Ended>> {
    let mut ended = Vec::new();
    for (source, reached) in sources.iter().zip(reached) {
        let Some(Reached { position, end }) = *reached else { continue };
        if !source.dead {
            continue;
        }
        let id = &source.id;
        if let Some(state) = known_end(sequencer, id)? {
            // Ended before, but its file could not be put away then.
            ended.push(Ended { id: id.clone(), state, position });
            continue;
        }
        let open = open_intents(sequencer, id)?;
        let state = match end {
            End::More => continue,
            End::Damaged("it belongs to another ledger") => continue,
            End::Damaged(why) => {
                let says = serde_json::json!({ "segment": id, "number": position.number + 1, "offset": position.offset, "why": why });
                note(sequencer, own, Action::Damaged, &open, id, &says)?;
                "damaged"
            }
            End::Clean if open.is_empty() && last_action(sequencer, id)?.as_deref() == Some("close") => "closed",
            End::Clean | End::Torn(_) => {
                let torn = if let End::Torn(bytes) = end { bytes } else { 0 };
                let says = serde_json::json!({ "segment": id, "entries": position.number, "torn_bytes": torn, "open_intents": open.len() });
                note(sequencer, own, Action::Adopt, &open, id, &says)?;
                done.adopted.push(id.clone());
                "adopted"
            }
        };
        ended.push(Ended { id: id.clone(), state, position });
    }
    for id in vanished {
        let open = open_intents(sequencer, id)?;
        let position = kept(sequencer, id)?;
        note(sequencer, own, Action::Vanished, &open, id, &serde_json::json!({ "segment": id, "entries": position.number }))?;
        done.vanished.push(id.clone());
        ended.push(Ended { id: id.clone(), state: "vanished", position });
    }
    Ok(ended)
}

/// Removes the files of ended segments, all of whose entries are committed; a damaged one is kept under another name.
pub(super) fn put_away(sequencer: &Sequencer, sources: &[Source], ended: &[Ended]) -> Result<()> {
    settle_rows(sequencer)?;
    for source in sources.iter().filter(|source| source.dead) {
        let Some(ended) = ended.iter().find(|ended| ended.id == source.id) else { continue };
        let path = &source.path;
        let away = if ended.state == "damaged" { fs::rename(path, path.with_extension("damaged")) } else { fs::remove_file(path) };
        match away {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(trouble(path, &e)),
            _ => {}
        }
    }
    Ok(())
}

/// Gives the recorded part of a long-lived segment's file back to the disk: a process that runs for months needs no more than one that
/// runs for minutes.
pub(super) fn give_back(sequencer: &mut Sequencer, sources: &[Source], reached: &[Option<Reached>]) -> Result<()> {
    for (source, reached) in sources.iter().zip(reached).filter(|(source, _)| !source.dead) {
        let Some(Reached { position, .. }) = reached else { continue };
        let before = sequencer.given_back.get(&source.id).copied().unwrap_or(0);
        if position.offset < before + HOLE {
            continue;
        }
        settle_rows(sequencer)?;
        let file = File::options().write(true).open(&source.path).map_err(|e| trouble(&source.path, &e))?;
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        // A file system that cannot do this keeps the whole file until its owner ends.
        let _ = rustix::fs::fallocate(&file, hole, 0, position.offset);
        sequencer.given_back.insert(source.id.clone(), position.offset);
    }
    Ok(())
}

/// Brings the rows to the disk, before what they came from goes.
fn settle_rows(sequencer: &Sequencer) -> Result<()> {
    let mut checkpoint = sequencer.connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)").map_err(|e| sequencer.trouble(e))?;
    checkpoint.query_row([], |_| Ok(())).map_err(|e| sequencer.trouble(e))
}

/// Removes what a process left that died while it was making its segment.
pub(super) fn sweep(path: &Path, now: Millis) {
    let old = |file: &File| {
        let made = file.metadata().ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(now.since(Millis(crate::vocabulary::millis(made))) > LEFT_OVER)
    };
    if path.extension().is_some_and(|end| end == NEW)
        && let Ok(file) = File::open(path)
        && old(&file) == Some(true)
        && file.try_lock().is_ok()
    {
        let _ = fs::remove_file(path);
    }
}

struct Open {
    token: Token,
    action: Action,
    agent: Option<AgentId>,
    pipeline: Option<PipelineId>,
}

/// The intents of a segment that have no outcome, wherever it might be written.
fn open_intents(sequencer: &Sequencer, segment: &SegmentId) -> Result<Vec<Open>> {
    let sql = "SELECT agent_actions.number, kind, action, agent_id, pipeline_id, intent FROM runs JOIN agent_actions ON seq BETWEEN first AND last \
               WHERE runs.segment = ? AND kind <> 'note' ORDER BY seq";
    let elsewhere = format!("SELECT 1 FROM agent_actions WHERE intent = ? AND {ELSEWHERE} AND kind = 'outcome'");
    let trouble = |e| sequencer.trouble(e);
    let mut statement = sequencer.connection.prepare_cached(sql).map_err(trouble)?;
    let mut elsewhere = sequencer.connection.prepare_cached(&elsewhere).map_err(trouble)?;
    let mut rows = statement.query([segment.as_str()]).map_err(trouble)?;
    let mut open = BTreeMap::new();
    while let Some(row) = rows.next().map_err(trouble)? {
        let text = |at: usize| row.get::<_, Option<String>>(at).map_err(trouble);
        let number: i64 = row.get(0).map_err(trouble)?;
        if let Some(intent) = text(5)? {
            let ended = intent.strip_prefix(segment.as_str()).and_then(|rest| rest.strip_prefix('.')?.parse::<i64>().ok());
            ended.map(|ended| open.remove(&ended));
            continue;
        }
        let token = Token::of_intent(segment, number.cast_unsigned());
        let (agent, pipeline) = (text(3)?.map(AgentId::new).transpose()?, text(4)?.map(PipelineId::new).transpose()?);
        open.insert(number, Open { token, action: text(2)?.unwrap_or_default().parse()?, agent, pipeline });
    }
    let mut left = Vec::new();
    for open in open.into_values() {
        if !elsewhere.exists([open.token.as_str()]).map_err(trouble)? {
            left.push(open);
        }
    }
    Ok(left)
}

fn note(
    sequencer: &Sequencer,
    own: &dyn Fn() -> Result<Arc<Segment>>,
    action: Action,
    open: &[Open],
    segment: &SegmentId,
    says: &serde_json::Value,
) -> Result<()> {
    let (own, now) = (own()?, sequencer.now());
    let why = serde_json::json!({ "died": segment }).to_string();
    for Open { token, action, agent, pipeline } in open {
        let outcome = Entry::outcome(now, *action, token.clone(), OutcomeResult::Unknown).payload(&why);
        own.append(&Entry { agent: agent.clone(), pipeline: pipeline.clone(), ..outcome })?;
    }
    own.append(&Entry::note(now, action).payload(says.to_string())).map(drop)
}

fn last_action(sequencer: &Sequencer, segment: &SegmentId) -> Result<Option<String>> {
    let sql = "SELECT action FROM agent_actions WHERE seq = (SELECT max(last) FROM runs WHERE segment = ?)";
    let last = sequencer.connection.query_row(sql, [segment.as_str()], |row| row.get(0));
    last.optional().map_err(|e| sequencer.trouble(e))
}

fn known_end(sequencer: &Sequencer, segment: &SegmentId) -> Result<Option<&'static str>> {
    let sql = "SELECT state FROM segments WHERE id = ?";
    let state: Option<String> =
        sequencer.connection.query_row(sql, [segment.as_str()], |row| row.get(0)).optional().map_err(|e| sequencer.trouble(e))?;
    Ok(["closed", "adopted", "vanished", "damaged"].into_iter().find(|known| state.as_deref() == Some(known)))
}

fn kept(sequencer: &Sequencer, segment: &SegmentId) -> Result<Position> {
    let sql = "SELECT number, offset, chain FROM segments WHERE id = ?";
    let position = sequencer.connection.query_row(sql, [segment.as_str()], |row| {
        let (number, offset): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(Position { number: number.cast_unsigned(), offset: offset.cast_unsigned(), chain: row.get(2)? })
    });
    position.map_err(|e| sequencer.trouble(e))
}
