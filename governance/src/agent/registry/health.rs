//! How an agent is, from its signs of life. Pure.

use serde::{Deserialize, Serialize};

use crate::vocabulary::{AgentStatus, FaultLimits, named};

named! {
    /// How an agent is.
    pub enum AgentHealth {
        /// Admitted, and not living yet.
        Starting = "starting",
        /// It lives, and does well.
        Healthy = "healthy",
        /// It lives, and has used four fifths of the faults that it may make.
        Degraded = "degraded",
        /// It should live, and gives no sign of it.
        Lost = "lost",
        /// It has ended by itself, or with its run.
        Ended = "ended",
        /// Its admission was ended.
        Revoked = "revoked",
    }
}

/// What an agent's health is told from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vitals {
    /// Its state.
    pub status: AgentStatus,
    /// Whether its run has ended.
    pub run_over: bool,
    /// Whether its last heartbeat still counts.
    pub beats: bool,
    /// Whether somebody holds its execution lock.
    pub locked: bool,
    /// How many errors it made.
    pub errors: u32,
    /// How many procedure violations.
    pub violations: u32,
}

/// How an agent is, and why it is not well.
#[must_use]
pub fn health(vitals: &Vitals, limits: &FaultLimits) -> (AgentHealth, Option<String>) {
    let low = |used: u32, limit: u32| used > 0 && u64::from(used) * 5 >= u64::from(limit) * 4;
    let because = |health, why: String| (health, Some(why));
    match vitals.status {
        AgentStatus::Revoked => (AgentHealth::Revoked, None),
        status if status.is_final() => (AgentHealth::Ended, None),
        // Its last heartbeat may count for a while yet.
        _ if vitals.run_over => because(AgentHealth::Ended, "its run is over".to_owned()),
        AgentStatus::Pending => (AgentHealth::Starting, None),
        _ if !vitals.beats => because(AgentHealth::Lost, "its heartbeat has stopped".to_owned()),
        _ if !vitals.locked => because(AgentHealth::Lost, "nobody holds its execution lock".to_owned()),
        _ if low(vitals.errors, limits.max_total_errors) => {
            because(AgentHealth::Degraded, format!("{} of {} errors are used", vitals.errors, limits.max_total_errors))
        }
        _ if low(vitals.violations, limits.max_procedure_violations) => {
            let limit = limits.max_procedure_violations;
            because(AgentHealth::Degraded, format!("{} of {limit} procedure violations are used", vitals.violations))
        }
        _ => (AgentHealth::Healthy, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sign_that_is_missing_shows() {
        let limits = FaultLimits::default();
        let well = Vitals { status: AgentStatus::Running, run_over: false, beats: true, locked: true, errors: 6, violations: 0 };
        let is = |vitals: Vitals| health(&vitals, &limits).0;
        assert_eq!(is(well), AgentHealth::Healthy);
        assert_eq!(is(Vitals { beats: false, ..well }), AgentHealth::Lost);
        assert_eq!(is(Vitals { locked: false, ..well }), AgentHealth::Lost);
        assert_eq!(is(Vitals { errors: 7, ..well }), AgentHealth::Degraded);
        assert_eq!(is(Vitals { violations: 1, ..well }), AgentHealth::Degraded);
        assert_eq!(is(Vitals { status: AgentStatus::Pending, beats: false, locked: false, ..well }), AgentHealth::Starting);
        for beats in [false, true] {
            assert_eq!(is(Vitals { run_over: true, beats, ..well }), AgentHealth::Ended);
        }
        assert_eq!(is(Vitals { status: AgentStatus::Completed, beats: false, ..well }), AgentHealth::Ended);
        assert_eq!(is(Vitals { status: AgentStatus::Revoked, ..well }), AgentHealth::Revoked);
        assert!(health(&Vitals { beats: false, ..well }, &limits).1.is_some_and(|why| why.contains("heartbeat")));
    }
}
