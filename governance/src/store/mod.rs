//! Floor 0: shared state behind one port. ADR 1 and 2.
//!
//! ```text
//!   coordination, guard, …        say what must hold and what to write
//!          │  Commit, Query
//!          ▼
//!       Store                     fills in the generation, retries with the same token until its deadline
//!          │
//!          ▼
//!       Backend                   memory │ sqlite │ redis: one atomic step
//! ```

mod backend;
mod commit;
mod hub;
mod kernel;
mod memory;
mod query;
mod url;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;

pub use backend::{Backend, Description, Durability};
pub use commit::{Accepted, Admission, Cell, Check, Commit, Event, MAX_FIELD, MAX_OPERATIONS, MAX_VALUE, Outcome, Refused, Write};
pub use hub::{Signals, Watch};
pub use memory::Memory;
pub use query::{Answer, Entry, Fields, Page, Put, Query, Scan, Versioned};
pub use url::StoreUrl;

use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{Key, Keys, Kind, LedgerId, Millis, Ports, Token};

/// The format of the shared state that this version writes.
pub const FORMAT: u64 = 1;
/// How long a call waits for a store that does not answer, unless told otherwise.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Who remembers, outside the store, the highest generation that was acknowledged: the ledger. ADR 2.
#[async_trait]
pub trait Witness: Send + Sync {
    /// The highest generation acknowledged by anyone.
    async fn generation(&self) -> Result<u64>;
}

/// A handle on shared state. Cheap to clone; every clone has seen what any of them has seen.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    deadline: Duration,
}

struct Inner {
    backend: Arc<dyn Backend>,
    keys: Keys,
    ports: Ports,
    // The highest generation seen in any reply or from the witness. INVARIANT: only rises.
    seen: AtomicU64,
    // The connection that the witness was last asked for.
    witnessed: AtomicU64,
    record: RwLock<Option<(LedgerId, Arc<dyn Witness>)>>,
    tokens: (String, AtomicU64),
}

impl Store {
    /// A handle on a backend. Sets up an empty store; refuses one of a newer format.
    pub async fn new(backend: Arc<dyn Backend>, keys: Keys, ports: Ports) -> Result<Self> {
        let prefix = Token::fresh(&*ports.chance);
        let store = Self {
            inner: Arc::new(Inner {
                witnessed: AtomicU64::new(backend.connection()),
                backend,
                keys,
                seen: AtomicU64::new(0),
                record: RwLock::default(),
                tokens: (prefix.to_string(), AtomicU64::new(0)),
                ports,
            }),
            deadline: DEADLINE,
        };
        store.set_up().await?;
        Ok(store)
    }

    /// A store in memory, with the machine's clock.
    pub async fn memory() -> Result<Self> {
        let (keys, ports) = (Keys::default(), Ports::default());
        Self::new(Arc::new(Memory::new(&keys, ports.clone())), keys, ports).await
    }

    /// The same store, whose calls wait this long for an answer.
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Self {
        Self { inner: self.inner.clone(), deadline }
    }

    /// The keys of this store's tenant.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// The clock and the randomness.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.inner.ports
    }

    /// A token that no one else has.
    #[must_use]
    pub fn fresh_token(&self) -> Token {
        let (prefix, counter) = &self.inner.tokens;
        let number = counter.fetch_add(1, Ordering::Relaxed);
        Token::new(format!("{prefix}.{number}")).unwrap_or_else(|_| Token::fresh(&*self.inner.ports.chance))
    }

    /// Does one atomic step. A refusal is a value; an error means that the outcome is not known, and asking again with the same token tells.
    ///
    /// While the store does not answer, the call is repeated with one token until the handle's deadline.
    pub async fn commit(&self, mut commit: Commit) -> Result<Outcome> {
        commit.validate()?;
        if commit.token.is_none() && self.inner.backend.remote() {
            commit.token = Some(self.fresh_token());
        }
        self.patiently(async |store: &Self| {
            store.hear_witness().await?;
            let mut commit = commit.clone();
            commit.generation = store.seen();
            let outcome = store.inner.backend.commit(&commit).await?;
            store.believe(outcome).await
        })
        .await
    }

    /// Like [`commit`](Self::commit), with a refusal as an error.
    pub async fn apply(&self, commit: Commit) -> Result<Accepted> {
        match self.commit(commit).await? {
            Outcome::Accepted(accepted) => Ok(accepted),
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }

    /// Answers questions, in order.
    pub async fn read(&self, queries: &[Query]) -> Result<Vec<Answer>> {
        self.patiently(async |store: &Self| store.inner.backend.read(queries).await).await
    }

    /// A record or a field.
    pub async fn cell(&self, cell: impl Into<Cell>) -> Result<Option<Versioned>> {
        match self.one(Query::Cell(cell.into())).await? {
            Answer::Cell(found) => Ok(found),
            other => Err(unexpected(&other)),
        }
    }

    /// A record's or a field's JSON, with its version.
    pub async fn json<T: serde::de::DeserializeOwned>(&self, cell: impl Into<Cell>) -> Result<Option<(u64, T)>> {
        let cell = cell.into();
        let name = cell.to_string();
        self.cell(cell).await?.map(|found| Ok((found.version, from_json(&name, &found.value)?))).transpose()
    }

    /// The fields of a table.
    pub async fn table(&self, table: Key) -> Result<Vec<(String, Versioned)>> {
        match self.one(Query::Table(table)).await? {
            Answer::Table(fields) => Ok(fields),
            other => Err(unexpected(&other)),
        }
    }

    /// A state.
    pub async fn state(&self, state: Key) -> Result<Option<Fields>> {
        match self.one(Query::State(state)).await? {
            Answer::State(fields) => Ok(fields),
            other => Err(unexpected(&other)),
        }
    }

    /// A counter or an epoch; 0 if it is not there.
    pub async fn number(&self, key: Key) -> Result<u64> {
        match self.one(Query::Number(key)).await? {
            Answer::Number(number) => Ok(number.unwrap_or(0)),
            other => Err(unexpected(&other)),
        }
    }

    /// The newest items of a list, oldest first.
    pub async fn list(&self, list: Key, last: u64) -> Result<Vec<bytes::Bytes>> {
        match self.one(Query::List { list, last }).await? {
            Answer::List(items) => Ok(items),
            other => Err(unexpected(&other)),
        }
    }

    /// The members of a set, sorted.
    pub async fn set(&self, set: Key) -> Result<Vec<String>> {
        match self.one(Query::Set(set)).await? {
            Answer::Set(members) => Ok(members),
            other => Err(unexpected(&other)),
        }
    }

    /// The entries of a log after a position.
    pub async fn log(&self, log: Key, after: u64, limit: u64) -> Result<Page> {
        match self.one(Query::Log { log, after, limit }).await? {
            Answer::Log(page) => Ok(page),
            other => Err(unexpected(&other)),
        }
    }

    /// Every key that begins with a prefix.
    pub async fn scan(&self, prefix: &str) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut from = None;
        loop {
            let scan = self.patiently(async |store: &Self| store.inner.backend.scan(prefix, from.as_deref(), 1_000).await).await?;
            keys.extend(scan.keys);
            from = scan.next;
            if from.is_none() {
                keys.sort_unstable();
                keys.dedup();
                return Ok(keys);
            }
        }
    }

    /// Wakes when one of these keys may have changed.
    pub async fn watch(&self, keys: &[Key]) -> Result<Watch> {
        self.patiently(async |store: &Self| store.inner.backend.watch(keys).await).await
    }

    /// Hears what is said on a channel from now on.
    pub async fn signals(&self, channel: &Key) -> Result<Signals> {
        self.patiently(async |store: &Self| store.inner.backend.signals(channel).await).await
    }

    /// The store's time: skewed clocks create no budget.
    pub async fn now(&self) -> Result<Millis> {
        self.patiently(async |store: &Self| store.inner.backend.now().await).await
    }

    /// What the store is and what it can promise.
    pub async fn describe(&self) -> Result<Description> {
        self.patiently(async |store: &Self| store.inner.backend.describe().await).await
    }

    /// The admission of people and of the system itself: the tenant's epoch.
    pub async fn admission(&self) -> Result<Admission> {
        let key = self.keys().epoch();
        let epoch = self.number(key.clone()).await?;
        Ok(Admission::default().and(key, epoch))
    }

    /// The store's lineage: changes when it was recovered, so that a log cursor from before is not continued. ADR 2.
    pub async fn lineage(&self) -> Result<u64> {
        let meta = self.state(self.keys().meta()).await?.unwrap_or_default();
        Ok(meta.field("lineage").parse().unwrap_or(0))
    }

    /// The highest generation that this handle has seen.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.inner.seen.load(Ordering::Acquire)
    }

    /// Ties the store to its ledger: refuses a store that names another one, and from now on believes no store that holds less than the
    /// ledger acknowledged for it.
    pub async fn bind(&self, ledger: &LedgerId, witness: Arc<dyn Witness>) -> Result<()> {
        let acknowledged = witness.generation().await?;
        let seen = self.inner.seen.fetch_max(acknowledged, Ordering::AcqRel);
        *self.inner.record.write().unwrap_or_else(PoisonError::into_inner) = Some((ledger.clone(), witness));
        let meta = self.keys().meta();
        let named = self.state(meta.clone()).await?.unwrap_or_default();
        let name = named.field("ledger");
        if name.is_empty() && acknowledged == 0 {
            let commit = Commit::default().version(meta.clone(), named.version).merge(meta, [("ledger", ledger)]);
            return match self.commit(commit).await? {
                // Another process named a ledger in between: look at which.
                Outcome::Refused(Refused::Conflict { .. }) => Box::pin(self.bind_again(ledger)).await,
                Outcome::Refused(refused) => Err(refused.into()),
                Outcome::Accepted(_) => Ok(()),
            };
        }
        if name.is_empty() || (name == ledger.as_str() && seen < acknowledged) {
            // A store without a name, of which the ledger knows acknowledged stops, has been emptied.
            return Err(Refused::RolledBack { seen: acknowledged, held: Some(seen) }.into());
        }
        self.bind_again(ledger).await
    }

    /// Brings a store that has lost acknowledged writes back into use: everything that was admitted before stays refused. ADR 2.
    ///
    /// Returns the new generation. Harmless on a store that has lost nothing, except that every agent must be admitted again.
    pub async fn recover(&self) -> Result<u64> {
        let (keys, backend) = (self.keys(), &self.inner.backend);
        if let Some((_, witness)) = self.record() {
            self.inner.seen.fetch_max(witness.generation().await?, Ordering::AcqRel);
        }
        // Above everything that was ever acknowledged, also on a server whose clock is behind.
        let floor = self.seen().max(backend.now().await?.0);
        let raised = self.raise_above(&keys.generation(), floor).await?;
        self.raise_above(&keys.epoch(), floor).await?;
        for text in self.scan(keys.prefix()).await? {
            let own = |suffix: &str| text.ends_with(suffix);
            if own(":epoch") || own(":fence") {
                self.raise_above(&Key::new(&text, Kind::Epoch), floor).await?;
            } else if own(":lock") || text == keys.caretaker().as_str() {
                let commit = Commit::default().urgent().write(Write::Delete(Key::new(&text, Kind::Record).into()));
                backend.commit(&commit).await?;
            }
        }
        let mut fields = vec![("format", FORMAT.to_string()), ("lineage", raised.to_string())];
        fields.extend(self.record().map(|(ledger, _)| ("ledger", ledger.to_string())));
        backend.commit(&Commit::default().urgent().merge(keys.meta(), fields)).await?;
        self.inner.seen.fetch_max(raised, Ordering::AcqRel);
        Ok(raised)
    }

    async fn raise_above(&self, key: &Key, floor: u64) -> Result<u64> {
        loop {
            let commit = Commit::default().urgent().write(Write::Raise { key: key.clone(), floor });
            if let Outcome::Accepted(accepted) = self.inner.backend.commit(&commit).await? {
                return Ok(accepted.results[0]);
            }
        }
    }

    async fn bind_again(&self, ledger: &LedgerId) -> Result<()> {
        let named = self.state(self.keys().meta()).await?.unwrap_or_default();
        match named.field("ledger") {
            name if name == ledger.as_str() => Ok(()),
            other => Err(Error::new(
                ErrorKind::Denied,
                "foreign_ledger",
                format!("this store belongs to the ledger `{other}`, not to `{ledger}`: use its own GOVERNANCE_HOME, or another store"),
            )),
        }
    }

    async fn set_up(&self) -> Result<()> {
        let keys = self.keys().clone();
        loop {
            let read = [Query::State(keys.meta()), Query::Number(keys.generation())];
            let [Answer::State(meta), Answer::Number(generation)] = &self.read(&read).await?[..] else {
                return Err(Error::internal("a store answered another question"));
            };
            let format = meta.as_ref().map_or("", |m| m.field("format"));
            if let (false, Some(generation)) = (format.is_empty(), generation) {
                if format.parse::<u64>().is_ok_and(|format| format <= FORMAT) {
                    self.inner.seen.fetch_max(*generation, Ordering::AcqRel);
                    return Ok(());
                }
                let message =
                    format!("the store has format {format}, this version knows {FORMAT}: upgrade governance, or use another store");
                return Err(Error::invalid("newer_format", message));
            }
            let empty = Commit::default()
                .version(keys.meta(), meta.as_ref().map_or(0, |m| m.version))
                .version(keys.generation(), generation.unwrap_or(0))
                .raise(keys.generation())
                .raise(keys.epoch());
            let now = self.now().await?;
            let empty = empty.merge(keys.meta(), [("format", FORMAT), ("lineage", now.0)]);
            // Refused: another process was first. Look again.
            self.inner.backend.commit(&Commit { token: Some(self.fresh_token()), ..empty }).await?;
        }
    }

    /// INVARIANT: no commit is sent, and no answer believed, over a connection for which the witness was not asked.
    async fn hear_witness(&self) -> Result<()> {
        let connection = self.inner.backend.connection();
        if self.inner.witnessed.load(Ordering::Acquire) == connection {
            return Ok(());
        }
        if let Some((_, witness)) = self.record() {
            self.inner.seen.fetch_max(witness.generation().await?, Ordering::AcqRel);
        }
        self.inner.witnessed.store(connection, Ordering::Release);
        Ok(())
    }

    async fn believe(&self, outcome: Outcome) -> Result<Outcome> {
        self.hear_witness().await?;
        let Outcome::Accepted(accepted) = &outcome else { return Ok(outcome) };
        let seen = self.inner.seen.fetch_max(accepted.generation, Ordering::AcqRel);
        if accepted.generation < seen && !accepted.repeated && self.lost_generation(seen).await? {
            return Ok(Outcome::Refused(Refused::RolledBack { seen, held: Some(accepted.generation) }));
        }
        Ok(outcome)
    }

    /// Tells a commit that another overtook (the generation rose in between) from a store that holds less than was acknowledged.
    async fn lost_generation(&self, seen: u64) -> Result<bool> {
        Ok(self.number(self.keys().generation()).await? < seen)
    }

    fn record(&self) -> Option<(LedgerId, Arc<dyn Witness>)> {
        self.inner.record.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn one(&self, query: Query) -> Result<Answer> {
        let mut answers = self.read(std::slice::from_ref(&query)).await?;
        answers.pop().ok_or_else(|| Error::internal("a store left a question unanswered"))
    }

    async fn patiently<T>(&self, call: impl AsyncFn(&Self) -> Result<T>) -> Result<T> {
        let clock = &self.inner.ports.clock;
        let until = clock.elapsed() + self.deadline;
        let mut pause = Duration::from_millis(2);
        loop {
            let left = until.saturating_sub(clock.elapsed());
            let error = if self.inner.backend.remote() {
                match tokio::time::timeout(left, call(self)).await {
                    Ok(Ok(value)) => return Ok(value),
                    Ok(Err(error)) => error,
                    Err(_) => {
                        Error::new(ErrorKind::Deadline, "store_deadline", format!("the store did not answer within {:?}", self.deadline))
                    }
                }
            } else {
                match call(self).await {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                }
            };
            if !error.may_retry() || clock.elapsed() + pause >= until {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(250));
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("prefix", &self.inner.keys.prefix()).finish_non_exhaustive()
    }
}

/// Reads JSON that was stored under a name.
pub fn from_json<T: serde::de::DeserializeOwned>(name: &str, value: &[u8]) -> Result<T> {
    serde_json::from_slice(value)
        .map_err(|e| Error::corrupt("not_json", format!("`{name}` does not hold what was written there")).because(e))
}

/// Writes a value as JSON to be stored.
pub fn to_json<T: serde::Serialize>(value: &T) -> Result<bytes::Bytes> {
    serde_json::to_vec(value).map(Into::into).map_err(|e| Error::invalid("not_json", "the value cannot be written as JSON").because(e))
}

pub(crate) fn wrong_kind(key: &Key) -> Error {
    Refused::WrongKind { key: key.clone() }.into()
}

fn unexpected(answer: &Answer) -> Error {
    Error::internal(format!("a store answered another question: {answer:?}"))
}
