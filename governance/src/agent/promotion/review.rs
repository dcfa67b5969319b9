//! A review: people are asked by a request for approval, and whoever looks next carries out what they said.
//!
//! ```text
//!   promote ─▶ a request in the queue of approvals ─▶ pending_review ─┬─ approved, still eligible ─▶ one commit: the use, and the rise
//!                  under the profile's epoch                          ├─ denied ───────────────────▶ rejected
//!                                                                     └─ expired, void ────────────▶ eligible, as before
//!   a fall, a broken rule ─▶ the epoch rises: the request is void
//! ```

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::rising::eligible;
use super::{ProfileStanding, Promotions, RULES};
use crate::error::{ErrorKind, Result};
use crate::guard::approval::{Approval, ApprovalState, Approvals, Asked, MAX_WITHIN, refusal};
use crate::store::{Actor, Commit};
use crate::vocabulary::{AgentId, ApprovalId, ApprovalRules, Eligibility, Millis, PromotionStatus, Tier, eligibility};

/// A review that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The tier that is asked for.
    pub target: Tier,
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Millis,
    /// The request that people approve or deny.
    pub approval: ApprovalId,
    /// Until when they may.
    pub until: Millis,
}

impl Promotions {
    /// Waits for the review that a profile waits for, at most so long, and answers how it stands then. Cancel safe.
    pub async fn reviewed(&self, profile: &AgentId, within: Duration) -> Result<ProfileStanding> {
        if let Some(review) = self.load(profile).await?.1.review {
            match self.approvals().wait(&review.approval, within).await {
                // Forgotten by now, or damaged: what is left of it is told below.
                Err(error) if is_gone(error.code()) => {}
                other => drop(other?),
            }
        }
        self.standing(profile).await
    }

    /// The request that a profile's review is, as it stands.
    pub async fn review(&self, standing: &ProfileStanding) -> Result<Option<Approval>> {
        match &standing.review {
            Some(review) => self.request(&review.approval).await,
            None => Ok(None),
        }
    }

    /// Asks people, by the profile's name and under its epoch. The same ask finds the request that is open.
    pub(super) async fn ask(
        &self,
        standing: &ProfileStanding,
        found: &Eligibility,
        target: Tier,
        by: &str,
        reason: &str,
    ) -> Result<Approval> {
        let (profile, from) = (&standing.profile, standing.stands_at());
        let evidence = json!({"from_tier": from, "to_tier": target, "requirements": found.requirements});
        let why = format!("{by} asks that `{profile}` rises from {from} to {target}: {reason}");
        let asked = Asked::promotion(profile, evidence, &why, rules(found));
        let approval = self.approvals().ask(&self.asker(profile).await?, &asked).await?;
        if approval.is_over() { Err(refusal(&approval, approval.state)) } else { Ok(approval) }
    }

    /// Carries out what became of the review that a profile waits for, if something did.
    pub(super) async fn settle(&self, profile: &AgentId) -> Result<()> {
        loop {
            let (version, before) = self.load(profile).await?;
            let Some(review) = &before.review else { return Ok(()) };
            let approval = self.request(&review.approval).await?;
            let now = self.store.now().await?;
            let found = eligibility(&before.history, before.asked()?.as_ref(), now);
            let (mut standing, mut withdrawn) = (before.clone(), false);
            let mut ends = |status, by: &str, reason: &str| {
                standing.review = None;
                standing.note(standing.tier, standing.tier, status, by, reason, now);
            };
            match approval.as_ref().map(|approval| (approval, approval.state)) {
                Some((_, ApprovalState::Pending)) => return Ok(()),
                Some((approval, ApprovalState::Approved)) => match step(approval, &before, &found) {
                    Ok((target, asked)) => match self.rise(version, &before, target, approval, &asked, now).await {
                        // Somebody took back their word, or is no approver any more: it goes on waiting.
                        Err(error) if error.code() == "approval_required" => return Ok(()),
                        // It is not what it was a moment ago.
                        Err(error) if is_another_by_now(error.kind(), error.code()) => continue,
                        other => return other,
                    },
                    Err(why) => {
                        ends(PromotionStatus::Rejected, RULES, &why);
                        withdrawn = true;
                    }
                },
                Some((approval, ApprovalState::Denied)) => {
                    let denied = approval.denied.as_ref();
                    let by = denied.map_or("an approver", |given| given.approver.as_str());
                    ends(PromotionStatus::Rejected, by, denied.and_then(|given| given.note.as_deref()).unwrap_or("denied"));
                }
                Some((_, ApprovalState::Expired)) => ends(found.status, RULES, "nobody decided before the deadline"),
                Some((_, ApprovalState::Void)) => ends(found.status, RULES, "the request is void: ask again"),
                Some((_, ApprovalState::Used | ApprovalState::Superseded)) | None => {
                    ends(found.status, RULES, "the request is gone: ask again")
                }
            }
            let with = if withdrawn { self.withdrawing(&before, &standing, Commit::default()) } else { Commit::default() };
            match self.write(version, &before, &standing, with).await {
                Err(error) if error.code() == "version_conflict" => {}
                other => return other,
            }
        }
    }

    /// INVARIANT: the use of the approval and the rise are one commit, by the version of the standing that was looked at.
    async fn rise(
        &self,
        version: u64,
        before: &ProfileStanding,
        target: Tier,
        approval: &Approval,
        asked: &Asked,
        now: Millis,
    ) -> Result<()> {
        let by: Vec<_> = approval.approved.iter().map(|given| given.approver.as_str()).collect();
        let reason = before.review.as_ref().map_or("", |review| &review.reason);
        let mut standing = before.clone();
        standing.turn(target, PromotionStatus::Approved, &by.join(", "), reason, now);
        let (commit, told) = self.changing(version, before, &standing, Commit::default())?;
        let (queue, actor) = (self.approvals(), self.asker(&before.profile).await?);
        let id = &approval.request.id;
        self.recorded(told, async |token| {
            let token = token.unwrap_or_else(|| self.store.fresh_token());
            queue.redeem_with(&actor, id, asked, &token, &commit).await.map(drop)
        })
        .await
    }

    async fn request(&self, id: &ApprovalId) -> Result<Option<Approval>> {
        match self.approvals().approval(id).await {
            Err(error) if is_gone(error.code()) => Ok(None),
            other => other.map(Some),
        }
    }

    fn approvals(&self) -> Approvals {
        Approvals::open(&self.store, &self.recorder)
    }

    /// Who asks: the profile, for as long as it neither rises nor falls.
    async fn asker(&self, profile: &AgentId) -> Result<Actor> {
        let key = self.store.keys().profile_epoch(profile);
        let system = Actor::system(&self.store, profile.as_str()).await?;
        let admission = system.admission.and(key.clone(), self.store.number(key).await?);
        Ok(Actor { admission, ..system })
    }
}

fn is_gone(code: &str) -> bool {
    matches!(code, "no_such_approval" | "approval_damaged")
}

fn is_another_by_now(kind: ErrorKind, code: &str) -> bool {
    let over = matches!(code, "approval_denied" | "approval_expired" | "approval_void" | "approval_used" | "version_conflict");
    over || kind == ErrorKind::Revoked
}

/// Who has to approve: a person where a review is asked for, and another where an administrator is.
fn rules(found: &Eligibility) -> ApprovalRules {
    let people = u32::from(found.review) + u32::from(found.administrator);
    let deadline = NonZeroU32::MIN.saturating_add(u32::try_from(MAX_WITHIN.as_secs() - 1).unwrap_or(u32::MAX));
    ApprovalRules { quorum: NonZeroU32::new(people).unwrap_or(NonZeroU32::MIN), deadline, administrator: found.administrator }
}

/// The tier that was approved, and what was asked for it; why it is no leave to rise, otherwise. Everything must still be met, and what people were
/// shown must be the step that is taken.
fn step(approval: &Approval, standing: &ProfileStanding, found: &Eligibility) -> Result<(Tier, Asked), String> {
    let target = eligible(standing, found).map_err(|error| error.to_string())?;
    let evidence: Value = approval.arguments.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let asked = Asked::promotion(&standing.profile, evidence, "", rules(found));
    let (request, from) = (&approval.request, standing.stands_at());
    let same = request.kind == asked.kind && request.action == asked.action && request.target == asked.target;
    if !same || asked.arguments["from_tier"] != from.as_str() || asked.arguments["to_tier"] != target.as_str() {
        return Err(format!("`{}` is not about the rise from {from} to {target}", request.id));
    }
    if request.quorum < asked.rules.quorum || (asked.rules.administrator && !request.administrator) {
        return Err("it takes more people than were asked: ask again".to_owned());
    }
    Ok((target, asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rise_takes_the_people_that_its_rules_want_and_they_have_seven_days() {
        let asked = |review, administrator| {
            let found = Eligibility { status: PromotionStatus::Eligible, target: None, requirements: Vec::new(), review, administrator };
            let rules = rules(&found);
            (rules.quorum.get(), rules.administrator, rules.deadline.get())
        };
        assert_eq!(asked(true, false), (1, false, 604_800));
        assert_eq!(asked(true, true), (2, true, 604_800));
        assert_eq!(asked(false, true), (1, true, 604_800));
    }
}
