//! Floor 0: the record. ADR 2 and 4.
//!
//! ```text
//!   process A          process B          each action: intent ─► … ─► outcome, one write(2) each, ~1 µs
//!   ┌─────────┐        ┌─────────┐
//!   │ segment │        │ segment │        append-only files, chained; a dead owner's is adopted
//!   └────┬────┘        └────┬────┘
//!        └───────┬──────────┘
//!           sequencer (fence)             numbers without holes, grows the RFC 9162 tree, signs heads
//!                ▼
//!          agent_actions ─► heads         in the database, beside it, and wherever a head is kept
//!                ▲
//!             verify                      names the first bad entry; never writes
//! ```
//!
//! ```
//! # use governance::ledger::{Action, Durability, Filter, Ledger, OutcomeResult};
//! # use governance::vocabulary::Ports;
//! # #[tokio::main]
//! # async fn main() -> governance::error::Result<()> {
//! # let home = tempfile::tempdir().unwrap();
//! let ledger = Ledger::open(home.path(), Ports::default(), Durability::Process).await?;
//!
//! let segment = ledger.segment()?;
//! let intent = segment.intent(Action::ToolCall, None, None, r#"{"tool":"read_file"}"#)?;
//! // … the tool runs …
//! segment.outcome(&intent, OutcomeResult::Ok, "{}")?;
//!
//! // One process at a time does this, under its lease's fence; `Ledger` does not decide which.
//! let sequenced = ledger.sequence(1).await?;
//! let head = sequenced.heads.last().cloned();
//!
//! assert_eq!(ledger.list(&Filter { action: Some(Action::ToolCall), ..Filter::default() }).await?.actions.len(), 2);
//! assert!(ledger.verify(head).await?.is_intact());
//! # Ok(())
//! # }
//! ```

mod action;
mod adoption;
mod backlog;
mod body;
mod database;
mod durability;
mod entry;
mod export;
mod export_check;
mod frame;
mod gap;
mod head;
pub(crate) mod hex;
mod home;
mod key;
mod listing;
mod missing;
mod report;
mod retention;
mod rows;
mod runs;
mod sealed;
mod segment;
mod sequencer;
mod sink;
mod stirring;
mod tree;
mod verify;
mod waiting;
mod walk;
mod witness;

use sqlx::Row;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

pub use action::{Action, EntryKind, OutcomeResult};
pub use backlog::Backlog;
pub use database::EMPTY;
pub use durability::Durability;
pub use entry::{Entry, MAX_PAYLOAD};
pub use export::{Export, ExportEnd, ExportLine, ExportStart};
pub use export_check::{ExportReport, verify_export};
pub use gap::Gap;
pub use head::Head;
pub use key::{KEY_FILE, PUBLIC_FILE, PublicKeys, SigningKey};
pub use listing::{AgentAction, Filter, Listing, MAX_LISTING};
pub use report::{Fault, Finding, Report};
pub use retention::{Droppable, DroppedPiece, RetentionState};
pub use segment::{Intent, Segment, Written, is_alive, read_all};
pub use sequencer::{Problem, Sequenced};
pub use stirring::Stirring;
pub use verify::verify;
pub use witness::StoreName;

use crate::error::Result;
use crate::store::Witness;
use crate::vocabulary::{AgentId, LedgerId, Millis, Ports, SegmentId, Token};
use database::{Database, blocking, sqlx_trouble};
use home::Home;
use sequencer::Sequencer;
use waiting::Wanted;
use witness::StoreWitness;

/// A handle on a ledger. Cheap to clone; several processes may have the same one open.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    home: Home,
    database: Database,
    ports: Ports,
    durability: Durability,
    segment: Mutex<Option<Arc<Segment>>>,
    sequencer: Mutex<Option<Sequencer>>,
    // Wakes who sequences, if that is in this process.
    bell: Arc<Notify>,
    // Wakes who drops payloads, if that is in this process.
    asked: Arc<Notify>,
}

impl Ledger {
    /// Opens the ledger of a home directory, or makes it.
    ///
    /// Refuses, untouched: a network file system, an SQLite file that is not a ledger, a ledger of a newer format.
    pub async fn open(home: impl AsRef<Path>, ports: Ports, durability: Durability) -> Result<Self> {
        let home = Home::new(home.as_ref());
        let database = Database::open(&home.database(), &ports).await?;
        let segments = home.segments();
        blocking(move || fs::create_dir_all(&segments).map_err(|e| segment::trouble(&segments, &e))).await?;
        let (segment, sequencer) = (Mutex::default(), Mutex::default());
        let inner = Inner { home, database, ports, durability, segment, sequencer, bell: Arc::default(), asked: Arc::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Its id, given once and for all when it was made.
    #[must_use]
    pub fn id(&self) -> &LedgerId {
        &self.inner.database.id
    }

    /// Its directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.inner.home.path()
    }

    /// Its database file.
    #[must_use]
    pub fn database(&self) -> &Path {
        &self.inner.database.path
    }

    /// This process's segment, opened on first use. Keep it: it is where entries are written.
    pub fn segment(&self) -> Result<Arc<Segment>> {
        self.inner.segment()
    }

    /// Writes into this process's segment, and answers which one that was. One that was closed or belongs to the parent of this fork writes nothing, and
    /// a fresh one takes its place. Who writes is told the time.
    pub(crate) fn write<T>(&self, write: impl Fn(&Segment, Millis) -> Result<T>) -> Result<(T, Arc<Segment>)> {
        let now = self.inner.ports.clock.now();
        // The lock is let go at once: whoever writes to a disk holds up nobody else, who may be served by the same flush.
        let held = self.inner.held().clone();
        if let Some(segment) = held.filter(|segment| segment.is_there(now)) {
            match write(&segment, now) {
                Err(error) if matches!(error.code(), segment::FORKED | segment::CLOSED) => {}
                written => return written.map(|written| (written, segment)),
            }
        }
        let segment = self.segment()?;
        write(&segment, now).map(|written| (written, segment))
    }

    /// Moves what the segments hold into the record, and adopts the segments of dead processes.
    ///
    /// `fence` is that of the caller's lease. One lower than the record has seen is refused as `fenced` and writes nothing.
    pub async fn sequence(&self, fence: u64) -> Result<Sequenced> {
        let sequenced = self.sequencing(move |sequencer, inner| sequencer.sequence(fence, &|| inner.segment())).await;
        // What failed in the end may have brought in that payloads are to be dropped.
        if sequenced.as_ref().map_or(true, |sequenced| sequenced.retention) {
            self.inner.asked.notify_one();
        }
        sequenced
    }

    /// Does something as the sequencer, beside the async threads, one at a time.
    async fn sequencing<T: Send + 'static>(&self, work: impl FnOnce(&mut Sequencer, &Inner) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = self.inner.clone();
        blocking(move || {
            let mut held = inner.sequencer.lock().unwrap_or_else(PoisonError::into_inner);
            let sequencer = match &mut *held {
                Some(sequencer) => sequencer,
                none => none.insert(Sequencer::open(&inner.home, &inner.database.id, &inner.ports, inner.durability)?),
            };
            work(sequencer, &inner)
        })
        .await
    }

    /// What rings when a segment stirs, for who sequences.
    #[must_use]
    pub fn stirring(&self) -> Stirring {
        Stirring::new(&self.inner.home.segments(), self.inner.bell.clone())
    }

    /// Says that somebody waits for what is written to be in the record: if this process sequences, it does so at once.
    pub fn hurry(&self) {
        self.inner.bell.notify_one();
    }

    /// Lists a part of the record, with how much is not in it yet.
    pub async fn list(&self, filter: &Filter) -> Result<Listing> {
        // Counted first: an entry that comes into the record meanwhile is then told twice rather than not at all.
        let home = self.inner.home.clone();
        let unsequenced = blocking(move || waiting::count(&home)).await?;
        let rows = listing::actions(&self.inner.database.pool, filter).await.map_err(|e| self.trouble(e))?;
        let actions = rows.iter().map(AgentAction::of).collect::<Result<_>>()?;
        Ok(Listing { actions, unsequenced })
    }

    /// How much is not in the record yet, and since when.
    pub async fn backlog(&self) -> Result<Backlog> {
        let home = self.inner.home.clone();
        blocking(move || Backlog::of(&home)).await
    }

    /// Looks at everything that whoever sequences needs: the key, the database, the segments. Makes and changes nothing; an error says what keeps
    /// entries out of the record.
    pub async fn examine(&self) -> Result<()> {
        let (home, durability) = (self.inner.home.clone(), self.inner.durability);
        blocking(move || backlog::examine(&home, durability)).await
    }

    /// Everything that a segment holds or held, with its numbers, in the record or not yet. A payload that retention dropped reads as
    /// `null`. Fails where any of it cannot be read.
    pub async fn entries_of(&self, segment: &SegmentId) -> Result<Vec<(u64, Entry)>> {
        let (home, segment) = (self.inner.home.clone(), segment.clone());
        blocking(move || waiting::entries_of(&home, &segment)).await
    }

    /// Every entry about these actions, with its token, in the record or not yet, whoever wrote it. Fails where any of it cannot be read.
    pub async fn entries_about(&self, actions: &[Action]) -> Result<Vec<(Token, Entry)>> {
        let (home, actions) = (self.inner.home.clone(), actions.to_vec());
        blocking(move || waiting::entries_about(&home, Wanted { by_all: &actions, by_one: None })).await
    }

    /// The same of one agent. A payload that retention dropped reads as `null`.
    pub async fn entries_by(&self, agent: &AgentId, actions: &[Action]) -> Result<Vec<(Token, Entry)>> {
        self.entries_by_and_about(agent, actions, &[]).await
    }

    /// The same of one agent, and every entry about other actions, whoever wrote it.
    pub async fn entries_by_and_about(&self, agent: &AgentId, own: &[Action], by_all: &[Action]) -> Result<Vec<(Token, Entry)>> {
        let (home, own, by_all, agent) = (self.inner.home.clone(), own.to_vec(), by_all.to_vec(), agent.clone());
        blocking(move || waiting::entries_about(&home, Wanted { by_all: &by_all, by_one: Some((&agent, &own)) })).await
    }

    /// The last signed head, if anything is in the record.
    pub async fn head(&self) -> Result<Option<Head>> {
        let row = sqlx::query("SELECT size, root, at, key, signature FROM heads ORDER BY size DESC LIMIT 1")
            .fetch_optional(&self.inner.database.pool)
            .await
            .map_err(|e| self.trouble(e))?;
        let head = |row: sqlx::sqlite::SqliteRow| {
            let (size, at) = (row.try_get::<i64, _>(0)?.cast_unsigned(), Millis(row.try_get::<i64, _>(2)?.cast_unsigned()));
            let (root, key, signature) = (row.try_get(1)?, row.try_get(3)?, row.try_get(4)?);
            Ok(Head { ledger: self.id().clone(), size, root, at, key, signature })
        };
        row.map(head).transpose().map_err(|e| self.trouble(e))
    }

    /// Checks everything. See [`verify`].
    pub async fn verify(&self, outside: Option<Head>) -> Result<Report> {
        let path = self.inner.database.path.clone();
        blocking(move || verify(&path, outside.as_ref())).await
    }

    /// Who remembers the highest generation that was acknowledged for a store.
    #[must_use]
    pub fn witness(&self, store: impl Into<StoreName>) -> Arc<dyn Witness> {
        Arc::new(self.store(store.into()))
    }

    /// Remembers that a store's generation was acknowledged; returns when it is on the disk.
    pub async fn acknowledge(&self, store: impl Into<StoreName>, generation: u64) -> Result<()> {
        self.store(store.into()).raise(generation).await
    }

    /// Remembers where a store was met. If another one was met there before, of which stops were acknowledged, nothing is remembered and
    /// the generation that is missed is answered: that one was emptied or replaced.
    pub async fn meet(&self, store: &StoreName) -> Result<Option<u64>> {
        let store = self.store(store.clone());
        if store.is_known().await? {
            return Ok(None);
        }
        let missed = store.missed().await?;
        if missed.is_none() {
            store.meet().await?;
        }
        Ok(missed)
    }

    /// Remembers that a recovered store is the one at its addresses from now on, whatever was met there before.
    pub async fn recovered(&self, store: &StoreName, generation: u64) -> Result<()> {
        let store = self.store(store.clone());
        store.raise(generation).await?;
        store.meet().await
    }

    /// Closes this process's segment and the database. What is not in the record yet waits for the next sequencer.
    pub async fn close(&self) -> Result<()> {
        let inner = self.inner.clone();
        let closed = blocking(move || {
            drop(inner.sequencer.lock().unwrap_or_else(PoisonError::into_inner).take());
            let segment = inner.held().take();
            segment.map_or(Ok(()), |segment| segment.close())
        });
        let closed = closed.await;
        self.inner.database.pool.close().await;
        closed
    }

    fn store(&self, store: StoreName) -> StoreWitness {
        let Database { path, pool, .. } = &self.inner.database;
        StoreWitness { pool: pool.clone(), path: path.clone(), store }
    }

    fn trouble(&self, error: sqlx::Error) -> crate::error::Error {
        sqlx_trouble(&self.inner.database.path, error)
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, Option<Arc<Segment>>> {
        self.segment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn segment(&self) -> Result<Arc<Segment>> {
        let mut held = self.held();
        // A fork must not write into its parent's, nor anyone into a file that is gone.
        if let Some(segment) = held.as_ref().filter(|segment| segment.is_in_use() && segment.is_there(self.ports.clock.now())) {
            return Ok(segment.clone());
        }
        // What a fork inherits it leaves alone: its parent may have been writing.
        if let Some(gone) = held.take().filter(|gone| gone.is_own()) {
            gone.abandon();
        }
        let segment = Segment::open(&self.home.segments(), &self.database.id, &self.ports, self.durability)?;
        Ok(held.insert(Arc::new(segment)).clone())
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("id", self.id()).field("home", &self.home()).finish_non_exhaustive()
    }
}
