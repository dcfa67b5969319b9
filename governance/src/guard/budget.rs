//! What an agent may still spend, and how many faults it may still make.
//!
//! *Spend* is reserved before, settled after, and comes back when a reservation lapses; it never overshoots, however many processes draw on it.
//! *Faults* are counted; the one that exceeds a limit revokes the agent in the same atomic step.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::allowance::Allowance;
use super::faults::{Exceeded, Fault, FaultCount, Faults};
use super::limits::{Scope, ScopeLimits};
use super::policies::PolicySource;
use super::recorder::Recorder;
use super::revocation::RevocationEngine;
use super::triggers::Observation;
use crate::coordination::Charge;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Action;
use crate::store::{Actor, Cell, Check, Commit, Outcome, Refused, Store, Write, to_json};
use crate::vocabulary::{AgentId, FaultLimits, MAX_AMOUNT, RevocationType, ViolationType, named};

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
        /// Calls within any minute.
        CallsPerMinute = "calls_per_minute",
        /// Calls that failed.
        Errors = "errors",
        /// Seconds since the beginning, without those in which a person was waited for.
        WallTime = "wall_time",
    }
}

/// An agent's budget, shared by every process that acts for it.
#[derive(Debug, Clone)]
pub struct ErrorBudget {
    pub(super) store: Store,
    pub(super) actor: Actor,
    pub(super) recorder: Recorder,
    faults: Source,
}

/// Where the limits on faults are said.
#[derive(Debug, Clone)]
enum Source {
    Fixed(FaultLimits),
    /// In the profile that is in force.
    Profile(PolicySource),
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

#[derive(Serialize, Deserialize)]
pub(super) struct Limit {
    pub limit: u64,
    #[serde(default)]
    pub closed: bool,
}

impl Limit {
    /// What a budget still takes: nothing once it was closed.
    pub fn open(&self) -> u64 {
        if self.closed { 0 } else { self.limit }
    }

    /// What a refused attempt is told.
    pub fn exhausted(&self, used: u64) -> Spend {
        Spend::Exhausted { remaining: self.open().saturating_sub(used), closed: self.closed }
    }
}

impl ErrorBudget {
    /// The budget of an agent, without a ledger.
    #[must_use]
    pub fn open(store: &Store, actor: &Actor) -> Self {
        Self { store: store.clone(), actor: actor.clone(), recorder: Recorder::default(), faults: Source::Fixed(FaultLimits::default()) }
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
        self.faults = Source::Fixed(limits);
        self
    }

    /// The same, with the limits on faults that a profile sets, also when another one comes into force.
    #[must_use]
    pub(crate) fn governed_by(mut self, policy: &PolicySource) -> Self {
        self.faults = Source::Profile(policy.clone());
        self
    }

    /// Says how much an agent may spend in all, what it has spent already included; opens a budget that an overrun closed. The governor's, not
    /// the agent's: `by` must not be the agent itself.
    pub async fn grant(&self, by: &Actor, unit: Unit, limit: u64) -> Result<()> {
        if by.id == self.actor.id {
            return Err(Error::new(ErrorKind::Denied, "self_granted", format!("`{}` cannot give itself a budget", by.id)));
        }
        check_amount(limit)?;
        let given = by.commit().put(self.limit_cell(unit), to_json(&Limit { limit, closed: false })?);
        // Whoever crashes holding a share of it is noticed.
        let watched = Charge::budget(&self.actor.id).begin(self.store.keys(), None);
        self.store.apply(given.write(watched)).await.map(drop)
    }

    /// What is used of a unit; none if nothing was ever granted.
    pub async fn usage(&self, unit: Unit) -> Result<Option<Usage>> {
        // What comes back by itself stands in no one counter.
        let scopes = [Scope::Agent(self.actor.id.clone())];
        let usages = ScopeLimits::new(&self.store, &self.recorder).usage(&scopes).await?;
        Ok(usages.into_iter().map(|found| found.usage).find(|usage| usage.unit == unit))
    }

    /// What is left of a unit; 0 if nothing was ever granted.
    pub async fn remaining(&self, unit: Unit) -> Result<u64> {
        Ok(self.usage(unit).await?.map_or(0, |usage| usage.remaining()))
    }

    /// Spends at once, in one round trip.
    pub async fn spend(&self, unit: Unit, amount: u64) -> Result<Spend> {
        loop {
            let (version, limit) = self.limit(unit).await?;
            match self.store.commit(self.taking(unit, amount, version, &limit)?).await? {
                Outcome::Accepted(accepted) => return Ok(Spend::Admitted { low: low(accepted.results[0], limit.limit) }),
                Outcome::Refused(Refused::Exceeded { current, .. }) => return Ok(limit.exhausted(current)),
                // The limit changed in between: judge by the new one.
                Outcome::Refused(Refused::Conflict { .. }) => {}
                Outcome::Refused(refused) => return Err(refused.into()),
            }
        }
    }

    /// A local allowance: amounts are reserved in pieces and drawn without a round trip. See [`Allowance`].
    #[must_use]
    pub fn allowance(&self, unit: Unit, piece: u64, ttl: Duration) -> Allowance {
        Allowance::new(self.clone(), unit, piece, ttl)
    }

    /// Counts a fault. The one that exceeds a limit revokes the agent in the same step, so nothing more of it is admitted.
    pub async fn fault(&self, fault: &Fault) -> Result<FaultCount> {
        let key = self.store.keys().agent_errors(&self.actor.id);
        loop {
            let (version, faults): (u64, Faults) = self.store.json(key.clone()).await?.unwrap_or_default();
            let (faults, count) = faults.and(fault, &self.fault_limits());
            // INVARIANT: an agent that is revoked already makes no more faults: its admission is part of both commits.
            let counted = |commit: Commit, faults: &Faults| {
                let commit = Commit { admission: self.actor.admission.clone(), ..commit };
                Ok::<_, Error>(commit.version(key.clone(), version).put(key.clone(), to_json(faults)?))
            };
            let done = match &count {
                FaultCount::Exceeded(why) => self.exceed(why, |revocation| counted(revocation, &faults)).await,
                FaultCount::Counted | FaultCount::Low => self.store.apply(counted(Commit::default(), &faults)?).await.map(drop),
            };
            match done {
                // Somebody else counted a fault in between.
                Err(error) if error.code() == "version_conflict" => {}
                other => return other.map(|()| count),
            }
        }
    }

    async fn exceed(&self, why: &Exceeded, counted: impl FnOnce(Commit) -> Result<Commit>) -> Result<()> {
        let engine = RevocationEngine::open(&self.store).recorded(&self.recorder);
        if let Some(earlier) = engine.revocation_of(&self.actor.id).await? {
            let revoked = format!("`{}` was revoked already: {}", self.actor.id, earlier.reason);
            return Err(Error::new(ErrorKind::Revoked, "revoked", revoked));
        }
        let agent = engine.known(&self.actor.id).await?;
        let violation = ViolationType::ErrorBudgetExceeded;
        let extent = Observation::Violation(violation).extent();
        let reason = format!("error budget exceeded: {}", serde_json::to_string(why).unwrap_or_default());
        let told = engine.detected(&agent.id, violation, &reason)?;
        let commit = counted(engine.revocation(&agent, RevocationType::ErrorBudget, extent, &reason)?.write(told))?;
        let payload = json!({"type": RevocationType::ErrorBudget, "reason": reason, "extent": extent});
        let subject = (Some(&agent.id), agent.pipeline.as_ref());
        engine.carry_out(Action::Revoke, subject, &payload, commit).await?;
        let broken = json!({"type": violation, "severity": violation.severity(), "revocation": violation.revocation(), "detail": reason});
        self.recorder.note(&self.store, Action::Violation, subject, &broken)?;
        engine.with_descendants(&agent.id, RevocationType::ErrorBudget, extent, &reason).await
    }

    /// The faults so far.
    pub async fn faults(&self) -> Result<Faults> {
        Ok(self.store.json(self.store.keys().agent_errors(&self.actor.id)).await?.map_or_else(Faults::default, |(_, faults)| faults))
    }

    /// The limits on faults.
    #[must_use]
    pub fn fault_limits(&self) -> FaultLimits {
        match &self.faults {
            Source::Fixed(limits) => *limits,
            Source::Profile(policy) => policy.now().profile().governance.error_budget,
        }
    }

    pub(super) async fn limit(&self, unit: Unit) -> Result<(u64, Limit)> {
        let none = || Error::new(ErrorKind::Denied, "no_budget", format!("`{}` was given no budget of {unit}", self.actor.id));
        self.store.json(self.limit_cell(unit)).await?.ok_or_else(none)
    }

    /// Takes an amount, if this version of the limit allows it.
    pub(super) fn taking(&self, unit: Unit, amount: u64, version: u64, limit: &Limit) -> Result<Commit> {
        let (counter, delta) = (self.counter(unit), check_amount(amount)?);
        Ok(self
            .actor
            .commit()
            .version(self.limit_cell(unit), version)
            .check(Check::Within { counter: counter.clone(), amount, limit: limit.open() })
            .write(Write::Add { counter, delta, ttl: None }))
    }

    pub(super) fn counter(&self, unit: Unit) -> crate::vocabulary::Key {
        self.store.keys().agent_spend(&self.actor.id, unit.as_str())
    }

    pub(super) fn limit_cell(&self, unit: Unit) -> Cell {
        Cell::field(self.store.keys().agent_limits(&self.actor.id), unit.as_str())
    }

    pub(super) fn owner(&self) -> &AgentId {
        &self.actor.id
    }
}

/// Refuses an amount that a store could not count exactly.
pub(super) fn check_amount(amount: u64) -> Result<i64> {
    i64::try_from(amount)
        .ok()
        .filter(|_| amount <= MAX_AMOUNT)
        .ok_or_else(|| Error::invalid("amount_too_large", format!("`{amount}` is more than can be counted: at most {MAX_AMOUNT}")))
}

/// 80 % are used.
pub(super) fn low(used: u64, limit: u64) -> bool {
    used.saturating_mul(5) >= limit.saturating_mul(4)
}
