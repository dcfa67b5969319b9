//! The register of agents: who was admitted, what each can do, how each is. Written with the admission, read from the shared state.

mod health;

use serde::{Deserialize, Serialize};
use serde_json::json;

pub use health::{AgentHealth, Vitals, health};

use super::desk::kept;
use super::{Desk, PreflightReport, evidence, output, packet};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::limits::{Scope, ScopeLimits, Standstill};
use crate::guard::{Beat, Faults, Recorder, Revocation, Usage};
use crate::store::{Answer, Commit, MAX_OPERATIONS, Query, Store, Write, from_json};
use crate::vocabulary::{
    AgentId, AgentOutput, AgentPhase, AgentRole, AgentStatus, ApprovalId, Capability, EvidencePackage, FaultLimits, InstructionPacket, Key,
    Millis, PipelineId, PipelineStatus, Tier, ttl,
};

/// An agent as the register has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// Its id.
    pub id: AgentId,
    /// What it is an instance of.
    pub profile: String,
    /// The version of what governs it; none before it lived.
    pub version: Option<String>,
    /// How far it is trusted.
    pub tier: Tier,
    /// What it is for.
    pub role: AgentRole,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// Its pipeline.
    pub pipeline: Option<PipelineId>,
    /// What runs it.
    pub runtime: String,
    /// The process that runs it, or ran it last.
    pub pid: Option<u32>,
    /// The machine of that process.
    pub host: Option<String>,
    /// When it was admitted.
    pub since: Option<Millis>,
    /// Where it is in its life.
    pub phase: AgentPhase,
    /// Its state.
    pub status: AgentStatus,
    /// How it is.
    pub health: AgentHealth,
    /// Why it is not well, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The approval that it waits for, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<ApprovalId>,
}

/// Everything that is known of one agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentDetail {
    /// The register's record.
    #[serde(flatten)]
    pub record: AgentRecord,
    /// When it was last seen to get further: a phase, an output, evidence.
    pub last_progress: Option<Millis>,
    /// Its last sign of life that still counts.
    pub last_beat: Option<Millis>,
    /// What it may spend, and has.
    pub spend: Vec<Usage>,
    /// What it did wrong.
    pub faults: Faults,
    /// How much of that it may do.
    pub fault_limits: FaultLimits,
    /// Why it was revoked, if it was.
    pub revocation: Option<Revocation>,
    /// What it was told.
    pub packet: Option<InstructionPacket>,
    /// What came of its preflight.
    pub preflight: Option<PreflightReport>,
    /// What it put out.
    pub outputs: Vec<AgentOutput>,
    /// What it showed for it.
    pub evidence: Option<EvidencePackage>,
}

/// Which agents to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentFilter {
    /// Only those of a tier.
    pub tier: Option<Tier>,
    /// Only those of a role.
    pub role: Option<AgentRole>,
    /// Only those in a state.
    pub status: Option<AgentStatus>,
    /// Only those of a pipeline.
    pub pipeline: Option<PipelineId>,
    /// Only those that are so.
    pub health: Option<AgentHealth>,
    /// Only those of a profile.
    pub profile: Option<String>,
}

impl AgentFilter {
    fn takes(&self, record: &AgentRecord) -> bool {
        self.tier.is_none_or(|tier| tier == record.tier)
            && self.role.is_none_or(|role| role == record.role)
            && self.status.is_none_or(|status| status == record.status)
            && self.health.is_none_or(|health| health == record.health)
            && self.pipeline.as_ref().is_none_or(|pipeline| record.pipeline.as_ref() == Some(pipeline))
            && self.profile.as_ref().is_none_or(|profile| *profile == record.profile)
    }
}

/// Reads the register.
#[derive(Debug, Clone)]
pub struct Registry {
    store: Store,
}

impl Registry {
    /// The register of a store.
    #[must_use]
    pub fn open(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// The agents that a filter takes, oldest first.
    pub async fn agents(&self, filter: &AgentFilter) -> Result<Vec<AgentRecord>> {
        let (mut records, mut forgotten) = (Vec::new(), Vec::new());
        let set = filter.pipeline.as_ref().map_or_else(|| self.store.keys().agents(), |id| self.store.keys().pipeline_agents(id));
        for id in self.store.set(set.clone()).await? {
            let id = AgentId::new(id)?;
            match self.read(&id).await? {
                Some((record, _)) => records.extend(Some(record).filter(|record| filter.takes(record))),
                None => forgotten.push(id),
            }
        }
        self.forget(&set, &forgotten).await;
        records.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
        Ok(records)
    }

    /// One agent with everything that is known of it.
    pub async fn agent(&self, id: &AgentId) -> Result<AgentDetail> {
        let missing =
            || Error::new(ErrorKind::NotFound, "no_such_agent", format!("there is no agent `{id}`: see `governance agents list`"));
        let (record, facts) = self.read(id).await?.ok_or_else(missing)?;
        let spend = ScopeLimits::new(&self.store, &Recorder::default()).usage(&[Scope::Agent(id.clone())]).await?;
        let spend = spend.into_iter().map(|found| found.usage).collect();
        let outputs = output::outputs(&self.store, id).await?;
        let evidence = evidence::package(&self.store, id).await?;
        let told = [outputs.last().map(|output| output.created_at), evidence.as_ref().map(|package| package.created_at), facts.phase_at];
        Ok(AgentDetail {
            last_progress: told.into_iter().flatten().max(),
            last_beat: facts.beat.map(|beat| beat.at),
            spend,
            faults: facts.faults,
            fault_limits: facts.limits,
            revocation: facts.revocation,
            packet: packet(&self.store, id).await?,
            preflight: self.store.json(self.store.keys().agent_preflight(id)).await?.map(|(_, report)| report),
            outputs,
            evidence,
            record,
        })
    }

    /// Takes those off a list of whom nothing is kept any more. No more than tidying: a list that could not be shortened now is later.
    async fn forget(&self, list: &Key, ids: &[AgentId]) {
        for ids in ids.chunks(MAX_OPERATIONS / 2) {
            let leave = |commit: Commit, id: &AgentId| {
                let leaves = Write::Leave { set: list.clone(), member: id.to_string() };
                commit.absent(self.store.keys().agent_state(id)).write(leaves)
            };
            if let Err(error) = self.store.apply(ids.iter().fold(Commit::default(), leave)).await {
                tracing::debug!(%error, "a list of agents could not be shortened");
            }
        }
    }

    async fn read(&self, id: &AgentId) -> Result<Option<(AgentRecord, Facts)>> {
        let keys = self.store.keys();
        let cell = |key: crate::vocabulary::Key| Query::Cell(key.into());
        let asked = [
            Query::State(keys.agent_state(id)),
            cell(keys.agent_heartbeat(id)),
            cell(keys.agent_lock(id)),
            cell(keys.agent_errors(id)),
            cell(keys.agent_revoke_signal(id)),
        ];
        let mut answers = self.store.read(&asked).await?.into_iter();
        let Some(Answer::State(Some(state))) = answers.next() else { return Ok(None) };
        let mut cells = answers.map(|answer| if let Answer::Cell(found) = answer { found } else { None });
        let mut next = || cells.next().flatten().map(|found| found.value);
        let (beat, lock, errors, signal) = (next(), next(), next(), next());
        let number = |name| state.field(name).parse::<u64>().ok();
        let known = |name| Some(state.field(name).to_owned()).filter(|text| !text.is_empty());
        let pipeline = known("pipeline_id").map(PipelineId::new).transpose()?;
        let over = match &pipeline {
            Some(pipeline) => {
                let run = self.store.state(keys.pipeline(pipeline)).await?.unwrap_or_default();
                run.field("status").parse().is_ok_and(PipelineStatus::is_final)
            }
            None => false,
        };
        let facts = Facts {
            beat: beat.map(|value| from_json("a heartbeat", &value)).transpose()?,
            faults: errors.map(|value| from_json("an agent's faults", &value)).transpose()?.unwrap_or_default(),
            // Said when it began to live, by its profile.
            limits: serde_json::from_str(state.field("error_budget")).unwrap_or_default(),
            revocation: signal.map(|value| from_json("a revocation", &value)).transpose()?,
            phase_at: number("phase_at").map(Millis),
        };
        let (status, phase) = (state.field("status").parse()?, state.field("phase").parse()?);
        let vitals = Vitals {
            status,
            run_over: over,
            beats: facts.beat.is_some(),
            locked: lock.is_some(),
            errors: facts.faults.total_errors,
            violations: facts.faults.procedure_violations,
        };
        let (health, why) = health(&vitals, &facts.limits);
        let record = AgentRecord {
            id: id.clone(),
            profile: known("profile").unwrap_or_else(|| id.profile(pipeline.as_ref()).to_string()),
            version: known("profile_version"),
            tier: state.field("tier").parse()?,
            role: state.field("role").parse()?,
            capabilities: serde_json::from_str(state.field("capabilities")).unwrap_or_default(),
            pipeline,
            runtime: state.field("runtime").to_owned(),
            pid: number("pid").and_then(|pid| u32::try_from(pid).ok()),
            host: known("host"),
            since: number("since").map(Millis),
            phase,
            status,
            health,
            why,
            waits_for: known("waits_for").filter(|_| status == AgentStatus::Waiting && !over).and_then(|id| ApprovalId::new(id).ok()),
        };
        Ok(Some((record, facts)))
    }
}

struct Facts {
    beat: Option<Beat>,
    faults: Faults,
    limits: FaultLimits,
    revocation: Option<Revocation>,
    phase_at: Option<Millis>,
}

impl Desk {
    /// Says who lives here: what governs it, what it can do, which process runs it.
    pub(super) async fn register(&self) -> Result<()> {
        let policy = self.guard().policy();
        let profile = policy.profile();
        let host = rustix::system::uname().nodename().to_string_lossy().chars().take(255).collect::<String>();
        let fields = [
            ("status", AgentStatus::Running.to_string()),
            ("profile_version", profile.agent_version.clone()),
            ("capabilities", json!(profile.capabilities).to_string()),
            ("reading", json!(profile.governance.reading_actions).to_string()),
            ("error_budget", json!(profile.governance.error_budget).to_string()),
            ("pid", std::process::id().to_string()),
            ("host", host),
            // Whoever ran it before may have died while it waited for people.
            ("waits_for", String::new()),
            Standstill::ends(),
        ];
        let key = self.store().keys().agent_state(&self.actor().id);
        let mut commit = self.actor().commit().merge(key, fields);
        if self.returns {
            commit.writes.extend(kept(self.store().keys(), &self.actor().id, ttl::LIVES));
        }
        self.store().apply(commit).await.map(drop)
    }
}
