//! What an agent may still spend, and how many faults it may still make.
//!
//! *Spend* is reserved before, settled after, and comes back when a reservation lapses; it never overshoots, however many processes draw on it.
//! *Faults* are counted; the one that exceeds a limit revokes the agent in the same atomic step.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::allowance::Allowance;
use super::faults::{Fault, FaultCount, Faults};
use super::recorder::Recorder;
use super::revocation::RevocationEngine;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Action, EntryKind, OutcomeResult};
use crate::store::{Actor, Cell, Check, Commit, Outcome, Refused, Store, Write, from_json, to_json};
use crate::vocabulary::{AgentId, FaultLimits, Millis, RevocationType, SegmentId, Token, named};

named! {
    /// What is spent.
    pub enum Unit {
        /// Calls of a model or a tool.
        Calls = "calls",
        /// Tokens of a model.
        Tokens = "tokens",
        /// Millionths of a dollar.
        Cost = "cost",
        /// Actions at the same time.
        Concurrency = "concurrency",
    }
}

/// An agent's budget, shared by every process that acts for it.
#[derive(Debug, Clone)]
pub struct ErrorBudget {
    pub(super) store: Store,
    pub(super) actor: Actor,
    pub(super) recorder: Recorder,
    faults: FaultLimits,
}

/// What became of an attempt to spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spend {
    /// It may be spent.
    Admitted {
        /// Whether 80 % of the limit are used or reserved.
        low: bool,
    },
    /// There is not enough left; nothing was taken.
    Exhausted {
        /// What is left, reservations of others taken off.
        remaining: u64,
        /// Whether the budget was closed by an overrun and takes nothing more.
        closed: bool,
    },
}

/// What is used of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Of what.
    pub unit: Unit,
    /// How much there is in all.
    pub limit: u64,
    /// How much is spent or reserved.
    pub used: u64,
    /// Whether an overrun closed it.
    pub closed: bool,
}

impl Usage {
    /// What is left.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        if self.closed { 0 } else { self.limit.saturating_sub(self.used) }
    }
}

/// An amount that was set aside. Settle it; what is not settled in time lapses.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// It had lapsed: what was not proven to be started was given back.
    Lapsed,
}

#[derive(Serialize, Deserialize)]
struct Limit {
    limit: u64,
    #[serde(default)]
    closed: bool,
}

#[derive(Serialize, Deserialize)]
struct Held {
    unit: Unit,
    amount: u64,
    until: Millis,
    // The segment that proves what was started; without one everything counts as spent.
    segment: Option<SegmentId>,
}

impl ErrorBudget {
    /// The budget of an agent, without a ledger.
    #[must_use]
    pub fn open(store: &Store, actor: &Actor) -> Self {
        Self { store: store.clone(), actor: actor.clone(), recorder: Recorder::default(), faults: FaultLimits::default() }
    }

    /// The same, recorded: a crashed holder's unstarted share comes back.
    #[must_use]
    pub fn recorded(mut self, recorder: &Recorder) -> Self {
        self.recorder = recorder.clone();
        self
    }

    /// The same, with other limits on faults.
    #[must_use]
    pub fn with_fault_limits(mut self, limits: FaultLimits) -> Self {
        self.faults = limits;
        self
    }

    /// Gives an agent something to spend. The governor's, not the agent's: `by` must not be the agent itself.
    pub async fn grant(&self, by: &Actor, unit: Unit, limit: u64) -> Result<()> {
        if by.id == self.actor.id {
            return Err(Error::new(ErrorKind::Denied, "self_granted", format!("`{}` cannot give itself a budget", by.id)));
        }
        self.store.apply(by.commit().put(self.limit_cell(unit), to_json(&Limit { limit, closed: false })?)).await.map(drop)
    }

    /// What is used of a unit; none if nothing was ever granted.
    pub async fn usage(&self, unit: Unit) -> Result<Option<Usage>> {
        let Some((_, Limit { limit, closed })) = self.store.json(self.limit_cell(unit)).await? else { return Ok(None) };
        let used = self.store.number(self.counter(unit)).await?;
        Ok(Some(Usage { unit, limit, used, closed }))
    }

    /// What is left of a unit; 0 if nothing was ever granted.
    pub async fn remaining(&self, unit: Unit) -> Result<u64> {
        Ok(self.usage(unit).await?.map_or(0, |usage| usage.remaining()))
    }

    /// Spends at once, in one round trip.
    pub async fn spend(&self, unit: Unit, amount: u64) -> Result<Spend> {
        let (version, Limit { limit, closed }) = self.limit(unit).await?;
        let commit = self.taking(unit, amount, version, if closed { 0 } else { limit });
        match self.store.commit(commit).await? {
            Outcome::Accepted(accepted) => Ok(Spend::Admitted { low: low(accepted.results[0], limit) }),
            Outcome::Refused(Refused::Exceeded { current, .. }) => {
                Ok(Spend::Exhausted { remaining: limit.saturating_sub(current), closed })
            }
            // The limit changed in between: judge by the new one.
            Outcome::Refused(Refused::Conflict { .. }) => Box::pin(self.spend(unit, amount)).await,
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }

    /// A local allowance: amounts are reserved in pieces and drawn without a round trip. See [`Allowance`].
    #[must_use]
    pub fn allowance(&self, unit: Unit, piece: u64, ttl: Duration) -> Allowance {
        Allowance::new(self.clone(), unit, piece, ttl)
    }

    /// Sets an amount aside for a while.
    pub async fn reserve(&self, unit: Unit, amount: u64, ttl: Duration) -> Result<Result<Reservation, Spend>> {
        let sent = self.store.ports().clock.elapsed();
        let (version, Limit { limit, closed }) = self.limit(unit).await?;
        let id = self.store.fresh_token();
        // INVARIANT: the store's `until` is counted from after `sent`, so the holder stops drawing before the share can lapse.
        let until = self.store.now().await?.after(ttl);
        let held = Held { unit, amount, until, segment: self.recorder.segment_id()? };
        let commit = self.taking(unit, amount, version, if closed { 0 } else { limit }).put(self.reservation_cell(&id), to_json(&held)?);
        match self.store.commit(commit).await? {
            Outcome::Accepted(accepted) => {
                let low = low(accepted.results[0], limit);
                Ok(Ok(Reservation { id, unit, amount, low, until: sent + ttl }))
            }
            Outcome::Refused(Refused::Exceeded { current, .. }) => {
                Ok(Err(Spend::Exhausted { remaining: limit.saturating_sub(current), closed }))
            }
            Outcome::Refused(Refused::Conflict { .. }) => Box::pin(self.reserve(unit, amount, ttl)).await,
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }

    /// Says what was really used of a reservation; the rest comes back.
    pub async fn settle(&self, reservation: &Reservation, used: u64) -> Result<Settled> {
        let cell = self.reservation_cell(&reservation.id);
        let unit = reservation.unit;
        let overrun = used.saturating_sub(reservation.amount);
        let delta = i64::try_from(used).unwrap_or(i64::MAX) - i64::try_from(reservation.amount).unwrap_or(i64::MAX);
        let mut commit = self.actor.commit().version(cell.clone(), 1).write(Write::Delete(cell)).write(Write::Add {
            counter: self.counter(unit),
            delta,
            ttl: None,
        });
        if overrun > 0 {
            let (version, Limit { limit, .. }) = self.limit(unit).await?;
            commit = commit.version(self.limit_cell(unit), version).put(self.limit_cell(unit), to_json(&Limit { limit, closed: true })?);
            if let Some(segment) = self.recorder.segment()? {
                let payload = json!({"unit": unit, "reserved": reservation.amount, "used": used}).to_string();
                let intent = segment.intent(Action::Spend, Some(&self.actor.id), self.actor.pipeline.as_ref(), &payload)?;
                segment.outcome(&intent, OutcomeResult::Error, r#"{"code":"overrun"}"#)?;
            }
        }
        match self.store.commit(commit).await? {
            Outcome::Accepted(_) if overrun > 0 => Ok(Settled::Overrun(overrun)),
            Outcome::Accepted(_) => Ok(Settled::Within),
            Outcome::Refused(Refused::Conflict { cell, .. }) if cell == self.limit_cell(unit) => {
                Box::pin(self.settle(reservation, used)).await
            }
            Outcome::Refused(Refused::Conflict { .. }) => Ok(Settled::Lapsed),
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }

    /// Takes back what crashed or frozen holders reserved and did not start. Answers how many reservations lapsed.
    ///
    /// What a holder started is proven by its ledger segment; where it cannot be read, everything counts as spent.
    pub async fn lapse(&self, by: &Actor) -> Result<u64> {
        let now = self.store.now().await?;
        let mut lapsed = 0;
        for (id, found) in self.store.table(self.store.keys().agent_reservations(&self.actor.id)).await? {
            let held: Held = from_json(&id, &found.value)?;
            if held.until > now {
                continue;
            }
            let started = self.started(&held, &id).await.min(held.amount);
            let cell = self.reservation_cell(&Token::new(&id)?);
            let back = i64::try_from(held.amount - started).unwrap_or(0);
            let commit = by.commit().version(cell.clone(), found.version).write(Write::Delete(cell)).write(Write::Add {
                counter: self.counter(held.unit),
                delta: -back,
                ttl: None,
            });
            match self.store.commit(commit).await? {
                Outcome::Accepted(_) => lapsed += 1,
                Outcome::Refused(Refused::Conflict { .. }) => {}
                Outcome::Refused(refused) => return Err(refused.into()),
            }
        }
        Ok(lapsed)
    }

    /// Counts a fault. The one that exceeds a limit revokes the agent in the same step, so nothing more of it is admitted.
    pub async fn fault(&self, fault: &Fault) -> Result<FaultCount> {
        let engine = RevocationEngine::open(&self.store).recorded(&self.recorder);
        let key = self.store.keys().agent_errors(&self.actor.id);
        loop {
            let held: Option<(u64, Faults)> = self.store.json(key.clone()).await?;
            let (version, faults) = held.unwrap_or_default();
            let (faults, count) = faults.and(fault, &self.faults);
            let counted = |commit: Commit| Ok::<_, Error>(commit.version(key.clone(), version).put(key.clone(), to_json(&faults)?));
            let done = if let FaultCount::Exceeded(why) = &count {
                let agent = engine.known(&self.actor.id).await?;
                let reason = format!("error budget exceeded: {}", serde_json::to_string(why).unwrap_or_default());
                let commit = counted(engine.revocation(&agent, RevocationType::ErrorBudget, &reason)?)?;
                let subject = (Some(&agent.id), agent.pipeline.as_ref());
                engine
                    .carry_out(Action::Revoke, subject, &json!({"type": RevocationType::ErrorBudget, "reason": reason}), commit)
                    .await
                    .map(drop)
            } else {
                self.store.apply(counted(self.actor.commit())?).await.map(drop)
            };
            match done {
                Err(error) if error.code() == "version_conflict" => {}
                other => return other.map(|()| count),
            }
        }
    }

    /// The faults so far.
    pub async fn faults(&self) -> Result<Faults> {
        Ok(self.store.json(self.store.keys().agent_errors(&self.actor.id)).await?.map_or_else(Faults::default, |(_, faults)| faults))
    }

    /// The limits on faults.
    #[must_use]
    pub fn fault_limits(&self) -> FaultLimits {
        self.faults
    }

    async fn started(&self, held: &Held, reservation: &str) -> u64 {
        let (Some(ledger), Some(segment)) = (self.recorder.ledger(), &held.segment) else { return held.amount };
        let Ok(entries) = ledger.entries_of(segment).await else { return held.amount };
        let mut started = std::collections::HashMap::new();
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
        started.values().sum()
    }

    async fn limit(&self, unit: Unit) -> Result<(u64, Limit)> {
        let none = || Error::new(ErrorKind::Denied, "no_budget", format!("`{}` was given no budget of {unit}", self.actor.id));
        self.store.json(self.limit_cell(unit)).await?.ok_or_else(none)
    }

    fn taking(&self, unit: Unit, amount: u64, version: u64, limit: u64) -> Commit {
        let counter = self.counter(unit);
        self.actor
            .commit()
            .version(self.limit_cell(unit), version)
            .check(Check::Within { counter: counter.clone(), amount, limit })
            .write(Write::Add { counter, delta: i64::try_from(amount).unwrap_or(i64::MAX), ttl: None })
    }

    fn counter(&self, unit: Unit) -> crate::vocabulary::Key {
        self.store.keys().agent_spend(&self.actor.id, unit.as_str())
    }

    fn limit_cell(&self, unit: Unit) -> Cell {
        Cell::field(self.store.keys().agent_limits(&self.actor.id), unit.as_str())
    }

    fn reservation_cell(&self, id: &Token) -> Cell {
        Cell::field(self.store.keys().agent_reservations(&self.actor.id), id.as_str())
    }

    pub(super) fn owner(&self) -> &AgentId {
        &self.actor.id
    }
}

/// 80 % are used.
fn low(used: u64, limit: u64) -> bool {
    used.saturating_mul(5) >= limit.saturating_mul(4)
}
