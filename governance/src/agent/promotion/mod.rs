//! How far a profile is trusted: it rises by what its agents did, as they were told, and falls by a violation.
//!
//! ```text
//!   an agent has ended ─▶ Life::of: what the ledger says of it ─▶ one commit: its profile's history, its mark, a fall ─▶ alert
//!
//!   not_eligible ─▶ eligible ─promote─▶ approved                        no review asked for
//!         ▲             │  └────promote─▶ pending_review ─▶ approved │ rejected        a request that people approve or deny
//!         └── a violation: one tier down, everything to be shown anew
//! ```

mod care;
mod falling;
mod joining;
mod life;
mod review;
mod rising;
mod standing;

pub use care::{Conduct, Register, Reviews};
pub use review::Review;
pub use standing::{ProfileStanding, StandingChange};

use serde_json::{Value, json};

use crate::coordination::{Charge, ChargeKind};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{Recorder, alert};
use crate::ledger::Action;
use crate::store::{Commit, Store, Write, to_json};
use crate::vocabulary::{AgentId, Eligibility, Millis, PromotionStatus, PromotionTerms, Requirements, Tier, Token, eligibility};

/// Who changes a standing where nobody says so.
const RULES: &str = "rules";

/// The standings of profiles.
#[derive(Debug, Clone)]
pub struct Promotions {
    store: Store,
    recorder: Recorder,
}

impl Promotions {
    /// The standings of a store; what agents did is in the recorder's ledger.
    #[must_use]
    pub fn open(store: &Store, recorder: &Recorder) -> Self {
        Self { store: store.clone(), recorder: recorder.clone() }
    }

    /// How a profile stands, with everything counted of its agents that have ended.
    pub async fn standing(&self, profile: &AgentId) -> Result<ProfileStanding> {
        self.catch_up(Some(profile)).await?;
        self.load(profile).await.map(|(_, standing)| standing)
    }

    /// Every profile that something is known of.
    pub async fn standings(&self) -> Result<Vec<ProfileStanding>> {
        self.catch_up(None).await?;
        let mut standings = Vec::new();
        for profile in self.store.set(self.store.keys().profiles()).await? {
            standings.push(self.load(&AgentId::new(profile)?).await?.1);
        }
        Ok(standings)
    }

    /// What a profile lacks to rise.
    pub async fn eligibility(&self, profile: &AgentId) -> Result<Eligibility> {
        let standing = self.standing(profile).await?;
        self.weigh(&standing).await
    }

    /// Gives a profile that has no standing yet the one that its operator answers for, with the terms of its file.
    pub async fn register(
        &self,
        profile: &AgentId,
        tier: Tier,
        terms: Option<&PromotionTerms>,
        by: &str,
        reason: &str,
    ) -> Result<ProfileStanding> {
        Requirements::of(tier, terms)?;
        self.change(profile, |standing, now| {
            if let Some(stands) = standing.tier {
                let message = format!("`{profile}` stands at {stands} already: promote it, or demote it");
                return Err(Error::new(ErrorKind::Conflict, "registered", message));
            }
            standing.terms = terms.cloned();
            standing.turn(tier, PromotionStatus::NotEligible, by, reason, now);
            Ok(())
        })
        .await
    }

    /// Counts the agents that have ended and were not counted yet, and carries out what people said in a review: of one profile, or of all.
    pub async fn catch_up(&self, of: Option<&AgentId>) -> Result<()> {
        let charges = self.store.table(self.store.keys().caretaker_charges()).await?;
        let charges: Vec<_> = charges.iter().filter_map(|(field, _)| Charge::parse(field)).collect();
        let conduct = charges.iter().filter(|charge| charge.kind == ChargeKind::Conduct);
        let agents = conduct.map(Charge::agent).collect::<Result<Vec<_>>>()?;
        for id in self.may_have_ended(&agents, of).await? {
            self.count(&id).await?;
        }
        for charge in charges.iter().filter(|charge| charge.kind == ChargeKind::Review) {
            let (profile, _) = charge.review_of()?;
            if of.is_none_or(|of| *of == profile) {
                self.settle(&profile).await?;
            }
        }
        Ok(())
    }

    async fn load(&self, profile: &AgentId) -> Result<(u64, ProfileStanding)> {
        let found = self.store.json(self.store.keys().profile_standing(profile)).await?;
        Ok(found.unwrap_or_else(|| (0, ProfileStanding::of(profile))))
    }

    async fn weigh(&self, standing: &ProfileStanding) -> Result<Eligibility> {
        Ok(eligibility(&standing.history, standing.asked()?.as_ref(), self.store.now().await?))
    }

    /// Changes a standing, on the record, with an alert; again if somebody else changed it in between.
    async fn change(&self, profile: &AgentId, change: impl Fn(&mut ProfileStanding, Millis) -> Result<()>) -> Result<ProfileStanding> {
        loop {
            let (version, before) = self.load(profile).await?;
            let mut standing = before.clone();
            change(&mut standing, self.store.now().await?)?;
            match self.write(version, &before, &standing, self.withdrawing(&before, &standing, Commit::default())).await {
                Err(error) if error.code() == "version_conflict" => {}
                other => return other.map(|()| standing),
            }
        }
    }

    /// What ends a review otherwise than by people makes their request void.
    fn withdrawing(&self, before: &ProfileStanding, standing: &ProfileStanding, with: Commit) -> Commit {
        match (&before.review, &standing.review) {
            (Some(_), None) => with.raise(self.store.keys().profile_epoch(&before.profile)),
            _ => with,
        }
    }

    /// Writes a standing that was changed, with whatever else belongs to that commit.
    async fn write(&self, version: u64, before: &ProfileStanding, standing: &ProfileStanding, with: Commit) -> Result<()> {
        let (commit, told) = self.changing(version, before, standing, with)?;
        self.recorded(told, async |token| self.store.apply(token.into_iter().fold(commit, Commit::token)).await.map(drop)).await
    }

    /// The commit that writes a standing, and what the record says of it.
    fn changing(
        &self,
        version: u64,
        before: &ProfileStanding,
        standing: &ProfileStanding,
        with: Commit,
    ) -> Result<(Commit, Option<Value>)> {
        let keys = self.store.keys();
        let key = keys.profile_standing(&standing.profile);
        let mut commit = with
            .version(key.clone(), version)
            .put(key, to_json(standing)?)
            .write(Write::Join { set: keys.profiles(), member: standing.profile.to_string() });
        // Whoever keeps house carries out what people say, should nobody else: looked at at once, so that it hears of it from then on.
        let charge = |review: &Review| Charge::review(&standing.profile, &review.approval);
        match (&before.review, &standing.review) {
            (None, Some(review)) => commit = commit.write(charge(review).begin(keys, None)),
            (Some(review), None) => commit = commit.write(charge(review).end(keys)),
            _ => {}
        }
        let told = standing.changes.last().filter(|_| standing.changes != before.changes);
        let Some(change) = told else { return Ok((commit, None)) };
        let approval = standing.review.as_ref().or(before.review.as_ref()).map(|review| &review.approval);
        let told = json!({
            "profile": standing.profile, "from_tier": change.from, "to_tier": change.to, "status": change.status, "approver": change.by,
            "reason": change.reason, "approval": approval,
        });
        Ok((commit.write(alert(&self.store, change.alert(), &told)?), Some(told)))
    }

    /// Carries out a change between its intent and its outcome; without either where there is nothing to say.
    async fn recorded(&self, told: Option<Value>, act: impl AsyncFnOnce(Option<Token>) -> Result<()>) -> Result<()> {
        let Some(told) = told else { return act(None).await };
        let (says, subject) = (told.clone(), (None, None));
        self.recorder
            .record_saying(&self.store, Action::Promotion, subject, &told, move |()| says, async |token| act(Some(token)).await)
            .await
    }
}
