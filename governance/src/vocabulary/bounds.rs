//! Which rules a profile can ask for: what nobody could keep is refused where the profile is read, and again where it is used.

use super::{ApprovalRules, BreakerRules, GovernanceRules, UseLimits};

/// The longest that an approval may stay open, in seconds.
pub const MAX_DEADLINE: u32 = 7 * 24 * 60 * 60;
/// The most people that one approval can need.
pub const MAX_QUORUM: u32 = 64;
/// The longest that a breaker stays open, in seconds.
pub const MAX_PAUSE: u64 = 7 * 24 * 60 * 60;
/// The most failures, or successes, that a breaker counts.
pub const MAX_CALLS: u32 = 1_000_000;
/// The largest amount of anything: two of them still add up below 2^53.
pub const MAX_AMOUNT: u64 = 1 << 52;

impl GovernanceRules {
    /// Why nobody could go by them, where that is so.
    pub fn check(&self) -> Result<(), String> {
        self.approval.check().map_err(|(field, why)| format!("`governance.approval.{field}` {why}"))?;
        self.limits.check().map_err(|(field, why)| format!("`governance.limits.{field}` {why}"))?;
        match &self.breaker {
            Some(breaker) => breaker.check().map_err(|(field, why)| format!("`governance.breaker.{field}` {why}")),
            None => Ok(()),
        }
    }
}

/// A field, and what is wrong with it.
pub type Unkeepable = (&'static str, String);

impl ApprovalRules {
    /// Why nobody could go by them, where that is so.
    pub fn check(&self) -> Result<(), Unkeepable> {
        within("quorum", self.quorum.get().into(), 1, MAX_QUORUM.into(), "people")?;
        within("deadline", self.deadline.get().into(), 1, MAX_DEADLINE.into(), "seconds")
    }
}

impl BreakerRules {
    /// Why nobody could go by them, where that is so.
    pub fn check(&self) -> Result<(), Unkeepable> {
        within("failures", self.failures.into(), 1, MAX_CALLS.into(), "failures in a row")?;
        within("pause", self.pause, 1, MAX_PAUSE, "seconds")?;
        within("successes", self.successes.into(), 1, MAX_CALLS.into(), "successes")
    }
}

impl UseLimits {
    /// Why nobody could go by them, where that is so.
    pub fn check(&self) -> Result<(), Unkeepable> {
        let said = [
            ("calls", self.calls, "calls"),
            ("calls_per_minute", self.calls_per_minute, "calls"),
            ("concurrency", self.concurrency, "calls"),
            ("tokens", self.tokens, "tokens"),
            ("cost", self.cost, "millionths of a dollar"),
            ("errors", self.errors, "errors"),
            ("wall_time", self.wall_time, "seconds"),
        ];
        said.into_iter().try_for_each(|(field, amount, unit)| within(field, amount.unwrap_or(0), 0, MAX_AMOUNT, unit))
    }
}

fn within(field: &'static str, found: u64, least: u64, most: u64, unit: &str) -> Result<(), Unkeepable> {
    match found {
        found if found < least || found > most => Err((field, format!("is {found}: it takes {least} to {most} {unit}"))),
        _ => Ok(()),
    }
}
