//! How a profile stands.

use serde::{Deserialize, Serialize};

use super::review::Review;
use crate::error::Result;
use crate::vocabulary::{AgentId, Millis, ProfileHistory, PromotionStatus, PromotionTerms, Requirements, Tier};

/// How many changes of a standing are kept beside it; the ledger has them all.
const CHANGES: usize = 32;

/// What is known of a profile; what `profile:{name}:standing` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileStanding {
    /// The profile.
    pub profile: AgentId,
    /// How far it is trusted; none where nobody registered it, and it joins as its operator says.
    pub tier: Option<Tier>,
    /// Where its promotion stands.
    pub status: PromotionStatus,
    /// What its agents did since it last rose or fell.
    pub history: ProfileHistory,
    /// What it asks for beyond the rules of its tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<PromotionTerms>,
    /// The review that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// How it came to stand there, oldest first.
    #[serde(default)]
    pub changes: Vec<StandingChange>,
}

/// A change of a standing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingChange {
    /// From.
    pub from: Option<Tier>,
    /// To.
    pub to: Option<Tier>,
    /// What the promotion came to.
    pub status: PromotionStatus,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Millis,
}

impl StandingChange {
    /// The kind of alert that it raises.
    pub(super) fn alert(&self) -> &'static str {
        match (self.from, self.to, self.status) {
            (_, _, PromotionStatus::PendingReview) => "promotion_requested",
            (_, _, PromotionStatus::Approved) => "promotion_approved",
            (_, _, PromotionStatus::Rejected) => "promotion_rejected",
            (Some(from), Some(to), _) if to < from => "profile_demoted",
            (from, to, _) if from == to => "promotion_lapsed",
            _ => "profile_registered",
        }
    }
}

impl ProfileStanding {
    /// A profile of which nothing is known.
    pub(super) fn of(profile: &AgentId) -> Self {
        Self {
            profile: profile.clone(),
            tier: None,
            status: PromotionStatus::NotEligible,
            history: ProfileHistory::default(),
            terms: None,
            review: None,
            changes: Vec::new(),
        }
    }

    /// The tier that it rises from: the lowest, where it was never registered.
    #[must_use]
    pub fn stands_at(&self) -> Tier {
        self.tier.unwrap_or(Tier::T0)
    }

    /// What it takes to rise. Terms count for the step that they name.
    pub fn asked(&self) -> Result<Option<Requirements>> {
        let tier = self.stands_at();
        let next = tier.rules().promotion.map(|rules| rules.target);
        Requirements::of(tier, self.terms.as_ref().filter(|terms| Some(terms.target) == next))
    }

    /// When it last came to another tier.
    pub(super) fn turned_at(&self) -> Option<Millis> {
        let turned = |change: &&StandingChange| change.from != change.to && change.status != PromotionStatus::PendingReview;
        self.changes.iter().rev().find(turned).map(|change| change.at)
    }

    /// Another tier: everything is to be shown anew.
    pub(super) fn turn(&mut self, to: Tier, status: PromotionStatus, by: &str, reason: &str, at: Millis) {
        let from = self.tier.replace(to);
        self.history = std::mem::take(&mut self.history).anew();
        self.review = None;
        self.note(from, Some(to), status, by, reason, at);
    }

    /// The same tier, another state of the promotion.
    pub(super) fn note(&mut self, from: Option<Tier>, to: Option<Tier>, status: PromotionStatus, by: &str, reason: &str, at: Millis) {
        self.status = status;
        self.changes.push(StandingChange { from, to, status, by: by.to_owned(), reason: reason.to_owned(), at });
        let surplus = self.changes.len().saturating_sub(CHANGES);
        self.changes.drain(..surplus);
    }
}
