//! Retention: old payloads leave the record, their hashes stay. ADR 10.
//!
//! ```text
//!   ask:        intent {through, before, by} ──segment, sequencer──▶ in the record, under a signed head
//!   carry out:  one fenced transaction a piece: payload → its hash, projections' rows go, how far it is
//!   afterwards: what of it stands in segments' files is given back to the disk
//! ```
//!
//! Whoever carries it out does what the record asks for, so nothing can be dropped of which the record does not know.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use serde::{Deserialize, Serialize};

use super::database::{self, blocking, sqlite_trouble};
use super::missing::Dropping;
use super::rows::PROJECTIONS;
use super::sequencer::{Sequencer, enter};
use super::tree::Hash;
use super::{Action, Intent, Ledger, adoption, sealed};
use crate::error::{Error, Result};
use crate::vocabulary::Millis;

/// How many payloads one transaction drops at most …
const PIECE: usize = 4_096;
/// … and about how many bytes of them.
const PIECE_BYTES: usize = 16 << 20;

/// What is old enough to be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Droppable {
    /// The last entry that is old enough.
    pub through: u64,
    /// Up to it everything was in the record before this time.
    pub before: Millis,
    /// How many payloads would be dropped.
    pub entries: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// How far retention is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionState {
    /// The last entry whose payload may go, as the record says.
    pub asked: u64,
    /// Up to where it was done.
    pub done: u64,
    /// The time before which everything may be dropped was in the record.
    pub before: Millis,
}

/// What one piece of it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DroppedPiece {
    /// How many payloads were dropped.
    pub entries: u64,
    /// There is more: call again.
    pub more: bool,
}

impl Ledger {
    /// What has been in the record for longer than this, and still has payloads that are not [kept](Action::is_kept); none if nothing has.
    ///
    /// How old an entry is, is told by the first signed head that covers it, not by the clock of who wrote it.
    pub async fn droppable(&self, older_than: Duration) -> Result<Option<Droppable>> {
        let (home, now) = (self.inner.home.clone(), self.inner.ports.clock.now());
        let before = Millis(now.0.saturating_sub(crate::vocabulary::millis(older_than)));
        blocking(move || {
            let path = home.database();
            let connection = database::reader(&path, false)?;
            droppable(&connection, before).map_err(|e| sqlite_trouble(&path, e))
        })
        .await
    }

    /// When the next entry will have been in the record for so long; none if there is none after what was dropped.
    pub async fn ages(&self, older_than: Duration) -> Result<Option<Millis>> {
        let home = self.inner.home.clone();
        let first = blocking(move || {
            let path = home.database();
            let connection = database::reader(&path, false)?;
            let first = "SELECT at FROM heads WHERE size > (SELECT done FROM retention) ORDER BY size LIMIT 1";
            connection.query_row(first, [], |row| row.get::<_, i64>(0)).optional().map_err(|e| sqlite_trouble(&path, e))
        });
        Ok(first.await?.map(|at| Millis(at.max(0).cast_unsigned()).after(older_than)))
    }

    /// Writes that payloads are to be dropped. Once it is in the record, whoever sequences carries it out with
    /// [`drop_payloads`](Self::drop_payloads).
    pub fn ask_to_drop(&self, what: &Droppable, by: &str) -> Result<Intent> {
        let says = Dropping { through: what.through, before: what.before, by: by.to_owned() };
        let says = serde_json::to_string(&says).map_err(|e| Error::internal("a retention is not JSON").because(e))?;
        self.segment()?.intent(Action::Retention, None, None, &says)
    }

    /// How far it is.
    pub async fn retention(&self) -> Result<RetentionState> {
        let home = self.inner.home.clone();
        blocking(move || {
            let path = home.database();
            let connection = database::reader(&path, false)?;
            state(&connection).map_err(|e| sqlite_trouble(&path, e))
        })
        .await
    }

    /// Drops the next piece of what the record asks to be dropped. Fenced as [`sequence`](Self::sequence) is.
    pub async fn drop_payloads(&self, fence: u64) -> Result<DroppedPiece> {
        self.sequencing(move |sequencer, _| carry_out(sequencer, fence)).await
    }

    /// What rings when an entry came into the record that asks for it, if this process sequences.
    #[must_use]
    pub fn asked_to_drop(&self) -> std::sync::Arc<tokio::sync::Notify> {
        self.inner.asked.clone()
    }
}

/// The condition of a payload that can be dropped.
fn is_droppable() -> String {
    let kept: Vec<_> = Action::ALL.iter().filter(|action| action.is_kept()).map(|action| format!("'{action}'")).collect();
    format!("payload IS NOT NULL AND action NOT IN ({})", kept.join(", "))
}

fn droppable(connection: &Connection, before: Millis) -> rusqlite::Result<Option<Droppable>> {
    let done: i64 = connection.query_row("SELECT done FROM retention", [], |row| row.get(0))?;
    let Some(through) = last_before(connection, done, before)? else { return Ok(None) };
    let sql = format!(
        "SELECT count(*), coalesce(sum(octet_length(payload)), 0) FROM agent_actions WHERE seq > ? AND seq <= ? AND {}",
        is_droppable()
    );
    let (entries, bytes): (i64, i64) = connection.query_row(&sql, [done, through], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (through, entries, bytes) = (through.cast_unsigned(), entries.cast_unsigned(), bytes.cast_unsigned());
    Ok((entries > 0).then_some(Droppable { through, before, entries, bytes }))
}

/// The largest head that is not younger; by halves, because there may be millions. Where a clock was set back it finds another one, which
/// is no younger either.
fn last_before(connection: &Connection, done: i64, before: Millis) -> rusqlite::Result<Option<i64>> {
    let before = i64::try_from(before.0).unwrap_or(i64::MAX);
    let mut head = connection.prepare("SELECT size, at FROM heads WHERE size >= ? ORDER BY size LIMIT 1")?;
    let last: Option<i64> = connection.query_row("SELECT max(size) FROM heads", [], |row| row.get(0))?;
    let (mut found, mut low, mut high) = (None, done + 1, last.unwrap_or(0));
    while low <= high {
        let middle = low + (high - low) / 2;
        match head.query_row([middle], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).optional()? {
            Some((size, at)) if at <= before => (found, low) = (Some(size), size + 1),
            _ => high = middle - 1,
        }
    }
    Ok(found)
}

fn state(connection: &Connection) -> rusqlite::Result<RetentionState> {
    let done: i64 = connection.query_row("SELECT done FROM retention", [], |row| row.get(0))?;
    let sql = "SELECT seq, payload FROM agent_actions INDEXED BY agent_actions_retention WHERE action = 'retention' AND kind = 'intent'";
    let mut statement = connection.prepare_cached(sql)?;
    let mut state = RetentionState { asked: 0, done: done.max(0).cast_unsigned(), before: Millis(0) };
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, payload) = (row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, Option<String>>(1)?.unwrap_or_default());
        if let Some(Dropping { through, before, .. }) = Dropping::read(payload.as_bytes()).filter(|says| says.through < seq) {
            (state.asked, state.before) = (state.asked.max(through), state.before.max(before));
        }
    }
    Ok(state)
}

fn carry_out(sequencer: &mut Sequencer, fence: u64) -> Result<DroppedPiece> {
    let (home, path) = (sequencer.home.clone(), sequencer.home.database());
    let sql = |e| sqlite_trouble(&path, e);
    let transaction = sequencer.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
    enter(&transaction, fence, &home)?;
    let state = state(&transaction).map_err(sql)?;
    if state.asked <= state.done {
        return Ok(DroppedPiece::default());
    }
    let (piece, upto) = drop_piece(&transaction, state).map_err(sql)?;
    transaction.execute("UPDATE retention SET done = ?", [upto.cast_signed()]).map_err(sql)?;
    transaction.commit().map_err(sql)?;
    if !piece.more {
        adoption::forget(sequencer, state.before)?;
    }
    Ok(piece)
}

fn drop_piece(connection: &Connection, state: RetentionState) -> rusqlite::Result<(DroppedPiece, u64)> {
    let (done, asked) = (state.done.cast_signed(), state.asked.cast_signed());
    let sql = format!("SELECT seq, payload FROM agent_actions WHERE seq > ? AND seq <= ? AND {} ORDER BY seq", is_droppable());
    let (mut hashes, mut bytes, mut upto) = (Vec::<(i64, Hash)>::new(), 0, asked);
    {
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query([done, asked])?;
        while let Some(row) = rows.next()? {
            if hashes.len() == PIECE || bytes >= PIECE_BYTES {
                upto = hashes.last().map_or(asked, |(seq, _)| *seq);
                break;
            }
            let payload = row.get_ref(1)?.as_bytes()?;
            bytes += payload.len();
            hashes.push((row.get(0)?, sealed::hash(payload)));
        }
    }
    let mut update = connection.prepare_cached("UPDATE agent_actions SET payload = NULL, payload_hash = ? WHERE seq = ?")?;
    for (seq, hash) in &hashes {
        update.execute((hash.as_slice(), seq))?;
    }
    // They show payloads: what is gone there goes here too.
    for (table, action, _) in PROJECTIONS {
        let gone = format!(
            "DELETE FROM {table} WHERE seq > ? AND seq <= ? AND seq IN (SELECT seq FROM agent_actions INDEXED BY agent_actions_{action} \
             WHERE action = '{action}' AND payload IS NULL)"
        );
        connection.prepare_cached(&gone)?.execute([done, upto])?;
    }
    Ok((DroppedPiece { entries: hashes.len() as u64, more: upto < asked }, upto.cast_unsigned()))
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
