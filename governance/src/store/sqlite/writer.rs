//! The one thread that writes: many commits in one transaction.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use super::cache::Cache;
use super::cells::Rows;
use super::checkpoint::Checkpoint;
use super::failure::{busy, damaged, failed, moved};
use super::row::number;
use super::time::StoreClock;
use crate::error::Result;
use crate::store::hub::Hub;
use crate::store::kernel::execute;
use crate::store::{Commit, Outcome};
use crate::vocabulary::{Key, Millis};

/// How many commits share a transaction.
const GROUP: usize = 128;
/// How long one transaction waits for another process's; then the caller is told, and asks again until its own deadline.
const PATIENCE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_micros(300);
/// How often expired rows are looked for, in milliseconds, and how many at once.
const PURGE_EVERY: u64 = 1_000;
const PURGED: u32 = 256;

/// A commit that waits for its turn.
pub(super) struct Pending {
    pub commit: Commit,
    pub answer: oneshot::Sender<Result<Outcome>>,
}

/// Owns the connection that writes.
pub(super) struct Writer {
    pub path: PathBuf,
    pub connection: Connection,
    pub cache: Cache,
    pub clock: Arc<StoreClock>,
    pub generation: Key,
    pub prefix: String,
    pub hub: Arc<Hub>,
    pub origin: i64,
    /// How many transactions this writer has written, or is writing: what the file counts beyond that is other processes' doing.
    pub transactions: Arc<AtomicI64>,
    /// What no other connection has changed since the cache was last right.
    pub data_version: i64,
    pub purged: Millis,
    pub checkpoint: Checkpoint,
    /// The file's identity, to notice that it was replaced, and the longest that it was, to notice that it was cut off.
    pub file: (u64, u64),
    pub length: u64,
}

impl Writer {
    /// Works until the last handle is gone, and what was asked until then is done.
    pub fn run(mut self, inbox: &Receiver<Pending>) {
        let mut group = Vec::with_capacity(GROUP);
        let mut before = 0;
        while let Ok(first) = inbox.recv() {
            group.push(first);
            fill(&mut group, inbox);
            // Whoever was answered a moment ago is about to ask again: let them, for fewer and larger transactions. A lone caller never waits.
            if group.len() < before {
                std::thread::yield_now();
                fill(&mut group, inbox);
            }
            before = group.len();
            // Nobody waits for these any more, and they have not begun.
            group.retain(|pending| !pending.answer.is_closed());
            let written = self.transactions.load(Ordering::Relaxed);
            self.serve(&mut group);
            if self.transactions.load(Ordering::Relaxed) != written {
                self.checkpoint.written(&self.connection);
            }
        }
    }

    fn serve(&mut self, group: &mut Vec<Pending>) {
        let commits: Vec<&Commit> = group.iter().map(|pending| &pending.commit).collect();
        match self.transact(&commits) {
            Ok(outcomes) => self.acknowledge(group, outcomes),
            // INVARIANT: one commit's failure never touches another's: each is tried again by itself.
            Err(error) if group.len() > 1 && error.code() != "store_busy" => {
                for pending in group.drain(..) {
                    let outcome = self.transact(&[&pending.commit]);
                    match outcome {
                        Ok(outcomes) => self.acknowledge(&mut vec![pending], outcomes),
                        Err(error) => drop(pending.answer.send(Err(error))),
                    }
                }
            }
            Err(error) => {
                let mut error = Some(error);
                for pending in group.drain(..) {
                    drop(pending.answer.send(Err(error.take().unwrap_or_else(|| busy(&self.path)))));
                }
            }
        }
    }

    fn acknowledge(&self, group: &mut Vec<Pending>, outcomes: Vec<Outcome>) {
        for (pending, outcome) in group.drain(..).zip(outcomes) {
            if matches!(&outcome, Outcome::Accepted(accepted) if !accepted.repeated) {
                self.hub.accepted(&pending.commit);
            }
            // Whoever stopped waiting asks again with the token.
            drop(pending.answer.send(Ok(outcome)));
        }
    }

    /// All of these commits in one transaction, or none.
    fn transact(&mut self, commits: &[&Commit]) -> Result<Vec<Outcome>> {
        if commits.is_empty() {
            return Ok(Vec::new());
        }
        self.begin()?;
        let before = self.transactions.load(Ordering::Relaxed);
        let result = self.carry_out(commits);
        if result.is_err() {
            self.transactions.store(before, Ordering::Release);
            self.cache.forget();
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, path = %self.path.display(), "a transaction could not be rolled back");
            }
        }
        result
    }

    /// Takes the write lock. Another process's transaction is waited for.
    fn begin(&mut self) -> Result<()> {
        let mut pause = FIRST_PAUSE;
        let mut waited = Duration::ZERO;
        loop {
            match self.connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([])) {
                Ok(_) => return Ok(()),
                Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) && waited < PATIENCE => {
                    std::thread::sleep(pause);
                    waited += pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(failed(&self.path, error)),
            }
        }
    }

    fn carry_out(&mut self, commits: &[&Commit]) -> Result<Vec<Outcome>> {
        self.refuse_strange_file()?;
        self.catch_up()?;
        let now = self.clock.now();
        let mut wrote = false;
        let mut rows = Rows {
            path: &self.path,
            connection: &self.connection,
            cache: &mut self.cache,
            now,
            prefix: &self.prefix,
            origin: self.origin,
            wrote: &mut wrote,
        };
        let outcomes = commits.iter().map(|commit| execute(&mut rows, commit, &self.generation)).collect::<Result<Vec<_>>>()?;
        if *rows.wrote {
            rows.forget_answers(commits.len())?;
            if now.0 >= self.purged.0 + PURGE_EVERY {
                self.purged = now;
                rows.purge(PURGED)?;
            }
            self.stamp()?;
        }
        self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).map_err(|e| failed(&self.path, e))?;
        Ok(outcomes)
    }

    /// Forgets what another process may have changed.
    fn catch_up(&mut self) -> Result<()> {
        let ask = |sql: &str| self.connection.prepare_cached(sql).and_then(|mut s| s.query_row([], |row| row.get::<_, i64>(0)).optional());
        let data_version = ask("PRAGMA data_version").map_err(|e| failed(&self.path, e))?.unwrap_or_default();
        if data_version == self.data_version {
            return Ok(());
        }
        self.cache.forget();
        let written = ask("SELECT now FROM clock").map_err(|e| failed(&self.path, e))?.unwrap_or_default();
        self.clock.now_after(Millis(written.cast_unsigned()));
        self.data_version = data_version;
        Ok(())
    }

    /// Writes down how far time has come, and that a transaction was written.
    fn stamp(&mut self) -> Result<()> {
        // INVARIANT: counted before it can be seen, while no other process can write.
        self.transactions.fetch_add(1, Ordering::AcqRel);
        self.clock.write(&self.connection, 1).map_err(|e| failed(&self.path, e))
    }

    /// A file that was deleted or replaced is no longer the one that other processes see. One that became shorter was cut off: nothing here
    /// ever shrinks it, and SQLite itself notices only when it reads a page that is gone.
    fn refuse_strange_file(&mut self) -> Result<()> {
        let found = std::fs::metadata(&self.path).map_err(|_| moved(&self.path))?;
        if (found.dev(), found.ino()) != self.file {
            return Err(moved(&self.path));
        }
        if found.len() < self.length {
            return Err(damaged(&self.path));
        }
        self.length = found.len();
        Ok(())
    }
}

fn fill(group: &mut Vec<Pending>, inbox: &Receiver<Pending>) {
    group.extend(inbox.try_iter().take(GROUP - group.len()));
}

/// What tells a file from another under the same name. Looks without opening it.
pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// How far the file says that time has come.
pub(super) fn written_time(connection: &Connection) -> rusqlite::Result<Millis> {
    let mut statement = connection.prepare_cached("SELECT now FROM clock")?;
    Ok(Millis(statement.query_row([], |row| number(row, 0)).optional()?.unwrap_or_default()))
}
