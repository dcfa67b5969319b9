//! Whether to ask a model again, when, and with which words. Pure: the attempt itself is made where it is budgeted and recorded.

use std::time::Duration;

use crate::error::Error;
use crate::vocabulary::Chance;

/// How often and how patiently a model is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How many attempts are made in all because of errors of the server or on the way.
    pub attempts: u32,
    /// How long the second attempt waits; each further one twice as long as the one before.
    pub pause: Duration,
    /// The longest wait, also when the server asks for more: then it is not asked again.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, pause: Duration::from_millis(500), longest: Duration::from_secs(60) }
    }
}

/// How to ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// After how long.
    pub after: Duration,
    /// What was wrong with the answer, if it is one that is asked for again.
    pub complaint: Option<String>,
}

/// What an answer can be: wrong in a way that the model can mend.
const BAD_ANSWERS: [&str; 5] = ["answer_empty", "answer_not_json", "answer_wrong", "answer_cut", "answer_too_large"];
/// Under which detail an error tells how many milliseconds the server asks for.
pub(crate) const RETRY_AFTER: &str = "retry_after_ms";

impl Retry {
    /// What follows the `attempt`-th attempt, counted from 1, that ended in `error`; none if it is not asked again. `complained` says
    /// whether a bad answer was complained of already.
    #[must_use]
    pub fn after(&self, attempt: u32, complained: bool, error: &Error, chance: &dyn Chance) -> Option<Again> {
        if Self::is_bad_answer(error) {
            return (!complained).then(|| Again { after: Duration::ZERO, complaint: Some(error.to_string()) });
        }
        let limited = error.code() == "rate_limited";
        if attempt >= self.attempts || !(error.may_retry() || limited) {
            return None;
        }
        let doubled = self.pause.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.longest);
        let asked = error.details().get(RETRY_AFTER).and_then(serde_json::Value::as_u64).map_or(Duration::ZERO, Duration::from_millis);
        // Up to a quarter more, so that many who were refused together do not come back together.
        let mut roll = [0];
        chance.fill(&mut roll);
        let after = doubled.max(asked);
        (asked <= self.longest).then(|| Again { after: after + after.mul_f64(f64::from(roll[0]) / 1_024.0), complaint: None })
    }

    /// Whether the model answered, and wrongly: the service itself works.
    #[must_use]
    pub fn is_bad_answer(error: &Error) -> bool {
        BAD_ANSWERS.contains(&error.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::vocabulary::System;

    fn after(attempt: u32, complained: bool, error: &Error) -> Option<Again> {
        Retry::default().after(attempt, complained, error, &System)
    }

    #[test]
    fn an_error_on_the_way_is_tried_three_times_each_time_later() {
        let down = Error::unavailable("model_failed", "down");
        let waits: Vec<_> = (1..=3).map(|attempt| after(attempt, false, &down).map(|again| again.after)).collect();
        let between = |wait: Option<Duration>, least: u64| {
            let wait = wait.unwrap().as_millis() as u64;
            assert!((least..=least + least / 4).contains(&wait), "{wait} for {least}");
        };
        between(waits[0], 500);
        between(waits[1], 1_000);
        assert_eq!(waits[2], None);
    }

    #[test]
    fn the_server_says_how_long_to_wait_up_to_what_is_sensible() {
        let limited = |ms: u64| Error::new(ErrorKind::Exhausted, "rate_limited", "slow down").with(RETRY_AFTER, ms);
        assert!(after(1, false, &limited(7_000)).unwrap().after >= Duration::from_secs(7));
        assert_eq!(after(1, false, &limited(3_600_000)), None);
        assert_eq!(after(1, false, &Error::new(ErrorKind::Exhausted, "budget_exhausted", "nothing left")), None);
    }

    #[test]
    fn a_bad_answer_is_asked_for_again_once_with_what_was_wrong() {
        let bad = Error::invalid("answer_not_json", "half of it is missing");
        let again = after(1, false, &bad).unwrap();
        assert_eq!((again.after, again.complaint.as_deref()), (Duration::ZERO, Some("half of it is missing")));
        assert_eq!(after(2, true, &bad), None);
    }

    #[test]
    fn what_will_not_change_is_not_tried_again() {
        assert_eq!(after(1, false, &Error::new(ErrorKind::Denied, "key_refused", "no")), None);
    }
}
