//! Beginning pipelines and agents: each gets an epoch of its own, in the same atomic step that checks everybody above it. ADR 3.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lookout::runtime;
use super::recorder::Recorder;
use super::revocation::RevocationEngine;
use crate::coordination::Charge;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Action;
use crate::store::{Actor, Admission, Commit, Outcome, Refused, Store, Write};
use crate::vocabulary::{AgentId, AgentPhase, AgentRole, AgentStatus, ApprovalId, PipelineId, PipelineStatus, Tier, ViolationType};

/// Begins pipelines and agents.
#[derive(Debug, Clone)]
pub struct Admissions {
    pub(super) store: Store,
    pub(super) recorder: Recorder,
    /// What runs the agents that are begun.
    runtime: String,
}

/// What an agent is begun as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// What it is for.
    pub role: AgentRole,
    /// How far it is trusted.
    pub tier: Tier,
}

/// An agent as the shared state knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// What it is for.
    pub role: AgentRole,
    /// How far it is trusted.
    pub tier: Tier,
    /// Its pipeline.
    pub pipeline: Option<PipelineId>,
    /// Where it is in its life.
    pub phase: AgentPhase,
    /// Its state.
    pub status: AgentStatus,
    /// What runs it: `built-in`, or the name of its process's runtime, as `python`, `rust` or `process`.
    pub runtime: String,
    /// How often its process was started again after it died.
    pub restarts: u64,
    /// Where the evidence is that it has packaged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The approval that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<ApprovalId>,
    /// How often its state was written.
    pub version: u64,
}

/// What of a profile's standing binds its agents.
#[derive(Deserialize)]
struct Stands {
    tier: Option<Tier>,
}

impl Admissions {
    /// Admissions to a store, recorded.
    #[must_use]
    pub fn new(store: &Store, recorder: &Recorder) -> Self {
        Self { store: store.clone(), recorder: recorder.clone(), runtime: "built-in".to_owned() }
    }

    /// The same, for agents that this process runs as what it is written in.
    #[must_use]
    pub fn run_here(mut self) -> Self {
        self.runtime = runtime().to_owned();
        self
    }

    /// Begins a pipeline under a fresh id. Answers that, and what its agents are admitted under.
    pub async fn begin_fresh(&self, objective: &str) -> Result<(PipelineId, Admission)> {
        loop {
            let id = PipelineId::fresh(self.store.ports().clock.now());
            match self.begin_pipeline(&id, objective).await {
                Ok(admission) => return Ok((id, admission)),
                // Two in one millisecond: the next one is free.
                Err(error) if error.code() == "taken" => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Begins a pipeline. Answers what its agents are admitted under. Denied while a stop is in force.
    pub async fn begin_pipeline(&self, id: &PipelineId, objective: &str) -> Result<Admission> {
        let keys = self.store.keys();
        let tenant = self.store.admission().await?;
        let now = self.store.ports().clock.now();
        let commit = self
            .under(&tenant)
            .version(keys.pipeline(id), 0)
            .raise(keys.pipeline_epoch(id))
            .merge(
                keys.pipeline(id),
                [("status", PipelineStatus::Spawn.to_string()), ("objective", objective.to_owned()), ("created_at", now.0.to_string())],
            )
            .write(Write::Join { set: keys.pipelines(), member: id.to_string() })
            .write(Write::Join { set: keys.pipelines_open(), member: id.to_string() });
        let payload = serde_json::json!({"pipeline": id, "objective_bytes": objective.len()});
        let subject = (None, Some(id));
        self.recorder
            .record(&self.store, Action::Spawn, subject, &payload, async |token| {
                let epoch = self.admitted(commit.token(token), &format!("pipeline `{id}`")).await?;
                Ok(tenant.and(keys.pipeline_epoch(id), epoch))
            })
            .await
    }

    /// Begins an agent under a pipeline's admission, or under its parent agent's. Denied while a stop is in force, revoked with its parents.
    pub async fn admit(&self, parent: &Admission, pipeline: &PipelineId, id: &AgentId, role: Role) -> Result<Actor> {
        let keys = self.store.keys();
        // INVARIANT: whoever stops the pipeline or everything stops this agent.
        for above in [keys.epoch(), keys.pipeline_epoch(pipeline)] {
            if !parent.0.iter().any(|(key, _)| *key == above) {
                let stray = format!("agent `{id}` cannot begin in `{pipeline}`: its parent was not admitted under `{above}`");
                return Err(Error::new(ErrorKind::Denied, "foreign_parent", stray));
            }
        }
        let above = keys.agent_of_epoch(parent.0.last().map(|(key, _)| key));
        if let Some(above) = &above {
            self.no_higher(above, id, pipeline, role.tier).await?;
        }
        let commit = self
            .under(parent)
            .version(keys.agent_state(id), 0)
            .raise(keys.agent_epoch(id))
            .merge(
                keys.agent_state(id),
                [
                    ("status", AgentStatus::Pending.to_string()),
                    ("phase", AgentPhase::Bootstrap.to_string()),
                    ("role", role.role.to_string()),
                    ("tier", role.tier.to_string()),
                    ("pipeline_id", pipeline.to_string()),
                    ("runtime", self.runtime.clone()),
                    ("profile", id.profile(Some(pipeline)).to_string()),
                    ("since", self.store.ports().clock.now().0.to_string()),
                ],
            )
            .write(Write::Join { set: keys.pipeline_agents(pipeline), member: id.to_string() })
            .write(Write::Join { set: keys.agents(), member: id.to_string() })
            .write(Charge::conduct(id).begin(keys, None));
        // INVARIANT: whoever revokes the parent after this finds this agent; whoever did so before has made this commit stale.
        let commit = match &above {
            Some(above) => commit.write(Write::Join { set: keys.agent_children(above), member: id.to_string() }),
            None => commit,
        };
        let payload = serde_json::json!({"agent": id, "role": role.role, "tier": role.tier});
        self.recorder
            .record(&self.store, Action::Spawn, (Some(id), Some(pipeline)), &payload, async |token| {
                let epoch = self.admitted(commit.token(token), &format!("agent `{id}`")).await?;
                Ok(Actor { id: id.clone(), pipeline: Some(pipeline.clone()), admission: parent.and(keys.agent_epoch(id), epoch) })
            })
            .await
    }

    /// No agent gives more trust than it has, nor more than the child's profile stands at: to try is a privilege escalation of its own.
    async fn no_higher(&self, parent: &AgentId, child: &AgentId, pipeline: &PipelineId, tier: Tier) -> Result<()> {
        let Some(above) = self.agent(parent).await? else { return Ok(()) };
        let profile = child.profile(Some(pipeline));
        let standing: Option<(u64, Stands)> = self.store.json(self.store.keys().profile_standing(&profile)).await?;
        let stands = standing.and_then(|(_, standing)| standing.tier);
        let detail = match stands {
            _ if above.tier < tier => format!("`{parent}` is trusted with {} and began `{child}` with {tier}", above.tier),
            Some(stands) if stands < tier => format!("`{parent}` began `{child}` with {tier}, and `{profile}` stands at {stands}"),
            _ => return Ok(()),
        };
        let broken = ViolationType::PrivilegeEscalation;
        let told = serde_json::json!({"type": broken, "severity": broken.severity(), "revocation": broken.revocation(), "detail": detail});
        self.recorder.note(&self.store, Action::Violation, (Some(parent), above.pipeline.as_ref()), &told)?;
        RevocationEngine::open(&self.store).recorded(&self.recorder).violation(parent, broken, &detail).await?;
        Err(Error::new(ErrorKind::Denied, "tier_too_high", format!("{detail}: an agent gives no more trust than there is")))
    }

    /// Admits an agent again that was begun under an earlier epoch of its pipeline; none if it was not begun yet. A `revoked` error if it was revoked.
    pub async fn readmit(&self, parent: &Admission, pipeline: &PipelineId, id: &AgentId) -> Result<Option<Actor>> {
        let keys = self.store.keys();
        if self.agent(id).await?.is_none_or(|agent| agent.pipeline.as_ref() != Some(pipeline)) {
            return Ok(None);
        }
        let epoch = self.store.number(keys.agent_epoch(id)).await?;
        // INVARIANT: looked for behind the epoch: who is revoked later than this look has moved it.
        if let Some(earlier) = RevocationEngine::open(&self.store).revocation_of(id).await? {
            return Err(Error::new(ErrorKind::Revoked, "revoked", format!("`{id}`: {earlier}")));
        }
        Ok(Some(Actor { id: id.clone(), pipeline: Some(pipeline.clone()), admission: parent.and(keys.agent_epoch(id), epoch) }))
    }

    /// An agent as the shared state knows it.
    pub async fn agent(&self, id: &AgentId) -> Result<Option<Agent>> {
        let Some(state) = self.store.state(self.store.keys().agent_state(id)).await? else { return Ok(None) };
        let pipeline = state.field("pipeline_id");
        Ok(Some(Agent {
            id: id.clone(),
            role: state.field("role").parse()?,
            tier: state.field("tier").parse()?,
            pipeline: if pipeline.is_empty() { None } else { Some(PipelineId::new(pipeline)?) },
            phase: state.field("phase").parse()?,
            status: state.field("status").parse()?,
            runtime: state.field("runtime").to_owned(),
            restarts: state.field("restarts").parse().unwrap_or(0),
            evidence: serde_json::from_str(state.field("evidence")).unwrap_or_default(),
            waits_for: ApprovalId::new(state.field("waits_for")).ok().filter(|_| state.field("status") == AgentStatus::Waiting.as_str()),
            version: state.version,
        }))
    }

    /// The agents of a pipeline.
    pub async fn agents(&self, pipeline: &PipelineId) -> Result<Vec<Agent>> {
        let mut agents = Vec::new();
        for id in self.store.set(self.store.keys().pipeline_agents(pipeline)).await? {
            agents.extend(self.agent(&AgentId::new(id)?).await?);
        }
        Ok(agents)
    }

    fn under(&self, parent: &Admission) -> Commit {
        Commit::by(parent).absent(self.store.keys().stop())
    }

    /// The epoch that the commit's first write, a raise, gave.
    async fn admitted(&self, commit: Commit, what: &str) -> Result<u64> {
        match self.store.commit(commit).await? {
            Outcome::Accepted(accepted) => Ok(accepted.results[0]),
            Outcome::Refused(Refused::Conflict { cell, .. }) if cell.key == self.store.keys().stop() => {
                let stopped = format!("{what} cannot begin: everything was stopped; lift it with `governance stop --lift --reason …`");
                Err(Error::new(ErrorKind::Denied, "stopped", stopped))
            }
            Outcome::Refused(Refused::Conflict { .. }) => Err(Error::new(ErrorKind::Conflict, "taken", format!("{what} is there already"))),
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }
}
