//! What came of a run: the one JSON object that `run --json` ends with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metrics::RunMetrics;
use crate::coordination::{Choice, Outcome};
use crate::ledger::Head;
use crate::llm::Idea;
use crate::vocabulary::{AgentId, AgentRole, AgentStatus, EntryName, ExitCode, PipelineId, PipelineStatus};

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// The run.
    pub pipeline_id: PipelineId,
    /// Its state. ORCHESTRATING means that it waits for its user.
    pub status: PipelineStatus,
    /// Why, where that needs saying.
    pub reason: Option<String>,
    /// What was asked.
    pub objective: String,
    /// What thought.
    pub model: String,
    /// Who took part.
    pub agents: Vec<AgentSummary>,
    /// What was proposed.
    pub proposals: Vec<ProposalSummary>,
    /// Who voted what.
    pub votes: BTreeMap<AgentId, Option<Choice>>,
    /// What was decided, if anything was.
    pub decision: Option<Decision>,
    /// What it took.
    pub metrics: RunMetrics,
    /// The ledger's last signed head. Keep it elsewhere: `ledger verify --head` takes it.
    pub ledger_head: Option<Head>,
    /// How many entries are not in the record, where the end of this run was waited for in vain; `ledger_head` does not cover them then. 0 where its end is
    /// in the record.
    #[serde(default)]
    pub unrecorded: u64,
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSummary {
    /// Its id.
    pub id: AgentId,
    /// What it was for.
    pub role: AgentRole,
    /// What ran it.
    pub runtime: String,
    /// How it ended.
    pub status: AgentStatus,
    /// How often its process was started again.
    #[serde(default)]
    pub restarts: u64,
    /// Model calls it was charged for.
    pub calls: u64,
}

/// One proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalSummary {
    /// Its name on the blackboard.
    pub name: EntryName,
    /// Whose it is.
    pub author: AgentId,
    /// What it is.
    pub idea: Idea,
    /// What each agent thought of it, 0 to 1,000.
    pub scores: BTreeMap<AgentId, u32>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The proposal that won.
    pub proposal: EntryName,
    /// What it is.
    pub solution: Idea,
    /// How the ballots were counted; none where the user accepted it without a decision.
    pub outcome: Option<Outcome>,
}

impl RunOutcome {
    /// The exit code that is true.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self.status {
            // At REPORT the run has done what it was asked to: it waits for `continue`.
            PipelineStatus::Report => ExitCode::Success,
            status => status.exit_code(),
        }
    }
}
