//! The states of agents, pipelines and stages, and what a finished pipeline's exit code is.

use super::named;

named! {
    /// The state of an agent.
    pub enum AgentStatus {
        /// Not started.
        Pending = "pending",
        /// At work.
        Running = "running",
        /// Waiting for somebody.
        Waiting = "waiting",
        /// Done.
        Completed = "completed",
        /// Ended in error.
        Failed = "failed",
        /// Ran out of time.
        TimedOut = "timed_out",
        /// Its admission was ended.
        Revoked = "revoked",
    }
}

impl AgentStatus {
    /// Whether the agent will do nothing more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::TimedOut | Self::Revoked)
    }
}

named! {
    /// What an agent is for.
    pub enum AgentRole {
        /// Research: analysis and proposals.
        Alpha = "alpha",
        /// Synthesis: evaluation and solution building.
        Beta = "beta",
        /// Mediator and diagnostic.
        Gamma = "gamma",
    }
}

named! {
    /// The state of a pipeline.
    pub enum PipelineStatus {
        /// The objective is in, agents are being started.
        Spawn = "SPAWN",
        /// ALPHA and BETA work in parallel.
        Running = "RUNNING",
        /// Their reports are written.
        Report = "REPORT",
        /// Proposals are evaluated and voted on.
        Orchestrating = "ORCHESTRATING",
        /// A decision was reached.
        Completed = "COMPLETED",
        /// The agents failed, or could not be started.
        Failed = "FAILED",
        /// Time was up.
        Timeout = "TIMEOUT",
        /// The user gave up on an undecided vote.
        ConsensusFailed = "CONSENSUS_FAILED",
        /// Every agent failed while orchestrating.
        OrchestrationFailed = "ORCHESTRATION_FAILED",
        /// The orchestrator could not run.
        OrchestrationError = "ORCHESTRATION_ERROR",
        /// Stopped by a person or an emergency stop.
        Stopped = "STOPPED",
        /// Recovery is exhausted.
        Aborted = "ABORTED",
        /// An automatic recovery starts.
        Rebooting = "REBOOTING",
    }
}

impl PipelineStatus {
    /// Whether the pipeline has ended.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Spawn | Self::Running | Self::Report | Self::Orchestrating | Self::Rebooting)
    }

    /// The exit code of a process whose run ended in this state: 0 success, 1 error, 2 consensus failure, 3 aborted or stopped. A run that
    /// waits for its user is still ORCHESTRATING and exits 2; see [`ExitCode`].
    #[must_use]
    pub const fn exit_code(self) -> ExitCode {
        match self {
            Self::Completed => ExitCode::Success,
            Self::ConsensusFailed | Self::Orchestrating => ExitCode::ConsensusFailure,
            Self::Aborted | Self::Stopped => ExitCode::Aborted,
            _ => ExitCode::Error,
        }
    }
}

named! {
    /// What a stage of a pipeline file does.
    pub enum StageType {
        /// Runs an agent.
        Agent = "agent",
        /// Waits for an approval or a vote.
        Gate = "gate",
        /// Runs branches side by side.
        Parallel = "parallel",
        /// Chooses a branch.
        Condition = "condition",
    }
}

named! {
    /// The state of a stage.
    pub enum StageStatus {
        /// Not started.
        Pending = "pending",
        /// At work.
        Running = "running",
        /// Waiting for a person.
        WaitingApproval = "waiting_approval",
        /// Done.
        Completed = "completed",
        /// Ended in error.
        Failed = "failed",
        /// Not needed.
        Skipped = "skipped",
        /// Ran out of time.
        TimedOut = "timed_out",
    }
}

named! {
    /// What a user may choose when votes closed without a decision.
    pub enum FallbackAction {
        /// Fresh ALPHA and BETA with the failure context.
        RerunSame = "rerun_same",
        /// The same with the mediator forced.
        RerunGamma = "rerun_gamma",
        /// More permissions, then retry.
        EscalateTier = "escalate_tier",
        /// Take the best proposal; COMPLETED.
        AcceptPartial = "accept_partial",
        /// Export the full context; the status stays.
        DownloadLog = "download_log",
    }
}

named! {
    /// Why the mediator is spawned.
    pub enum GammaReason {
        /// No progress for a while: mediate.
        Stuck = "STUCK",
        /// Too many unresolved proposals: arbitrate.
        Conflict = "CONFLICT",
        /// Too complex an objective: decompose.
        Complexity = "COMPLEXITY",
    }
}

/// The exit code of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It worked.
    Success = 0,
    /// An error, explained on standard error.
    Error = 1,
    /// Votes closed without a decision.
    ConsensusFailure = 2,
    /// Recovery exhausted, or an emergency stop.
    Aborted = 3,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_state() {
        let codes = |code: ExitCode| PipelineStatus::ALL.iter().filter(move |s| s.is_final() && s.exit_code() == code).count();
        assert_eq!((codes(ExitCode::Success), codes(ExitCode::Error)), (1, 4));
        assert_eq!((codes(ExitCode::ConsensusFailure), codes(ExitCode::Aborted)), (1, 2));
    }

    #[test]
    fn names_read_back_and_unknown_ones_are_explained() {
        for status in PipelineStatus::ALL {
            assert_eq!(status.as_str().parse::<PipelineStatus>().ok(), Some(*status));
        }
        let refused = "RUNING".parse::<PipelineStatus>().map_err(|e| e.to_string());
        assert!(refused.is_err_and(|e| e.contains("`RUNING`") && e.contains("RUNNING")));
    }
}
