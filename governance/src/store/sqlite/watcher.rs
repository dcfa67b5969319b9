//! Notices what other processes write: a file event on the write-ahead log, then a look.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use notify::{EventKind, RecursiveMode, Watcher as _};
use rusqlite::{Connection, params};

use super::failure::failed;
use super::file::open_reader;
use crate::error::{Error, Result};
use crate::store::hub::Hub;
use crate::vocabulary::{Key, Kind};

/// An event can come before the commit is visible: look again after these pauses.
const LOOKS: [Duration; 6] = [
    Duration::from_micros(100),
    Duration::from_micros(300),
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
];
/// A look without an event, in case one was lost: after this …
const SAFETY_NET: Duration = Duration::from_millis(250);
/// … and, while nothing happens, twice as late each time, up to this.
const WIDEST_NET: Duration = Duration::from_secs(2);
/// The same where the system has no more file events to give.
const POLL: Duration = Duration::from_millis(5);

/// A thread that looks; ends when this is dropped.
pub(super) struct Watcher {
    events: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    // Ends before the thread's channel does.
    files: Option<notify::RecommendedWatcher>,
}

struct Looker {
    connection: Connection,
    path: PathBuf,
    hub: Arc<Hub>,
    origin: i64,
    own: Arc<AtomicI64>,
    seen: Seen,
}

/// What was there at the last look.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    data_version: i64,
    /// Transactions that other processes have written.
    others: i64,
    signal: i64,
}

impl Watcher {
    /// Begins to look. What is written after this returns is noticed.
    pub fn start(path: &Path, hub: Arc<Hub>, origin: i64, own: Arc<AtomicI64>) -> Result<Self> {
        let connection = open_reader(path)?;
        let nothing = Seen { data_version: 0, others: 0, signal: 0 };
        let mut looker = Looker { connection, path: path.to_owned(), hub, origin, own, seen: nothing };
        looker.seen = looker.read().map_err(|e| failed(path, e))?;
        let (events, inbox) = sync_channel(1);
        let files = files(path, events.clone());
        if let Err(error) = &files {
            tracing::warn!(%error, "no file events: changes by other processes are looked for every {POLL:?}");
        }
        let nets = if files.is_ok() { (SAFETY_NET, WIDEST_NET) } else { (POLL, POLL) };
        let run = move || looker.run(&inbox, nets);
        let thread = std::thread::Builder::new().name("governance-watch".into()).spawn(run);
        let thread = thread.map_err(|e| Error::internal("no thread could be started").because(e))?;
        Ok(Self { events: Some(events), thread: Some(thread), files: files.ok() })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.files = None;
        self.events = None;
        if let Some(thread) = self.thread.take() {
            // It ends as soon as it sees that no sender is left.
            drop(thread.join());
        }
    }
}

fn files(path: &Path, events: SyncSender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let handler = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| matches!(event.kind, EventKind::Modify(_))) {
            // A full channel already holds an event that was not looked at.
            let _ = events.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(handler)?;
    watcher.watch(Path::new(&log), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

impl Looker {
    fn run(mut self, inbox: &Receiver<()>, (first, widest): (Duration, Duration)) {
        let mut net = first;
        loop {
            match inbox.recv_timeout(net) {
                Ok(()) => {
                    net = first;
                    if !self.look_closely(inbox) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    net = (net * 2).min(widest);
                    self.look();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Looks until the commit behind the latest event must be visible. False when nobody is left to tell.
    fn look_closely(&mut self, inbox: &Receiver<()>) -> bool {
        let mut looks = LOOKS.iter();
        self.look();
        while let Some(pause) = looks.next() {
            match inbox.recv_timeout(*pause) {
                Ok(()) => looks = LOOKS.iter(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            self.look();
        }
        true
    }

    fn look(&mut self) {
        match self.news() {
            Ok(()) => {}
            Err(error) => {
                tracing::debug!(%error, path = %self.path.display(), "a look at the store failed; waking everybody");
                self.hub.wake_all();
            }
        }
    }

    fn news(&mut self) -> rusqlite::Result<()> {
        if self.data_version()? == self.seen.data_version {
            return Ok(());
        }
        let now = self.read()?;
        let before = std::mem::replace(&mut self.seen, now);
        if now.others != before.others {
            self.hub.wake_all();
        }
        if now.signal != before.signal {
            self.deliver(before.signal, now.signal)?;
        }
        Ok(())
    }

    fn data_version(&self) -> rusqlite::Result<i64> {
        self.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
    }

    fn read(&self) -> rusqlite::Result<Seen> {
        // First the version, then what it stands for: a change in between is looked at again.
        let data_version = self.data_version()?;
        let sql = "SELECT (SELECT transactions FROM clock), (SELECT max(id) FROM signals)";
        let (transactions, signal) =
            self.connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?;
        let others = transactions.unwrap_or_default() - self.own.load(Ordering::Acquire);
        Ok(Seen { data_version, others, signal: signal.unwrap_or_default() })
    }

    fn deliver(&self, after: i64, through: i64) -> rusqlite::Result<()> {
        // A table that was emptied begins again at 1.
        let after = if through < after { 0 } else { after };
        let sql = "SELECT channel, payload FROM signals WHERE id > ?1 AND id <= ?2 AND origin <> ?3 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![after, through, self.origin])?;
        while let Some(row) = rows.next()? {
            let channel = Key::new(row.get_ref(0)?.as_str()?, Kind::Channel);
            self.hub.signal(&channel, &Bytes::copy_from_slice(row.get_ref(1)?.as_blob()?));
        }
        Ok(())
    }
}
