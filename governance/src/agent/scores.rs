//! What agents thought of the proposals, read back from the blackboard.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Desk, Proposed};
use crate::coordination::BoardEntry;
use crate::error::Result;
use crate::llm::Scored;
use crate::vocabulary::{AgentId, EntryName, Section};

/// Every proposal's scores, 0 to 1,000, by judge, out of the entries of the blackboard's progress. What an agent thought at its vote
/// (`verdict-*`) is newer than what it thought before (`evaluation-*`).
pub fn scores(progress: &[BoardEntry]) -> Result<BTreeMap<EntryName, BTreeMap<AgentId, u32>>> {
    let mut scores: BTreeMap<EntryName, BTreeMap<AgentId, u32>> = BTreeMap::new();
    let judged = |what: &'static str| progress.iter().filter(move |entry| entry.name.as_str().starts_with(what));
    for entry in judged("evaluation-").chain(judged("verdict-")) {
        for (name, judgement) in entry.content.as_object().into_iter().flatten() {
            let score = judgement.get("score").and_then(Value::as_u64).and_then(|score| u32::try_from(score).ok());
            scores.entry(EntryName::new(name)?).or_default().extend(score.map(|score| (entry.author.clone(), score)));
        }
    }
    Ok(scores)
}

impl Desk {
    /// Every solution on the blackboard, by name, with what its judges gave it.
    pub async fn scored(&self) -> Result<Vec<Scored>> {
        self.weigh(self.proposals().await?).await
    }

    /// Solutions with what their judges gave them, in the same order.
    pub(super) async fn weigh(&self, proposals: Vec<Proposed>) -> Result<Vec<Scored>> {
        let mut scores = scores(&self.board().entries(Section::Progress).await?)?;
        let weighed = |proposed: Proposed| {
            let given = scores.remove(&proposed.name).unwrap_or_default();
            Scored { idea: proposed.idea, scores: given.into_values().collect() }
        };
        Ok(proposals.into_iter().map(weighed).collect())
    }
}
