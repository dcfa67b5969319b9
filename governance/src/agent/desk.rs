//! What an agent has in hand: every way in which it touches the world, each governed.

use std::sync::Arc;

use serde::Serialize;

use super::GovernedModel;
use super::phases::gate;
use crate::coordination::{Blackboard, Consensus, MessageBus};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::limits::Limits;
use crate::guard::policies::{Policies, PolicySource};
use crate::guard::policy::Policy;
use crate::guard::{ErrorBudget, Gate, Guard, HEARTBEAT_INTERVAL, Heartbeat, Recorder, Role, Triggers};
use crate::llm::Model;
use crate::store::{Actor, Store};
use crate::vocabulary::{AgentId, AgentRole, AgentStatus, PipelineId, Section, Tier};

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
}

impl Desk {
    /// Sits an admitted agent down.
    pub async fn new(store: &Store, actor: Actor, recorder: &Recorder, model: Arc<dyn Model>) -> Result<Self> {
        let orphan = || Error::invalid("no_pipeline", format!("`{}` was not admitted to a pipeline", actor.id));
        let pipeline = actor.pipeline.clone().ok_or_else(orphan)?;
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
        let gate = Arc::new(gate(store, &actor.id).await?);
        Ok(Self {
            model: GovernedModel::new(store, &actor, role, &budget, recorder, model).limited(limits.clone()),
            guard: {
                let breaker = policy.profile().governance.breaker;
                let guard = Guard::open(store, &actor, recorder, policy);
                let guard = guard.as_a(Role { role, tier }).limited(limits.of_tools()).behind(gate.clone());
                breaker.into_iter().fold(guard, Guard::breaking)
            },
            limits,
            gate,
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

    /// Sets the agent's own state.
    pub async fn set_status(&self, status: AgentStatus) -> Result<()> {
        let key = self.store.keys().agent_state(&self.actor.id);
        self.store.apply(self.actor.commit().merge(key, [("status", status)])).await.map(drop)
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

/// The objective with what the last try came to grief over, if there was one.
fn with_failures(objective: &str, failures: &[crate::coordination::BoardEntry]) -> String {
    match failures.iter().max_by_key(|entry| entry.at).and_then(|entry| entry.content["summary"].as_str()) {
        Some(summary) => format!("{objective}\n\nAn earlier try failed: {summary}"),
        None => objective.to_owned(),
    }
}
