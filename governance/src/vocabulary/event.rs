//! Events that other systems hear of, their phases, and the conditions that chaos tests inject.

use super::{AgentPhase, named};

named! {
    /// What integrations are told.
    pub enum IntegrationEventType {
        /// PLAN completed.
        PlanCreated = "plan_created",
        /// EXECUTE started.
        ExecutionStarted = "execution_started",
        /// EXECUTE ended.
        ExecutionComplete = "execution_complete",
        /// A revocation trigger.
        ViolationDetected = "violation_detected",
        /// The promotion workflow began.
        PromotionRequested = "promotion_requested",
        /// The promotion workflow ended well.
        PromotionApproved = "promotion_approved",
        /// An agent was revoked.
        AgentRevoked = "agent_revoked",
        /// A gate waits.
        ApprovalRequired = "approval_required",
        /// Health.
        Heartbeat = "heartbeat",
    }
}

impl IntegrationEventType {
    /// The phase that an event belongs to, where it belongs to one.
    #[must_use]
    pub const fn phase(self) -> Option<AgentPhase> {
        match self {
            Self::PlanCreated => Some(AgentPhase::Plan),
            Self::ExecutionStarted | Self::ExecutionComplete => Some(AgentPhase::Execute),
            Self::AgentRevoked => Some(AgentPhase::Revoked),
            _ => None,
        }
    }
}

named! {
    /// What a chaos test does to a running system.
    pub enum ChaosCondition {
        /// The execution lock is taken away.
        LockLoss = "lock_loss",
        /// Errors come in a burst.
        ErrorSpike = "error_spike",
        /// Heartbeats stop.
        HeartbeatLoss = "heartbeat_loss",
        /// Everything is slow.
        Latency = "latency",
        /// The store cannot be reached.
        StoreUnavailable = "store_unavailable",
        /// Stored state is damaged.
        StateCorruption = "state_corruption",
        /// The token is revoked.
        TokenRevoked = "token_revoked",
        /// A step is skipped.
        ProcedureBreach = "procedure_breach",
        /// The process is killed.
        ProcessKill = "process_kill",
    }
}
