//! What an agent has in hand: every way in which it touches the world, each governed.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::GovernedModel;
use super::phases::gate;
use crate::coordination::{Blackboard, Consensus, MessageBus};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::limits::{Limits, WAITED};
use crate::guard::policies::{Policies, PolicySource};
use crate::guard::policy::Policy;
use crate::guard::{ErrorBudget, Gate, Guard, HEARTBEAT_INTERVAL, Heartbeat, Recorder, Role, Triggers, Unit};
use crate::llm::Model;
use crate::store::{Actor, Commit, Store, Write};
use crate::vocabulary::{AgentId, AgentRole, AgentStatus, Key, Keys, PipelineId, Section, Tier, ttl};

/// What the name of an entry begins with that tells what an earlier try failed of.
pub const FAILURE: &str = "failure-";

/// An agent's own view of its pipeline. Everything it does through it is fenced by its epoch, charged to its budget, and recorded.
pub struct Desk {
    store: Store,
    actor: Actor,
    pipeline: PipelineId,
    role: AgentRole,
    tier: Tier,
    objective: String,
    tries: usize,
    board: Blackboard,
    consensus: Consensus,
    budget: ErrorBudget,
    pub(super) recorder: Recorder,
    model: GovernedModel,
    guard: Guard,
    limits: Limits,
    pub(super) gate: Arc<Gate>,
    patience: Duration,
    // It had ended, and is run once more.
    pub(super) returns: bool,
}

impl Desk {
    /// Sits an admitted agent down.
    pub async fn new(store: &Store, actor: Actor, recorder: &Recorder, model: Arc<dyn Model>) -> Result<Self> {
        let orphan = || Error::invalid("no_pipeline", format!("`{}` was not admitted to a pipeline", actor.id));
        let pipeline = actor.pipeline.clone().ok_or_else(orphan)?;
        let gate = Arc::new(gate(store, &actor.id).await?);
        // What it tells others is progress.
        let store = &store.counting(gate.progress().counter());
        let state = store.state(store.keys().agent_state(&actor.id)).await?.unwrap_or_default();
        let task = pipeline.task();
        let board = Blackboard::open(store, &task, &actor);
        let asked = board.entry(Section::Problem, "objective").await?.ok_or_else(orphan)?;
        let mut failures = board.entries(Section::Problem).await?;
        failures.retain(|entry| entry.name.as_str().starts_with(FAILURE));
        let role = state.field("role").parse()?;
        let tier = state.field("tier").parse()?;
        let policy = Policy::shipped(tier)?;
        let budget = ErrorBudget::open(store, &actor).recorded(recorder).governed_by(&PolicySource::from(policy.clone()));
        let limits = Limits::open(store, &actor, recorder, policy.profile().governance.limits, &Triggers::default());
        Ok(Self {
            model: GovernedModel::new(store, &actor, role, &budget, recorder, model).limited(limits.clone()).seen_by(&gate),
            guard: {
                let breaker = policy.profile().governance.breaker;
                let guard = Guard::open(store, &actor, recorder, policy);
                let guard = guard.as_a(Role { role, tier }).limited(limits.of_tools()).behind(gate.clone());
                breaker.into_iter().fold(guard, Guard::breaking)
            },
            limits,
            gate,
            patience: Triggers::default().without_progress,
            returns: state.field("status").parse().is_ok_and(AgentStatus::is_final),
            role,
            tier,
            objective: with_failures(asked.content.as_str().unwrap_or_default(), &failures),
            tries: 1 + failures.len(),
            board,
            consensus: Consensus::open(store, &task, &actor),
            budget,
            recorder: recorder.clone(),
            store: store.clone(),
            pipeline,
            actor,
        })
    }

    /// The shared state.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The pipeline.
    #[must_use]
    pub fn pipeline(&self) -> &PipelineId {
        &self.pipeline
    }

    /// Who sits here.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// What for.
    #[must_use]
    pub fn role(&self) -> AgentRole {
        self.role
    }

    /// How far it is trusted.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// What is asked.
    #[must_use]
    pub fn objective(&self) -> &str {
        &self.objective
    }

    /// Which try of the run this is, from 1.
    #[must_use]
    pub fn tries(&self) -> usize {
        self.tries
    }

    /// What thinks for this agent, governed.
    #[must_use]
    pub fn model(&self) -> &GovernedModel {
        &self.model
    }

    /// The same desk, with a model that is called otherwise: other retries, another deadline, somebody who watches.
    #[must_use]
    pub fn with_model(mut self, change: impl FnOnce(GovernedModel) -> GovernedModel) -> Self {
        self.model = change(self.model);
        self
    }

    /// What stands between this agent and its tools: by what is in force for its profile, else the shipped profile of its tier, unless it was given another.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The same desk, with a guard that decides otherwise: by another profile, below a root, drawing from a budget.
    #[must_use]
    pub fn with_guard(mut self, change: impl FnOnce(Guard) -> Guard) -> Self {
        self.guard = change(self.guard);
        self.budget = self.budget.governed_by(self.guard.source());
        self
    }

    /// What the agent, its pipeline and its tenant may use, as this process holds shares of it.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The same desk, with a guard that decides by what is in force for this agent, also when that changes.
    pub async fn following(self, policies: &Policies) -> Result<Self> {
        let source = policies.source(&self.actor, self.tier).await?;
        Ok(self.with_guard(|guard| guard.with_policy(source)))
    }

    /// How long it may be in EXECUTE without progress.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// The same desk, whose agent may be in EXECUTE so long without progress.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The blackboard.
    #[must_use]
    pub fn board(&self) -> &Blackboard {
        &self.board
    }

    /// The agent's budget.
    #[must_use]
    pub fn budget(&self) -> &ErrorBudget {
        &self.budget
    }

    /// The pipeline's votes, as this agent takes part in them.
    #[must_use]
    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// The pipeline's bus, as this agent uses it.
    #[must_use]
    pub fn bus(&self) -> MessageBus {
        MessageBus::open(&self.store, &self.pipeline.task(), &self.actor)
    }

    /// Begins to give signs of life.
    pub async fn heartbeat(&self) -> Result<Heartbeat> {
        Heartbeat::start(&self.store, &self.actor, HEARTBEAT_INTERVAL).await
    }

    /// The agent has ended by itself. What was kept of it goes in a week.
    pub(super) async fn complete(&self) -> Result<()> {
        let key = self.store.keys().agent_state(&self.actor.id);
        let commit = self.actor.commit().merge(key, [("status", AgentStatus::Completed)]);
        self.store.apply(kept(self.store.keys(), &self.actor.id, ttl::ENDED).into_iter().fold(commit, Commit::write)).await.map(drop)
    }

    /// Writes a new entry; one that is there already, from before a crash, stays.
    pub async fn post_once(&self, section: Section, name: &str, content: &(impl Serialize + Sync)) -> Result<()> {
        match self.board.post(section, name, content).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            other => other.map(drop),
        }
    }

    /// Gives back what was reserved and not used.
    pub async fn clear(&self) -> Result<()> {
        self.limits.close().await?;
        self.model.clear().await
    }

    pub(super) fn subject(&self) -> (Option<&AgentId>, Option<&PipelineId>) {
        (Some(&self.actor.id), Some(&self.pipeline))
    }
}

/// Has everything that is kept of an agent live for so long from now.
///
/// INVARIANT: not its epoch, nor the fence of its lock. A process that was frozen may write at any time, and what it carries must be known to be old: where the id
/// were begun anew after both were forgotten, only the store's clock would tell the two apart. Nor the agents that it began, which may outlive it.
pub(super) fn kept(keys: &Keys, id: &AgentId, ttl: Duration) -> Vec<Write> {
    own(keys, id).map(|key| Write::Expire { key, ttl }).collect()
}

/// Every key of an agent whose run the shared state lets go of, but for its epoch and the fence of its lock.
pub(crate) fn everything_of(keys: &Keys, id: &AgentId) -> Vec<Key> {
    let said =
        [keys.agent_revoke_signal(id), keys.agent_children(id), keys.agent_approvals(id), keys.agent_lock(id), keys.agent_heartbeat(id)];
    own(keys, id).chain(said).collect()
}

fn own(keys: &Keys, id: &AgentId) -> impl Iterator<Item = Key> {
    let own = [
        keys.agent_state(id),
        keys.agent_packet(id),
        keys.agent_preflight(id),
        keys.agent_limits(id),
        keys.agent_errors(id),
        keys.agent_outputs(id),
        keys.agent_evidence(id),
        keys.agent_handoff(id),
        keys.agent_reservations(id),
    ];
    let spent = Unit::ALL.iter().map(|unit| unit.as_str()).chain([WAITED]).map(|unit| keys.agent_spend(id, unit));
    own.into_iter().chain(spent)
}

/// The objective with what the last try came to grief over, if there was one.
fn with_failures(objective: &str, failures: &[crate::coordination::BoardEntry]) -> String {
    match failures.iter().max_by_key(|entry| entry.at).and_then(|entry| entry.content["summary"].as_str()) {
        Some(summary) => format!("{objective}\n\nAn earlier try failed: {summary}"),
        None => objective.to_owned(),
    }
}
