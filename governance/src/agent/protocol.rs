//! What a governor and its agents say to each other on the bus.

use serde::{Deserialize, Serialize};

use crate::vocabulary::{GammaReason, ProposalId, named};

named! {
    /// A piece of an agent's work.
    pub enum Stage {
        /// On the bus, with everything in hand.
        Ready = "ready",
        /// Analysis and a proposal.
        Work = "work",
        /// The proposals of all judged, and joined where it is one's task.
        Evaluate = "evaluate",
        /// A way out, where the others got no further.
        Mediate = "mediate",
        /// A ballot.
        Vote = "vote",
        /// Something that another agent said.
        Message = "message",
        /// Gone.
        Leave = "leave",
    }
}

/// What a governor tells an agent to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instruction {
    /// Analyse and propose.
    Work,
    /// Judge what was proposed.
    Evaluate,
    /// Reconcile what was proposed, for this reason.
    Mediate(GammaReason),
    /// Vote on this.
    Vote(ProposalId),
    /// Release everything and go.
    Leave,
}

impl Instruction {
    /// The stage that it asks for.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Work => Stage::Work,
            Self::Evaluate => Stage::Evaluate,
            Self::Mediate(_) => Stage::Mediate,
            Self::Vote(_) => Stage::Vote,
            Self::Leave => Stage::Leave,
        }
    }
}

/// What an agent tells its governor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// A stage is done.
    Done(Stage),
    /// A stage failed.
    Failed {
        /// Which.
        stage: Stage,
        /// The error's code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// Why.
        error: String,
    },
}

/// Everything that is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// By the governor.
    Instruction(Instruction),
    /// By an agent to the governor.
    Report(Report),
    /// Between agents.
    Note(String),
}
