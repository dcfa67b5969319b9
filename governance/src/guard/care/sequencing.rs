//! Segments that are not in the record yet.
//!
//! ```text
//!   listening ──a segment stirs, somebody hurries──▶ a round: sequence ──something came──▶ the next round, a little later, not listening
//!       ▲                                               └─nothing came──▶ listen, and once more, since nobody listened until now ─┐
//!       └───────────────────────────────────────────────nothing came────────────────────────────────────────────────────────────┘
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::coordination::{Alarm, Charge, ChargeKind, Chore, Keeper, Look};
use crate::error::Result;
use crate::ledger::{Head, Ledger, Stirring};
use crate::store::{Commit, Store, to_json};
use crate::vocabulary::Millis;

/// The pause between two rounds while entries come: so many times what a round takes …
const EASE: u32 = 9;
/// … but no less and no more than this.
const PAUSES: (Duration, Duration) = (Duration::from_millis(8), Duration::from_millis(40));
/// How often is looked where the system has no more file events to give.
const POLL: Duration = Duration::from_millis(100);
/// How long a store that does not answer may hold the record up. It is told of the head as a courtesy.
const COURTESY: Duration = Duration::from_millis(200);

/// Moves segments into the record and tells the store the newest head.
pub struct Sequencing {
    store: Store,
    ledger: Ledger,
    stirring: Stirring,
    listens: AtomicBool,
    warned: AtomicBool,
    // After a round: the pause before the next; none if the next stir is waited for.
    round: Mutex<Option<Option<Duration>>>,
}

impl Sequencing {
    /// For the segments of a ledger.
    #[must_use]
    pub fn new(store: &Store, ledger: &Ledger) -> Self {
        Self {
            store: store.within(COURTESY),
            ledger: ledger.clone(),
            stirring: ledger.stirring(),
            listens: AtomicBool::new(false),
            warned: AtomicBool::new(false),
            round: Mutex::default(),
        }
    }

    async fn tell(&self, head: &Head) {
        let Ok(value) = to_json(head) else { return };
        // The record is the ledger; the store's copy of the head may lag.
        if let Err(error) = self.store.apply(Commit::default().put(self.store.keys().head(), value)).await {
            tracing::debug!(%error, "the store was not told of the newest head");
        }
    }

    /// Moves what is there; answers the pause before the next round, none once everything is in the record and somebody listens.
    async fn round(&self, fence: u64) -> Result<Option<Duration>> {
        let clock = &self.store.ports().clock;
        loop {
            let (began, listened) = (clock.elapsed(), self.listens.load(Ordering::Acquire));
            let sequenced = self.ledger.sequence(fence).await?;
            let took = clock.elapsed().saturating_sub(began);
            for problem in &sequenced.problems {
                tracing::warn!(?problem, "a part of the ledger cannot be read");
            }
            if let Some(head) = sequenced.heads.last() {
                self.tell(head).await;
            }
            if sequenced.more {
                continue;
            }
            if sequenced.entries > 0 {
                if self.listens.swap(false, Ordering::AcqRel) {
                    self.stirring.ignore();
                }
                return Ok(Some((took * EASE).clamp(PAUSES.0, PAUSES.1)));
            }
            if listened {
                return Ok(None);
            }
            if !self.stirring.listen() {
                if !self.warned.swap(true, Ordering::AcqRel) {
                    tracing::warn!("no file events: the segments are looked at every {POLL:?}");
                }
                return Ok(Some(POLL));
            }
            self.listens.store(true, Ordering::Release);
        }
    }
}

#[async_trait]
impl Chore for Sequencing {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Ledger
    }

    fn is_standing(&self) -> bool {
        true
    }

    fn alarm(&self, _charge: &Charge) -> Alarm {
        Alarm::Bell(self.stirring.bell())
    }

    fn rest(&self) -> Duration {
        Duration::ZERO
    }

    /// Before a round there may always be something; after it the round has told.
    async fn look(&self, _charge: &Charge, now: Millis) -> Result<Look> {
        let round = self.round.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Look::Due(match round {
            None => Some(now),
            Some(pause) => pause.map(|pause| now.after(pause)),
        }))
    }

    async fn act(&self, _charge: &Charge, keeper: &Keeper) -> Result<()> {
        let pause = self.round(keeper.fence).await?;
        *self.round.lock().unwrap_or_else(PoisonError::into_inner) = Some(pause);
        Ok(())
    }
}
