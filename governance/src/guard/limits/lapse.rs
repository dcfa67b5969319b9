//! Taking back what dead or frozen holders did not start.

use super::Inner;
use super::draw::Kept;
use crate::error::Result;
use crate::guard::budget::{Unit, check_amount};
use crate::ledger::{Action, EntryKind, is_alive};
use crate::store::{Cell, Outcome, Refused, Write, from_json};
use crate::vocabulary::{Key, Millis, SegmentId};

impl Inner {
    /// Takes back every share whose holder is dead, or whose time is over. Answers how many.
    ///
    /// What a holder started is proven by its segment; where that cannot be read, all of it counts as used.
    pub async fn sweep(&self) -> Result<u64> {
        let now = self.store.now().await?;
        let mut lapsed = 0;
        for (id, found) in self.store.table(self.store.keys().limit_shares()).await? {
            let kept: Kept = from_json(&id, &found.value)?;
            if !self.is_over(&kept, now).await {
                continue;
            }
            self.take_back(self.share_cell(&id), found.version, self.comes_back(&kept).await).await?;
            lapsed += 1;
        }
        Ok(lapsed)
    }

    async fn take_back(&self, cell: Cell, version: u64, mut back: Vec<(Key, u64)>) -> Result<()> {
        loop {
            let mut commit = self.actor.commit().version(cell.clone(), version).write(Write::Delete(cell.clone()));
            for (counter, amount) in &back {
                commit = commit.write(Write::Add { counter: counter.clone(), delta: -check_amount(*amount)?, ttl: None });
            }
            match self.store.commit(commit).await? {
                // Or its holder gave it back after all, or somebody else was faster.
                Outcome::Accepted(_) | Outcome::Refused(Refused::Conflict { .. }) => return Ok(()),
                // Whose it was has left the shared state, and what was counted of it is free.
                Outcome::Refused(Refused::Underflow { counter, .. }) if back.iter().any(|(key, _)| *key == counter) => {
                    back.retain(|(key, _)| *key != counter);
                }
                Outcome::Refused(refused) => return Err(refused.into()),
            }
        }
    }

    async fn is_over(&self, kept: &Kept, now: Millis) -> bool {
        if kept.until <= now {
            return true;
        }
        let (Some(ledger), Some((segment, _))) = (self.recorder.ledger(), &kept.proof) else { return false };
        // Of a segment that is nowhere to be read nobody knows whether its owner lives.
        matches!(is_alive(&ledger.home().join("segments"), segment), Ok(false)) && ledger.entries_of(segment).await.is_ok()
    }

    /// INVARIANT: never more than what was not started.
    async fn comes_back(&self, kept: &Kept) -> Vec<(Key, u64)> {
        let started = match &kept.proof {
            Some((segment, behind)) => self.started(kept, segment, *behind).await,
            None => u64::MAX,
        };
        let back = |unit: Unit, amount: u64| match unit {
            // Who is gone, or stands still, does nothing at the same time.
            Unit::Concurrency => amount,
            Unit::Calls => amount.saturating_sub(started),
            _ if started == 0 => amount,
            _ => 0,
        };
        let keys = self.store.keys();
        let takes = kept.takes.iter().map(|(scope, unit, amount)| (scope.used(keys, unit.as_str()), back(*unit, *amount)));
        takes.filter(|(_, back)| *back > 0).collect()
    }

    /// How many calls the agent began since the share was taken. They may be of another share of it: then more counts as used than was.
    async fn started(&self, kept: &Kept, segment: &SegmentId, behind: u64) -> u64 {
        let Some(ledger) = self.recorder.ledger() else { return u64::MAX };
        let Ok(entries) = ledger.entries_of(segment).await else { return u64::MAX };
        let begun = entries.iter().filter(|(number, entry)| {
            let call = matches!(entry.action, Action::ToolCall | Action::ModelCall);
            *number > behind && call && entry.kind == EntryKind::Intent && entry.agent.as_ref() == Some(&kept.agent)
        });
        begun.count() as u64
    }
}
