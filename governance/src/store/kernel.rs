//! The rules of a commit, over whatever holds the cells. The memory and the SQLite adapter run these lines; `redis/commit.lua` says the
//! same in the server's language, and the contract suite holds the two together.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{Accepted, Cell, Check, Commit, Outcome, Refused, Write};
use crate::error::Result;
use crate::vocabulary::{Key, Kind, Millis, Token, millis, ttl};

/// A new log entry, before it has a position.
pub(crate) struct NewEntry<'a> {
    pub value: &'a Bytes,
    /// The put it belongs to: cell, version, meta, token.
    pub put: Option<(&'a Cell, u64, &'a Bytes, Option<&'a Token>)>,
}

/// An answer that was given before.
pub(crate) struct Remembered {
    pub digest: u64,
    pub accepted: Accepted,
}

/// Something that holds cells. What has expired is never seen. Errors are I/O errors; the caller rolls back.
pub(crate) trait Cells {
    fn now(&self) -> Millis;
    fn remembered(&mut self, token: &Token) -> Result<Option<Remembered>>;
    fn remember(&mut self, token: &Token, digest: u64, accepted: &Accepted, until: Millis) -> Result<()>;

    /// The kind that a key holds, if it holds anything.
    fn kind(&mut self, key: &Key) -> Result<Option<Kind>>;
    /// The version of a record, a field, a table's or state's own version; the value of a counter or an epoch; 0 if absent. Kinds were checked.
    fn version(&mut self, key: &Key, field: Option<&Arc<str>>) -> Result<u64>;
    /// How many entries a log holds. Kinds were checked.
    fn length(&mut self, log: &Key) -> Result<u64>;

    fn put(&mut self, cell: &Cell, version: u64, value: &Bytes, until: Option<Millis>) -> Result<()>;
    fn delete(&mut self, cell: &Cell) -> Result<bool>;
    fn merge(&mut self, state: &Key, version: u64, fields: &[(String, String)]) -> Result<()>;
    /// Writes a counter or an epoch. `until` of none leaves the time to live as it is.
    fn set_number(&mut self, key: &Key, number: u64, until: Option<Millis>) -> Result<()>;
    fn append(&mut self, log: &Key, entry: NewEntry<'_>, bound: u64) -> Result<u64>;
    fn trim(&mut self, log: &Key, through: u64) -> Result<()>;
    fn push(&mut self, list: &Key, value: &Bytes, bound: u64) -> Result<u64>;
    fn join(&mut self, set: &Key, member: &str) -> Result<bool>;
    fn leave(&mut self, set: &Key, member: &str) -> Result<bool>;
    fn expire(&mut self, key: &Key, until: Millis) -> Result<bool>;
    fn signal(&mut self, channel: &Key, payload: &Bytes) -> Result<()>;
}

/// Judges a commit and, if it holds, writes it. `generation` is the key of the store's generation.
pub(crate) fn execute(cells: &mut impl Cells, commit: &Commit, generation: &Key) -> Result<Outcome> {
    let digest = commit.token.as_ref().map_or(0, |_| commit.digest());
    if let Some(token) = &commit.token
        && let Some(earlier) = cells.remembered(token)?
    {
        return Ok(if earlier.digest == digest {
            Outcome::Accepted(Accepted { repeated: true, ..earlier.accepted })
        } else {
            Outcome::Refused(Refused::TokenReused { token: token.clone() })
        });
    }
    let held = cells.version(generation, None)?;
    if commit.generation > held {
        return Ok(Outcome::Refused(Refused::RolledBack { seen: commit.generation, held: Some(held).filter(|g| *g > 0) }));
    }
    if let Some(refused) = judge(cells, commit)? {
        return Ok(Outcome::Refused(refused));
    }
    let mut accepted = Accepted { generation: held, at: cells.now(), results: SmallVec::new(), repeated: false };
    for write in &commit.writes {
        let result = perform(cells, write, commit.token.as_ref())?;
        if write.key() == generation {
            accepted.generation = result;
        }
        accepted.results.push(result);
    }
    if let Some(token) = &commit.token {
        cells.remember(token, digest, &accepted, accepted.at.after(ttl::ANSWER))?;
    }
    Ok(Outcome::Accepted(accepted))
}

fn judge(cells: &mut impl Cells, commit: &Commit) -> Result<Option<Refused>> {
    for (key, carried) in commit.admission.0.iter() {
        let current = cells.version(key, None)?;
        if current != *carried {
            let current = Some(current).filter(|e| *e > 0);
            return Ok(Some(Refused::Stale { key: key.clone(), carried: *carried, current }));
        }
    }
    for check in &commit.checks {
        if let Some(refused) = hold(cells, check)? {
            return Ok(Some(refused));
        }
    }
    for write in &commit.writes {
        if let Some(refused) = possible(cells, write)? {
            return Ok(Some(refused));
        }
    }
    Ok(None)
}

/// INVARIANT: nothing is read as another kind than it is, so a foreign value never counts as a version or a number.
fn foreign(cells: &mut impl Cells, key: &Key) -> Result<Option<Refused>> {
    let foreign = key.kind() != Kind::Channel && cells.kind(key)?.is_some_and(|kind| kind != key.kind());
    Ok(foreign.then(|| Refused::WrongKind { key: key.clone() }))
}

fn hold(cells: &mut impl Cells, check: &Check) -> Result<Option<Refused>> {
    let key = match check {
        Check::Absent(cell) | Check::Version { cell, .. } => &cell.key,
        Check::Fence { lease: key, .. } | Check::Within { counter: key, .. } | Check::Room { log: key, .. } => key,
    };
    if let Some(refused) = foreign(cells, key)? {
        return Ok(Some(refused));
    }
    Ok(match check {
        Check::Absent(cell) => differs(cells, cell, 0)?,
        Check::Version { cell, version } => differs(cells, cell, *version)?,
        Check::Fence { lease, fence } => {
            let held = cells.version(lease, None)?;
            let refused = Refused::Fenced { lease: lease.clone(), carried: *fence, held: Some(held).filter(|f| *f > 0) };
            (held != *fence).then_some(refused)
        }
        Check::Within { counter, amount, limit } => {
            let current = cells.version(counter, None)?;
            let refused = Refused::Exceeded { counter: counter.clone(), current, limit: *limit };
            (current.saturating_add(*amount) > *limit).then_some(refused)
        }
        Check::Room { log, amount, limit } => {
            let held = cells.length(log)?;
            let refused = Refused::Full { log: log.clone(), held, limit: *limit };
            (held.saturating_add(*amount) > *limit).then_some(refused)
        }
    })
}

fn differs(cells: &mut impl Cells, cell: &Cell, expected: u64) -> Result<Option<Refused>> {
    let found = cells.version(&cell.key, cell.field.as_ref())?;
    Ok((found != expected).then(|| Refused::Conflict { cell: cell.clone(), expected, found }))
}

fn possible(cells: &mut impl Cells, write: &Write) -> Result<Option<Refused>> {
    if let Some(refused) = foreign(cells, write.key())? {
        return Ok(Some(refused));
    }
    match write {
        Write::Put { event: Some(event), .. } => foreign(cells, &event.log),
        Write::Claim { lease, fence, .. } => {
            if let Some(refused) = foreign(cells, fence)? {
                return Ok(Some(refused));
            }
            let held = cells.version(lease, None)?;
            Ok((held != 0).then(|| Refused::Fenced { lease: lease.clone(), carried: 0, held: Some(held) }))
        }
        Write::Add { counter, delta, .. } if *delta < 0 => {
            let current = cells.version(counter, None)?;
            Ok((current < delta.unsigned_abs()).then(|| Refused::Underflow { counter: counter.clone(), current }))
        }
        _ => Ok(None),
    }
}

fn perform(cells: &mut impl Cells, write: &Write, token: Option<&Token>) -> Result<u64> {
    let now = cells.now();
    Ok(match write {
        Write::Put { cell, value, ttl, event } => {
            let version = cells.version(&cell.key, cell.field.as_ref())? + 1;
            cells.put(cell, version, value, ttl.map(|t| now.after(t)))?;
            if let Some(event) = event {
                cells.append(&event.log, NewEntry { value, put: Some((cell, version, &event.meta, token)) }, event.bound)?;
            }
            version
        }
        Write::Delete(cell) => u64::from(cells.delete(cell)?),
        Write::Merge { state, fields } => {
            let version = cells.version(state, None)? + 1;
            cells.merge(state, version, fields)?;
            version
        }
        Write::Add { counter, delta, ttl } => {
            let sum = cells.version(counter, None)?.saturating_add_signed(*delta);
            cells.set_number(counter, sum, ttl.map(|t| now.after(t)))?;
            sum
        }
        Write::Raise { key, floor } => raise(cells, key, *floor)?,
        Write::Claim { lease, fence, holder, ttl } => {
            let stamp = raise(cells, fence, 0)?;
            cells.put(&lease.clone().into(), stamp, holder, Some(now.after(*ttl)))?;
            stamp
        }
        Write::Append { log, value, bound } => cells.append(log, NewEntry { value, put: None }, *bound)?,
        Write::Trim { log, through } => {
            cells.trim(log, *through)?;
            0
        }
        Write::Push { list, value, bound } => cells.push(list, value, *bound)?,
        Write::Join { set, member } => u64::from(cells.join(set, member)?),
        Write::Leave { set, member } => u64::from(cells.leave(set, member)?),
        Write::Expire { key, ttl } => u64::from(cells.expire(key, Millis(now.0.saturating_add(millis(*ttl))))?),
        Write::Signal { channel, payload } => {
            cells.signal(channel, payload)?;
            0
        }
    })
}

/// INVARIANT: an epoch is never reused, not even after the store forgot it: it is at least the store's time.
fn raise(cells: &mut impl Cells, key: &Key, floor: u64) -> Result<u64> {
    let next = (cells.version(key, None)? + 1).max(cells.now().0).max(floor + 1);
    cells.set_number(key, next, None)?;
    Ok(next)
}
