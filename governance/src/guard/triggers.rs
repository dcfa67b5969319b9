//! What leads to a revocation: a pure function from what was seen to what is done. A specific trigger outranks its severity's general rule.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::vocabulary::{Extent, RevocationType, Severity, ViolationType};

/// When to act. All of it can be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Triggers {
    /// More errors than this in a minute: revoked, and a diagnostic agent is wanted.
    pub errors_per_minute: u64,
    /// Longer than this without progress: that agent's token is revoked.
    pub without_progress: Duration,
    /// More API calls than this in a minute: held back first, revoked if it goes on.
    pub api_calls_per_minute: u64,
}

impl Default for Triggers {
    fn default() -> Self {
        Self { errors_per_minute: 5, without_progress: Duration::from_secs(60), api_calls_per_minute: 100 }
    }
}

/// What was seen of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// So many errors within the last minute, this one included.
    Errors(u64),
    /// So many API calls within the last minute, and whether the agent was held back for it before.
    ApiCalls {
        /// How many.
        calls: u64,
        /// Whether it was told to slow down already.
        held_back: bool,
    },
    /// No progress for so long.
    Idle(Duration),
    /// A violation.
    Violation(ViolationType),
    /// A sign of life that was missing when its time was up: a heartbeat, an execution lock.
    Lapsed(ViolationType),
}

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Nothing.
    Nothing,
    /// It is logged, with an alert.
    Alert,
    /// It counts against the error budget.
    Fault,
    /// The agent's calls are held back.
    RateLimit,
    /// The agent is revoked.
    Revoke {
        /// As what.
        kind: RevocationType,
        /// Whether a diagnostic agent is wanted.
        diagnose: bool,
    },
}

impl Triggers {
    /// What an observation leads to.
    #[must_use]
    pub fn respond(&self, seen: Observation) -> Response {
        let revoke = |kind, diagnose| Response::Revoke { kind, diagnose };
        match seen {
            Observation::Errors(count) if count > self.errors_per_minute => revoke(RevocationType::ErrorBudget, true),
            Observation::Idle(span) if span > self.without_progress => revoke(RevocationType::Heartbeat, false),
            Observation::ApiCalls { calls, held_back } if calls > self.api_calls_per_minute => {
                if held_back {
                    revoke(RevocationType::Policy, false)
                } else {
                    Response::RateLimit
                }
            }
            Observation::Errors(_) | Observation::Idle(_) | Observation::ApiCalls { .. } => Response::Nothing,
            // More specific than its severity: nobody is there whose faults could be counted.
            Observation::Lapsed(violation) => revoke(violation.revocation(), false),
            Observation::Violation(violation) => match violation.severity() {
                Severity::Critical | Severity::High => revoke(violation.revocation(), false),
                Severity::Medium => Response::Fault,
                Severity::Low => Response::Alert,
            },
        }
    }
}

impl Observation {
    /// How far a revocation reaches that this leads to. Silence and grave conduct cost the agent its token; the gravest, a flood of errors or
    /// of calls, everything that runs for it.
    #[must_use]
    pub const fn extent(self) -> Extent {
        match self {
            Self::Errors(_) | Self::ApiCalls { .. } => Extent::Full,
            Self::Idle(_) | Self::Lapsed(_) => Extent::Token,
            Self::Violation(violation) => match violation.severity() {
                Severity::Critical => Extent::Full,
                Severity::High | Severity::Medium | Severity::Low => Extent::Token,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trigger_fires_just_above_its_threshold() {
        let triggers = Triggers::default();
        assert_eq!(triggers.respond(Observation::Errors(5)), Response::Nothing);
        assert_eq!(triggers.respond(Observation::Errors(6)), Response::Revoke { kind: RevocationType::ErrorBudget, diagnose: true });
        assert_eq!(triggers.respond(Observation::Idle(Duration::from_secs(60))), Response::Nothing);
        assert!(matches!(triggers.respond(Observation::Idle(Duration::from_secs(61))), Response::Revoke { diagnose: false, .. }));
        assert_eq!(triggers.respond(Observation::ApiCalls { calls: 101, held_back: false }), Response::RateLimit);
        assert!(matches!(triggers.respond(Observation::ApiCalls { calls: 101, held_back: true }), Response::Revoke { .. }));
    }

    #[test]
    fn only_the_gravest_costs_more_than_the_token() {
        for violation in ViolationType::ALL {
            let full = Observation::Violation(*violation).extent() == Extent::Full;
            assert_eq!(full, violation.severity() == Severity::Critical, "{violation}");
        }
        assert_eq!(Observation::Idle(Duration::from_secs(61)).extent(), Extent::Token);
        assert_eq!(Observation::Errors(6).extent(), Extent::Full);
    }

    #[test]
    fn who_gives_no_sign_of_life_is_revoked_as_what_lapsed() {
        let lapsed = |violation| Triggers::default().respond(Observation::Lapsed(violation));
        assert_eq!(lapsed(ViolationType::HeartbeatLost), Response::Revoke { kind: RevocationType::Heartbeat, diagnose: false });
        assert_eq!(lapsed(ViolationType::LockLost), Response::Revoke { kind: RevocationType::Lock, diagnose: false });
    }

    #[test]
    fn a_violation_leads_to_what_its_severity_says() {
        for violation in ViolationType::ALL {
            let response = Triggers::default().respond(Observation::Violation(*violation));
            let revoked = matches!(response, Response::Revoke { .. });
            assert_eq!(revoked, violation.severity() <= Severity::High, "{violation}: {response:?}");
        }
    }
}
