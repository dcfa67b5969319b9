//! The ground floor: names, ids, keys, records, time. Pure data and pure decisions; no I/O.

mod bounds;
mod event;
mod fields;
mod id;
mod key;
mod named;
mod phase;
mod profile;
mod promotion;
mod record;
mod status;
pub mod table;
mod tier;
mod time;
mod violation;

pub(crate) use bounds::{MAX_AMOUNT, MAX_DEADLINE};
pub use event::{ChaosCondition, IntegrationEventType};
pub use id::{
    AgentId, ApprovalId, ApproverName, EntryName, HandoffId, LedgerId, MAX_ID, PipelineId, ProjectId, ProposalId, SegmentId, TaskId,
    TenantId, Token,
};
pub use key::{DEFAULT_LEDGER_PATH, DEFAULT_REDIS_HOST, DEFAULT_REDIS_PORT, Key, Keys, Kind, Section, ttl};
pub(crate) use named::{named, unknown_name};
pub use phase::{
    AGENT_PHASES_ORDERED, AgentPhase, OutputType, get_output_type_for_phase, is_terminal_phase, may_follow, next_phase, skipped_phase,
};
pub use profile::{
    AgentProfile, ApprovalRules, BreakerBy, BreakerRules, Constraints, FaultLimits, GovernanceRules, PromotionRequirements, PromotionTerms,
    UseLimits, VaultRole,
};
pub use promotion::{Eligibility, ProfileHistory, Requirement, Requirements, Run, eligibility};
pub use record::{
    AgentOutput, Checkpoint, ClarifiedPlan, Evidence, EvidencePackage, Handoff, InstructionPacket, PipelineContext, StageResult,
};
pub use status::{AgentRole, AgentStatus, ExitCode, FallbackAction, GammaReason, PipelineStatus, StageStatus, StageType};
pub use tier::{Capability, PromotionRules, PromotionStatus, TIERS, Tier, TierRules};
pub use time::{Chance, Clock, Millis, Ports, System, millis, nanos};
pub use violation::{Extent, RevocationType, Severity, ViolationSeverity, ViolationType};
