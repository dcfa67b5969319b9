//! Giving back what was taken and not used.

use std::time::Duration;

use super::Inner;
use super::share::Share;
use crate::error::{ErrorKind, Result};
use crate::guard::budget::{Limit, Unit};
use crate::store::{Cell, Commit, Outcome, Refused, Write, to_json};
use crate::vocabulary::Token;

/// A bucket's count is kept this long at least, so that long what was not used can be given back to it.
const COUNTED: Duration = Duration::from_secs(50);

impl Inner {
    /// Books what was used of a share, and gives the rest back. What is not settled, because this process or the store dies, is taken back by
    /// whoever needs it.
    pub async fn settle(&self, share: Share) -> Result<()> {
        let mut rest = self.rest(&share);
        loop {
            let mut commit = self.actor.commit().token(Token::new(format!("{}.settled", share.id))?);
            if share.kept {
                let cell = self.share_cell(share.id.as_str());
                commit = commit.version(cell.clone(), 1).write(Write::Delete(cell));
            }
            commit = rest
                .iter()
                .fold(commit, |commit, (counter, delta)| commit.write(Write::Add { counter: counter.clone(), delta: *delta, ttl: None }));
            if commit.writes.is_empty() {
                return Ok(());
            }
            match self.store.commit(commit).await? {
                Outcome::Accepted(_) => return self.close_overrun(&share).await,
                // It was taken back already, with all that it held. Only the failure is still to be told.
                Outcome::Refused(Refused::Conflict { .. }) => return self.failed(&share).await,
                // The bucket is gone, and what it held is free.
                Outcome::Refused(Refused::Underflow { counter, .. }) if rest.iter().any(|(key, _)| *key == counter) => {
                    rest.retain(|(key, _)| *key != counter);
                }
                // Who was revoked writes nothing more.
                Outcome::Refused(refused) => {
                    let error = crate::error::Error::from(refused);
                    return if error.kind() == ErrorKind::Revoked { Ok(()) } else { Err(error) };
                }
            }
        }
    }

    /// What changes of each counter.
    fn rest(&self, share: &Share) -> Vec<(crate::vocabulary::Key, i64)> {
        let signed = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
        let unused = signed(share.plan.calls.saturating_sub(share.used));
        let mut rest = Vec::new();
        for (counter, unit) in &share.counters {
            let delta = match unit {
                Unit::Calls => -unused,
                Unit::Concurrency => -signed(share.plan.places),
                Unit::Tokens => signed(share.spent.tokens) - signed(share.plan.tokens),
                Unit::Cost => signed(share.spent.cost) - signed(share.plan.cost),
                Unit::CallsPerMinute | Unit::Errors | Unit::WallTime => 0,
            };
            rest.push((counter.clone(), delta));
        }
        if self.store.ports().clock.elapsed().saturating_sub(share.sent) < COUNTED {
            rest.extend(share.windows.iter().map(|counter| (counter.clone(), -unused)));
        }
        if share.failed {
            rest.extend(share.errors.iter().map(|counter| (counter.clone(), 1)));
        }
        rest.retain(|(_, delta)| *delta != 0);
        rest
    }

    async fn failed(&self, share: &Share) -> Result<()> {
        let told = share.errors.iter().filter(|_| share.failed).fold(Commit::by(&self.actor.admission), |commit, counter| {
            commit.write(Write::Add { counter: counter.clone(), delta: 1, ttl: None })
        });
        if told.writes.is_empty() { Ok(()) } else { self.store.apply(told).await.map(drop) }
    }

    /// More was used than was set aside: nothing more is taken of it.
    async fn close_overrun(&self, share: &Share) -> Result<()> {
        for (cell, unit) in &share.limits {
            let over = match unit {
                Unit::Tokens => share.spent.tokens > share.plan.tokens,
                Unit::Cost => share.spent.cost > share.plan.cost,
                _ => false,
            };
            if over {
                tracing::warn!(agent = %self.actor.id, %cell, "more was used than was set aside: the limit takes nothing more");
                self.shut(cell).await?;
            }
        }
        Ok(())
    }

    async fn shut(&self, cell: &Cell) -> Result<()> {
        loop {
            let Some((version, limit)) = self.store.json::<Limit>(cell.clone()).await? else { return Ok(()) };
            let commit = self.actor.commit().version(cell.clone(), version).put(cell.clone(), to_json(&Limit { closed: true, ..limit })?);
            match self.store.commit(commit).await? {
                Outcome::Refused(Refused::Conflict { .. }) => {}
                Outcome::Accepted(_) => return Ok(()),
                Outcome::Refused(refused) => return Err(refused.into()),
            }
        }
    }
}
