//! What happened to a task's proposals, as their log tells it.

use serde::{Deserialize, Serialize};

use super::consensus::Consensus;
use crate::error::{Error, Result};
use crate::store::Entry;
use crate::vocabulary::{AgentId, Millis, ProposalId, named};

named! {
    /// What can happen to a proposal.
    pub enum Happening {
        /// It was put to the vote.
        Opened = "opened",
        /// A ballot was cast, committed or revealed.
        Vote = "vote",
        /// It takes no more ballots of this step.
        Closing = "closing",
        /// It has its outcome.
        Closed = "closed",
    }
}

/// Something that happened to a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalEvent {
    /// 1, 2, 3, … within the task.
    pub position: u64,
    /// When, on the store's clock.
    pub at: Millis,
    /// To which one.
    pub proposal: ProposalId,
    /// What.
    pub event: Happening,
    /// Whose ballot.
    pub member: Option<AgentId>,
}

impl Consensus {
    /// What an entry of [`events`](Self::events) tells.
    pub fn event(&self, entry: &Entry) -> Result<ProposalEvent> {
        let foreign = || Error::corrupt("not_an_event", format!("entry {} of the proposals' events is not one", entry.position));
        let put = entry.put.as_ref().ok_or_else(foreign)?;
        let any = ProposalId::new("any")?;
        let key = self.store.keys().proposal(&self.task, &any);
        let before = key.as_str().trim_end_matches(any.as_str());
        let id = put.key.strip_prefix(before).ok_or_else(foreign)?;
        Ok(ProposalEvent {
            position: entry.position,
            at: entry.at,
            proposal: ProposalId::new(id.strip_suffix(":ballots").unwrap_or(id))?,
            event: std::str::from_utf8(&put.meta).map_err(|_| foreign())?.parse()?,
            member: put.field.as_deref().map(AgentId::new).transpose()?,
        })
    }
}
