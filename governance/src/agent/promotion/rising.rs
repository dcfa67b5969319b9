//! Rising: asked for, reviewed where the rules want a person, approved or rejected.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::standing::Review;
use super::{ProfileStanding, Promotions};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{AgentId, Eligibility, PromotionStatus, Tier, eligibility};

/// A person who has approved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// Who.
    pub name: String,
    /// Whether as an administrator.
    #[serde(default)]
    pub administrator: bool,
}

/// What a review came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ruling {
    /// The people who have approved. Whoever decides who they are has checked that.
    #[serde(default)]
    pub approved_by: Vec<Approver>,
    /// Who has rejected, if somebody has; one is enough.
    #[serde(default)]
    pub rejected_by: Option<String>,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
}

/// Whether these people are enough: a person where a review is asked for, and another who is an administrator where that is. Counts people.
pub(super) fn are_enough(asked: &Eligibility, approved_by: &[Approver]) -> bool {
    let people: BTreeSet<_> = approved_by.iter().map(|approver| approver.name.as_str()).collect();
    let needed = usize::from(asked.review) + usize::from(asked.administrator);
    people.len() >= needed && (!asked.administrator || approved_by.iter().any(|approver| approver.administrator))
}

impl Promotions {
    /// Lets a profile rise by one tier, if it meets what that takes (`not_eligible`). Where the rules ask for a person it waits for its review.
    pub async fn promote(&self, profile: &AgentId, to: Option<Tier>, by: &str, reason: &str) -> Result<ProfileStanding> {
        self.catch_up(Some(profile)).await?;
        self.change(profile, |standing, now| {
            let found = eligibility(&standing.history, standing.asked()?.as_ref(), now);
            let target = eligible(standing, &found)?;
            if let Some(to) = to.filter(|to| *to != target) {
                let message = format!("`{profile}` stands at {} and can rise to {target} only, not to {to}", standing.stands_at());
                return Err(Error::invalid("one_tier_at_a_time", message));
            }
            if standing.review.is_some() {
                let message = format!("`{profile}` waits for its review already");
                return Err(Error::new(ErrorKind::Conflict, "pending_review", message));
            }
            if found.review || found.administrator {
                standing.review = Some(Review { target, by: by.to_owned(), reason: reason.to_owned(), at: now, approved_by: Vec::new() });
                standing.note(standing.tier, Some(target), PromotionStatus::PendingReview, by, reason, now);
            } else {
                standing.turn(target, PromotionStatus::Approved, by, reason, now);
            }
            Ok(())
        })
        .await
    }

    /// SEAM: what a review came to. Approvals decide who a person is and call this; nothing else does. Not enough people yet: it goes on waiting.
    /// Who no longer meets what it takes does not rise, whoever approved.
    pub async fn rule(&self, profile: &AgentId, ruling: &Ruling) -> Result<ProfileStanding> {
        self.catch_up(Some(profile)).await?;
        self.change(profile, |standing, now| {
            let none = || Error::new(ErrorKind::Conflict, "no_review", format!("`{profile}` waits for no review"));
            let mut review = standing.review.clone().ok_or_else(none)?;
            if let Some(by) = &ruling.rejected_by {
                standing.review = None;
                standing.note(standing.tier, standing.tier, PromotionStatus::Rejected, by, &ruling.reason, now);
                return Ok(());
            }
            for approver in &ruling.approved_by {
                match review.approved_by.iter_mut().find(|known| known.name == approver.name) {
                    Some(known) => known.administrator |= approver.administrator,
                    None => review.approved_by.push(approver.clone()),
                }
            }
            let found = eligibility(&standing.history, standing.asked()?.as_ref(), now);
            let target = eligible(standing, &found)?;
            if are_enough(&found, &review.approved_by) {
                let by: Vec<_> = review.approved_by.iter().map(|approver| approver.name.as_str()).collect();
                standing.turn(target, PromotionStatus::Approved, &by.join(", "), &ruling.reason, now);
            } else {
                standing.review = Some(review);
            }
            Ok(())
        })
        .await
    }
}

/// The tier that is reached, if everything is met.
fn eligible(standing: &ProfileStanding, found: &Eligibility) -> Result<Tier> {
    let Some(target) = found.target else {
        let message = format!("`{}` stands at {}, and there is no tier above", standing.profile, standing.stands_at());
        return Err(Error::invalid("highest_tier", message));
    };
    if found.status == PromotionStatus::Eligible {
        return Ok(target);
    }
    let told = |missing: &crate::vocabulary::Requirement| match missing.name.as_str() {
        "violations" => format!("{} violations, none allowed", missing.have),
        name => format!("{name} {} of {}", missing.have, missing.need),
    };
    let missing: Vec<_> = found.missing().map(told).collect();
    let message = format!("`{}` is not eligible for {target}: {}", standing.profile, missing.join("; "));
    Err(Error::new(ErrorKind::Denied, "not_eligible", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approver(name: &str, administrator: bool) -> Approver {
        Approver { name: name.to_owned(), administrator }
    }

    #[test]
    fn people_are_counted_and_an_administrator_is_one_of_two() {
        let asked = |review, administrator| Eligibility {
            status: PromotionStatus::Eligible,
            target: Some(Tier::T4),
            requirements: Vec::new(),
            review,
            administrator,
        };
        let (ann, root) = (approver("ann", false), approver("root", true));
        assert!(are_enough(&asked(true, false), std::slice::from_ref(&ann)));
        assert!(!are_enough(&asked(true, false), &[]));
        assert!(are_enough(&asked(true, true), &[ann.clone(), root.clone()]));
        assert!(!are_enough(&asked(true, true), &[ann.clone(), approver("bob", false)]), "nobody is an administrator");
        assert!(!are_enough(&asked(true, true), &[root.clone(), root]), "one person is not two");
        assert!(!are_enough(&asked(true, true), &[ann]));
    }
}
