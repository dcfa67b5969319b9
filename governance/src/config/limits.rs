//! What a run, an agent and the record may take: by the environment, then by the file.

use std::time::Duration;

use super::{File, bad_value};
use crate::error::Result;
use crate::llm::Mode;
use crate::orchestrator::{Grants, Limits};
use crate::vocabulary::MAX_AMOUNT;

/// How long the ledger keeps payloads, and the shared state runs that have ended, unless told otherwise.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(90 * DAY);
pub(super) const DAY: u64 = 24 * 60 * 60;
/// The longest that they can be told to be kept; for ever is another thing.
const MAX_RETENTION_DAYS: u64 = 36_500;

/// The shortest time, in seconds, after which an agent can be said to be stuck.
const SOONEST: f64 = 0.1;

/// When a run needs help: by the environment, then by the file.
pub(super) fn limits(set: &impl Fn(&str) -> Option<String>, file: &File) -> Result<Limits> {
    let default = Limits::default();
    let number = |(name, in_file): (&str, &str), filed: Option<f64>, (lowest, highest): (f64, f64)| {
        let wanted = format!("a number from {lowest} to {highest}");
        let possible = |number: &f64| (lowest..=highest).contains(number);
        match set(name) {
            None if filed.as_ref().is_none_or(possible) => Ok(filed),
            None => Err(bad_value(in_file, &filed.unwrap_or_default().to_string(), &wanted)),
            Some(value) => value.parse().ok().filter(possible).map(Some).ok_or_else(|| bad_value(name, &value, &wanted)),
        }
    };
    let mut limits = default;
    // Nobody gets anywhere in no time.
    let stuck = number(("GAMMA_STUCK_THRESHOLD", "gamma_stuck_threshold"), file.gamma_stuck_threshold, (SOONEST, 86_400.0))?;
    if let Some(seconds) = stuck {
        limits.patience.mediate = Duration::from_secs_f64(seconds);
        // The ladder's rungs keep their distances.
        limits.patience.revoke = limits.patience.mediate * 2;
    }
    limits.conflicts = match set("GAMMA_CONFLICT_THRESHOLD") {
        Some(value) => value.parse().map_err(|_| bad_value("GAMMA_CONFLICT_THRESHOLD", &value, "a number of proposals"))?,
        None => file.gamma_conflict_threshold.unwrap_or(default.conflicts),
    };
    if limits.conflicts == 0 {
        return Err(bad_value("gamma_conflict_threshold", "0", "a number of proposals, at least 1: below, every run would be a conflict"));
    }
    let complexity = number(("GAMMA_COMPLEXITY_THRESHOLD", "gamma_complexity_threshold"), file.gamma_complexity_threshold, (0.0, 1.0))?;
    limits.complexity = complexity.unwrap_or(default.complexity);
    let recoveries = match set("GOVERNANCE_RECOVERIES") {
        Some(value) => Some(value.parse().map_err(|_| bad_value("GOVERNANCE_RECOVERIES", &value, RECOVERIES))?),
        None => file.recoveries,
    };
    limits.quorum = match set("GOVERNANCE_QUORUM") {
        Some(value) => value.parse().map_err(|_| bad_value("GOVERNANCE_QUORUM", &value, QUORUM))?,
        None => file.quorum.unwrap_or(default.quorum),
    };
    if !(1..=3).contains(&limits.quorum) {
        return Err(bad_value("quorum", &limits.quorum.to_string(), QUORUM));
    }
    limits.recoveries = recoveries.unwrap_or(default.recoveries);
    if limits.recoveries > default.recoveries {
        return Err(bad_value("recoveries", &limits.recoveries.to_string(), RECOVERIES));
    }
    Ok(limits)
}

const QUORUM: &str = "how many ballots a decision needs, from 1 to 3";
const RECOVERIES: &str = "a number of automatic recoveries, at most 3";

/// What an agent may spend on its model: by the environment, then by the file, then by whether the model costs.
pub(super) fn grants(set: &impl Fn(&str) -> Option<String>, file: &File, mode: Mode) -> Result<Grants> {
    let usual = if mode == Mode::Local { Grants::default() } else { Grants::metered() };
    let whole = |(name, in_file): (&str, &str), filed: Option<u64>| {
        let wanted = format!("a whole number from 1 to {MAX_AMOUNT}: an agent that may use none does nothing");
        let possible = |number: &u64| (1..=MAX_AMOUNT).contains(number);
        match (set(name), filed) {
            (Some(value), _) => value.parse().ok().filter(possible).map(Some).ok_or_else(|| bad_value(name, &value, &wanted)),
            (None, Some(number)) if !possible(&number) => Err(bad_value(in_file, &number.to_string(), &wanted)),
            (None, filed) => Ok(filed),
        }
    };
    let dollars = match set("GOVERNANCE_DOLLARS_PER_AGENT") {
        Some(value) => Some(value.parse::<f64>().map_err(|_| bad_value("GOVERNANCE_DOLLARS_PER_AGENT", &value, DOLLARS))?),
        None => file.dollars_per_agent,
    };
    if let Some(dollars) = dollars.filter(|dollars| !(0.0..=1e6).contains(dollars)) {
        return Err(bad_value("dollars_per_agent", &dollars.to_string(), DOLLARS));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a possible sum")]
    let millionths = |dollars: f64| (dollars * 1e6).round() as u64;
    Ok(Grants {
        calls: whole(("GOVERNANCE_CALLS_PER_AGENT", "calls_per_agent"), file.calls_per_agent)?.unwrap_or(usual.calls),
        tokens: whole(("GOVERNANCE_TOKENS_PER_AGENT", "tokens_per_agent"), file.tokens_per_agent)?.or(usual.tokens),
        cost: dollars.map(millionths).or(usual.cost),
    })
}

const DOLLARS: &str = "a sum of dollars from 0 to 1000000";

/// How long payloads are kept: by the environment, then by the file; 0 for ever.
pub(super) fn retention(set: &impl Fn(&str) -> Option<String>, file: &File) -> Result<Option<Duration>> {
    days(set, "GUVNOR_AUDIT_RETENTION_DAYS", ("audit_retention_days", file.audit_retention_days), "payloads")
}

/// How long runs are kept after their end, likewise.
pub(super) fn run_retention(set: &impl Fn(&str) -> Option<String>, file: &File) -> Result<Option<Duration>> {
    days(set, "GOVERNANCE_RUN_RETENTION_DAYS", ("run_retention_days", file.run_retention_days), "runs")
}

fn days(set: &impl Fn(&str) -> Option<String>, name: &str, (in_file, filed): (&str, Option<u64>), what: &str) -> Result<Option<Duration>> {
    let wanted = format!("whole days, at most {MAX_RETENTION_DAYS}, or 0 to keep {what} for ever");
    let said = set(name);
    let days = match (&said, filed) {
        (Some(value), _) => value.parse().map_err(|_| bad_value(name, value, &wanted))?,
        (None, Some(days)) => days,
        (None, None) => return Ok(Some(DEFAULT_RETENTION)),
    };
    if days > MAX_RETENTION_DAYS {
        return Err(bad_value(if said.is_some() { name } else { in_file }, &days.to_string(), &wanted));
    }
    Ok((days > 0).then(|| Duration::from_secs(days * DAY)))
}
