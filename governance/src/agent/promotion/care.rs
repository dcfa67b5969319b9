//! What the caretaker does here: counts agents that have ended, lets go of those that ended long ago, and carries out reviews.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::Promotions;
use crate::coordination::{Alarm, Charge, ChargeKind, Chore, Keeper, Look};
use crate::error::Result;
use crate::guard::approval::ApprovalState;
use crate::guard::{Beat, Recorder};
use crate::store::{Store, Write};
use crate::vocabulary::{AgentId, Millis};

/// How long an agent that has ended stays in the register, …
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// … of which there are at most so many.
const MOST: usize = 10_000;
/// How often the register is tidied up.
const TIDY: Duration = Duration::from_secs(60 * 60);

/// Counts agents that have ended for or against their profiles.
pub struct Conduct(Promotions);

impl Conduct {
    /// For the agents of a store; what they did is in the recorder's ledger.
    #[must_use]
    pub fn new(store: &Store, recorder: &Recorder) -> Self {
        Self(Promotions::open(store, recorder))
    }
}

#[async_trait]
impl Chore for Conduct {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Conduct
    }

    fn alarm(&self, charge: &Charge) -> Alarm {
        charge.agent().map_or(Alarm::Silent, |agent| Alarm::Keys(vec![self.0.store.keys().agent_state(&agent)]))
    }

    fn can_wait(&self) -> bool {
        true
    }

    fn rest(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn look(&self, charge: &Charge, now: Millis) -> Result<Look> {
        let agent = charge.agent()?;
        let (Some(state), ended) = self.0.ended(&agent).await? else { return Ok(Look::Done) };
        if ended || state.field("counted") == "true" {
            return Ok(Look::Due(Some(now)));
        }
        let beat: Option<(u64, Beat)> = self.0.store.json(self.0.store.keys().agent_heartbeat(&agent)).await?;
        // Looked at again when it may have ended without a word; its end is told apart from its life by its state.
        Ok(Look::Due(Some(beat.map_or(now.after(TIDY), |(_, beat)| beat.until.max(now.after(Duration::from_secs(1)))))))
    }

    async fn act(&self, charge: &Charge, _keeper: &Keeper) -> Result<()> {
        self.0.count(&charge.agent()?).await.map(drop)
    }
}

/// Carries out what people said in reviews, and lets go of those that nobody decided in time.
pub struct Reviews(Promotions);

impl Reviews {
    /// For the profiles of a store; who may say something is in the recorder's ledger.
    #[must_use]
    pub fn new(store: &Store, recorder: &Recorder) -> Self {
        Self(Promotions::open(store, recorder))
    }
}

#[async_trait]
impl Chore for Reviews {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Review
    }

    fn alarm(&self, charge: &Charge) -> Alarm {
        let keys = self.0.store.keys();
        let of = |(profile, approval)| vec![keys.approval_decisions(&approval), keys.profile_epoch(&profile), keys.epoch()];
        charge.review_of().map_or(Alarm::Silent, |ids| Alarm::Keys(of(ids)))
    }

    fn can_wait(&self) -> bool {
        true
    }

    async fn look(&self, charge: &Charge, now: Millis) -> Result<Look> {
        let (profile, approval) = charge.review_of()?;
        let standing = self.0.load(&profile).await?.1;
        if standing.review.as_ref().is_none_or(|review| review.approval != approval) {
            return Ok(Look::Done);
        }
        let found = self.0.review(&standing).await?.filter(|found| found.state == ApprovalState::Pending);
        Ok(Look::Due(Some(found.map_or(now, |found| found.request.deadline))))
    }

    async fn act(&self, charge: &Charge, _keeper: &Keeper) -> Result<()> {
        self.0.settle(&charge.review_of()?.0).await
    }
}

/// Keeps the register of agents bounded.
pub struct Register {
    promotions: Promotions,
    next: Mutex<Option<Millis>>,
}

impl Register {
    /// For the register of a store.
    #[must_use]
    pub fn new(store: &Store, recorder: &Recorder) -> Self {
        Self { promotions: Promotions::open(store, recorder), next: Mutex::default() }
    }
}

#[async_trait]
impl Chore for Register {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Register
    }

    fn is_standing(&self) -> bool {
        true
    }

    async fn look(&self, _charge: &Charge, now: Millis) -> Result<Look> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Look::Due(Some(*next.get_or_insert_with(|| now.after(TIDY)))))
    }

    async fn act(&self, _charge: &Charge, keeper: &Keeper) -> Result<()> {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let now = self.promotions.store.now().await?;
        tidy(&self.promotions, keeper, now, MOST).await
    }
}

/// Takes out of the register who has ended and was counted: long ago, or before so many others.
pub(super) async fn tidy(promotions: &Promotions, keeper: &Keeper, now: Millis, most: usize) -> Result<()> {
    let (store, mut ended) = (&promotions.store, Vec::new());
    let members = store.set(store.keys().agents()).await?;
    for member in &members {
        let (state, over) = promotions.ended(&AgentId::new(member)?).await?;
        let since = state.as_ref().and_then(|state| state.field("since").parse().ok()).map_or(Millis(0), Millis);
        if over && state.is_none_or(|state| state.field("counted") == "true") {
            ended.push((since, member));
        }
    }
    ended.sort();
    let surplus = members.len().saturating_sub(most);
    for (place, (since, member)) in ended.into_iter().enumerate() {
        if place < surplus || since.after(KEPT) < now {
            let leave = Write::Leave { set: store.keys().agents(), member: member.clone() };
            store.apply(keeper.actor.commit().write(leave)).await?;
        }
    }
    Ok(())
}
