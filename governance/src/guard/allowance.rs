//! A local share of a budget: drawn without a round trip, proven by the ledger, given back when its holder dies.
//!
//! ```text
//!   reserve a piece ▶ draw: clock ▶ intent in the segment ▶ clock again ▶ admitted
//!                     piece used up, or its time nearly over ▶ settle, reserve the next
//! ```
//!
//! A holder that is frozen before the intent is written finds its time over after it, and does not start. One that is frozen after it has
//! started as far as the budget is concerned. So whoever takes the share back counts every start, and never gives back what was started.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::budget::{ErrorBudget, Spend, Unit};
use super::reservation::Reservation;
use super::turns::Turns;
use crate::error::Result;
use crate::ledger::{Action, OutcomeResult, Segment};

/// A holder's share of a budget. Share it within the process.
///
/// What was drawn from a share before its holder was revoked may still be started: keep the shares' time to live no longer than that may take.
pub struct Allowance {
    budget: ErrorBudget,
    unit: Unit,
    piece: u64,
    ttl: Duration,
    // Boxed: most agents have drawn nothing yet.
    held: Turns<Option<Box<Held>>>,
}

struct Held {
    reservation: Reservation,
    used: u64,
    // Proves what of it is started.
    segment: Arc<Segment>,
}

#[derive(Serialize, Deserialize)]
struct Drawn<'a> {
    reservation: &'a str,
    amount: u64,
}

/// How much an intent says was drawn from this reservation.
pub(super) fn drawn(payload: &str, reservation: &str) -> Option<u64> {
    serde_json::from_str::<Drawn<'_>>(payload).ok().filter(|drawn| drawn.reservation == reservation).map(|drawn| drawn.amount)
}

impl Allowance {
    pub(super) fn new(budget: ErrorBudget, unit: Unit, piece: u64, ttl: Duration) -> Self {
        Self { budget, unit, piece: piece.max(1), ttl, held: Turns::default() }
    }

    /// Draws an amount: once this says so it may be spent, and is, whatever happens to this process.
    ///
    /// Without a ledger every draw is a round trip, because nothing would prove what was started.
    pub async fn draw(&self, amount: u64) -> Result<Spend> {
        let Some(segment) = self.budget.recorder.segment()? else { return self.budget.spend(self.unit, amount).await };
        let mut held = self.held.next().await?;
        let drawn = self.drawn(&mut held, &segment, amount).await;
        held.ended(drawn)
    }

    async fn drawn(&self, held: &mut Option<Box<Held>>, segment: &Arc<Segment>, amount: u64) -> Result<Spend> {
        // INVARIANT: a share is drawn and settled only by the process that reserved it: a fork leaves it to its parent.
        if held.as_ref().is_some_and(|share| share.segment.id() != segment.id()) {
            *held = None;
        }
        loop {
            if let Some(share) = held {
                if share.reservation.amount - share.used >= amount && self.start(share, amount)? {
                    return Ok(Spend::Admitted { low: share.reservation.low });
                }
                // INVARIANT: nothing is drawn any more from what is given back, also where whoever gives it back does not hear that it was.
                share.reservation.until = Duration::ZERO;
                self.budget.settle(&share.reservation, share.used).await?;
                *held = None;
            }
            let mut piece = self.piece.max(amount);
            let reservation = loop {
                match self.budget.set_aside(self.unit, piece, self.ttl, Some(segment.id())).await? {
                    Ok(reservation) => break reservation,
                    // Less is left than a piece: take what is there, if it is enough.
                    Err(Spend::Exhausted { remaining, closed: false }) if remaining >= amount.max(1) && remaining < piece => {
                        piece = remaining
                    }
                    Err(refused) => return Ok(refused),
                }
            };
            *held = Some(Box::new(Held { reservation, used: 0, segment: segment.clone() }));
        }
    }

    /// Draws an amount from the share that is held, without waiting. False where that share does not hold it any more, or is being replaced: ask
    /// [`draw`](Self::draw) then.
    pub fn try_draw(&self, amount: u64) -> Result<bool> {
        let Some(mut held) = self.held.try_next() else { return Ok(false) };
        let Some(share) = held.as_mut().filter(|share| share.reservation.amount - share.used >= amount) else { return Ok(false) };
        if self.budget.recorder.segment_id()?.as_ref() != Some(share.segment.id()) {
            return Ok(false);
        }
        self.start(share, amount)
    }

    /// How much of the share that is held is left, as far as this process knows. Without waiting; 0 while it is being replaced.
    #[must_use]
    pub fn left(&self) -> u64 {
        let Some(held) = self.held.try_next() else { return 0 };
        let now = self.budget.store.ports().clock.elapsed();
        held.as_ref().filter(|share| now < share.reservation.until).map_or(0, |share| share.reservation.amount - share.used)
    }

    /// Gives the rest back.
    pub async fn close(&self) -> Result<()> {
        let Some(share) = self.held.turn().await.take() else { return Ok(()) };
        if self.budget.recorder.segment_id()?.as_ref() == Some(share.segment.id()) {
            self.budget.settle(&share.reservation, share.used).await?;
        }
        Ok(())
    }

    /// INVARIANT: true only if the intent was written while the share was surely held.
    fn start(&self, share: &mut Held, amount: u64) -> Result<bool> {
        let clock = &self.budget.store.ports().clock;
        if clock.elapsed() >= share.reservation.until {
            return Ok(false);
        }
        let drawn = Drawn { reservation: share.reservation.id.as_str(), amount };
        let payload = serde_json::to_string(&drawn).unwrap_or_default();
        let intent = share.segment.intent(Action::Spend, Some(self.budget.owner()), self.budget.actor.pipeline.as_ref(), &payload)?;
        if clock.elapsed() >= share.reservation.until {
            share.segment.outcome(&intent, OutcomeResult::Error, r#"{"code":"share_lapsed"}"#)?;
            return Ok(false);
        }
        share.used += amount;
        share.segment.outcome(&intent, OutcomeResult::Ok, "{}")?;
        Ok(true)
    }
}
