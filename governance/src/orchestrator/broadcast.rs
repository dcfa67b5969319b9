//! What dashboards and watchers are told, as `{type, data}`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::vocabulary::{AgentId, AgentRole, ApprovalId, GammaReason, PipelineId, PipelineStatus, ProposalId, named};

named! {
    /// Where a line comes from.
    pub enum Stream {
        /// The standard output of an agent's process.
        Stdout = "stdout",
        /// Its standard error.
        Stderr = "stderr",
        /// Whoever keeps the process.
        Supervisor = "supervisor",
    }
}

/// One event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Broadcast {
    /// A run entered a state.
    PipelineStatus {
        /// The run.
        pipeline_id: PipelineId,
        /// Its state.
        status: PipelineStatus,
        /// Why, where that needs saying.
        reason: Option<String>,
    },
    /// Proposals are being evaluated.
    OrchestrationStarted {
        /// The run.
        pipeline_id: PipelineId,
        /// What thinks.
        model: String,
        /// Who takes part.
        agents: Vec<AgentId>,
    },
    /// An agent was started.
    AgentSpawned {
        /// The run.
        pipeline_id: PipelineId,
        /// Who.
        agent_id: AgentId,
        /// What for.
        role: AgentRole,
        /// What runs it.
        runtime: String,
    },
    /// An agent waits for people.
    AgentWaiting {
        /// The run.
        pipeline_id: PipelineId,
        /// Who.
        agent_id: AgentId,
        /// What they are asked to approve.
        approval_id: ApprovalId,
    },
    /// The mediator is called.
    GammaSpawned {
        /// The run.
        pipeline_id: PipelineId,
        /// What for.
        reason: GammaReason,
    },
    /// An agent said something.
    AgentMessage {
        /// The run.
        pipeline_id: PipelineId,
        /// Who.
        from: AgentId,
        /// To whom.
        to: Option<AgentId>,
        /// What.
        content: Value,
    },
    /// An agent's process wrote a line.
    AgentLog {
        /// The run.
        pipeline_id: PipelineId,
        /// Whose process.
        agent_id: AgentId,
        /// Where.
        stream: Stream,
        /// What, of bounded length and without what could steer a terminal.
        line: String,
        /// How many lines before it were left out, as too many came at once.
        dropped: u64,
    },
    /// A vote opened, or closed without a decision.
    ConsensusEvent {
        /// The run.
        pipeline_id: PipelineId,
        /// The vote.
        proposal_id: ProposalId,
        /// What happened to it.
        event: Value,
    },
    /// A vote was decided.
    ConsensusReached {
        /// The run.
        pipeline_id: PipelineId,
        /// The vote.
        proposal_id: ProposalId,
        /// Who voted what.
        votes: Value,
    },
    /// A run ended, or waits for its user.
    OrchestrationComplete {
        /// The run.
        pipeline_id: PipelineId,
        /// Its state.
        status: PipelineStatus,
        /// What came of it.
        results: Value,
    },
}
