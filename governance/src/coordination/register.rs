//! Everything that a task ever put to the vote.

use super::consensus::Consensus;
use super::proposal::Proposal;
use crate::error::Result;
use crate::store::Page;
use crate::vocabulary::ProposalId;

/// How many events are read at once.
const PIECE: u64 = 256;

impl Consensus {
    /// The task's proposals as they stand, oldest first; those whose opening its log of events still holds.
    pub async fn proposals(&self) -> Result<Vec<(ProposalId, Proposal)>> {
        let keys = self.store.keys();
        let any = ProposalId::new("any")?;
        let key = keys.proposal(&self.task, &any);
        let before = key.as_str().trim_end_matches(any.as_str());
        let (mut ids, mut after) = (Vec::new(), 0);
        loop {
            let Page { entries, .. } = self.store.log(keys.proposal_events(&self.task), after, PIECE).await?;
            let Some(last) = entries.last() else { break };
            after = last.position;
            let opened = entries.iter().filter_map(|entry| entry.put.as_ref()).filter(|put| &put.meta[..] == b"opened");
            for id in opened.filter_map(|put| put.key.strip_prefix(before)) {
                ids.push(ProposalId::new(id)?);
            }
        }
        let mut proposals = Vec::new();
        for id in ids {
            proposals.extend(self.proposal(&id).await?.map(|proposal| (id, proposal)));
        }
        Ok(proposals)
    }
}
