//! The sequencer: moves frames from the segments into the record, numbers them, grows the tree, signs heads.
//!
//! ```text
//!   segments/*.segment ──frames──►  one transaction:  fence ≥ the highest seen?
//!                                                     agent_actions, projections
//!                                                     positions, tree, signed head ──► heads
//! ```
//!
//! Who may run it is decided above, by a lease. Two at once do no harm: each transaction checks the fence and reads all it builds on.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use serde::{Deserialize, Serialize};

use super::frame::{self, Chunk, End, Frame, Position};
use super::home::Home;
use super::rows::{self, Row};
use super::runs::{self, Run};
use super::segment::{SUFFIX, trouble};
use super::tree::Tree;
use super::{Action, Durability, Head, Segment, SigningKey, adoption, database, hex};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{LedgerId, Ports, SegmentId};

/// How many entries go into one transaction.
const BATCH: usize = 8_192;
/// How many transactions one call makes at most, so that its caller can renew the lease in between.
const BATCHES: usize = 64;

/// Something wrong with a segment that is not in the record yet. Its file is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The segment, or its file's name.
    pub segment: String,
    /// The first entry that cannot be read.
    pub number: u64,
    /// Where it begins.
    pub offset: u64,
    /// What is wrong.
    pub why: String,
}

/// What one call of the sequencer did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequenced {
    /// How many entries came into the record.
    pub entries: u64,
    /// The heads that were signed, one a transaction. Keep the last one outside.
    pub heads: Vec<Head>,
    /// The dead processes' segments that were taken over.
    pub adopted: Vec<SegmentId>,
    /// The segments that were gone before they were read to their end.
    pub vanished: Vec<SegmentId>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// An entry came in that asks for payloads to be dropped.
    pub retention: bool,
    /// There is more: call again.
    pub more: bool,
}

/// A segment's file, locked if its owner is dead.
pub(super) struct Source {
    pub id: SegmentId,
    pub path: PathBuf,
    pub file: File,
    pub dead: bool,
}

/// What one transaction found of a source.
#[derive(Clone, Copy)]
pub(super) struct Reached {
    pub position: Position,
    pub end: End,
}

/// How a segment ended.
pub(super) struct Ended {
    pub id: SegmentId,
    pub state: &'static str,
    pub position: Position,
}

/// Numbers the record. One connection, used by one call at a time.
pub(super) struct Sequencer {
    pub home: Home,
    ledger: LedgerId,
    ports: Ports,
    pub connection: Connection,
    key: SigningKey,
    turn: usize,
    // The newest head, where it could not be kept beside the database.
    unkept: Option<Head>,
    // Up to where living segments' files were given back to the disk.
    pub given_back: HashMap<SegmentId, u64>,
}

#[derive(Default)]
pub(super) struct Batch {
    entries: u64,
    head: Option<Head>,
    reached: Vec<Option<Reached>>,
    vanished: Vec<SegmentId>,
    more: bool,
}

impl Sequencer {
    pub fn open(home: &Home, ledger: &LedgerId, ports: &Ports, durability: Durability) -> Result<Self> {
        let key = SigningKey::open(&home.keys(), &*ports.chance)?;
        let connection = database::writer(&home.database(), durability)?;
        Ok(Self {
            home: home.clone(),
            ledger: ledger.clone(),
            ports: ports.clone(),
            connection,
            key,
            turn: 0,
            unkept: None,
            given_back: HashMap::new(),
        })
    }

    /// Moves everything that is there. `own` gives the caller's own segment, into which takings-over are written. Where a head cannot be kept beside the
    /// database, everything else is done before that is told.
    pub fn sequence(&mut self, fence: u64, own: &dyn Fn() -> Result<Arc<Segment>>) -> Result<Sequenced> {
        let done = self.move_all(fence, own)?;
        if let Some(head) = &self.unkept {
            self.home.keep_head(head)?;
            self.unkept = None;
        }
        Ok(done)
    }

    fn move_all(&mut self, fence: u64, own: &dyn Fn() -> Result<Arc<Segment>>) -> Result<Sequenced> {
        let mut done = Sequenced::default();
        let (sources, strange) = self.sources()?;
        done.problems = strange;
        let mut last = Batch::default();
        for _ in 0..BATCHES {
            last = self.batch(fence, &sources, &[], &mut done)?;
            if !last.more {
                break;
            }
        }
        done.more = last.more;
        if last.more {
            return Ok(done);
        }
        for (source, reached) in sources.iter().zip(&last.reached) {
            if let Some(Reached { position, end: End::Damaged(why) }) = reached {
                done.problems.push(problem(&source.id, position, why));
            }
        }
        let ended = adoption::settle(self, &sources, &last.reached, &last.vanished, own, &mut done)?;
        if !ended.is_empty() {
            let (now, _) = self.sources()?;
            done.more = self.batch(fence, &now, &ended, &mut done)?.more;
            adoption::put_away(self, &sources, &ended)?;
        }
        adoption::give_back(self, &sources, &last.reached)?;
        Ok(done)
    }

    /// The time, for what is written about others' segments.
    pub fn now(&self) -> crate::vocabulary::Millis {
        self.ports.clock.now()
    }

    pub fn trouble(&self, error: rusqlite::Error) -> Error {
        database::sqlite_trouble(&self.home.database(), error)
    }

    /// The segments' files, in order, and what is there but is none.
    pub fn sources(&self) -> Result<(Vec<Source>, Vec<Problem>)> {
        let (mut sources, mut strange) = (Vec::new(), Vec::new());
        let directory = self.home.segments();
        for found in fs::read_dir(&directory).map_err(|e| trouble(&directory, &e))? {
            let path = found.map_err(|e| trouble(&directory, &e))?.path();
            if path.extension().is_none_or(|end| end != SUFFIX) {
                adoption::sweep(&path, self.now());
                continue;
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let Ok(id) = SegmentId::new(&name) else {
                strange.push(Problem { segment: name, number: 1, offset: 0, why: "its name is not a segment's".to_owned() });
                continue;
            };
            let file = match File::open(&path) {
                Ok(file) => file,
                // Another sequencer has put it away.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => {
                    strange.push(Problem { segment: name, number: 1, offset: 0, why: trouble(&path, &e).to_string() });
                    continue;
                }
            };
            let dead = match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(e)) => return Err(trouble(&path, &e)),
            };
            sources.push(Source { id, path, file, dead });
        }
        sources.sort_by(|a, b| a.id.cmp(&b.id));
        Ok((sources, strange))
    }

    /// One transaction.
    fn batch(&mut self, fence: u64, sources: &[Source], ended: &[Ended], done: &mut Sequenced) -> Result<Batch> {
        self.turn = self.turn.wrapping_add(1);
        let (ledger, home, turn) = (self.ledger.clone(), self.home.clone(), self.turn);
        let database = home.database();
        let sql = |e| database::sqlite_trouble(&database, e);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
        let mut tree = enter(&transaction, fence, &home)?;
        let (from, mut batch, mut chunks) = (tree.size(), Batch::default(), Vec::new());
        batch.reached = vec![None; sources.len()];
        let mut room = BATCH;
        // Another source is first each time, so that a busy one cannot keep the others waiting.
        for at in (0..sources.len()).map(|at| (at + turn) % sources.len()) {
            let source = &sources[at];
            let Some((state, before)) = position(&transaction, &source.id).map_err(sql)? else { continue };
            if state != "open" {
                batch.reached[at] = Some(Reached { position: before, end: End::Clean });
                continue;
            }
            let mut position = before;
            let chunk = frame::read(&source.file, &source.id, &mut position, room).map_err(|e| trouble(&source.path, &e))?;
            if before.number == 0 && chunk.len() > 0 && !opens(&chunk, &ledger) {
                batch.reached[at] = Some(Reached { position: before, end: End::Damaged("it belongs to another ledger") });
                continue;
            }
            // INVARIANT: what is in the record goes on from there, so nothing comes into it twice.
            if runs::last_number(&transaction, source.id.as_str()).map_err(sql)? != before.number.cast_signed() {
                return Err(damaged(&home, "has lost how far a segment was read"));
            }
            room -= chunk.len();
            batch.more |= chunk.end == End::More;
            batch.reached[at] = Some(Reached { position, end: chunk.end });
            if chunk.len() > 0 {
                keep(&transaction, &source.id, "open", &position).map_err(sql)?;
                chunks.push((chunk, &source.id));
            }
        }
        let mut rows = Vec::with_capacity(BATCH - room);
        for (chunk, id) in &chunks {
            let first = tree.size().cast_signed() + 1;
            for Frame { body, payload, sealed, chain } in chunk.frames() {
                tree.push(sealed.leaf());
                rows.push(Row { seq: tree.size().cast_signed(), body, payload, chain });
            }
            let number = rows.last().map_or(0, |row| row.body.number) - (tree.size().cast_signed() - first);
            runs::add(&transaction, &Run { first, last: tree.size().cast_signed(), segment: id.to_string(), number }).map_err(sql)?;
        }
        done.retention |= rows.iter().any(|row| row.body.action == Action::Retention.as_str().as_bytes());
        rows::insert(&transaction, &rows).map_err(sql)?;
        for ended in ended {
            keep(&transaction, &ended.id, ended.state, &ended.position).map_err(sql)?;
        }
        batch.vanished = vanished(&transaction, sources, &home).map_err(sql)?;
        batch.entries = tree.size() - from;
        if batch.entries > 0 {
            rows::project(&transaction, &rows, from.cast_signed(), tree.size().cast_signed()).map_err(sql)?;
            let head = Head::sign(&ledger, &tree, self.ports.clock.now(), &self.key);
            leave(&transaction, &head, &tree).map_err(sql)?;
            batch.head = Some(head);
        }
        transaction.commit().map_err(sql)?;
        done.entries += batch.entries;
        if let Some(head) = &batch.head {
            self.unkept = home.keep_head(head).is_err().then(|| head.clone());
            done.heads.push(head.clone());
        }
        Ok(batch)
    }
}

pub(super) fn problem(segment: &SegmentId, position: &Position, why: &str) -> Problem {
    Problem { segment: segment.to_string(), number: position.number + 1, offset: position.offset, why: why.to_owned() }
}

fn damaged(home: &Home, why: &str) -> Error {
    let shown = home.database();
    let message =
        format!("`{}` {why}: run `ledger verify`, and keep the file; what is not in it yet stays in the segments", shown.display());
    Error::corrupt("ledger_damaged", message)
}

/// Checks the fence and takes up the tree.
pub(super) fn enter(transaction: &Transaction<'_>, fence: u64, home: &Home) -> Result<Tree> {
    let database = home.database();
    let sql = |e| database::sqlite_trouble(&database, e);
    let held: i64 = transaction.query_row("SELECT fence FROM sequencer", [], |row| row.get(0)).map_err(sql)?;
    let carried = i64::try_from(fence).map_err(|_| Error::invalid("fence_too_large", format!("`{fence}` is not a fence")))?;
    if carried < held {
        let message = format!("another sequencer has taken over (fence {held}, this one has {carried}): nothing was written, let it go on");
        return Err(Error::new(ErrorKind::Conflict, "fenced", message).with("held", held).with("carried", carried));
    }
    if carried > held {
        transaction.execute("UPDATE sequencer SET fence = ?", [carried]).map_err(sql)?;
    }
    take_up(transaction, home)
}

/// Takes up the tree, once it is seen to be the one that was left.
pub(super) fn take_up(connection: &Connection, home: &Home) -> Result<Tree> {
    let database = home.database();
    let sql = |e| database::sqlite_trouble(&database, e);
    let damaged = |why| damaged(home, why);
    let (size, peaks): (i64, Vec<u8>) =
        connection.query_row("SELECT size, peaks FROM sequencer", [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(sql)?;
    let tree = u64::try_from(size).ok().and_then(|size| Tree::resume(size, &peaks)).ok_or_else(|| damaged("has lost its tree"))?;
    let last: Option<i64> = connection.query_row("SELECT max(seq) FROM agent_actions", [], |row| row.get(0)).map_err(sql)?;
    if last.unwrap_or(0) != size {
        return Err(damaged("does not end where it was left"));
    }
    let root: Option<String> =
        connection.query_row("SELECT root FROM heads WHERE size = ?", [size], |row| row.get(0)).optional().map_err(sql)?;
    if size > 0 && root.is_none_or(|root| root != hex::encode(&tree.root())) {
        return Err(damaged("does not have the head that it was left with"));
    }
    Ok(tree)
}

/// How far a segment has been read, and its state.
fn position(connection: &Connection, segment: &SegmentId) -> rusqlite::Result<Option<(String, Position)>> {
    let mut statement = connection.prepare_cached("SELECT state, number, offset, chain FROM segments WHERE id = ?")?;
    let found = statement
        .query_row([segment.as_str()], |row| {
            let (number, offset): (i64, i64) = (row.get(1)?, row.get(2)?);
            Ok((row.get(0)?, Position { number: number.cast_unsigned(), offset: offset.cast_unsigned(), chain: row.get(3)? }))
        })
        .optional()?;
    Ok(Some(found.unwrap_or_else(|| ("open".to_owned(), Position::default()))))
}

fn keep(connection: &Connection, segment: &SegmentId, state: &str, position: &Position) -> rusqlite::Result<usize> {
    let sql = "INSERT INTO segments (id, state, number, offset, chain) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE \
               SET state = excluded.state, number = excluded.number, offset = excluded.offset, chain = excluded.chain";
    let (number, offset) = (position.number.cast_signed(), position.offset.cast_signed());
    connection.prepare_cached(sql)?.execute((segment.as_str(), state, number, offset, position.chain))
}

fn leave(connection: &Connection, head: &Head, tree: &Tree) -> rusqlite::Result<()> {
    let size = head.size.cast_signed();
    connection.prepare_cached("INSERT INTO heads (size, root, at, key, signature) VALUES (?, ?, ?, ?, ?)")?.execute((
        size,
        &head.root,
        head.at.0.cast_signed(),
        &head.key,
        &head.signature,
    ))?;
    connection.prepare_cached("UPDATE sequencer SET size = ?, peaks = ?")?.execute((size, tree.peaks()))?;
    Ok(())
}

/// Whether a segment's first entry says that it belongs to this ledger.
fn opens(chunk: &Chunk, ledger: &LedgerId) -> bool {
    chunk.frames().next().is_some_and(|Frame { body, payload, .. }| {
        let whose: Option<serde_json::Value> = serde_json::from_slice(payload).ok();
        body.action == b"open" && whose.is_some_and(|whose| whose["ledger"] == ledger.as_str())
    })
}

/// The segments that were being read and whose files are gone.
fn vanished(connection: &Connection, sources: &[Source], home: &Home) -> rusqlite::Result<Vec<SegmentId>> {
    let mut statement = connection.prepare_cached("SELECT id FROM segments WHERE state = 'open'")?;
    let open = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    // INVARIANT: a file is put away only after its state has changed, so within this transaction a missing one is truly missing.
    let gone = |id: &SegmentId| {
        sources.binary_search_by(|source| source.id.cmp(id)).is_err() && !home.segments().join(format!("{id}.{SUFFIX}")).exists()
    };
    Ok(open.into_iter().filter_map(|id| SegmentId::new(id).ok()).filter(gone).collect())
}

#[cfg(test)]
#[path = "sequencer_tests.rs"]
mod tests;
