//! Brings the write-ahead log into the file, after the commits have been answered.

use std::time::Duration;

use rusqlite::Connection;

/// How many pages wait in the log before they are brought in: frequent checkpoints make the tail of the latency.
const WAITING: i64 = 8_000;
/// How long the log grows while other processes go on writing to it, in pages; then they are made to wait, so that it can begin again.
const LONG: i64 = 32_000;
/// How many transactions go by between two looks at the log.
const EVERY: u32 = 8;
/// How long a long log waits for the other processes.
const PATIENCE: Duration = Duration::from_millis(50);

/// Decides when. SQLite's own rule would have every process bring in, and synchronise, a few pages after each of its commits once the log
/// is long, which several busy processes keep it from ever emptying.
#[derive(Default)]
pub(super) struct Checkpoint {
    transactions: u32,
}

impl Checkpoint {
    /// A transaction was written. A checkpoint that fails, fails no commit: the next one does its work.
    pub fn written(&mut self, connection: &Connection) {
        self.transactions = self.transactions.wrapping_add(1);
        if self.transactions.is_multiple_of(EVERY)
            && let Err(error) = bring_in(connection)
        {
            tracing::debug!(%error, "a checkpoint failed");
        }
    }
}

fn bring_in(connection: &Connection) -> rusqlite::Result<()> {
    let (log, done) = checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)")?;
    if log - done < WAITING {
        return Ok(());
    }
    // Most of it while the others go on.
    let (log, done) = checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
    if done < log && log >= LONG {
        connection.busy_timeout(PATIENCE)?;
        let rest = checkpoint(connection, "PRAGMA wal_checkpoint(FULL)");
        connection.busy_timeout(Duration::ZERO)?;
        rest?;
    }
    Ok(())
}

/// How many pages the log holds, and how many of them are in the file.
fn checkpoint(connection: &Connection, sql: &str) -> rusqlite::Result<(i64, i64)> {
    connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}
