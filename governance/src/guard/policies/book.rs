//! What this process knows to be in force.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::AbortHandle;

use super::source::{Followed, PolicySource};
use super::version::{PolicyVersion, law};
use crate::error::{Error, Result};
use crate::guard::policy::Policy;
use crate::guard::turns::Turns;
use crate::store::{Refused, Store, from_json};
use crate::vocabulary::{AgentId, Tier, nanos};

/// A look without a wake, in case one was lost, unless the configuration says otherwise: `GUVNOR_POLICY_REFRESH_INTERVAL`.
pub const REFRESH: Duration = Duration::from_secs(30);
/// After a failed look.
const AGAIN: Duration = Duration::from_millis(500);

/// Follows the store. One in a process and store.
pub(super) struct Book {
    store: Store,
    // The epoch that was read before the rest. INVARIANT: only rises; a store that holds less has forgotten something.
    epoch: AtomicU64,
    /// When the last question was sent that was answered, in nanoseconds of the suspend-aware clock, plus one; 0 for never.
    looked: AtomicU64,
    looking: Turns<HashMap<AgentId, Page>>,
    sources: Mutex<Vec<Weak<Followed>>>,
    follower: OnceLock<AbortHandle>,
    pub(super) every: OnceLock<Duration>,
}

/// What a name holds, and what came of compiling it.
struct Page {
    held: PolicyVersion,
    compiled: Option<Policy>,
}

impl Book {
    pub fn new(store: &Store) -> Self {
        Self {
            store: store.clone(),
            epoch: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            looking: Turns::default(),
            sources: Mutex::default(),
            follower: OnceLock::new(),
            every: OnceLock::new(),
        }
    }

    /// Returns at once where the last answer is of a question that was sent less than this ago; asks otherwise.
    pub async fn fresh(&self, believed: Duration) -> Result<()> {
        if self.is_fresh(believed) {
            return Ok(());
        }
        let mut pages = self.looking.next().await?;
        // Whoever was first has asked for all; with nothing believed, only an answer to a question of this very call counts.
        if !believed.is_zero() && self.is_fresh(believed) {
            return Ok(());
        }
        let asked = self.ask(&mut pages).await;
        pages.ended(asked)
    }

    pub fn is_fresh(&self, believed: Duration) -> bool {
        let looked = self.looked.load(Ordering::Acquire);
        looked > 0 && nanos(self.store.ports().clock.elapsed()).saturating_sub(looked - 1) < nanos(believed)
    }

    /// Asks now.
    pub async fn look(&self) -> Result<()> {
        let mut pages = self.looking.next().await?;
        let asked = self.ask(&mut pages).await;
        pages.ended(asked)
    }

    async fn ask(&self, pages: &mut HashMap<AgentId, Page>) -> Result<()> {
        let keys = self.store.keys();
        let sent = nanos(self.store.ports().clock.elapsed());
        let epoch = self.store.number(keys.policies_epoch()).await?;
        let known = self.epoch.load(Ordering::Acquire);
        if epoch < known {
            return Err(Refused::RolledBack { seen: known, held: Some(epoch) }.into());
        }
        if epoch > known {
            // What comes between the two reads is read twice, not missed.
            let fields = self.store.table(keys.policies()).await?;
            let held =
                fields.iter().map(|(name, found)| from_json(&format!("policies[{name}]"), &found.value)).collect::<Result<Vec<_>>>()?;
            let before = std::mem::take(pages);
            *pages = compiled(before, held).await?;
            self.sources().retain(|source| {
                source.upgrade().is_some_and(|source| {
                    source.now.store(Arc::new(of(pages, &source.name, source.tier, &source.shipped)));
                    true
                })
            });
            self.epoch.store(epoch, Ordering::Release);
            tracing::debug!(epoch, profiles = pages.len(), "policies changed");
        }
        self.looked.fetch_max(sent.saturating_add(1), Ordering::AcqRel);
        Ok(())
    }

    /// What is in force for an agent, kept up to date.
    pub async fn source(self: &Arc<Self>, name: AgentId, tier: Tier, shipped: Policy) -> Result<PolicySource> {
        let mut pages = self.looking.next().await?;
        if let Err(error) = self.ask(&mut pages).await {
            return pages.ended(Err(error));
        }
        let now = ArcSwap::from_pointee(of(&pages, &name, tier, &shipped));
        let followed = Arc::new(Followed { name, tier, shipped, now, book: self.clone() });
        let mut sources = self.sources();
        // Each time that there is no more room, so that those who are gone are let go of.
        if sources.len() == sources.capacity() {
            sources.retain(|source| source.strong_count() > 0);
        }
        sources.push(Arc::downgrade(&followed));
        drop(sources);
        Ok(PolicySource::Followed(followed))
    }

    /// Begins to follow, if nobody does yet: a wake is a hint, the store the truth.
    pub fn follow(self: &Arc<Self>) {
        self.follower.get_or_init(|| {
            let (book, store) = (Arc::downgrade(self), self.store.clone());
            let refresh = self.refresh();
            tokio::spawn(follow(book, store, refresh)).abort_handle()
        });
    }

    /// How often it is looked without a wake.
    pub fn refresh(&self) -> Duration {
        self.every.get().copied().unwrap_or(REFRESH)
    }

    fn sources(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Followed>>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        if let Some(follower) = self.follower.get() {
            follower.abort();
        }
    }
}

async fn follow(book: Weak<Book>, store: Store, refresh: Duration) {
    let mut watch = None;
    loop {
        if watch.is_none() {
            watch = store.watch(&[store.keys().policies_epoch()]).await.ok();
        }
        let looked = match book.upgrade() {
            Some(book) => book.look().await,
            None => return,
        };
        let pause = match looked {
            Ok(()) => refresh,
            Err(error) => {
                tracing::debug!(%error, "the policies in force could not be looked at");
                AGAIN
            }
        };
        match &mut watch {
            Some(watch) => _ = tokio::time::timeout(pause, watch.changed()).await,
            None => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// Compiles what is new; what is known already is taken over. Not on a thread that others wait for.
async fn compiled(mut before: HashMap<AgentId, Page>, held: Vec<PolicyVersion>) -> Result<HashMap<AgentId, Page>> {
    let work = move || {
        let page = |held: PolicyVersion| {
            let known = before.remove(&held.name).filter(|page| page.held.hash == held.hash && page.held.text == held.text);
            let compiled = known.and_then(|page| page.compiled).or_else(|| held.text.as_ref()?.compile().ok());
            if compiled.is_none() && held.text.is_some() {
                tracing::error!(profile = %held.name, version = held.version, "a profile in force cannot be read by this process: its agents are denied");
            }
            (held.name.clone(), Page { held, compiled })
        };
        held.into_iter().map(page).collect()
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("the policies could not be compiled").because(e))
}

/// The profile in force of this name, else that of the tier's name, else the shipped one.
fn of(pages: &HashMap<AgentId, Page>, name: &AgentId, tier: Tier, shipped: &Policy) -> Policy {
    let page = pages.get(name).or_else(|| pages.get(&shipped.profile().agent_id));
    law(page.map(|page| &page.held), page.and_then(|page| page.compiled.as_ref()), tier, shipped)
}
