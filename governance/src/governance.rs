//! The composition root: opens the ledger and the store, ties them together, keeps house, and hands out handles.

mod agents;
mod health;
mod runs;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::agent::{Acquaintance, Agent, Conduct, Register, Reviews};
use crate::config::Config;
use crate::coordination::{
    Ballots, Blackboard, Caretaker, Charge, ChargeKind, Chore, Consensus, Den, Housekeeping, Inboxes, MessageBus, Overdue,
};
use crate::error::Result;
use crate::guard::approval::Approvals;
use crate::guard::care::{Acknowledgements, Budgets, Heartbeats, Locks, Retention, Sequencing};
use crate::guard::health::Seen;
use crate::guard::limits::ScopeLimits;
use crate::guard::policies::{self, Directory, Policies};
use crate::guard::{Admissions, Alerts, ErrorBudget, Lookout, Recorder, RevocationEngine, Standing};
use crate::ledger::{Filter, Ledger, StoreName};
use crate::orchestrator::{Address, Orchestrator, Parts, Retirement};
use crate::store::{Actor, Refused, Store, StoreUrl};
use crate::vocabulary::{Ports, TaskId, Token};

pub use self::agents::Joining;

/// How long closing waits for a store that does not answer.
const LEAVE: Duration = Duration::from_secs(1);

/// Governed state: a store, its ledger, and everything that stands on them. Cheap to clone.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # let home = tempfile::tempdir().unwrap();
/// use governance::{Config, Governance};
///
/// let governance = Governance::open(Config { home: home.path().join("governance"), ..Config::default() }).await?;
/// let stop = governance.revocations().stop_all("a drill").await?;
/// assert!(stop.generation > 0 && governance.revocations().stop_in_force().await?.is_some());
/// governance.revocations().lift().await?;
/// governance.close().await?;
/// # Ok::<_, governance::Error>(()) })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Governance {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    address: Address,
    store_url: String,
    store_name: StoreName,
    store: Store,
    ledger: Ledger,
    recorder: Recorder,
    policies: Policies,
    keeper: String,
    caretaker: Mutex<Option<Caretaker>>,
    // How the parts were when they were looked at last.
    seen: Mutex<Seen>,
    directory: Mutex<Option<Directory>>,
    // Who joined here, as long as somebody holds it.
    joined: std::sync::Mutex<Vec<Acquaintance>>,
}

impl Governance {
    /// Opens what a configuration says, and makes what is not there yet.
    pub async fn open(config: Config) -> Result<Self> {
        config.policies.as_deref().map_or(Ok(()), Directory::must_be)?;
        let governance = Self::visit(config).await?;
        governance.keep_house().await;
        Ok(governance)
    }

    /// Opens the same and leaves keeping house to others: for a short look, which then shows things as they are.
    pub async fn visit(config: Config) -> Result<Self> {
        let governance = Self::assemble(config).await?;
        let name = governance.store_name();
        if let Some(seen) = governance.ledger().meet(name).await? {
            return Err(Refused::RolledBack { seen, held: None }.into());
        }
        governance.store().bind(governance.ledger().id(), governance.ledger().witness(name.clone())).await?;
        Ok(governance)
    }

    /// Brings a store that has lost acknowledged writes back into use, and opens it. Everything admitted before stays refused, and the stop
    /// that the ledger knows to be in force is in force again. ADR 2.
    pub async fn recover(config: Config) -> Result<Self> {
        let governance = Self::assemble(config).await?;
        let witness = governance.ledger().witness(governance.store_name().clone());
        match governance.store().bind(governance.ledger().id(), witness.clone()).await {
            Err(error) if error.code() != "rolled_back" => return Err(error),
            _ => {}
        }
        let recorded =
            governance.recorder().intent(governance.store(), crate::ledger::Action::Recover, None, None, &governance.inner.store_url)?;
        // Before anybody is let in: a stop that the store has lost is in force, and who was revoked is known to be.
        let standing = Standing::of(governance.ledger()).await?;
        let mut again = standing.commits(governance.store(), witness.generation().await?).await?;
        again.extend(policies::lost(governance.ledger(), governance.store()).await?);
        let generation = governance.store().recover_with(again).await?;
        governance.ledger().recovered(governance.store_name(), generation).await?;
        governance.promotions().restore().await?;
        governance.recorder().outcome(&recorded, crate::ledger::OutcomeResult::Ok, &serde_json::json!({"generation": generation}))?;
        governance.keep_house().await;
        Ok(governance)
    }

    async fn assemble(config: Config) -> Result<Self> {
        let store_url = config.store_url()?;
        // A wrong URL is told before anything is made.
        let url = StoreUrl::parse(&store_url)?;
        let ports = Ports::default();
        let ledger = Ledger::open(&config.home, ports.clone(), config.durability).await?;
        let store = Store::open_as(&store_url, &config.tenant, ports).await?;
        // Tenants on one server are stores of their own.
        let address = |address| format!("{address} {}", store.keys().prefix());
        let store_name = StoreName { identity: store.identity().to_owned(), addresses: url.addresses().into_iter().map(address).collect() };
        let recorder = Recorder::new(&ledger, store_name.clone());
        let keeper = format!("caretaker-{}", Token::fresh(&*store.ports().chance));
        let caretaker = Mutex::new(None);
        Ok(Self {
            inner: Arc::new(Inner {
                address: Address {
                    store_url,
                    home: config.home.clone(),
                    policies: config.policies.as_deref().map(|folder| std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())),
                },
                store_url: url.to_string(),
                store_name,
                policies: Policies::new(&store, &recorder).refreshed_every(config.policy_refresh),
                config,
                store,
                ledger,
                recorder,
                keeper,
                caretaker,
                seen: Mutex::default(),
                directory: Mutex::new(None),
                joined: std::sync::Mutex::default(),
            }),
        })
    }

    async fn keep_house(&self) {
        let den = Den::new(self.ledger().home(), self.store().keys().prefix());
        *self.inner.caretaker.lock().await = Some(Caretaker::start(self.store(), &self.inner.keeper, self.chores(), Some(den)));
        let directory = self.config().policies.as_deref().map(|folder| self.policies().watch(folder));
        // INVARIANT: what a directory says is in force before anybody begins here.
        if let Some(directory) = &directory {
            directory.looked().await;
        }
        *self.inner.directory.lock().await = directory;
    }

    fn chores(&self) -> Vec<Arc<dyn Chore>> {
        let (store, recorder) = (self.store(), self.recorder());
        vec![
            Arc::new(Sequencing::new(store, self.ledger())),
            Arc::new(Retention::new(store, self.ledger(), self.config().retention)),
            Arc::new(Retirement::new(store, recorder, self.config().run_retention)),
            Arc::new(Acknowledgements::new(store, recorder)),
            Arc::new(Heartbeats::new(store, recorder)),
            Arc::new(Locks::new(store, recorder)),
            Arc::new(Budgets::new(store, recorder)),
            Arc::new(Conduct::new(store, recorder)),
            Arc::new(Register::new(store, recorder)),
            Arc::new(Reviews::new(store, recorder)),
            Arc::new(Inboxes::new(store)),
            Arc::new(Ballots::new(store)),
        ]
    }

    /// Who keeps house, and what is overdue.
    pub async fn housekeeping(&self) -> Result<Housekeeping> {
        let mut house = Housekeeping::review(self.store(), self.chores()).await?;
        let what = Charge::standing(ChargeKind::Ledger).to_string();
        // What keeps entries out of the record does so whoever keeps house, and where nobody does.
        if let Err(error) = self.ledger().examine().await
            && !house.overdue.iter().any(|overdue| overdue.what == what)
        {
            let why = Some(format!("{error} ({})", error.code()));
            house.overdue.push(Overdue { what, since: self.ledger().backlog().await?.oldest, failures: 0, why });
        }
        Ok(house)
    }

    /// What it was opened with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The store's URL, without a password.
    #[must_use]
    pub fn store_url(&self) -> &str {
        &self.inner.store_url
    }

    fn store_name(&self) -> &StoreName {
        &self.inner.store_name
    }

    /// Shared state.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The record.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// What writes intents and outcomes into it.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.inner.recorder
    }

    /// A person, or a part of the system, as an actor.
    pub async fn actor(&self, name: &str) -> Result<Actor> {
        Actor::system(self.store(), name).await
    }

    /// A task's blackboard.
    #[must_use]
    pub fn blackboard(&self, task: &TaskId, actor: &Actor) -> Blackboard {
        Blackboard::open(self.store(), task, actor)
    }

    /// A task's bus.
    #[must_use]
    pub fn bus(&self, task: &TaskId, actor: &Actor) -> MessageBus {
        MessageBus::open(self.store(), task, actor)
    }

    /// A task's votes.
    #[must_use]
    pub fn consensus(&self, task: &TaskId, actor: &Actor) -> Consensus {
        Consensus::open(self.store(), task, actor)
    }

    /// An agent's budget.
    #[must_use]
    pub fn budget(&self, actor: &Actor) -> ErrorBudget {
        ErrorBudget::open(self.store(), actor).recorded(self.recorder())
    }

    /// The limits of agents, pipelines and the tenant.
    #[must_use]
    pub fn limits(&self) -> ScopeLimits {
        ScopeLimits::new(self.store(), self.recorder()).strict()
    }

    /// Revoking agents, stopping pipelines, stopping everything.
    #[must_use]
    pub fn revocations(&self) -> RevocationEngine {
        RevocationEngine::open(self.store()).recorded(self.recorder())
    }

    /// Which profiles are in force, and changing them.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.inner.policies
    }

    /// What a person should hear of.
    #[must_use]
    pub fn alerts(&self) -> Alerts {
        Alerts::open(self.store())
    }

    /// What people are asked to approve.
    #[must_use]
    pub fn approvals(&self) -> Approvals {
        Approvals::open(self.store(), self.recorder())
    }

    /// Beginning pipelines and agents.
    #[must_use]
    pub fn admissions(&self) -> Admissions {
        Admissions::new(self.store(), self.recorder())
    }

    /// What carries out runs. [`run`](Self::run) and [`resume`](Self::resume) also keep a checkpoint.
    #[must_use]
    pub fn orchestrator(&self) -> Orchestrator {
        let (store, ledger, recorder) = (self.store().clone(), self.ledger().clone(), self.recorder().clone());
        Orchestrator::new(Parts { store, ledger, recorder, policies: self.policies().clone(), address: self.inner.address.clone() })
    }

    /// Waits until everything that is written, also by processes that died, is in the record. False if it was not in time.
    pub async fn catch_up(&self, within: Duration) -> Result<bool> {
        let clock = &self.store().ports().clock;
        let until = clock.elapsed() + within;
        loop {
            if self.ledger().list(&Filter { limit: 1, ..Filter::default() }).await?.unsequenced == 0 {
                return Ok(true);
            }
            if clock.elapsed() >= until {
                return Ok(false);
            }
            self.ledger().hurry();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets the agents that joined here, and that somebody still holds, leave; lets the next process keep house, and closes the ledger. What is not in the
    /// record yet waits for whoever keeps house next.
    pub async fn close(&self) -> Result<()> {
        let _ = tokio::time::timeout(LEAVE, self.see_off()).await;
        if let Some(directory) = self.inner.directory.lock().await.take() {
            directory.close().await;
        }
        if let Some(caretaker) = self.inner.caretaker.lock().await.take() {
            // Whoever keeps house next waits for the lease at most; a store that is down is not waited for.
            caretaker.stop(&self.store().within(LEAVE), &self.inner.keeper).await;
        }
        let _ = tokio::time::timeout(LEAVE, Lookout::settle(self.store())).await;
        self.ledger().close().await
    }
}

impl Governance {
    /// Who is there when a process ends in order has not crashed.
    async fn see_off(&self) {
        let joined = std::mem::take(&mut *self.joined());
        let mut leaving = JoinSet::new();
        for agent in joined.iter().filter_map(Acquaintance::present) {
            leaving.spawn(async move {
                if let Err(error) = agent.leave().await {
                    tracing::debug!(agent = %agent.desk().actor().id, %error, "an agent could not leave: what it holds comes back when its time is over");
                }
            });
        }
        while leaving.join_next().await.is_some() {}
    }

    fn joined(&self) -> std::sync::MutexGuard<'_, Vec<Acquaintance>> {
        self.inner.joined.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, agent: &Agent) {
        let mut joined = self.joined();
        // Each time that there is no more room, so that those who are gone are let go of.
        if joined.len() == joined.capacity() {
            joined.retain(Acquaintance::is_there);
        }
        joined.push(agent.acquaintance());
    }
}

impl std::fmt::Debug for Governance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Governance").field("store", &self.inner.store_url).field("home", &self.inner.config.home).finish_non_exhaustive()
    }
}
