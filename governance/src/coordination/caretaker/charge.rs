//! What somebody must look after.
//!
//! Whoever begins something that may need attention later says so in the same commit: a field of `caretaker:charges`, with the time when it
//! is due first. It is taken out when there is nothing left to look after. So whoever takes over knows everything by reading one table.

use crate::error::{Error, Result};
use crate::store::{Cell, Store, Write};
use crate::vocabulary::{AgentId, ApprovalId, Keys, Millis, PipelineId, ProposalId, TaskId, named};

named! {
    /// What kind of thing is looked after.
    pub enum ChargeKind {
        /// The ledger's segments on this machine.
        Ledger = "ledger",
        /// The register of agents.
        Register = "register",
        /// Old payloads of the ledger.
        Retention = "retention",
        /// Runs that ended long ago.
        Retirement = "retirement",
        /// Revocations that the ledger was not told of.
        Acknowledgements = "acknowledgements",
        /// An agent that must give signs of life.
        Heartbeat = "heartbeat",
        /// An agent's execution lock.
        Lock = "lock",
        /// What an agent reserved of its budget.
        Budget = "budget",
        /// What an agent did, to be held for or against its profile when it has ended.
        Conduct = "conduct",
        /// A review that a profile waits for.
        Review = "review",
        /// A member's inbox on a bus.
        Inbox = "inbox",
        /// A vote with its deadline.
        Ballot = "ballot",
        /// A run, whose owner holds a lease on it.
        Pipeline = "pipeline",
    }
}

/// One thing to look after: its kind, and whose or which it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Charge {
    /// What kind.
    pub kind: ChargeKind,
    of: Box<str>,
}

impl Charge {
    fn new(kind: ChargeKind, of: impl Into<Box<str>>) -> Self {
        Self { kind, of: of.into() }
    }

    /// What is looked after in any case, without anybody having said so.
    #[must_use]
    pub fn standing(kind: ChargeKind) -> Self {
        Self::new(kind, "")
    }

    /// An agent that must give signs of life.
    #[must_use]
    pub fn heartbeat(agent: &AgentId) -> Self {
        Self::new(ChargeKind::Heartbeat, agent.as_str())
    }

    /// An agent's execution lock.
    #[must_use]
    pub fn lock(agent: &AgentId) -> Self {
        Self::new(ChargeKind::Lock, agent.as_str())
    }

    /// What an agent reserved of its budget.
    #[must_use]
    pub fn budget(agent: &AgentId) -> Self {
        Self::new(ChargeKind::Budget, agent.as_str())
    }

    /// What an agent did, to be held for or against its profile when it has ended.
    #[must_use]
    pub fn conduct(agent: &AgentId) -> Self {
        Self::new(ChargeKind::Conduct, agent.as_str())
    }

    /// A review that a profile waits for.
    #[must_use]
    pub fn review(profile: &AgentId, approval: &ApprovalId) -> Self {
        Self::new(ChargeKind::Review, format!("{profile}/{approval}"))
    }

    /// A member's inbox on a bus.
    #[must_use]
    pub fn inbox(task: &TaskId, member: &AgentId) -> Self {
        Self::new(ChargeKind::Inbox, format!("{task}/{member}"))
    }

    /// A vote with its deadline.
    #[must_use]
    pub fn ballot(task: &TaskId, proposal: &ProposalId) -> Self {
        Self::new(ChargeKind::Ballot, format!("{task}/{proposal}"))
    }

    /// A run, whose owner holds a lease on it.
    #[must_use]
    pub fn pipeline(id: &PipelineId) -> Self {
        Self::new(ChargeKind::Pipeline, id.as_str())
    }

    /// Reads a charge as it is stored; none of a kind that another version looks after.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (kind, of) = text.split_once('/')?;
        Some(Self::new(kind.parse().ok()?, of))
    }

    /// The agent, of a charge that is about one.
    pub fn agent(&self) -> Result<AgentId> {
        AgentId::new(&*self.of)
    }

    /// The pipeline, of a charge that is about one.
    pub fn pipeline_id(&self) -> Result<PipelineId> {
        PipelineId::new(&*self.of)
    }

    /// The profile and the request, of a charge that is about a review.
    pub(crate) fn review_of(&self) -> Result<(AgentId, ApprovalId)> {
        let (profile, approval) = self.of.split_once('/').ok_or_else(|| Error::internal(format!("`{self}` names one id, not two")))?;
        Ok((AgentId::new(profile)?, ApprovalId::new(approval)?))
    }

    /// The two ids of a charge that has two.
    pub(crate) fn ids(&self) -> Result<(TaskId, &str)> {
        let (task, of) = self.of.split_once('/').ok_or_else(|| Error::internal(format!("`{self}` names one id, not two")))?;
        Ok((TaskId::new(task)?, of))
    }

    /// Where it is kept.
    #[must_use]
    pub fn cell(&self, keys: &Keys) -> Cell {
        Cell::field(keys.caretaker_charges(), self.to_string())
    }

    /// When it is due, as was said last; none if nobody did.
    pub async fn due(&self, store: &Store) -> Result<Option<Millis>> {
        Ok(store.cell(self.cell(store.keys())).await?.and_then(|found| due(&found.value)))
    }

    /// What a commit writes to have it looked after, at the latest from a time on; at once where none is given.
    #[must_use]
    pub fn begin(&self, keys: &Keys, due: Option<Millis>) -> Write {
        let value = due.unwrap_or_default().0.to_string().into();
        Write::Put { cell: self.cell(keys), value, ttl: None, event: None }
    }

    /// What a commit writes when there is nothing left to look after.
    #[must_use]
    pub fn end(&self, keys: &Keys) -> Write {
        Write::Delete(self.cell(keys))
    }
}

impl std::fmt::Display for Charge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind, self.of)
    }
}

/// When a stored charge is due first; none if at once, or if nobody can tell.
pub(super) fn due(value: &[u8]) -> Option<Millis> {
    let due = std::str::from_utf8(value).ok()?.parse().ok()?;
    Some(Millis(due)).filter(|due| due.0 > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_reads_back_as_it_was_written_also_with_the_longest_ids() {
        let longest = "a".repeat(128);
        let (task, agent) = (TaskId::new(&longest).unwrap(), AgentId::new(&longest).unwrap());
        let proposal = ProposalId::new("p-1").unwrap();
        for charge in [Charge::inbox(&task, &agent), Charge::heartbeat(&agent), Charge::ballot(&task, &proposal)] {
            assert_eq!(Charge::parse(&charge.to_string()), Some(charge.clone()));
            assert!(charge.to_string().len() <= crate::store::MAX_FIELD);
        }
        assert_eq!(Charge::ballot(&task, &proposal).ids().unwrap(), (task, "p-1"));
        assert_eq!(Charge::parse("something-newer/x"), None);
        assert_eq!((due(b"0"), due(b"17"), due(b"?")), (None, Some(Millis(17)), None));
    }
}
