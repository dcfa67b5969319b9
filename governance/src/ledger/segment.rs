//! A process's own part of the ledger: an append-only file, one write(2) an entry.
//!
//! ```text
//!   <home>/segments/<id>.segment      │ open │ intent │ intent │ outcome │ … │ close │
//!                     ▲ the owner holds the file's lock as long as it lives
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::body::Body;
use super::frame::{self, End, Position};
use super::sink::Sink;
use super::{Action, Durability, Entry, EntryKind, OutcomeResult, entry};
use crate::error::{Error, ErrorKind, Result};
use crate::machine;
use crate::process;
use crate::vocabulary::{AgentId, LedgerId, Millis, PipelineId, Ports, SegmentId, Token};

/// The file name's end.
pub(super) const SUFFIX: &str = "segment";
/// The end of the name while the file is being made.
pub(super) const NEW: &str = "new";

/// The code of a segment that its owner closed.
pub(super) const CLOSED: &str = "segment_closed";
/// The code of one that belongs to the parent of this fork.
pub(super) const FORKED: &str = "forked";

/// For how many milliseconds a file is taken to be where it was seen.
const LOOK: u64 = 10;

/// Where an entry was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its number in the segment: 1, 2, 3, …
    pub number: u64,
    /// Its token: the segment's id and the number.
    pub token: Token,
}

/// An intent that was written, of which the outcome is still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an intent without an outcome ends `unknown`"]
pub struct Intent {
    /// The token of the action: what makes its commit safe to repeat.
    pub token: Token,
    action: Action,
    agent: Option<AgentId>,
    pipeline: Option<PipelineId>,
}

/// A process's segment. Share it with an `Arc`; an entry that [`append`](Self::append) acknowledged survives SIGKILL.
pub struct Segment {
    id: SegmentId,
    path: PathBuf,
    ports: Ports,
    durability: Durability,
    process: u32,
    state: Mutex<State>,
    // When its file was last seen.
    seen: AtomicU64,
    // How far the file is known to be on the disk; held while it is being brought there.
    synced: Mutex<u64>,
}

struct State {
    sink: Option<Box<dyn Sink>>,
    position: Position,
    buffer: Vec<u8>,
    // A half-written frame lies behind the position and could not be cut off yet.
    torn: bool,
}

impl Segment {
    /// Opens a fresh segment in a directory; its first entry says whose it is.
    pub fn open(directory: &Path, ledger: &LedgerId, ports: &Ports, durability: Durability) -> Result<Self> {
        let mut attempts = 0;
        let (id, path, file) = loop {
            let id = SegmentId::fresh(ports.clock.now(), &*ports.chance);
            let path = directory.join(format!("{id}.{SUFFIX}"));
            match create(&path.with_extension(NEW)) {
                Ok(file) => break (id, path, file),
                // A sequencer took the file for a left-over, or the name was taken.
                Err(e) if attempts < 3 && matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::WouldBlock) => attempts += 1,
                Err(e) => return Err(trouble(&path, &e)),
            }
        };
        let kept = file.try_clone().map_err(|e| trouble(&path, &e))?;
        let segment = Self::over(Box::new(file), id, path.clone(), ports, durability);
        let whose = serde_json::json!({ "ledger": ledger, "pid": segment.process, "boot": machine::boot() });
        segment.append(&Entry::note(ports.clock.now(), Action::Open).payload(whose.to_string()))?;
        // INVARIANT: under its final name a segment is locked and holds its first entry, so no one takes it for dead or empty.
        std::fs::rename(path.with_extension(NEW), &path).map_err(|e| trouble(&path, &e))?;
        if durability == Durability::Disk {
            kept.sync_all().and_then(|()| File::open(directory)?.sync_all()).map_err(|e| trouble(&path, &e))?;
        }
        Ok(segment)
    }

    fn over(sink: Box<dyn Sink>, id: SegmentId, path: PathBuf, ports: &Ports, durability: Durability) -> Self {
        let state = State { sink: Some(sink), position: Position::default(), buffer: Vec::with_capacity(512), torn: false };
        Self {
            id,
            path,
            ports: ports.clone(),
            durability,
            process: process::id(),
            state: Mutex::new(state),
            seen: AtomicU64::new(0),
            synced: Mutex::new(0),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &SegmentId {
        &self.id
    }

    /// How many entries were written.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.state().position.number
    }

    /// Whether this process opened it: a fork does not inherit it.
    pub(super) fn is_own(&self) -> bool {
        process::id() == self.process
    }

    /// Whether it takes entries.
    pub(super) fn is_open(&self) -> bool {
        self.state().sink.is_some()
    }

    /// Whether this process writes it.
    pub(crate) fn is_in_use(&self) -> bool {
        self.is_own() && self.is_open()
    }

    /// Whether its file is still where it was made, as far as it was looked a moment ago: a look costs as much as an entry.
    pub(super) fn is_there(&self, now: Millis) -> bool {
        if now.0.abs_diff(self.seen.load(Ordering::Relaxed)) < LOOK {
            return true;
        }
        let there = self.path.exists();
        if there {
            self.seen.store(now.0, Ordering::Relaxed);
        }
        there
    }

    /// Lets it go without a last word: its file is gone, or belongs to the parent of this fork.
    pub(super) fn abandon(&self) {
        self.state().sink = None;
    }

    /// Writes an entry. When this returns, the entry survives what the durability says. An error means that nothing was written, and
    /// the segment stays usable, except where the error says otherwise.
    pub fn append(&self, entry: &Entry) -> Result<Written> {
        entry.validate()?;
        let number = self.write(Body::of(entry, &self.id, 0), &entry.payload)?;
        Ok(Written { number, token: Token::of_intent(&self.id, number) })
    }

    /// Writes an entry at the number that comes next, and answers it.
    fn write(&self, body: Body<'_>, payload: &str) -> Result<u64> {
        if !self.is_own() {
            let message = "this segment belongs to the process that opened it: open the ledger again after a fork";
            return Err(Error::new(ErrorKind::Conflict, FORKED, message));
        }
        let end = {
            let state = &mut *self.state();
            let Some(sink) = &mut state.sink else {
                return Err(Error::new(ErrorKind::Conflict, CLOSED, "the segment is closed: open the ledger again"));
            };
            if state.torn {
                sink.cut(state.position.offset).map_err(|e| self.trouble(&e))?;
                state.torn = false;
            }
            let number = state.position.number + 1;
            let chain = frame::seal(&mut state.buffer, &state.position.chain, &body.numbered(number), payload.as_bytes());
            if let Err(e) = sink.put(&state.buffer, state.position.offset) {
                // Whole frames only: what was half-written goes before the next entry comes.
                state.torn = sink.cut(state.position.offset).is_err();
                return Err(self.trouble(&e));
            }
            state.position = Position { number, offset: state.position.offset + state.buffer.len() as u64, chain };
            state.position
        };
        if self.durability == Durability::Disk {
            self.sync(end.offset)?;
        }
        Ok(end.number)
    }

    /// Writes that something is about to be done. Its time is now.
    pub fn intent(&self, action: Action, agent: Option<&AgentId>, pipeline: Option<&PipelineId>, payload: &str) -> Result<Intent> {
        self.intent_at(self.ports.clock.now(), action, (agent, pipeline), payload)
    }

    /// The same, by who knows the time.
    pub(crate) fn intent_at(
        &self,
        now: Millis,
        action: Action,
        (agent, pipeline): (Option<&AgentId>, Option<&PipelineId>),
        payload: &str,
    ) -> Result<Intent> {
        entry::fits(action, payload)?;
        let body = Body::now(&self.id, now, (EntryKind::Intent, action)).by(agent, pipeline);
        let number = self.write(body, payload)?;
        Ok(Intent { token: Token::of_intent(&self.id, number), action, agent: agent.cloned(), pipeline: pipeline.cloned() })
    }

    /// Writes what came of an intent, and answers its number. Its time is now.
    pub fn outcome(&self, intent: &Intent, result: OutcomeResult, payload: &str) -> Result<u64> {
        entry::fits(intent.action, payload)?;
        let body = Body::now(&self.id, self.ports.clock.now(), (EntryKind::Outcome, intent.action));
        self.write(body.by(intent.agent.as_ref(), intent.pipeline.as_ref()).ending(&intent.token, result), payload)
    }

    /// Ends the segment: writes that it is closed and lets its lock go. Later entries are refused.
    pub fn close(&self) -> Result<()> {
        if !self.is_own() || !self.is_open() {
            return Ok(());
        }
        let written = self.append(&Entry::note(self.ports.clock.now(), Action::Close));
        self.state().sink = None;
        written.map(drop)
    }

    /// Brings the file to the disk at least up to `end`; who waits meanwhile is served by the same flush.
    fn sync(&self, end: u64) -> Result<()> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= end {
            return Ok(());
        }
        let (reached, flusher) = {
            let state = self.state();
            (state.position.offset, state.sink.as_ref().map(|sink| sink.flusher()).transpose().map_err(|e| self.trouble(&e))?)
        };
        // Whoever waited for a flush that failed is not told that it succeeded.
        let flushed = flusher.ok_or_else(|| io::Error::other("an earlier flush failed")).and_then(|flusher| flusher.flush());
        if let Err(e) = flushed {
            // After a failed flush the system may have dropped the pages: nothing more is acknowledged here.
            self.state().sink = None;
            let message = format!("`{}` could not be brought to the disk: check the disk, then open the ledger again", self.path.display());
            return Err(Error::unavailable("segment_not_durable", message).because(e));
        }
        *synced = reached;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self, error: &io::Error) -> Error {
        trouble(&self.path, error)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(segment = %self.id, %error, "the segment's end could not be written");
        }
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("id", &self.id).field("durability", &self.durability).finish_non_exhaustive()
    }
}

/// Everything in a segment's file, with its numbers. Fails where anything is damaged or gone; a torn tail was never acknowledged.
///
/// Of a long-lived segment the part that is in the record has been given back to the disk: [`Ledger::entries_of`](super::Ledger::entries_of)
/// reads that part too.
pub fn read_all(directory: &Path, segment: &SegmentId) -> Result<Vec<(u64, Entry)>> {
    let path = directory.join(format!("{segment}.{SUFFIX}"));
    let file = File::open(&path).map_err(|e| trouble(&path, &e))?;
    entries_after(&file, &path, segment, Position::default())
}

/// The entries after a position.
pub(super) fn entries_after(file: &File, path: &Path, segment: &SegmentId, mut position: Position) -> Result<Vec<(u64, Entry)>> {
    let mut entries = Vec::new();
    loop {
        let first = position.number + 1;
        let chunk = frame::read(file, segment, &mut position, usize::MAX).map_err(|e| trouble(path, &e))?;
        for (number, frame) in (first..).zip(chunk.frames()) {
            entries.push((number, frame.body.entry(frame.payload)?));
        }
        match chunk.end {
            End::More => {}
            End::Clean | End::Torn(_) => return Ok(entries),
            End::Damaged(why) => return Err(damaged(segment, &position, why)),
        }
    }
}

/// Whether a segment's owner lives: it holds the file's lock. A segment that is gone has no owner.
pub fn is_alive(directory: &Path, segment: &SegmentId) -> Result<bool> {
    let path = directory.join(format!("{segment}.{SUFFIX}"));
    match File::open(&path).map(|file| file.try_lock_shared()) {
        Ok(Ok(())) => Ok(false),
        Ok(Err(TryLockError::WouldBlock)) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Ok(Err(TryLockError::Error(e))) | Err(e) => Err(trouble(&path, &e)),
    }
}

/// What a damaged segment is told as.
pub(super) fn damaged(segment: &SegmentId, position: &Position, why: &str) -> Error {
    let number = position.number + 1;
    let message = format!("the segment `{segment}` is damaged at its entry {number} (byte {}): {why}; keep the file", position.offset);
    Error::corrupt("segment_damaged", message).with("segment", segment.as_str()).with("number", number).with("offset", position.offset)
}

fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).append(true).create_new(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(e)) => Err(e),
    }
}

/// What a failed file operation is told as.
pub(super) fn trouble(path: &Path, error: &io::Error) -> Error {
    let shown = path.display();
    let because = io::Error::new(error.kind(), error.to_string());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            let message = format!("`{shown}` could not grow, the disk or the quota is full: free space, then try again; nothing was lost");
            Error::new(ErrorKind::Exhausted, "disk_full", message)
        }
        io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, "file_missing", format!("`{shown}` is not there")),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let message = format!("`{shown}` may not be written: give this user the right to, or use another GOVERNANCE_HOME");
            Error::invalid("not_writable", message)
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            let message = format!("`{shown}` cannot be a directory, a file is in its way: use another GOVERNANCE_HOME");
            Error::invalid("not_a_directory", message)
        }
        _ => Error::unavailable("file_trouble", format!("`{shown}` cannot be used ({error}): check the disk")),
    }
    .because(because)
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
