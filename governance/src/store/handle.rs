//! The handle that everything above the port uses.

use std::any::Any;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use super::patience::patiently;
use super::{
    Accepted, Actor, Admission, Answer, Backend, Cell, Commit, DEADLINE, Description, Fields, MAX_OPERATIONS, Memory, Outcome, Page, Query,
    Refused, Signals, Versioned, Watch, Witness, from_json,
};
use crate::error::{Error, Result};
use crate::vocabulary::{Key, Keys, LedgerId, Millis, Ports, Token};

/// A handle on shared state. Cheap to clone; every clone has seen what any of them has seen.
#[derive(Clone)]
pub struct Store {
    pub(super) inner: Arc<Handle>,
}

// Everything that an agent works with holds one: it is a single pointer.
#[derive(Clone)]
pub(super) struct Handle {
    shared: Arc<Inner>,
    pub deadline: Duration,
    // What is told through this handle, counted for whoever asked for that.
    told: Option<Arc<AtomicU64>>,
}

pub(super) struct Inner {
    pub backend: Arc<dyn Backend>,
    keys: Keys,
    ports: Ports,
    // The highest generation seen in any reply or from the witness. INVARIANT: only rises.
    pub seen: AtomicU64,
    // The connection that the witness was last asked for.
    pub witnessed: AtomicU64,
    pub record: RwLock<Option<(LedgerId, Arc<dyn Witness>)>>,
    tokens: (String, AtomicU64),
    // What the store calls itself.
    pub identity: OnceLock<String>,
    // What stands on this handle once, whoever asks for it.
    beside: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
}

impl std::ops::Deref for Handle {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.shared
    }
}

impl Store {
    /// A handle on a backend. Sets up an empty store; refuses one of a newer format.
    pub async fn new(backend: Arc<dyn Backend>, keys: Keys, ports: Ports) -> Result<Self> {
        let prefix = Token::fresh(&*ports.chance);
        let shared = Arc::new(Inner {
            witnessed: AtomicU64::new(backend.connection()),
            backend,
            keys,
            seen: AtomicU64::new(0),
            record: RwLock::default(),
            tokens: (prefix.to_string(), AtomicU64::new(0)),
            identity: OnceLock::new(),
            beside: Mutex::default(),
            ports,
        });
        let store = Self { inner: Arc::new(Handle { shared, deadline: DEADLINE, told: None }) };
        store.set_up().await?;
        Ok(store)
    }

    /// A store in memory, with the machine's clock.
    pub async fn memory() -> Result<Self> {
        let (keys, ports) = (Keys::default(), Ports::default());
        Self::new(Arc::new(Memory::new(&keys, ports.clone())), keys, ports).await
    }

    /// The same store, whose calls wait this long for an answer, up to [`ttl::RETRY`](crate::vocabulary::ttl::RETRY).
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Self {
        Self { inner: Arc::new(Handle { deadline, ..Handle::clone(&self.inner) }) }
    }

    /// The same store, through which everything is counted that tells others something: an entry of a blackboard, a message, a ballot.
    #[must_use]
    pub(crate) fn counting(&self, told: Arc<AtomicU64>) -> Self {
        Self { inner: Arc::new(Handle { told: Some(told), ..Handle::clone(&self.inner) }) }
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

    /// The file that holds it, where it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.inner.backend.file()
    }

    /// What there is one of for all clones of this handle; made when it is first asked for. It must not hold the store: neither would ever go.
    pub(crate) fn beside<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let mut beside = self.inner.beside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = beside.iter().find_map(|thing| thing.clone().downcast::<T>().ok()) {
            return there;
        }
        let made = Arc::new(T::default());
        beside.push(made.clone());
        made
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
        if commit.token.is_none() && self.remote() {
            commit.token = Some(self.fresh_token());
        }
        let outcome = patiently!(self, self.attempt(&mut commit));
        if let (Some(told), Ok(Outcome::Accepted(_))) = (&self.inner.told, &outcome)
            && commit.tells()
        {
            told.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    async fn attempt(&self, commit: &mut Commit) -> Result<Outcome> {
        commit.connection = self.hear_witness().await?;
        commit.generation = self.seen();
        let outcome = self.inner.backend.commit(commit).await?;
        self.believe(outcome).await
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
        patiently!(self, self.inner.backend.read(queries))
    }

    /// The same of any number, asked in pieces: what changes between two of them is seen by the later one only.
    pub(crate) async fn read_all(&self, queries: &[Query]) -> Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(queries.len());
        for piece in queries.chunks(MAX_OPERATIONS) {
            answers.extend(self.read(piece).await?);
        }
        Ok(answers)
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

    /// Whether what an actor writes now would be admitted: a `revoked` error if not, `rolled_back` where the store has lost what it held. Only for those
    /// who wait: a commit checks by itself.
    pub async fn still_admitted(&self, actor: &Actor) -> Result<()> {
        // Before the question: what is seen later, the answer cannot know.
        let seen = self.seen();
        let mut questions: Vec<_> = actor.admission.keys().into_iter().map(Query::Number).collect();
        questions.push(Query::Number(self.keys().generation()));
        let mut answers = self.read(&questions).await?;
        match answers.pop() {
            Some(Answer::Number(held)) if held.unwrap_or(0) >= seen => {}
            Some(Answer::Number(held)) => return Err(Refused::RolledBack { seen, held }.into()),
            other => return Err(other.as_ref().map_or_else(|| Error::internal("a store left a question unanswered"), unexpected)),
        }
        for ((key, carried), answer) in actor.admission.0.iter().zip(answers) {
            match answer {
                Answer::Number(current) if current.unwrap_or(0) == *carried => {}
                Answer::Number(current) => {
                    return Err(Refused::Stale { key: key.clone(), carried: *carried, current }.into());
                }
                other => return Err(unexpected(&other)),
            }
        }
        Ok(())
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
            let scan = patiently!(self, self.inner.backend.scan(prefix, from.as_deref(), 1_000))?;
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
        patiently!(self, self.inner.backend.watch(keys))
    }

    /// Hears what is said on a channel from now on.
    pub async fn signals(&self, channel: &Key) -> Result<Signals> {
        patiently!(self, self.inner.backend.signals(channel))
    }

    /// The store's time: skewed clocks create no budget.
    pub async fn now(&self) -> Result<Millis> {
        patiently!(self, self.inner.backend.now())
    }

    /// What the store is and what it can promise.
    pub async fn describe(&self) -> Result<Description> {
        patiently!(self, self.inner.backend.describe())
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

    pub(super) fn remote(&self) -> bool {
        self.inner.backend.remote()
    }

    async fn one(&self, query: Query) -> Result<Answer> {
        let mut answers = self.read(std::slice::from_ref(&query)).await?;
        answers.pop().ok_or_else(|| Error::internal("a store left a question unanswered"))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("prefix", &self.inner.keys.prefix()).finish_non_exhaustive()
    }
}

fn unexpected(answer: &Answer) -> Error {
    Error::internal(format!("a store answered another question: {answer:?}"))
}
