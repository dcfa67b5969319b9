//! Agents of one's own: begin a pipeline, join it, or sit down on the seat that a supervisor prepared.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Governance;
use crate::agent::{
    Agent, AgentDetail, AgentFilter, AgentRecord, Desk, GOVERNOR, Instructions, Promotions, Registry, instruct, instruct_by,
};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::path::Root;
use crate::guard::policies;
use crate::guard::policy::Policy;
use crate::guard::{Role, Unit};
use crate::llm::ModelSettings;
use crate::orchestrator::Seat;
use crate::store::Actor;
use crate::vocabulary::{AgentId, AgentRole, InstructionPacket, PipelineId, PipelineStatus, Ports, Section, Tier};

/// What an agent may ask its model for, unless it is granted otherwise.
const CALLS: u64 = 64;
/// The largest seat that is read.
const MAX_SEAT: u64 = 1 << 20;
/// How long a process may still tidy up after its supervisor is gone.
const ORPHANED: Duration = Duration::from_secs(1);

/// As what an agent joins a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joining {
    /// What it is for; its profile's name says it where this does not.
    pub role: Option<AgentRole>,
    /// How far it is trusted; what its profile stands at unless said otherwise, and T0, observer, where nobody registered it.
    pub tier: Option<Tier>,
    /// The folder that its tools' paths are below; without one, no path can be used.
    pub root: Option<PathBuf>,
}

impl Governance {
    /// Begins a pipeline whose agents join by themselves, with [`agent`](Self::agent). Denied while a stop is in force.
    pub async fn begin(&self, objective: &str) -> Result<PipelineId> {
        let objective = crate::orchestrator::objective(objective)?;
        let (id, admission) = self.admissions().begin_fresh(objective).await?;
        let governor = Actor { id: AgentId::new(GOVERNOR)?, pipeline: Some(id.clone()), admission };
        self.blackboard(&id.task(), &governor).post(Section::Problem, "objective", &objective).await?;
        let key = self.store().keys().pipeline(&id);
        self.store().apply(governor.commit().merge(key, [("status", PipelineStatus::Running)])).await?;
        Ok(id)
    }

    /// Ends a pipeline whose agents have all ended: it is COMPLETED, and nobody joins it any more. One that has ended so already stays so.
    ///
    /// Refused where an agent of it still lives (`agents_live`), where it is a run, which ends by itself (`owned`), and where it has ended otherwise
    /// (`already_ended`).
    pub async fn end(&self, pipeline: &PipelineId) -> Result<()> {
        self.admissions().end_pipeline(pipeline).await
    }

    /// Joins a pipeline as a fresh instance of a profile: `alpha` becomes `alpha-7f3k2q`.
    ///
    /// `profile` is its name, and the shipped profile of its tier says what it may do; or it is a profile's file (it holds a `/`, or ends with `.json`,
    /// `.yaml`, `.yml`), which says that, its name and its tier. The configuration's model thinks for it.
    pub async fn agent(&self, profile: &str, pipeline: &PipelineId, joining: Joining) -> Result<Agent> {
        let file = policies::is_file(profile).then(|| Path::new(profile));
        let policy = file.map(policies::profile).transpose()?;
        // What an agent joined by is no more its to write than what is in force.
        let sources = file.map(policies::sources).transpose()?.unwrap_or_default();
        let own = policy.as_ref().map(Policy::profile);
        let profile = own.map_or(profile, |own| own.agent_id.as_str());
        let roleless = |_| Error::invalid("no_role", format!("`{profile}` names no role: say which, one of alpha, beta, gamma"));
        let role = joining.role.map_or_else(|| profile.parse().map_err(roleless), Ok)?;
        let root = joining.root.map(Root::open).transpose()?;
        let store = self.store();
        let Some(run) = store.state(store.keys().pipeline(pipeline)).await? else {
            let message = format!("there is no pipeline `{pipeline}`: begin one, or see `governance pipeline list`");
            return Err(Error::new(ErrorKind::NotFound, "no_such_pipeline", message));
        };
        if let Some(status) = run.field("status").parse().ok().filter(|status: &PipelineStatus| status.is_final()) {
            return Err(Error::new(ErrorKind::Conflict, "already_ended", format!("`{pipeline}` has ended as {status}: begin another")));
        }
        let epoch = store.keys().pipeline_epoch(pipeline);
        let above = store.admission().await?.and(epoch.clone(), store.number(epoch).await?);
        let id = AgentId::instance(profile, &*store.ports().chance)?;
        let name = AgentId::new(profile)?;
        let tier = match self.tier_of(&name, own.map(|own| own.tier), joining.tier).await {
            Err(error) if matches!(error.code(), "above_profile" | "above_standing") => {
                self.promotions().overreached(&id, &name, pipeline, &error.to_string()).await?;
                return Err(error);
            }
            found => found?,
        };
        self.policies().may_join(&name, tier).await?;
        let actor = self.admissions().run_here().admit(&above, pipeline, &id, Role { role, tier }).await?;
        let governor = Actor { id: AgentId::new(GOVERNOR)?, pipeline: Some(pipeline.clone()), admission: above };
        self.budget(&actor).grant(&governor, Unit::Calls, CALLS).await?;
        instruct_by(policy.as_ref(), store, self.recorder(), &governor, &id, &Instructions::default()).await?;
        let agent = self.sit_down(actor, &self.config().model, policy, (root, sources)).await?;
        self.remember(&agent);
        Ok(agent)
    }

    /// The tier that an agent joins at: what was said, where neither its profile, its own or the one in force, nor its standing is below that.
    async fn tier_of(&self, profile: &AgentId, own: Option<Tier>, said: Option<Tier>) -> Result<Tier> {
        let held = match own {
            Some(own) => Some(own),
            None => self.policies().version(profile, None).await?.and_then(|held| held.tier),
        };
        match (held, said) {
            (Some(held), Some(said)) if said > held => {
                let message = format!("the profile `{profile}` is of {held}, and its agent wants to act at {said}");
                return Err(Error::new(ErrorKind::Denied, "above_profile", message));
            }
            _ => {}
        }
        match (own, said) {
            (Some(own), Some(other)) if own != other => {
                Err(Error::invalid("other_tier", format!("the profile `{profile}` is of {own}, not of {other}")))
            }
            (own, said) => self.promotions().admits(profile, own.or(said)).await,
        }
    }

    /// Tells an agent anew what to do: until when, under which constraints, with which evidence. Its packet is written, and it reads it.
    pub async fn instruct(&self, agent: &AgentId, instructions: &Instructions) -> Result<InstructionPacket> {
        let operator = self.actor("operator").await?;
        instruct(self.store(), self.recorder(), &operator, agent, instructions).await
    }

    /// The register of agents, those that a filter takes, oldest first.
    pub async fn agents(&self, filter: &AgentFilter) -> Result<Vec<AgentRecord>> {
        Registry::open(self.store()).agents(filter).await
    }

    /// One agent with everything that is known of it.
    pub async fn agent_record(&self, agent: &AgentId) -> Result<AgentDetail> {
        Registry::open(self.store()).agent(agent).await
    }

    /// How far profiles are trusted: their standings, and what changes them.
    #[must_use]
    pub fn promotions(&self) -> Promotions {
        Promotions::open(self.store(), self.recorder())
    }

    /// Sits down on the seat that a supervisor hands over, as one line of JSON on standard input.
    ///
    /// That input stays open for the agent's life: when it closes, the supervisor is gone, and this process ends.
    pub async fn seated() -> Result<(Self, Agent)> {
        Self::seated_in(None).await
    }

    /// The same, with the folder that its tools' paths are below.
    pub async fn seated_in(root: Option<PathBuf>) -> Result<(Self, Agent)> {
        let root = root.map(Root::open).transpose()?;
        let seat = read_seat().await?;
        let Seat { actor, model, address, .. } = seat;
        // Only those that stay watch a directory of policies: this process keeps its agent out of it.
        let config = Config { home: address.home, store: Some(address.store_url), policies: address.policies, model, ..Config::default() };
        let governance = Self::visit(config).await?;
        let agent = governance.sit_down(actor, &governance.config().model, None, (root, Vec::new())).await?;
        Ok((governance, agent))
    }

    async fn sit_down(
        &self,
        actor: Actor,
        model: &ModelSettings,
        policy: Option<Policy>,
        (root, sources): (Option<Root>, Vec<PathBuf>),
    ) -> Result<Agent> {
        let thinks = model.open(&Ports::default(), |name| std::env::var(name).ok())?;
        let desk = Desk::new(self.store(), actor, self.recorder(), thinks).await?;
        // A profile of one's own holds for this agent as it is; any other is what is in force.
        let desk = match policy {
            Some(policy) => desk.with_guard(|guard| guard.with_policy(policy)),
            None => desk.following(self.policies()).await?,
        };
        let desk = match root {
            Some(root) => desk.with_guard(|guard| guard.rooted(root)),
            None => desk,
        };
        let desk = desk.with_patience(self.config().limits.patience.revoke);
        let policies = self.inner.address.policies.iter().cloned().chain(sources);
        let desk = desk.with_guard(|guard| guard.protecting(policies));
        Agent::begin(desk.with_model(|governed| governed.within(model.deadline))).await
    }
}

/// Reads the seat, and then waits for the end of the input, both on a thread of their own.
async fn read_seat() -> Result<Seat> {
    let (give, taken) = oneshot::channel();
    let waits = move || {
        let mut input = std::io::stdin().lock();
        let mut line = Vec::new();
        let read = input.by_ref().take(MAX_SEAT).read_until(b'\n', &mut line);
        if give.send(read.map(|_| line)).is_err() {
            return;
        }
        // What comes after the seat says nothing; only the end does.
        let _ = std::io::copy(&mut input, &mut std::io::sink());
        // Not a word about it: whoever heard what this process says is gone too, and a log that cannot be written may panic.
        std::thread::sleep(ORPHANED);
        std::process::exit(1);
    };
    let unstarted = |error| Error::unavailable("no_thread", "no thread can be started").because(error);
    std::thread::Builder::new().name("governance-seat".into()).spawn(waits).map_err(unstarted)?;
    let unreadable =
        || Error::invalid("no_seat", "standard input holds no seat: an agent is started by a supervisor, which tells it who it is");
    let line = taken.await.map_err(|_| unreadable())?.map_err(|e| unreadable().because(e))?;
    serde_json::from_slice(&line).map_err(|e| unreadable().because(e))
}
