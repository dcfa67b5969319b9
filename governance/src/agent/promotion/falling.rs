//! Falling, and being counted: what an agent did is added to its profile's history once it has ended, in one commit.

use super::life::Life;
use super::{ProfileStanding, Promotions, RULES};
use crate::agent::Desk;
use crate::coordination::Charge;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Commit, Write};
use crate::vocabulary::{AgentId, Millis, PromotionStatus, Tier, ViolationType, eligibility};

impl Promotions {
    /// Lets a profile fall: by one tier, or to one that is named. Everything is to be shown anew.
    pub async fn demote(&self, profile: &AgentId, to: Option<Tier>, by: &str, reason: &str) -> Result<ProfileStanding> {
        self.catch_up(Some(profile)).await?;
        self.change(profile, |standing, now| {
            let from = standing.stands_at();
            let Some(below) = to.or_else(|| below(from)).filter(|below| *below < from) else {
                let message = format!("`{profile}` stands at {from}: name a tier below that");
                return Err(Error::invalid("not_below", message));
            };
            standing.turn(below, PromotionStatus::NotEligible, by, reason, now);
            Ok(())
        })
        .await
    }

    /// Counts an agent that has ended; false if it has not, true also where it was counted before. Repeating it changes nothing.
    pub(crate) async fn count(&self, id: &AgentId) -> Result<bool> {
        let keys = self.store.keys();
        loop {
            let (Some(state), ended) = self.ended(id).await? else { return Ok(true) };
            if state.field("counted") == "true" {
                self.store.apply(Commit::default().write(Charge::conduct(id).end(keys))).await?;
                return Ok(true);
            }
            if !ended {
                return Ok(false);
            }
            let life = Life::of(&self.store, &self.recorder, id, &state).await?;
            let (version, before) = self.load(&life.profile).await?;
            let standing = counted(before.clone(), &life, self.store.now().await?)?;
            let key = keys.agent_state(id);
            // INVARIANT: an agent is counted once: its mark and its profile's history are one commit.
            let with = Commit::default().version(key.clone(), state.version).merge(key, [("counted", "true")]);
            let with = self.withdrawing(&before, &standing, with);
            match self.write(version, &before, &standing, with.write(Charge::conduct(id).end(keys))).await {
                Err(error) if error.code() == "version_conflict" => {}
                other => return other.map(|()| true),
            }
        }
    }

    /// Brings back what the ledger knows of standings, into a store that has forgotten it: tiers, and the violations of the last days.
    pub async fn restore(&self) -> Result<()> {
        let Some(ledger) = self.recorder.ledger() else { return Ok(()) };
        for (profile, tier, violations) in super::life::told(ledger).await? {
            let (version, mut standing) = self.load(&profile).await?;
            if version > 0 {
                continue;
            }
            standing.tier = tier;
            standing.history.violations.extend(violations);
            let key = self.store.keys().profile_standing(&profile);
            let join = Write::Join { set: self.store.keys().profiles(), member: profile.to_string() };
            let commit = Commit::default().absent(key.clone()).put(key, crate::store::to_json(&standing)?).write(join);
            match self.store.apply(commit).await {
                Err(error) if error.code() == "version_conflict" => {}
                other => drop(other?),
            }
        }
        Ok(())
    }
}

/// The standing with one more life: what was done is added, and a grave violation lets it fall.
pub(super) fn counted(mut standing: ProfileStanding, life: &Life, now: Millis) -> Result<ProfileStanding> {
    // A life that began before the profile last rose or fell, in whatever order lives are counted, shows nothing for the tier that it has now.
    let earlier = standing.turned_at().is_some_and(|turned| life.since < turned);
    let run = if earlier { life.run.clone().without_merit() } else { life.run.clone() };
    standing.history = standing.history.and(&run);
    // Nobody registered it: it acted at what its operator said.
    let from = standing.tier.unwrap_or(life.tier);
    // Of several that broke rules at one tier, the profile falls below that tier once.
    let lower = if earlier { below(life.tier).filter(|below| *below < from) } else { below(from) };
    if let (Some((violation, agent)), Some(below)) = (&life.grave, lower) {
        let reason = format!("{violation} by `{agent}`");
        standing.tier.get_or_insert(life.tier);
        standing.turn(below, PromotionStatus::NotEligible, RULES, &reason, now);
        return Ok(standing);
    }
    let found = eligibility(&standing.history, standing.asked()?.as_ref(), now);
    if standing.review.is_some() && found.status == PromotionStatus::Eligible {
        return Ok(standing);
    }
    if standing.review.take().is_some() {
        let (tier, why) = (standing.tier, "it no longer meets what it takes");
        standing.note(tier, tier, PromotionStatus::Rejected, RULES, why, now);
    }
    standing.status = found.status;
    Ok(standing)
}

fn below(tier: Tier) -> Option<Tier> {
    Tier::ALL.iter().copied().rev().find(|other| *other < tier)
}

impl Desk {
    /// Lets a profile fall by one tier, as an agent that reviews those of its tier: T3 those of T0 to T2, T4 those below it. Who may not do that
    /// takes more rights than it was given, and is revoked for it.
    pub async fn demote(&self, profile: &AgentId, reason: &str) -> Result<ProfileStanding> {
        let promotions = Promotions::open(self.store(), &self.recorder);
        self.store().still_admitted(self.actor()).await?;
        let stands = promotions.standing(profile).await?.stands_at();
        if !self.tier().rules().reviews.contains(&stands) || self.actor().id.profile(Some(self.pipeline())) == *profile {
            let detail = format!("`{}` is {} and cannot demote `{profile}`, which stands at {stands}", self.actor().id, self.tier());
            self.broke(ViolationType::PrivilegeEscalation, &detail).await?;
            return Err(Error::new(ErrorKind::Denied, "may_not_review", detail));
        }
        promotions.demote(profile, None, self.actor().id.as_str(), reason).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::Run;

    fn life(tier: Tier, since: u64, broke: Option<ViolationType>) -> Life {
        let compliant = Some(broke.is_none());
        let run = Run { compliant, violations: broke.map(|_| Millis(since)).into_iter().collect(), ..Run::default() };
        let (profile, agent) = (AgentId::new("alpha").unwrap(), AgentId::new("alpha-7f3k2q").unwrap());
        Life { profile, tier, since: Millis(since), run, grave: broke.map(|violation| (violation, agent)) }
    }

    fn after(lives: &[Life]) -> (Option<Tier>, u32, usize) {
        let mut standing = ProfileStanding::of(&AgentId::new("alpha").unwrap());
        standing.turn(Tier::T2, PromotionStatus::NotEligible, "ann", "known", Millis(0));
        for (life, now) in lives.iter().zip(100..) {
            standing = counted(standing, life, Millis(now)).unwrap();
        }
        (standing.tier, standing.history.compliant, standing.history.violations.len())
    }

    #[test]
    fn in_whatever_order_lives_are_counted_it_comes_to_the_same_standing() {
        let (good, bad) = (life(Tier::T2, 10, None), life(Tier::T2, 20, Some(ViolationType::ForbiddenAction)));
        let worse = life(Tier::T2, 30, Some(ViolationType::GovernanceTampering));
        let lives = [good, bad, worse];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            assert_eq!(after(&order.map(|at| lives[at].clone())), (Some(Tier::T1), 0, 2), "{order:?}");
        }
        let fresh = life(Tier::T1, 500, None);
        assert_eq!(after(&[lives[1].clone(), fresh]), (Some(Tier::T1), 1, 1));
        // One that acts at the tier to which the profile fell breaks a rule there: it falls again.
        let again = life(Tier::T1, 500, Some(ViolationType::PathOutOfScope));
        assert_eq!(after(&[lives[1].clone(), again]), (Some(Tier::T0), 0, 2));
    }
}
