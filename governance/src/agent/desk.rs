//! What an agent has in hand: every way in which it touches the world, each governed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::coordination::{Blackboard, Cast, Choice, Consensus, MessageBus};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{Allowance, ErrorBudget, HEARTBEAT_INTERVAL, Heartbeat, Recorder, Spend, Unit};
use crate::ledger::Action;
use crate::llm::{Evaluation, Idea, Model};
use crate::store::{Actor, Store};
use crate::vocabulary::{
    AgentId, AgentOutput, AgentPhase, AgentRole, AgentStatus, EntryName, PipelineId, ProposalId, Section, get_output_type_for_phase,
    may_follow,
};

/// How many calls are reserved at once, and for how long.
const CALLS: (u64, Duration) = (8, Duration::from_secs(60));

/// An agent's own view of its pipeline. Everything it does through it is fenced by its epoch, charged to its budget, and recorded.
pub struct Desk {
    store: Store,
    actor: Actor,
    pipeline: PipelineId,
    role: AgentRole,
    objective: String,
    board: Blackboard,
    consensus: Consensus,
    budget: ErrorBudget,
    calls: Allowance,
    recorder: Recorder,
    model: Arc<dyn Model>,
}

/// A solution on the blackboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Its name there, which is its option's name in a vote.
    pub name: EntryName,
    /// Whose it is.
    pub author: AgentId,
    /// What it is.
    pub idea: Idea,
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
        let budget = ErrorBudget::open(store, &actor).recorded(recorder);
        Ok(Self {
            role: state.field("role").parse()?,
            objective: asked.content.as_str().unwrap_or_default().to_owned(),
            board,
            consensus: Consensus::open(store, &task, &actor),
            calls: budget.allowance(Unit::Calls, CALLS.0, CALLS.1),
            budget,
            recorder: recorder.clone(),
            model,
            store: store.clone(),
            pipeline,
            actor,
        })
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

    /// What is asked.
    #[must_use]
    pub fn objective(&self) -> &str {
        &self.objective
    }

    /// What thinks. Call it through [`ask`](Self::ask).
    #[must_use]
    pub fn model(&self) -> &dyn Model {
        &*self.model
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

    /// The pipeline's bus, as this agent uses it.
    #[must_use]
    pub fn bus(&self) -> MessageBus {
        MessageBus::open(&self.store, &self.pipeline.task(), &self.actor)
    }

    /// Begins to give signs of life.
    pub async fn heartbeat(&self) -> Result<Heartbeat> {
        Heartbeat::start(&self.store, &self.actor, HEARTBEAT_INTERVAL).await
    }

    /// One call of the model: drawn from the budget before, recorded before and after.
    pub async fn ask<T>(&self, what: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
        if let Spend::Exhausted { remaining, .. } = self.calls.draw(1).await? {
            let spent = format!("`{}` has no calls left in its budget ({remaining} remain)", self.actor.id);
            return Err(Error::new(ErrorKind::Exhausted, "budget_exhausted", spent));
        }
        let payload = json!({"model": self.model.name(), "call": what});
        self.recorder.record(&self.store, Action::ModelCall, self.subject(), &payload, async |_| call.await).await
    }

    /// Enters the next phase of the agent's life. A skipped PACKAGE, or a step back, is refused.
    pub async fn enter(&self, phase: AgentPhase) -> Result<()> {
        let key = self.store.keys().agent_state(&self.actor.id);
        let state = self.store.state(key.clone()).await?.unwrap_or_default();
        let from: AgentPhase = state.field("phase").parse()?;
        if from == phase {
            return Ok(());
        }
        if !may_follow(from, phase) {
            return Err(Error::new(ErrorKind::Denied, "phase_order", format!("`{}` cannot go from {from} to {phase}", self.actor.id)));
        }
        let payload = json!({"from": from, "to": phase});
        self.recorder
            .record(&self.store, Action::Phase, self.subject(), &payload, async |token| {
                let commit = self.actor.commit().token(token).version(key.clone(), state.version);
                self.store.apply(commit.merge(key, [("phase", phase)])).await.map(drop)
            })
            .await
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

    /// Proposes this agent's own solution, under its name.
    pub async fn propose_own(&self) -> Result<()> {
        let idea = self.ask("propose", self.model.propose(self.role, &self.objective, &[])).await?;
        let payload = json!({"title": idea.title});
        self.recorder
            .record(&self.store, Action::Proposal, self.subject(), &payload, async |_| {
                self.post_once(Section::Solutions, self.actor.id.as_str(), &idea).await
            })
            .await
    }

    /// Verifies the own proposal, bundles it as the agent's output, and reports.
    pub async fn hand_in(&self) -> Result<()> {
        self.enter(AgentPhase::Verify).await?;
        let own = self.proposals().await?.into_iter().find(|p| p.author == self.actor.id);
        let own = own.ok_or_else(|| Error::internal("an agent hands in before it proposed"))?;
        let judged = self.judge(&own).await?;
        self.enter(AgentPhase::Package).await?;
        let output = self.output(&own.idea, AgentPhase::Package)?;
        self.post_once(Section::Progress, &format!("output-{}", self.actor.id), &output).await?;
        self.enter(AgentPhase::Report).await?;
        let report = json!({"role": self.role, "proposal": own.name, "title": own.idea.title, "own_score": judged.score});
        self.post_once(Section::Progress, &format!("report-{}", self.actor.id), &report).await
    }

    /// Every solution on the blackboard, by name.
    pub async fn proposals(&self) -> Result<Vec<Proposed>> {
        let entries = self.board.entries(Section::Solutions).await?;
        let proposed = |entry: crate::coordination::BoardEntry| {
            let idea = serde_json::from_value(entry.content).map_err(|e| {
                Error::invalid("not_a_solution", format!("`{}` on the blackboard is not a solution", entry.name)).because(e)
            })?;
            Ok(Proposed { name: entry.name, author: entry.author, idea })
        };
        entries.into_iter().map(proposed).collect()
    }

    /// This agent's judgement of a solution.
    pub async fn judge(&self, proposed: &Proposed) -> Result<Evaluation> {
        self.ask("evaluate", self.model.evaluate(self.role, &self.objective, &proposed.idea)).await
    }

    /// Judges every solution, and puts the judgements on the blackboard as `{what}-{agent}`.
    pub async fn judge_all(&self, what: &str) -> Result<BTreeMap<EntryName, Evaluation>> {
        let mut judgements = BTreeMap::new();
        for proposed in self.proposals().await? {
            let judged = self.judge(&proposed).await?;
            judgements.insert(proposed.name, judged);
        }
        self.post_once(Section::Progress, &format!("{what}-{}", self.actor.id), &judgements).await?;
        Ok(judgements)
    }

    /// Casts this agent's ballot.
    pub async fn vote(&self, proposal: &ProposalId, choice: Choice) -> Result<Cast> {
        let payload = json!({"proposal": proposal, "choice": choice});
        self.recorder
            .record(&self.store, Action::Vote, self.subject(), &payload, async |_| self.consensus.vote(proposal, choice).await)
            .await
    }

    /// Gives back what was reserved and not used.
    pub async fn clear(&self) -> Result<()> {
        self.calls.close().await
    }

    fn output(&self, content: &Idea, phase: AgentPhase) -> Result<AgentOutput> {
        let content = serde_json::to_value(content).map_err(|e| Error::internal("a solution is not JSON").because(e))?;
        let digest = Sha256::digest(content.to_string());
        let output_type = get_output_type_for_phase(phase).ok_or_else(|| Error::internal("an output without a phase"))?;
        Ok(AgentOutput {
            agent_id: self.actor.id.clone(),
            phase,
            output_type,
            content_hash: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            content,
            created_at: self.store.ports().clock.now(),
        })
    }

    fn subject(&self) -> (Option<&AgentId>, Option<&PipelineId>) {
        (Some(&self.actor.id), Some(&self.pipeline))
    }
}
