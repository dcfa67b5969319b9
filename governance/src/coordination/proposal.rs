//! What is put to the vote, and where it stands.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tally::{DecisionRule, Outcome};
use crate::error::{Error, Result};
use crate::vocabulary::{AgentId, Millis};

/// The most voters: their epochs must fit into the one commit that closes the vote.
pub(super) const MAX_VOTERS: usize = 64;
const MAX_OPTIONS: usize = 64;

/// Who may vote, with what weight. Frozen when the proposal is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Electorate(pub Vec<Member>);

/// One voter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub id: AgentId,
    /// What its ballot weighs; given by the governor.
    pub weight: u32,
    /// The epoch it was admitted with when the proposal was opened. A ballot of another epoch is void.
    pub epoch: u64,
}

/// What is put to the vote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The question.
    pub question: Value,
    /// The options, by name.
    pub options: Vec<String>,
    /// How ballots become a decision.
    pub rule: DecisionRule,
    /// How many ballots are needed; more than half of the electorate if not given.
    #[serde(default)]
    pub quorum: Option<u32>,
    /// Who may vote; `(id, weight)`.
    pub electorate: Vec<(AgentId, u32)>,
    /// How long, on the store's clock.
    pub within: Duration,
    /// Whether ballots are sealed until all are cast: commit, then reveal.
    #[serde(default)]
    pub sealed: bool,
}

/// A proposal as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The question.
    pub question: Value,
    /// The options.
    pub options: Vec<String>,
    /// The rule.
    pub rule: DecisionRule,
    /// The ballots needed.
    pub quorum: u32,
    /// Who may vote.
    pub electorate: Electorate,
    /// Until when, on the store's clock.
    pub deadline: Millis,
    /// For how long ballots may be revealed after that.
    pub reveal_until: Option<Millis>,
    /// Who opened it.
    pub opened_by: AgentId,
    /// Where it stands.
    pub state: ProposalState,
}

/// Where a proposal stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalState {
    /// Ballots are taken.
    Open,
    /// Commitments are revealed.
    Revealing,
    /// No more ballots; being counted.
    Closing,
    /// Counted, for ever.
    Closed(Outcome),
}

impl Opening {
    /// Refuses what could not be voted on fairly.
    pub(super) fn check(&self) -> Result<()> {
        let bad = |why: &str| Err(Error::invalid("invalid_proposal", format!("the proposal cannot be put to the vote: {why}")));
        let options = self.options.iter().collect::<BTreeSet<_>>();
        let members = self.electorate.iter().map(|(id, _)| id).collect::<BTreeSet<_>>();
        if options.is_empty() || options.len() != self.options.len() || options.len() > MAX_OPTIONS || options.iter().any(|o| o.is_empty())
        {
            return bad("it needs 1 to 64 different options");
        }
        if members.is_empty() || members.len() != self.electorate.len() || members.len() > MAX_VOTERS {
            return bad("it needs 1 to 64 different voters");
        }
        if self.quorum.is_some_and(|quorum| quorum == 0 || quorum as usize > members.len()) {
            return bad("the quorum is between 1 and the number of voters");
        }
        if self.within.as_millis() == 0 {
            return bad("it needs a millisecond or more");
        }
        let total: u64 = self.electorate.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let heavy = self.electorate.iter().any(|(_, weight)| u64::from(*weight) * 3 >= total || *weight == 0);
        if self.rule == DecisionRule::Weighted && (members.len() < 4 || heavy) {
            return bad("weighted votes need four voters or more, each below one third of the weight and above zero");
        }
        Ok(())
    }
}

impl Proposal {
    /// Who of the electorate has this id.
    pub(super) fn member(&self, id: &AgentId) -> Option<&Member> {
        self.electorate.0.iter().find(|member| member.id == *id)
    }

    /// Until when the step that it is in takes ballots.
    pub(super) fn until(&self) -> Millis {
        match self.state {
            ProposalState::Revealing => self.reveal_until.unwrap_or(self.deadline),
            _ => self.deadline,
        }
    }
}
