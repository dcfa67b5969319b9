//! Taking a share: every limit of every scope is read, and then checked and counted in one commit.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::scope::Scope;
use super::share::Share;
use super::standing::Standing;
use super::terms::{Asked, BUCKET_MS, BUCKETS, Plan, Refusal, plan};
use super::{Inner, LIFE};
use crate::error::Result;
use crate::guard::alerts::alert;
use crate::guard::budget::{Unit, check_amount};
use crate::store::{Cell, Check, Commit, Outcome, Refused, Write, to_json};
use crate::vocabulary::{AgentId, Millis, SegmentId};

/// How much longer than its longest call a share is kept for its holder.
const SLACK: Duration = Duration::from_secs(10);

/// A share, as the store keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub agent: AgentId,
    /// The segment that proves what was started, and from behind which of its entries on; without one everything counts as used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<(SegmentId, u64)>,
    pub until: Millis,
    pub takes: Vec<(Scope, Unit, u64)>,
}

impl Inner {
    /// Takes a share, or says what stands in the way.
    pub async fn draw(&self, asked: &Asked, lasting: Duration, appetite: u64) -> Result<Result<Share, Refusal>> {
        let mut swept = false;
        loop {
            let mut standing = Standing::of(&self.store, &self.scopes, &self.own(), |_| true).await?;
            // Calls of an agent in all are its model's, and drawn with its model's allowance.
            standing.terms.retain(|term| !(term.unit == Unit::Calls && matches!(term.scope, Scope::Agent(_))));
            let plan = match plan(&standing.terms, asked, appetite, standing.now) {
                Ok(plan) => plan,
                // Once more, if shares of the dead came back.
                Err(_) if !std::mem::replace(&mut swept, true) && self.sweep().await? > 0 => continue,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let (commit, share) = self.taking(&standing, plan, lasting)?;
            if commit.writes.is_empty() && commit.checks.is_empty() {
                return Ok(Ok(share));
            }
            match self.store.commit(commit).await? {
                Outcome::Accepted(_) => return Ok(Ok(share)),
                // Somebody was faster, or a limit was set anew: judge by how it stands now.
                Outcome::Refused(Refused::Exceeded { .. } | Refused::Conflict { .. }) => {}
                Outcome::Refused(refused) => return Err(refused.into()),
            }
        }
    }

    /// The commit that takes a share, and the share.
    fn taking(&self, standing: &Standing, plan: Plan, lasting: Duration) -> Result<(Commit, Share)> {
        let Standing { terms, sent, now } = standing;
        let keys = self.store.keys();
        let mut commit = self.actor.commit();
        // INVARIANT: what is counted in a bucket of the store's time is started in it, so a share ends with its bucket.
        let left = Duration::from_millis(BUCKET_MS - now.0 % BUCKET_MS);
        let (mut life, mut takes) = (LIFE, Vec::new());
        let segment = self.recorder.segment()?;
        let mut share = Share {
            id: self.store.fresh_token(),
            until: Duration::ZERO,
            sent: *sent,
            plan,
            metered: terms.iter().any(|term| matches!(term.unit, Unit::Tokens | Unit::Cost)),
            used: 0,
            running: 0,
            spent: Asked::default(),
            failed: false,
            segment: segment.clone(),
            kept: false,
            counters: Vec::new(),
            windows: Vec::new(),
            errors: Vec::new(),
            limits: Vec::new(),
        };
        for term in terms {
            let (counter, amount) = (term.counter.clone(), term.takes(&plan));
            if let Some((cell, version)) = &term.set {
                commit = commit.version(cell.clone(), *version);
            }
            let delta = check_amount(amount)?;
            match term.unit {
                Unit::WallTime => life = life.min(Duration::from_secs(term.room())),
                Unit::Errors => {
                    commit = commit.check(Check::Within { counter: counter.clone(), amount: 1, limit: term.limit });
                    share.errors.push(counter);
                }
                Unit::CallsPerMinute => {
                    life = life.min(left);
                    // Of the buckets before this one nothing more is started, so what they hold stands.
                    let before = term.frees.iter().rev().skip(1).map(|(_, amount)| amount).sum();
                    commit = commit.check(Check::Within { counter: counter.clone(), amount, limit: term.limit.saturating_sub(before) });
                    let ttl = Some(Duration::from_millis(BUCKET_MS * (BUCKETS + 1)));
                    commit = commit.write(Write::Add { counter: counter.clone(), delta, ttl });
                    share.windows.push(counter);
                }
                _ if amount == 0 => {}
                _ => {
                    let limit = if term.closed { 0 } else { term.limit };
                    commit = commit.check(Check::Within { counter: counter.clone(), amount, limit });
                    commit = commit.write(Write::Add { counter: counter.clone(), delta, ttl: None });
                    takes.push((term.scope.clone(), term.unit, amount));
                    share.limits.extend(term.set.as_ref().map(|(cell, _)| (cell.clone(), term.unit)));
                    share.counters.push((counter, term.unit));
                }
            }
            if term.warns(&plan) {
                let cell = term.scope.told_low(keys, term.unit);
                let used = term.used.saturating_add(amount);
                let data = json!({"agent_id": self.actor.id, "scope": term.scope.name(), "of": term.scope.id(), "unit": term.unit,
                    "used": used, "limit": term.limit});
                // INVARIANT: it is said once, until the limit is set anew.
                commit = commit.absent(cell.clone()).put(cell, to_json(&used)?).write(alert(&self.store, "limit_low", &data)?);
            }
        }
        share.until = *sent + life;
        if !takes.is_empty() {
            share.kept = true;
            let proof = segment.map(|segment| (segment.id().clone(), segment.entries()));
            let kept = Kept { agent: self.actor.id.clone(), proof, until: now.after(LIFE + lasting + SLACK), takes };
            commit = commit.put(self.share_cell(share.id.as_str()), to_json(&kept)?);
        }
        Ok((commit, share))
    }

    pub fn share_cell(&self, id: &str) -> Cell {
        Cell::field(self.store.keys().limit_shares(), id)
    }
}
