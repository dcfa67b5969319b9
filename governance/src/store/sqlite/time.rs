//! The store's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::row::{column, number};
use crate::machine;
use crate::vocabulary::{Clock, Millis, millis};

/// Runs on the suspend-aware clock from an anchor that the file keeps, so that all processes have the same time and no jump of the wall clock
/// moves it: a forward jump would lapse the shares and leases of those who still hold them.
///
/// ```text
///   time = anchor + elapsed since the machine was booted
///   first opened after a boot ▶ anchor := max(wall clock, last time written) − elapsed
/// ```
pub(super) struct StoreClock {
    clock: Arc<dyn Clock>,
    boot: String,
    // INVARIANT: only rises.
    anchor: AtomicU64,
}

/// What the file says of the time.
struct Written {
    now: Millis,
    boot: String,
    anchor: u64,
}

impl StoreClock {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        // Where there is none the clock is anchored each time that the file is opened.
        Self { clock, boot: machine::boot(), anchor: AtomicU64::new(0) }
    }

    /// Takes the file's anchor over, or gives it one.
    pub fn tie(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        if self.take_over(connection)? {
            return Ok(());
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have been first.
        if !self.take_over(&transaction)? {
            self.raise(self.clock.now());
            self.write(&transaction, 0)?;
        }
        transaction.commit()
    }

    /// The time, which is no earlier than any that was shown before.
    pub fn now(&self) -> Millis {
        Millis(millis(self.clock.elapsed()) + self.anchor.load(Ordering::Acquire))
    }

    /// The time, given what the file says.
    pub fn now_after(&self, written: Millis) -> Millis {
        self.raise(written);
        self.now()
    }

    /// Writes down how far time has come, and that so many transactions were written.
    pub fn write(&self, connection: &Connection, transactions: i64) -> rusqlite::Result<()> {
        let sql = "INSERT INTO clock (id, now, transactions, boot, anchor) VALUES (1, ?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE SET \
                   now = max(now, excluded.now), transactions = transactions + excluded.transactions, boot = excluded.boot, \
                   anchor = iif(boot = excluded.boot, max(anchor, excluded.anchor), excluded.anchor)";
        let anchor = Millis(self.anchor.load(Ordering::Acquire));
        connection.prepare_cached(sql)?.execute(params![column(self.now()), transactions, self.boot, column(anchor)]).map(drop)
    }

    /// Goes by the file's anchor if it is of this boot.
    fn take_over(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let mut statement = connection.prepare_cached("SELECT now, boot, anchor FROM clock")?;
        let written =
            statement.query_row([], |row| Ok(Written { now: Millis(number(row, 0)?), boot: row.get(1)?, anchor: number(row, 2)? }));
        let Some(Written { now, boot, anchor }) = written.optional()? else { return Ok(false) };
        let same = boot == self.boot && !boot.is_empty();
        if same {
            self.anchor.fetch_max(anchor, Ordering::AcqRel);
        }
        self.raise(now);
        Ok(same)
    }

    fn raise(&self, time: Millis) {
        let anchor = time.0.saturating_sub(millis(self.clock.elapsed()));
        // A load is enough nearly always.
        if anchor > self.anchor.load(Ordering::Acquire) {
            self.anchor.fetch_max(anchor, Ordering::AcqRel);
        }
    }
}
