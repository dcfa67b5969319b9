//! Setting an amount aside, settling it, and taking it back from who crashed.
//!
//! ```text
//!   reserved ── settle(used) ──▶ used counts, the rest comes back; used above it closes the budget
//!      └─ its time passes ── lapse ──▶ what was started counts, the rest comes back
//! ```
//!
//! What a share of an [`Allowance`](super::Allowance) started is proven by its holder's segment. Of a plain reservation nobody can tell, so all of
//! it counts as spent.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::budget::{ErrorBudget, Limit, Spend, Unit, check_amount, low};
use crate::error::Result;
use crate::ledger::{Action, EntryKind, OutcomeResult};
use crate::store::{Actor, Cell, Outcome, Refused, Versioned, Write, from_json, to_json};
use crate::vocabulary::{Millis, SegmentId, Token};

/// An amount that was set aside. Settle it; what is not settled in time lapses. It can be written down, and settled when it is read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Its id.
    pub id: Token,
    /// Of what.
    pub unit: Unit,
    /// How much.
    pub amount: u64,
    /// Whether 80 % of the limit are used or reserved.
    pub low: bool,
    // On the suspend-aware clock, from before the request was sent. INVARIANT: earlier than the store's own `until`.
    // Read back it is over: nothing is drawn from it any more.
    #[serde(skip)]
    pub(super) until: Duration,
}

/// How a reservation was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// Within what was reserved.
    Within,
    /// More was used than was reserved: recorded, and the budget is closed.
    Overrun(u64),
    /// It had lapsed and was accounted for then.
    Lapsed,
}

#[derive(Serialize, Deserialize)]
struct Held {
    unit: Unit,
    amount: u64,
    until: Millis,
    // The segment that proves what was started; without one everything counts as spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment: Option<SegmentId>,
}

impl ErrorBudget {
    /// Sets an amount aside for a while. If it lapses all of it counts as spent, because nothing proves what was started.
    pub async fn reserve(&self, unit: Unit, amount: u64, ttl: Duration) -> Result<Result<Reservation, Spend>> {
        self.set_aside(unit, amount, ttl, None).await
    }

    /// Sets an amount aside, of which the segment proves what was started.
    pub(super) async fn set_aside(
        &self,
        unit: Unit,
        amount: u64,
        ttl: Duration,
        segment: Option<&SegmentId>,
    ) -> Result<Result<Reservation, Spend>> {
        loop {
            let sent = self.store.ports().clock.elapsed();
            let (version, limit) = self.limit(unit).await?;
            let id = self.store.fresh_token();
            // INVARIANT: the store's `until` is counted from after `sent`, so the holder stops drawing before the share can lapse.
            let until = self.store.now().await?.after(ttl);
            let held = Held { unit, amount, until, segment: segment.cloned() };
            let commit = self.taking(unit, amount, version, &limit)?.put(self.reservation_cell(&id), to_json(&held)?);
            match self.store.commit(commit).await? {
                Outcome::Accepted(accepted) => {
                    let low = low(accepted.results[0], limit.limit);
                    return Ok(Ok(Reservation { id, unit, amount, low, until: sent + ttl }));
                }
                Outcome::Refused(Refused::Exceeded { current, .. }) => return Ok(Err(limit.exhausted(current))),
                Outcome::Refused(Refused::Conflict { .. }) => {}
                Outcome::Refused(refused) => return Err(refused.into()),
            }
        }
    }

    /// Says what was really used of a reservation; the rest comes back. Settling it again answers the same.
    pub async fn settle(&self, reservation: &Reservation, used: u64) -> Result<Settled> {
        let delta = check_amount(used)? - check_amount(reservation.amount)?;
        let overrun = used.saturating_sub(reservation.amount);
        if overrun == 0 {
            return self.settle_as(reservation, delta, true, 0).await;
        }
        let subject = (Some(self.owner()), self.actor.pipeline.as_ref());
        let payload = json!({"unit": reservation.unit, "reserved": reservation.amount, "used": used, "overrun": overrun});
        let settle = async |_| match self.settle_as(reservation, delta, true, overrun).await? {
            // All of the reservation was counted when it lapsed; the overrun was not.
            Settled::Lapsed => self.settle_as(reservation, delta, false, overrun).await,
            settled => Ok(settled),
        };
        self.recorder.record(&self.store, Action::Spend, subject, &payload, settle).await
    }

    async fn settle_as(&self, reservation: &Reservation, delta: i64, held: bool, overrun: u64) -> Result<Settled> {
        let Reservation { unit, .. } = *reservation;
        let cell = self.reservation_cell(&reservation.id);
        let token = Token::new(format!("{}.{}", reservation.id, if held { "settled" } else { "overrun" }))?;
        loop {
            let mut commit = self.actor.commit().token(token.clone()).write(Write::Add { counter: self.counter(unit), delta, ttl: None });
            if held {
                commit = commit.version(cell.clone(), 1).write(Write::Delete(cell.clone()));
            }
            if overrun > 0 {
                let (version, Limit { limit, .. }) = self.limit(unit).await?;
                let closed = to_json(&Limit { limit, closed: true })?;
                commit = commit.version(self.limit_cell(unit), version).put(self.limit_cell(unit), closed);
            }
            match self.store.commit(commit).await? {
                Outcome::Accepted(_) if overrun > 0 => return Ok(Settled::Overrun(overrun)),
                Outcome::Accepted(_) => return Ok(Settled::Within),
                Outcome::Refused(Refused::Conflict { cell: moved, .. }) if moved == cell => return Ok(Settled::Lapsed),
                // The limit changed in between.
                Outcome::Refused(Refused::Conflict { .. }) => {}
                Outcome::Refused(refused) => return Err(refused.into()),
            }
        }
    }

    /// When the first of the open reservations lapses; none if there is none.
    pub async fn lapses_at(&self) -> Result<Option<Millis>> {
        let open = self.store.table(self.store.keys().agent_reservations(self.owner())).await?;
        let until = |(id, found): &(String, Versioned)| from_json::<Held>(id, &found.value).map(|held| held.until);
        Ok(open.iter().map(until).collect::<Result<Vec<_>>>()?.into_iter().min())
    }

    /// Takes back what crashed or frozen holders reserved and did not start. Answers how many reservations lapsed.
    ///
    /// What a holder started is proven by its ledger segment; where it cannot be read, everything counts as spent.
    pub async fn lapse(&self, by: &Actor) -> Result<u64> {
        let now = self.store.now().await?;
        let mut lapsed = 0;
        for (id, found) in self.store.table(self.store.keys().agent_reservations(self.owner())).await? {
            let held: Held = from_json(&id, &found.value)?;
            if held.until > now {
                continue;
            }
            let started = self.started(&held, &id).await.min(held.amount);
            let cell = self.reservation_cell(&Token::new(&id)?);
            let counter = self.counter(held.unit);
            let back = Write::Add { counter, delta: -check_amount(held.amount - started)?, ttl: None };
            let commit = by.commit().version(cell.clone(), found.version).write(Write::Delete(cell)).write(back);
            match self.store.commit(commit).await? {
                Outcome::Accepted(_) => lapsed += 1,
                // Its holder settled it after all, or somebody else was faster.
                Outcome::Refused(Refused::Conflict { .. }) => {}
                Outcome::Refused(refused) => return Err(refused.into()),
            }
        }
        Ok(lapsed)
    }

    /// INVARIANT: never less than what was started: an intent counts as soon as it is written, unless its holder said that it did not start.
    async fn started(&self, held: &Held, reservation: &str) -> u64 {
        let (Some(ledger), Some(segment)) = (self.recorder.ledger(), &held.segment) else { return held.amount };
        let Ok(entries) = ledger.entries_of(segment).await else { return held.amount };
        let mut started = HashMap::new();
        for (number, entry) in entries {
            match entry.kind {
                EntryKind::Intent if entry.action == Action::Spend => {
                    if let Some(amount) = super::allowance::drawn(&entry.payload, reservation) {
                        started.insert(Token::of_intent(segment, number), amount);
                    }
                }
                EntryKind::Outcome if entry.result == Some(OutcomeResult::Error) => {
                    if let Some(intent) = &entry.intent {
                        started.remove(intent);
                    }
                }
                _ => {}
            }
        }
        started.values().fold(0, |sum, amount| sum.saturating_add(*amount))
    }

    fn reservation_cell(&self, id: &Token) -> Cell {
        Cell::field(self.store.keys().agent_reservations(self.owner()), id.as_str())
    }
}
