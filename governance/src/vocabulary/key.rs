//! Every key of the shared state, spelled in one place.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AgentId, ApprovalId, HandoffId, PipelineId, ProjectId, ProposalId, TaskId, TenantId, named};

/// Where a Redis-protocol server usually listens.
pub const DEFAULT_REDIS_HOST: &str = "127.0.0.1";
/// The port it usually listens on.
pub const DEFAULT_REDIS_PORT: u16 = 6379;
/// The ledger's usual file name.
pub const DEFAULT_LEDGER_PATH: &str = "governance.db";

named! {
    /// What a key holds. A key is always used as one kind; another kind found there is refused.
    pub enum Kind {
        /// One versioned value.
        Record = "record",
        /// Versioned values by field.
        Table = "table",
        /// Plain fields with one version, as existing readers of hashes expect.
        State = "state",
        /// A number that is added to.
        Counter = "counter",
        /// A number that only rises: an epoch, a fence, the generation.
        Epoch = "epoch",
        /// Numbered entries.
        Log = "log",
        /// A bounded list, newest last.
        List = "list",
        /// A set of names.
        Set = "set",
        /// A channel for signals that may be lost.
        Channel = "channel",
    }
}

/// A key with its kind. Cheap to clone; its hash is computed once.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Spelled", into = "Spelled")]
pub struct Key {
    text: Arc<str>,
    kind: Kind,
    hash: u64,
}

#[derive(Serialize, Deserialize)]
struct Spelled {
    key: String,
    kind: Kind,
}

impl Key {
    /// A key by its text. Use [`Keys`] for the system's own.
    pub fn new(text: impl AsRef<str>, kind: Kind) -> Self {
        let text = text.as_ref();
        let mut fnv = Fnv(0xcbf2_9ce4_8422_2325);
        fnv.write(text.as_bytes());
        Self { text: text.into(), kind, hash: fnv.finish() }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text, shared.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        self.text.clone()
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A hash of the text, the same in every process of one build.
    #[must_use]
    pub fn hash64(&self) -> u64 {
        self.hash
    }
}

/// FNV-1a: keys are short and are hashed once.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

impl From<Spelled> for Key {
    fn from(spelled: Spelled) -> Self {
        Self::new(spelled.key, spelled.kind)
    }
}

impl From<Key> for Spelled {
    fn from(key: Key) -> Self {
        Self { key: key.text.as_ref().to_owned(), kind: key.kind }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.text, &other.text) || self.text == other.text)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.text)
    }
}

named! {
    /// The sections of a blackboard.
    pub enum Section {
        /// What is asked.
        Problem = "problem",
        /// What is proposed.
        Solutions = "solutions",
        /// How far the work is.
        Progress = "progress",
        /// What was agreed.
        Consensus = "consensus",
    }
}

/// Builds every key of one tenant. The default tenant on a single server uses bare names; any other is prefixed, so that tenants never meet
/// and a tenant shares one cluster slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    prefix: Arc<str>,
}

impl Default for Keys {
    fn default() -> Self {
        Self { prefix: Arc::from("") }
    }
}

macro_rules! keys {
    ($($(#[$meta:meta])* $name:ident($($arg:ident: $type:ty),*) -> $kind:ident $pattern:literal;)+) => {
        impl Keys { $(
            $(#[$meta])*
            #[must_use]
            pub fn $name(&self $(, $arg: &$type)*) -> Key {
                Key::new(format!(concat!("{}", $pattern), self.prefix $(, $arg)*), Kind::$kind)
            }
        )+ }
    };
}

impl Keys {
    /// The keys of a tenant.
    #[must_use]
    pub fn of(tenant: &TenantId, cluster: bool) -> Self {
        if *tenant == TenantId::default() && !cluster {
            return Self::default();
        }
        Self { prefix: format!("{{{tenant}}}:").into() }
    }

    /// What every key of this tenant begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whose epoch a key is, where it is an agent's.
    #[must_use]
    pub fn agent_of_epoch(&self, key: Option<&Key>) -> Option<AgentId> {
        let id = key?.as_str().strip_prefix(&*self.prefix)?.strip_prefix("agent:")?.strip_suffix(":epoch")?;
        AgentId::new(id).ok()
    }
}

keys! {
    /// Format, ledger and lineage of the store.
    meta() -> State "meta";
    /// The store's generation: ADR 2.
    generation() -> Epoch "generation";
    /// The tenant's epoch.
    epoch() -> Epoch "tenant:epoch";
    /// Present while a stop-all is in force.
    stop() -> Record "stop";
    /// The latest signed ledger head that the store was told.
    head() -> Record "ledger:head";
    /// Who keeps house.
    caretaker() -> Record "caretaker";
    /// The caretaker's fence.
    caretaker_fence() -> Epoch "caretaker:fence";
    /// What the caretaker says of its work.
    caretaker_status() -> Record "caretaker:status";
    /// What somebody must look after, each with when it is due first.
    caretaker_charges() -> Table "caretaker:charges";
    /// The processes that work for agents, and what each has confirmed.
    processes() -> Table "processes";
    /// A circuit breaker, shared by every process.
    breaker(name: str) -> Record "breaker:{}";
    /// Written to see whether the store takes writes.
    health_probe() -> Record "health:probe";
    /// An agent's state.
    agent_state(id: AgentId) -> State "agent:{}:state";
    /// An agent's execution lock.
    agent_lock(id: AgentId) -> Record "agent:{}:lock";
    /// The lock's highest fence.
    agent_fence(id: AgentId) -> Epoch "agent:{}:fence";
    /// An agent's sign of life.
    agent_heartbeat(id: AgentId) -> Record "agent:{}:heartbeat";
    /// An agent's faults.
    agent_errors(id: AgentId) -> Record "agent:{}:errors";
    /// An agent's instructions.
    agent_packet(id: AgentId) -> Record "agent:{}:packet";
    /// What an agent left to its successor.
    agent_handoff(id: AgentId) -> Record "agent:{}:handoff";
    /// Set when an agent is revoked.
    agent_revoke_signal(id: AgentId) -> Record "agent:{}:revoke_signal";
    /// An agent's epoch.
    agent_epoch(id: AgentId) -> Epoch "agent:{}:epoch";
    /// The agents that an agent began.
    agent_children(id: AgentId) -> Set "agent:{}:children";
    /// What an agent was given to spend, by unit.
    agent_limits(id: AgentId) -> Table "agent:{}:limits";
    /// What an agent spent or reserved of a unit.
    agent_spend(id: AgentId, unit: str) -> Counter "agent:{}:spend:{}";
    /// An agent's open reservations.
    agent_reservations(id: AgentId) -> Table "agent:{}:reservations";
    /// A count in one bucket of a window.
    agent_window(id: AgentId, what: str, bucket: u64) -> Counter "agent:{}:window:{}:{}";
    /// What a pipeline was given to spend, by unit.
    pipeline_limits(id: PipelineId) -> Table "pipeline:{}:limits";
    /// What a pipeline spent or reserved of a unit.
    pipeline_spend(id: PipelineId, unit: str) -> Counter "pipeline:{}:spend:{}";
    /// A pipeline's count in one bucket of a window.
    pipeline_window(id: PipelineId, what: str, bucket: u64) -> Counter "pipeline:{}:window:{}:{}";
    /// What the tenant was given to spend, by unit.
    tenant_limits() -> Table "tenant:limits";
    /// What the tenant spent or reserved of a unit.
    tenant_spend(unit: str) -> Counter "tenant:spend:{}";
    /// The tenant's count in one bucket of a window.
    tenant_window(what: str, bucket: u64) -> Counter "tenant:window:{}:{}";
    /// The shares of limits that processes hold.
    limit_shares() -> Table "tenant:shares";
    /// What an agent put out, newest last.
    agent_outputs(id: AgentId) -> List "agent:{}:outputs";
    /// What an agent showed for its outputs.
    agent_evidence(id: AgentId) -> Record "agent:{}:evidence";
    /// What came of an agent's preflight.
    agent_preflight(id: AgentId) -> Record "agent:{}:preflight";
    /// The agents of the tenant, as far back as they are kept.
    agents() -> Set "agents";
    /// How far a profile is trusted, and what it did for it.
    profile_standing(name: AgentId) -> Record "profile:{}:standing";
    /// What a review of a profile is asked under: raised where a rise or a fall ends it.
    profile_epoch(name: AgentId) -> Epoch "profile:{}:epoch";
    /// The profiles of the tenant that something is known of.
    profiles() -> Set "profiles";
    /// The agents of a project.
    project_agents(id: ProjectId) -> Set "project:{}:agents";
    /// A pipeline's state.
    pipeline(id: PipelineId) -> State "pipeline:{}";
    /// A pipeline's epoch.
    pipeline_epoch(id: PipelineId) -> Epoch "pipeline:{}:epoch";
    /// What happened in a run, in order: from it, it is taken up again.
    pipeline_journal(id: PipelineId) -> Log "pipeline:{}:journal";
    /// Who carries a run out.
    pipeline_owner(id: PipelineId) -> Record "pipeline:{}:owner";
    /// The fence of whoever carries a run out.
    pipeline_owner_fence(id: PipelineId) -> Epoch "pipeline:{}:owner:fence";
    /// The agents of a pipeline.
    pipeline_agents(id: PipelineId) -> Set "pipeline:{}:agents";
    /// A pipeline's token, encrypted.
    pipeline_vault_token(id: PipelineId) -> Record "pipeline:{}:vault_token";
    /// A pipeline's log lines.
    pipeline_logs(id: PipelineId) -> List "pipeline:{}:logs";
    /// What made a pipeline fail or wait.
    pipeline_failure_context(id: PipelineId) -> Record "pipeline:{}:failure_context";
    /// A pipeline's errors.
    pipeline_errors(id: PipelineId) -> List "pipeline:{}:errors";
    /// The pipelines of the tenant.
    pipelines() -> Set "pipelines";
    /// Those that have not ended.
    pipelines_open() -> Set "pipelines:open";
    /// Those that were stopped, and may be taken up again.
    pipelines_stopped() -> Set "pipelines:stopped";
    /// When runs that ended long ago were looked for last.
    retirement() -> Record "pipelines:retirement";
    /// A section of a blackboard.
    blackboard(task: TaskId, section: Section) -> Table "blackboard:{}:{}";
    /// A blackboard's events.
    blackboard_events(task: TaskId) -> Log "blackboard:{}:events";
    /// A bus's channel for signals.
    bus(task: TaskId) -> Channel "bus:{}";
    /// A bus's messages, as a record of what was said.
    bus_log(task: TaskId) -> Log "bus:{}:log";
    /// Who is on a bus.
    bus_members(task: TaskId) -> Table "bus:{}:members";
    /// What waits for an agent on a bus.
    bus_inbox(task: TaskId, id: AgentId) -> Log "bus:{}:inbox:{}";
    /// How far an agent has read its inbox.
    bus_cursor(task: TaskId, id: AgentId) -> Record "bus:{}:cursor:{}";
    /// Messages that nobody could process.
    bus_dead(task: TaskId) -> Log "bus:{}:dead";
    /// A proposal under vote.
    proposal(task: TaskId, id: ProposalId) -> Record "proposal:{}:{}";
    /// The ballots cast on it.
    ballots(task: TaskId, id: ProposalId) -> Table "proposal:{}:{}:ballots";
    /// There while a step of the vote takes ballots.
    ballots_taken(task: TaskId, id: ProposalId, step: str) -> Record "proposal:{}:{}:{}";
    /// What happened to a task's proposals.
    proposal_events(task: TaskId) -> Log "proposal:{}:events";
    /// What people are asked to approve, without its arguments.
    approval(id: ApprovalId) -> Record "approval:{}";
    /// Its arguments. There until the deadline, a denial or the use.
    approval_arguments(id: ApprovalId) -> Record "approval:{}:arguments";
    /// What approvers said of it, each signed.
    approval_decisions(id: ApprovalId) -> Record "approval:{}:decisions";
    /// There once it was used.
    approval_use(id: ApprovalId) -> Record "approval:{}:use";
    /// The ids of the newest requests for approval.
    approvals() -> List "approvals";
    /// What an agent has asked approval for, by what it is.
    agent_approvals(id: AgentId) -> Table "agent:{}:approvals";
    /// Who may approve, as the store was told; the ledger decides.
    approvers() -> Record "approvers";
    /// The processes in which agents live, by machine and number.
    agent_processes() -> Table "agents:processes";
    /// Everything that is broadcast to dashboards.
    ws_broadcast() -> Channel "ws:broadcast";
    /// Revocations, for readers.
    revocations_ledger() -> List "revocations:ledger";
    /// What may be done, by the name of a profile: the version in force of each.
    policies() -> Table "policies";
    /// Rises with each change of them.
    policies_epoch() -> Epoch "policies:epoch";
    /// A profile's versions.
    policies_log(name: AgentId) -> Log "policies:{}:log";
    /// What was last refused of each file of a directory of profiles.
    policies_refused() -> Table "policies:refused";
    /// What was last seen of each file of a directory of profiles.
    policies_seen() -> Table "policies:seen";
    /// Alerts, for readers.
    alerts_queue() -> List "alerts:queue";
    /// The agents of a handoff.
    handoff_agents(id: HandoffId) -> Set "handoff:{}:agents";
    /// What a handoff's successor inherited.
    handoff_inherited(id: HandoffId) -> Record "handoff:{}:inherited";
    /// A pipeline's recovery.
    recovery(id: PipelineId) -> Record "recovery:{}";
    /// A run's metrics.
    metrics(task: TaskId) -> State "metrics:{}";
    /// A run's readiness checks.
    readiness(task: TaskId) -> State "readiness:{}";
}

/// How long things live without a sign of life.
pub mod ttl {
    use std::time::Duration;

    /// An execution lock.
    pub const LOCK: Duration = Duration::from_secs(300);
    /// A heartbeat: three times 30 s.
    pub const HEARTBEAT: Duration = Duration::from_secs(90);
    /// What is kept of an agent that ended by itself: as long as an approval may be waited for.
    pub const ENDED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    /// The same of one that lives again.
    pub const LIVES: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    /// A pipeline's token.
    pub const TOKEN: Duration = Duration::from_secs(2 * 60 * 60);
    /// For how long at most a call to the store is repeated, whatever its deadline. ADR 7.
    pub const RETRY: Duration = Duration::from_secs(60);
    /// How long an accepted commit's answer is remembered: twice as long as it can be asked for again. `commit.lua` says the same.
    pub const ANSWER: Duration = Duration::from_secs(2 * RETRY.as_secs());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelled_as_existing_readers_expect() {
        let keys = Keys::default();
        let agent = AgentId::new("alpha-1").unwrap();
        let task = TaskId::new("t").unwrap();
        assert_eq!(keys.agent_state(&agent).as_str(), "agent:alpha-1:state");
        assert_eq!(keys.agent_revoke_signal(&agent).as_str(), "agent:alpha-1:revoke_signal");
        assert_eq!(keys.blackboard(&task, &Section::Solutions).as_str(), "blackboard:t:solutions");
        assert_eq!(keys.bus(&task).as_str(), "bus:t");
        assert_eq!(keys.agent_of_epoch(Some(&keys.agent_epoch(&agent))), Some(agent));
        assert_eq!(keys.agent_of_epoch(Some(&keys.epoch())), None);
    }

    #[test]
    fn tenants_never_meet_and_share_one_slot() {
        let acme = Keys::of(&TenantId::new("acme").unwrap(), false);
        assert_eq!(acme.generation().as_str(), "{acme}:generation");
        assert_eq!(Keys::of(&TenantId::default(), true).generation().as_str(), "{default}:generation");
        assert_eq!(Keys::of(&TenantId::default(), false), Keys::default());
    }
}
