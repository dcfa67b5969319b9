//! What becomes of segments whose owners are dead: their open intents end `unknown`, and the record says who took them over.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::OptionalExtension;
use rustix::fs::FallocateFlags;

use super::frame::{End, Position};
use super::runs::ELSEWHERE;
use super::segment::{NEW, trouble};
use super::sequencer::{Ended, Reached, Sequenced, Sequencer, Source};
use super::{Action, Entry, OutcomeResult, Segment};
use crate::error::Result;
use crate::vocabulary::{AgentId, Millis, PipelineId, SegmentId, Token, millis};

/// Segments that are being made become old enough to be left-overs after this.
const LEFT_OVER: Duration = Duration::from_secs(60);
/// The end of a damaged segment's name.
const DAMAGED: &str = "damaged";
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
        let away = if ended.state == "damaged" { fs::rename(path, path.with_extension(DAMAGED)) } else { fs::remove_file(path) };
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
        // A file system that cannot do this keeps the whole file until its owner ends.
        let _ = punch(&source.path, position.offset)?;
        sequencer.given_back.insert(source.id.clone(), position.offset);
    }
    Ok(())
}

/// Gives everything that is in the record back to the disk, so that payloads which were dropped there are nowhere else: in living
/// segments' files, and in what is kept of damaged ones once that is as old.
pub(super) fn forget(sequencer: &mut Sequencer, before: Millis) -> Result<()> {
    settle_rows(sequencer)?;
    let (sources, _) = sequencer.sources()?;
    for source in sources.iter().filter(|source| !source.dead) {
        let position = match known_end(sequencer, &source.id)? {
            None => recorded(sequencer, &source.id)?,
            Some(_) => None,
        };
        let Some(Position { offset, .. }) = position else { continue };
        if !punch(&source.path, offset)? {
            blank(&source.path, offset)?;
        }
        sequencer.given_back.insert(source.id.clone(), offset);
    }
    for found in fs::read_dir(sequencer.home.segments()).into_iter().flatten().flatten() {
        let path = found.path();
        let changed = found.metadata().and_then(|about| about.modified()).ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        if path.extension().is_some_and(|end| end == DAMAGED) && changed.is_some_and(|at| Millis(millis(at)) < before) {
            fs::remove_file(&path).map_err(|e| trouble(&path, &e))?;
        }
    }
    // Pages with payloads also wait in the log. Readers may keep it for now; the next round empties it.
    let empty = sequencer.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    empty.map(drop).map_err(|e| sequencer.trouble(e))
}

/// Makes a hole of a file's beginning. False where the file system has none.
fn punch(path: &Path, end: u64) -> Result<bool> {
    let file = File::options().write(true).open(path).map_err(|e| trouble(path, &e))?;
    Ok(end == 0 || rustix::fs::fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, end).is_ok())
}

/// Writes zeros over a file's beginning.
fn blank(path: &Path, end: u64) -> Result<()> {
    let zeros = [0; 1 << 16];
    let write = || {
        let file = File::options().write(true).open(path)?;
        let mut at = 0;
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(zeros.len()).min(zeros.len());
            file.write_all_at(&zeros[..length], at)?;
            at += length as u64;
        }
        Ok(())
    };
    write().map_err(|e| trouble(path, &e))
}

/// Brings the rows to the disk, before what they came from goes.
fn settle_rows(sequencer: &Sequencer) -> Result<()> {
    let mut checkpoint = sequencer.connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)").map_err(|e| sequencer.trouble(e))?;
    checkpoint.query_row([], |_| Ok(())).map_err(|e| sequencer.trouble(e))
}

/// Removes what a process left that died while it was making its segment.
pub(super) fn sweep(path: &Path, now: Millis) {
    let old = |file: &File| {
        let made = file.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(now.since(Millis(millis(made))) > LEFT_OVER)
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
    recorded(sequencer, segment).map(Option::unwrap_or_default)
}

fn recorded(sequencer: &Sequencer, segment: &SegmentId) -> Result<Option<Position>> {
    let sql = "SELECT number, offset, chain FROM segments WHERE id = ?";
    let position = sequencer.connection.query_row(sql, [segment.as_str()], |row| {
        let (number, offset): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(Position { number: number.cast_unsigned(), offset: offset.cast_unsigned(), chain: row.get(2)? })
    });
    position.optional().map_err(|e| sequencer.trouble(e))
}
