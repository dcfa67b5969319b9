//! How far a profile is trusted: it rises by what its agents did, as they were told, and falls by a violation.
//!
//! ```text
//!   an agent has ended ─▶ Life::of: what the ledger says of it ─▶ one commit: its profile's history, its mark, a fall ─▶ alert
//!
//!   not_eligible ─▶ eligible ─promote─▶ approved                        no review asked for
//!         ▲             │  └────promote─▶ pending_review ─▶ approved │ rejected
//!         └── a violation: one tier down, everything to be shown anew
//! ```

mod care;
mod falling;
mod life;
mod rising;
mod standing;

pub use care::{Conduct, Register};
pub use rising::{Approver, Ruling};
pub use standing::{ProfileStanding, Review, StandingChange};

use serde_json::json;

use crate::coordination::ChargeKind;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{Recorder, alert};
use crate::ledger::Action;
use crate::store::{Commit, Store, Write, to_json};
use crate::vocabulary::{AgentId, Eligibility, Millis, PromotionStatus, PromotionTerms, Requirements, Tier, eligibility};

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

    /// The tier that an agent of a profile is admitted at. A profile that nobody registered, and that broke no rule, is what its operator says, T0
    /// unless told; a registered one is what it stands at, and never more (`above_standing`).
    pub async fn admits(&self, profile: &AgentId, asked: Option<Tier>) -> Result<Tier> {
        let mut standing = self.load(profile).await?.1;
        if standing.tier.is_some() || asked.is_some_and(|asked| asked > Tier::T0) {
            // What its last agent did must count before the next one begins.
            standing = self.standing(profile).await?;
        }
        match (standing.tier, asked) {
            (Some(stands), Some(asked)) if asked > stands => {
                let message =
                    format!("`{profile}` stands at {stands} and cannot act at {asked}: see `governance agents promotion {profile}`");
                Err(Error::new(ErrorKind::Denied, "above_standing", message))
            }
            (stands, asked) => Ok(asked.or(stands).unwrap_or(Tier::T0)),
        }
    }

    /// What a profile stands at, with everything counted; none where nobody registered it.
    pub async fn stands(&self, profile: &AgentId) -> Result<Option<Tier>> {
        match self.load(profile).await?.1.tier {
            Some(_) => self.standing(profile).await.map(|standing| standing.tier),
            None => Ok(None),
        }
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

    /// Counts the agents that have ended and were not counted yet: of one profile, or of all.
    pub async fn catch_up(&self, of: Option<&AgentId>) -> Result<()> {
        let prefix = format!("{}/", ChargeKind::Conduct);
        for (field, _) in self.store.table(self.store.keys().caretaker_charges()).await? {
            let Some(id) = field.strip_prefix(&prefix) else { continue };
            let id = AgentId::new(id)?;
            if let Some(profile) = of {
                let state = self.store.state(self.store.keys().agent_state(&id)).await?.unwrap_or_default();
                if state.field("profile") != profile.as_str() {
                    continue;
                }
            }
            self.count(&id).await?;
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
            match self.write(version, &before, &standing, Commit::default()).await {
                Err(error) if error.code() == "version_conflict" => {}
                other => return other.map(|()| standing),
            }
        }
    }

    /// Writes a standing that was changed, with whatever else belongs to that commit.
    async fn write(&self, version: u64, before: &ProfileStanding, standing: &ProfileStanding, with: Commit) -> Result<()> {
        let keys = self.store.keys();
        let key = keys.profile_standing(&standing.profile);
        let mut commit = with
            .version(key.clone(), version)
            .put(key, to_json(standing)?)
            .write(Write::Join { set: keys.profiles(), member: standing.profile.to_string() });
        let told = standing.changes.last().filter(|_| standing.changes != before.changes);
        let Some(change) = told else { return self.store.apply(commit).await.map(drop) };
        let told = json!({
            "profile": standing.profile, "from_tier": change.from, "to_tier": change.to, "status": change.status, "approver": change.by,
            "reason": change.reason,
        });
        commit = commit.write(alert(&self.store, change.alert(), &told)?);
        let says = told.clone();
        self.recorder
            .record_saying(
                &self.store,
                Action::Promotion,
                (None, None),
                &told,
                move |()| says,
                async |token| self.store.apply(commit.token(token)).await.map(drop),
            )
            .await
    }
}
