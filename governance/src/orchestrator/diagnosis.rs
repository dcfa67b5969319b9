//! What went wrong with a run, why, and what to try. Pure, and the same for the same run.

use serde::{Deserialize, Serialize};

use crate::guard::{remedies, ways_on};
use crate::vocabulary::{AgentId, PipelineStatus};

/// How many failures are told in words; the rest is counted.
const TOLD: usize = 5;

/// What went wrong with a run, for its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// What happened.
    pub what: String,
    /// Why, as far as it is known.
    pub why: String,
    /// What to try, the most promising first.
    pub attempts: Vec<String>,
}

/// One thing that an agent failed at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Who.
    pub agent: AgentId,
    /// The stable code of the error, where it is known.
    pub code: Option<String>,
    /// The error in words.
    pub message: String,
}

/// Says what went wrong with a run in this state, which gave this reason, with these failures of its agents, oldest first. What mends the
/// cause comes before what goes on without mending it. A run with which nothing is wrong gets no attempts.
#[must_use]
pub fn diagnose(status: PipelineStatus, reason: &str, failures: &[Failure]) -> Diagnosis {
    let mut attempts: Vec<String> = Vec::new();
    let mut offer = |attempt: String| {
        if !attempts.contains(&attempt) {
            attempts.push(attempt);
        }
    };
    if status != PipelineStatus::Completed {
        failures.iter().filter_map(|failure| failure.code.as_deref()).flat_map(remedies).for_each(|text| offer((*text).to_owned()));
        for failure in failures.iter().filter(|failure| failure.code.as_deref().is_none_or(|code| remedies(code).is_empty())) {
            offer(format!("see what it did last: `governance ledger list --agent {}`", failure.agent));
        }
        ways_on(status).iter().for_each(|text| offer((*text).to_owned()));
    }
    Diagnosis { what: what(status).to_owned(), why: why(reason, failures), attempts }
}

fn what(status: PipelineStatus) -> &'static str {
    match status {
        PipelineStatus::Spawn => "the agents are being started",
        PipelineStatus::Running => "the agents are at work",
        PipelineStatus::Report => "the reports are written, and the run waits to be continued",
        PipelineStatus::Orchestrating => "there is no decision yet",
        PipelineStatus::Completed => "a decision was reached",
        PipelineStatus::Failed => "the agents failed before there was anything to decide on",
        PipelineStatus::Timeout => "the time given to the run was over before there was a decision",
        PipelineStatus::ConsensusFailed => "the agents did not agree, and the run was given up",
        PipelineStatus::OrchestrationFailed => "every agent failed while the proposals were judged",
        PipelineStatus::OrchestrationError => "the run itself could not go on",
        PipelineStatus::Stopped => "the run was stopped",
        PipelineStatus::Aborted => "the run failed again after each of its automatic recoveries",
        PipelineStatus::Rebooting => "the run recovers by itself",
    }
}

fn why(reason: &str, failures: &[Failure]) -> String {
    let mut causes: Vec<String> = Vec::new();
    let reason = reason.trim();
    if !reason.is_empty() {
        causes.push(reason.to_owned());
    }
    // What the reason says already is not said twice.
    let untold: Vec<&Failure> =
        failures.iter().filter(|failure| !(reason.contains(&failure.message) && reason.contains(failure.agent.as_str()))).collect();
    for failure in untold.iter().take(TOLD) {
        let code = failure.code.as_ref().map_or(String::new(), |code| format!(" ({code})"));
        let cause = format!("`{}`: {}{code}", failure.agent, failure.message.trim());
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    if untold.len() > TOLD {
        causes.push(format!("and {} more failures", untold.len() - TOLD));
    }
    if causes.is_empty() { "no reason was given".to_owned() } else { causes.join("; ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failure(agent: &str, code: &str, message: &str) -> Failure {
        Failure {
            agent: AgentId::new(agent).unwrap(),
            code: Some(code.to_owned()).filter(|code| !code.is_empty()),
            message: message.into(),
        }
    }

    #[test]
    fn each_cause_has_what_mends_it_first() {
        for (status, code, first) in [
            (PipelineStatus::Failed, "budget_exhausted", "governance run"),
            (PipelineStatus::Failed, "breaker_open", "--model"),
            (PipelineStatus::Failed, "rate_limited", "--model"),
            (PipelineStatus::Failed, "credit_exhausted", "--mode local"),
            (PipelineStatus::Failed, "key_refused", "OPENROUTER_API_KEY"),
            (PipelineStatus::Failed, "answer_wrong", "--model"),
            (PipelineStatus::Failed, "call_timed_out", "--call-timeout"),
            (PipelineStatus::OrchestrationFailed, "revoked", "--action revoke"),
            (PipelineStatus::OrchestrationFailed, "agent_died", "--agents built-in"),
            (PipelineStatus::OrchestrationError, "store_busy", "--store"),
            (PipelineStatus::OrchestrationError, "rolled_back", "store recover"),
            (PipelineStatus::OrchestrationError, "disk_full", "room"),
            (PipelineStatus::OrchestrationError, "ledger_damaged", "ledger verify"),
            (PipelineStatus::Timeout, "", "ledger list --agent alpha-a"),
        ] {
            let diagnosis = diagnose(status, "", &[failure("alpha-a", code, "it went wrong")]);
            assert!(diagnosis.attempts[0].contains(first), "{code}: {diagnosis:?}");
            assert!(diagnosis.why.contains("`alpha-a`: it went wrong") && diagnosis.why.contains(code), "{diagnosis:?}");
        }
    }

    #[test]
    fn each_state_that_is_not_success_says_how_to_go_on() {
        for (status, ways) in [
            (PipelineStatus::Timeout, &["--timeout", "governance run"] as &[&str]),
            (PipelineStatus::Orchestrating, &["rerun_gamma", "rerun_same", "accept_partial", "download_log"]),
            (PipelineStatus::ConsensusFailed, &["governance run"]),
            (PipelineStatus::OrchestrationFailed, &["governance run"]),
            (PipelineStatus::Failed, &["governance run"]),
            (PipelineStatus::Stopped, &["stop --lift"]),
            (PipelineStatus::Aborted, &["download_log"]),
            (PipelineStatus::Report, &["pipeline continue"]),
        ] {
            let diagnosis = diagnose(status, "", &[]);
            for way in ways {
                assert!(diagnosis.attempts.iter().any(|attempt| attempt.contains(way)), "{status}: `{way}` is missing in {diagnosis:?}");
            }
        }
        assert!(diagnose(PipelineStatus::Completed, "", &[failure("beta-b", "revoked", "x")]).attempts.is_empty());
    }

    #[test]
    fn the_reason_is_told_once_and_many_failures_are_counted() {
        let told = diagnose(PipelineStatus::Failed, "`alpha-a` failed at work: no key", &[failure("alpha-a", "no_key", "no key")]);
        assert_eq!(told.why, "`alpha-a` failed at work: no key");
        let many: Vec<_> = (0..8).map(|number| failure("alpha-a", "model_failed", &format!("down {number}"))).collect();
        let told = diagnose(PipelineStatus::Failed, "", &many);
        assert!(told.why.ends_with("and 3 more failures"), "{told:?}");
        assert_eq!(diagnose(PipelineStatus::Failed, " ", &[]).why, "no reason was given");
    }

    proptest! {
        #[test]
        fn nothing_is_offered_twice_whatever_failed(codes in prop::collection::vec("[a-z_]{0,12}|revoked|store_busy|rate_limited", 0..9)) {
            let failures: Vec<_> = codes.iter().map(|code| failure("a", code, "x")).collect();
            for status in PipelineStatus::ALL {
                let mut offered = diagnose(*status, "", &failures).attempts;
                let all = offered.len();
                offered.sort();
                offered.dedup();
                prop_assert_eq!(offered.len(), all);
            }
        }
    }
}
