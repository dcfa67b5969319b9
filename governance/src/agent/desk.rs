//! What an agent has in hand: every way in which it touches the world, each governed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::GovernedModel;
use crate::coordination::{Blackboard, Cast, Choice, Consensus, MessageBus};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::policy::Policy;
use crate::guard::{ErrorBudget, Guard, HEARTBEAT_INTERVAL, Heartbeat, Recorder};
use crate::ledger::Action;
use crate::llm::{Analysis, CallKind, Evaluation, Idea, Model, Scored};
use crate::store::{Actor, Store};
use crate::vocabulary::{
    AgentId, AgentOutput, AgentPhase, AgentRole, AgentStatus, EntryName, GammaReason, PipelineId, ProposalId, Section, Tier,
    get_output_type_for_phase, may_follow,
};

/// What the name of an entry begins with that tells what an earlier try failed of.
pub const FAILURE: &str = "failure-";

/// The name of the joint solution on the blackboard.
const COMBINED: &str = "combined";
/// The same in a later try, before its number.
const COMBINED_AGAIN: &str = "combined-";

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
    recorder: Recorder,
    model: GovernedModel,
    guard: Guard,
}

/// A solution on the blackboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
        let mut failures = board.entries(Section::Problem).await?;
        failures.retain(|entry| entry.name.as_str().starts_with(FAILURE));
        let budget = ErrorBudget::open(store, &actor).recorded(recorder);
        let role = state.field("role").parse()?;
        let policy = Policy::shipped(state.field("tier").parse()?)?;
        Ok(Self {
            model: GovernedModel::new(store, &actor, role, &budget, recorder, model).await?,
            guard: Guard::open(store, &actor, recorder, policy),
            role,
            tier: state.field("tier").parse()?,
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

    /// What stands between this agent and its tools: by the shipped profile of its tier, unless it was given another.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The same desk, with a guard that decides otherwise: by another profile, below a root, drawing from a budget.
    #[must_use]
    pub fn with_guard(mut self, change: impl FnOnce(Guard) -> Guard) -> Self {
        self.guard = change(self.guard);
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

    /// What the objective is about.
    pub async fn analyse(&self) -> Result<Analysis> {
        let asked = |call| async move { self.model.port().analyse(&call, &self.objective).await };
        self.model.ask(CallKind::Analyse, asked).await
    }

    /// One solution out of several.
    pub async fn combine(&self, ideas: &[Idea]) -> Result<Idea> {
        let asked = |call| async move { self.model.port().combine(&call, &self.objective, ideas).await };
        self.model.ask(CallKind::Combine, asked).await
    }

    /// Builds one solution out of all that single agents proposed, and puts it on the blackboard. None where there are not two of them.
    pub async fn combine_all(&self) -> Result<Option<String>> {
        let joint = |name: &str| name == COMBINED || name.starts_with(COMBINED_AGAIN);
        let proposed = self.proposals().await?;
        let ideas: Vec<_> = proposed.into_iter().filter(|p| !joint(p.name.as_str())).map(|p| p.idea).collect();
        if ideas.len() < 2 {
            return Ok(None);
        }
        let combined = self.combine(&ideas).await?;
        let name = match self.tries {
            1 => COMBINED.to_owned(),
            again => format!("{COMBINED_AGAIN}{again}"),
        };
        self.post_once(Section::Solutions, &name, &combined).await?;
        Ok(Some(name))
    }

    /// A solution that reconciles what was proposed and judged.
    pub async fn mediate(&self, proposals: &[Scored], reason: GammaReason) -> Result<Idea> {
        let asked = |call| async move { self.model.port().mediate(&call, &self.objective, proposals, reason).await };
        self.model.ask(CallKind::Mediate, asked).await
    }

    /// Where the agent is in its life.
    pub async fn phase(&self) -> Result<AgentPhase> {
        let state = self.store.state(self.store.keys().agent_state(&self.actor.id)).await?.unwrap_or_default();
        state.field("phase").parse()
    }

    /// Enters the next phase of the agent's life; stays where it is if it was there already. A skipped PACKAGE is refused.
    pub async fn enter(&self, phase: AgentPhase) -> Result<()> {
        let key = self.store.keys().agent_state(&self.actor.id);
        let state = self.store.state(key.clone()).await?.unwrap_or_default();
        let from: AgentPhase = state.field("phase").parse()?;
        if phase <= from && from != AgentPhase::Revoked {
            // It was there already, before whoever ran it died.
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

    /// Proposes this agent's own solution, under its name, and the rivals that it cannot rule out, as `{agent}-rival-{n}`.
    pub async fn propose_own(&self) -> Result<()> {
        let asked = |call| async move { self.model.port().propose(&call, &self.objective, &[]).await };
        let ideas = self.model.ask(CallKind::Propose, asked).await?;
        for (number, idea) in ideas.iter().enumerate() {
            let name = if number == 0 { self.actor.id.to_string() } else { format!("{}-rival-{number}", self.actor.id) };
            self.offer(&name, idea).await?;
        }
        Ok(())
    }

    /// Puts a solution on the blackboard, on the record. One of that name that is there already stays.
    pub async fn offer(&self, name: &str, idea: &Idea) -> Result<()> {
        let payload = json!({"title": idea.title});
        self.recorder
            .record(&self.store, Action::Proposal, self.subject(), &payload, async |_| self.post_once(Section::Solutions, name, idea).await)
            .await
    }

    /// Verifies the own proposal, bundles it as the agent's output, and reports.
    pub async fn hand_in(&self) -> Result<()> {
        self.enter(AgentPhase::Verify).await?;
        let own = self.proposals().await?.into_iter().find(|p| p.name.as_str() == self.actor.id.as_str());
        let own = own.ok_or_else(|| Error::internal("an agent hands in before it proposed"))?;
        let judged = self.judge(CallKind::Evaluate, &own).await?;
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
    pub async fn judge(&self, kind: CallKind, proposed: &Proposed) -> Result<Evaluation> {
        let asked = |call| async move { self.model.port().evaluate(&call, &self.objective, &proposed.idea).await };
        self.model.ask(kind, asked).await
    }

    /// Judges every solution, and puts the judgements on the blackboard as `{what}-{agent}`.
    pub async fn judge_all(&self, kind: CallKind, what: &str) -> Result<BTreeMap<EntryName, Evaluation>> {
        let mut judgements = BTreeMap::new();
        for proposed in self.proposals().await? {
            let judged = self.judge(kind, &proposed).await?;
            judgements.insert(proposed.name, judged);
        }
        self.post_once(Section::Progress, &format!("{what}-{}", self.actor.id), &judgements).await?;
        Ok(judgements)
    }

    /// Judges every solution again, and votes for the best; abstains when it can tell none apart.
    pub async fn vote_best(&self, proposal: &ProposalId) -> Result<Cast> {
        let judged = self.judge_all(CallKind::Vote, "verdict").await?;
        let best = judged.values().map(|judgement| judgement.score).max();
        let mut favourites = judged.iter().filter(|(_, judgement)| Some(judgement.score) == best);
        let choice = match (favourites.next(), favourites.next()) {
            (Some((name, _)), None) => Choice::One(name.to_string()),
            _ => Choice::Abstain,
        };
        self.vote(proposal, choice).await
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
        self.model.clear().await
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

/// The objective with what the last try came to grief over, if there was one.
fn with_failures(objective: &str, failures: &[crate::coordination::BoardEntry]) -> String {
    match failures.iter().max_by_key(|entry| entry.at).and_then(|entry| entry.content["summary"].as_str()) {
        Some(summary) => format!("{objective}\n\nAn earlier try failed: {summary}"),
        None => objective.to_owned(),
    }
}
