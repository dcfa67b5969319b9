//! State in one SQLite file that several processes on one machine share: `sqlite:PATH`, the default.
//!
//! ```text
//!   commit ──channel──► writer thread: BEGIN IMMEDIATE ─ up to 128 commits, each judged and written ─ COMMIT ──► each is answered
//!   read   ──────────► a connection of the pool, on the caller's own thread
//!   watch  ◄──hub───── writer (own commits)  ◄──hub── watcher thread (others': file event on the -wal, then `data_version`)
//! ```
//!
//! - A process that dies loses nothing that was acknowledged. A machine that loses power may lose its last moments: the write-ahead log is
//!   synchronised at checkpoints, not at each commit. The generation (ADR 2) shows such a loss, and everything is denied until recovery.
//! - Busy is waited for, a second at a time, and then said as `store_busy`; the [`Store`](super::Store) asks again until its own deadline.
//! - The store's time never goes back, and a wall clock that jumps does not move it: see [`time`].
//! - A dropped `commit` future is carried out whole or not at all; dropping the last handle lets the writer finish, then closes the file.
//! - A forked child opens no file while its parent had one open: SQLite's locks belong to a process.
//! - Nothing in this process may open and close the file outside SQLite: POSIX drops every lock of the process with any descriptor.

mod cache;
mod cells;
mod checkpoint;
mod failure;
mod file;
mod reader;
mod row;
mod time;
mod watcher;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicI64;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::oneshot;

use self::failure::closed;
use self::reader::Readers;
use self::time::StoreClock;
use self::watcher::Watcher;
use self::writer::{Pending, Writer};
use super::hub::Hub;
use super::{Answer, Backend, Commit, Description, Durability, Outcome, Query, Scan, Signals, Watch};
use crate::disk::Opened;
use crate::error::{Error, Result};
use crate::vocabulary::{Key, Keys, Millis, Ports};

/// A store in an SQLite file.
pub struct Sqlite {
    path: Arc<PathBuf>,
    // None only while it is being dropped.
    writer: Option<(Sender<Pending>, JoinHandle<()>)>,
    readers: Readers,
    hub: Arc<Hub>,
    watcher: Mutex<Option<Watcher>>,
    origin: i64,
    transactions: Arc<AtomicI64>,
    // Last: after every connection.
    _opened: Opened,
}

impl Sqlite {
    /// Opens a file, which is made if it is not there, with its folders. Refuses a file of another program, one of a newer format, and a
    /// network file system.
    ///
    /// Blocks for as long as it takes to create a file; may wait some seconds for another program that keeps it locked.
    pub fn open(path: &Path, keys: &Keys, ports: Ports) -> Result<Arc<Self>> {
        let _opened = Opened::claim()?;
        let clock = Arc::new(StoreClock::new(ports.clock));
        let connection = file::open_writer(path, &clock)?;
        // The folder exists now; a relative path must not change its meaning with the working directory.
        let path = Arc::new(std::fs::canonicalize(path).map_err(|e| failure::not_writable(path).because(e))?);
        let mut random = [0; 8];
        ports.chance.fill(&mut random);
        let (hub, transactions, origin) = (Arc::<Hub>::default(), Arc::<AtomicI64>::default(), i64::from_le_bytes(random));
        let (sender, inbox) = channel();
        let file = writer::identity(&path).ok_or_else(|| failure::moved(&path))?;
        let writer = Writer {
            file,
            length: 0,
            path: path.to_path_buf(),
            connection,
            cache: cache::Cache::default(),
            clock: clock.clone(),
            generation: keys.generation(),
            prefix: keys.prefix().to_owned(),
            hub: hub.clone(),
            origin,
            transactions: transactions.clone(),
            data_version: -1,
            purged: Millis(0),
            checkpoint: checkpoint::Checkpoint::default(),
        };
        let thread = std::thread::Builder::new().name("governance-write".into()).spawn(move || writer.run(&inbox));
        let thread = thread.map_err(|e| Error::internal("no thread could be started").because(e))?;
        let readers = Readers::new(path.clone(), file, clock);
        Ok(Arc::new(Self { path, writer: Some((sender, thread)), readers, hub, watcher: Mutex::default(), origin, transactions, _opened }))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts to look for other processes' changes, once somebody wants to know of them.
    fn look_out(&self) -> Result<()> {
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if watcher.is_none() {
            *watcher = Some(Watcher::start(&self.path, self.hub.clone(), self.origin, self.transactions.clone())?);
        }
        Ok(())
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some((sender, thread)) = self.writer.take() {
            drop(sender);
            // A panic in the writer was already told to whoever waited.
            drop(thread.join());
        }
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn commit(&self, commit: &Commit) -> Result<Outcome> {
        let (answer, answered) = oneshot::channel();
        let Some((sender, _)) = &self.writer else { return Err(closed(&self.path)) };
        sender.send(Pending { commit: commit.clone(), answer }).map_err(|_| closed(&self.path))?;
        answered.await.map_err(|_| closed(&self.path))?
    }

    async fn read(&self, queries: &[Query]) -> Result<Vec<Answer>> {
        // Never waits, so it must let others run now and then.
        tokio::task::coop::consume_budget().await;
        self.readers.answers(queries)
    }

    async fn scan(&self, prefix: &str, from: Option<&str>, limit: usize) -> Result<Scan> {
        self.readers.scan(prefix, from, limit)
    }

    async fn watch(&self, keys: &[Key]) -> Result<Watch> {
        let watch = self.hub.watch(keys);
        self.look_out()?;
        Ok(watch)
    }

    async fn signals(&self, channel: &Key) -> Result<Signals> {
        let signals = self.hub.signals(channel);
        self.look_out()?;
        Ok(signals)
    }

    async fn now(&self) -> Result<Millis> {
        self.readers.now()
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }

    async fn describe(&self) -> Result<Description> {
        let warnings = vec![
            "after a power loss the last moments may be missing, which shows as `rolled_back` where a stop was among them; the death of a \
             process loses nothing"
                .into(),
        ];
        let name = format!("sqlite {} ({})", rusqlite::version(), self.path.display());
        Ok(Description::embedded(name, true, Durability::Snapshot, warnings))
    }
}
