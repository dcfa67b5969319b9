//! How much of what is asked for can be had, and why not more. Pure.
//!
//! A piece that a process takes for itself is a sixteenth of what is left, so that nobody hogs what is scarce: of a limit of ten each piece is
//! one call. Where so few calls at a time are allowed that a piece would be one place, the place is taken and given back with each call.

use serde::{Deserialize, Serialize};

use super::scope::Scope;
use crate::guard::budget::{Unit, low};
use crate::store::Cell;
use crate::vocabulary::{Key, Millis};

/// Windows are counted in buckets of so many milliseconds of the store's clock …
pub(super) const BUCKET_MS: u64 = 5_000;
/// … and a minute touches so many of them, the one that has begun included.
pub(super) const BUCKETS: u64 = 13;
/// A piece is such a part of what is left.
const SHARERS: u64 = 16;
/// The largest piece.
const MOST: u64 = 4_096;

/// What one call needs, besides being one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Tokens that it may use at most. Fewer are set aside where fewer are left.
    pub tokens: u64,
    /// Millionths of a dollar that it may cost at most; the same holds.
    pub cost: u64,
}

/// One limit, and how it stands.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub scope: Scope,
    pub unit: Unit,
    pub limit: u64,
    /// An overrun closed it.
    pub closed: bool,
    /// What is used or reserved; of a window within the last minute.
    pub used: u64,
    /// Where it was set, and in which version; none where a profile says it.
    pub set: Option<(Cell, u64)>,
    pub counter: Key,
    /// Of a window: when how much of it is free again. Of wall time: when it is over.
    pub frees: Vec<(Millis, u64)>,
    /// Whether it was said already that it is nearly used up.
    pub told_low: bool,
}

/// Why a call may not be made now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Whose limit stands in the way.
    pub scope: Scope,
    /// Of what.
    pub unit: Unit,
    /// The limit.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// Whether an overrun closed it.
    pub closed: bool,
    /// After how many milliseconds it is worth asking again; none where nobody knows, or where it does not come back by itself.
    pub retry_after_ms: Option<u64>,
}

/// What is taken, the same of every limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Calls; `u64::MAX` where nothing counts them.
    pub calls: u64,
    /// Places; `u64::MAX` where nothing counts them.
    pub places: u64,
    pub tokens: u64,
    pub cost: u64,
    /// For one call only, and given back at its end.
    pub single: bool,
}

impl Term {
    pub fn room(&self) -> u64 {
        if self.closed { 0 } else { self.limit.saturating_sub(self.used) }
    }

    /// What a call needs of it at least.
    fn need(&self, asked: &Asked) -> u64 {
        match self.unit {
            Unit::Tokens => asked.tokens.min(1),
            Unit::Cost => asked.cost.min(1),
            _ => 1,
        }
    }

    /// What a plan adds to its counter.
    pub fn takes(&self, plan: &Plan) -> u64 {
        match self.unit {
            Unit::Calls | Unit::CallsPerMinute => plan.calls,
            Unit::Concurrency => plan.places,
            Unit::Tokens => plan.tokens,
            Unit::Cost => plan.cost,
            Unit::Errors | Unit::WallTime => 0,
        }
    }

    /// Whether this much is the first to leave less than a fifth.
    pub fn warns(&self, plan: &Plan) -> bool {
        !self.told_low && self.limit > 0 && low(self.used.saturating_add(self.takes(plan)), self.limit)
    }

    fn refusal(&self, now: Millis, need: u64) -> Refusal {
        let mut free = self.room();
        let frees = self.frees.iter().find(|(_, amount)| {
            free = free.saturating_add(*amount);
            free >= need
        });
        // What is less than a call in all is never free.
        let retry = frees.filter(|_| self.unit == Unit::CallsPerMinute && self.limit >= need);
        let retry_after_ms = retry.map(|(at, _)| at.0.saturating_sub(now.0).max(1));
        Refusal {
            scope: self.scope.clone(),
            unit: self.unit,
            limit: self.limit,
            remaining: self.room(),
            closed: self.closed,
            retry_after_ms,
        }
    }
}

/// How much is taken at once: as much as was used lately, and no more than leaves enough for others. The strictest limit decides.
pub(super) fn plan(terms: &[Term], asked: &Asked, appetite: u64, now: Millis) -> Result<Plan, Refusal> {
    let refused = terms.iter().filter(|term| term.room() < term.need(asked)).map(|term| term.refusal(now, term.need(asked)));
    // What never comes back by itself outranks what does; then who waits longest.
    if let Some(refusal) = refused.max_by_key(|refusal| (refusal.retry_after_ms.is_none(), refusal.retry_after_ms, refusal.closed)) {
        return Err(refusal);
    }
    let counted = |units: &[Unit]| terms.iter().filter(|term| units.contains(&term.unit)).map(Term::room).min();
    let fair = |room: u64| (room / SHARERS).clamp(1, MOST);
    let (calls, places) = (counted(&[Unit::Calls, Unit::CallsPerMinute]), counted(&[Unit::Concurrency]));
    let (tokens, cost) = (counted(&[Unit::Tokens]).filter(|_| asked.tokens > 0), counted(&[Unit::Cost]).filter(|_| asked.cost > 0));
    let single = tokens.is_some() || cost.is_some() || places.is_some_and(|room| room < SHARERS);
    let piece = |room: Option<u64>| match room {
        Some(_) if single => 1,
        Some(room) => fair(room).min(appetite.max(1)),
        None => u64::MAX,
    };
    Ok(Plan {
        calls: piece(calls),
        places: piece(places),
        tokens: tokens.map_or(0, |room| room.min(asked.tokens)),
        cost: cost.map_or(0, |room| room.min(asked.cost)),
        single,
    })
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod terms_tests;
