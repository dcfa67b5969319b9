//! Rising: asked for, and reviewed where the rules want people.

use super::review::Review;
use super::{ProfileStanding, Promotions};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::approval::ApprovalState;
use crate::store::Commit;
use crate::vocabulary::{AgentId, Eligibility, PromotionStatus, Tier, eligibility};

impl Promotions {
    /// Lets a profile rise by one tier, if it meets what that takes (`not_eligible`). Where the rules ask for people, they are asked, and it waits:
    /// [`reviewed`](Self::reviewed) waits with it. Asking again finds what was asked, or what came of it: who was denied stays so
    /// (`approval_denied`) until more was shown, or the request's time is over.
    pub async fn promote(&self, profile: &AgentId, to: Option<Tier>, by: &str, reason: &str) -> Result<ProfileStanding> {
        self.catch_up(Some(profile)).await?;
        loop {
            let (version, before) = self.load(profile).await?;
            let (now, stands) = (self.store.now().await?, before.stands_at());
            if to.is_some() && to == before.tier {
                return Ok(before);
            }
            let found = eligibility(&before.history, before.asked()?.as_ref(), now);
            let target = match &before.review {
                Some(review) => review.target,
                None => eligible(&before, &found)?,
            };
            if let Some(to) = to.filter(|to| *to != target) {
                let message = format!("`{profile}` stands at {stands} and can rise to {target} only, not to {to}");
                return Err(Error::invalid("one_tier_at_a_time", message));
            }
            if before.review.is_some() {
                return Ok(before);
            }
            let mut standing = before.clone();
            let mut decided = false;
            if found.review || found.administrator {
                let approval = self.ask(&before, &found, target, by, reason).await?;
                decided = approval.state == ApprovalState::Approved;
                let (approval, until) = (approval.request.id, approval.request.deadline);
                standing.review = Some(Review { target, by: by.to_owned(), reason: reason.to_owned(), at: now, approval, until });
                standing.note(standing.tier, Some(target), PromotionStatus::PendingReview, by, reason, now);
            } else {
                standing.turn(target, PromotionStatus::Approved, by, reason, now);
            }
            match self.write(version, &before, &standing, Commit::default()).await {
                Err(error) if error.code() == "version_conflict" => {}
                // People had approved it before this process knew.
                Ok(()) if decided => {
                    self.settle(profile).await?;
                    return Ok(self.load(profile).await?.1);
                }
                other => return other.map(|()| standing),
            }
        }
    }
}

/// The tier that is reached, if everything is met.
pub(super) fn eligible(standing: &ProfileStanding, found: &Eligibility) -> Result<Tier> {
    let stands = standing.stands_at();
    let Some(target) = found.target else {
        let message = format!("`{}` stands at {stands}, and there is no tier above", standing.profile);
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
    let message = format!("`{}` stands at {stands} and is not eligible for {target}: {}", standing.profile, missing.join("; "));
    Err(Error::new(ErrorKind::Denied, "not_eligible", message))
}
