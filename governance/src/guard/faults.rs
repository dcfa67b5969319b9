//! Counting faults: after the one that exceeds a limit, nothing more is admitted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::vocabulary::FaultLimits;

/// How many different errors are told apart; further ones count as the last.
const KINDS_KEPT: usize = 256;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// An error.
    Error {
        /// What kind.
        kind: String,
        /// What it said.
        message: String,
    },
    /// The procedure was not followed.
    ProcedureViolation,
}

/// The faults of an agent so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// Errors in all.
    pub total_errors: u32,
    /// Errors by fingerprint: kind and normalised message.
    pub by_fingerprint: BTreeMap<String, u32>,
    /// Procedure violations.
    pub procedure_violations: u32,
}

/// Which limit was exceeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exceeded {
    /// Too many errors.
    TotalErrors,
    /// One error too often.
    SameError(String),
    /// Too many procedure violations.
    ProcedureViolations,
}

/// What a fault led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultCount {
    /// Counted; there is room.
    Counted,
    /// Counted; 80 % of a limit are used.
    Low,
    /// Counted, and one too many: the agent is revoked.
    Exceeded(Exceeded),
}

impl Faults {
    /// Counts a fault.
    #[must_use]
    pub fn and(mut self, fault: &Fault, limits: &FaultLimits) -> (Self, FaultCount) {
        let count = match fault {
            Fault::Error { kind, message } => {
                self.total_errors = self.total_errors.saturating_add(1);
                let mut print = fingerprint(kind, message);
                if self.by_fingerprint.len() >= KINDS_KEPT && !self.by_fingerprint.contains_key(&print) {
                    "other".clone_into(&mut print);
                }
                let repeats = self.by_fingerprint.entry(print.clone()).or_default();
                *repeats = repeats.saturating_add(1);
                if *repeats > limits.max_same_error_repeats {
                    FaultCount::Exceeded(Exceeded::SameError(print))
                } else if self.total_errors > limits.max_total_errors {
                    FaultCount::Exceeded(Exceeded::TotalErrors)
                } else if low(self.total_errors, limits.max_total_errors) || low(*repeats, limits.max_same_error_repeats) {
                    FaultCount::Low
                } else {
                    FaultCount::Counted
                }
            }
            Fault::ProcedureViolation => {
                self.procedure_violations = self.procedure_violations.saturating_add(1);
                if self.procedure_violations > limits.max_procedure_violations {
                    FaultCount::Exceeded(Exceeded::ProcedureViolations)
                } else if low(self.procedure_violations, limits.max_procedure_violations) {
                    FaultCount::Low
                } else {
                    FaultCount::Counted
                }
            }
        };
        (self, count)
    }
}

fn low(used: u32, limit: u32) -> bool {
    u64::from(used) * 5 >= u64::from(limit) * 4
}

/// What makes two errors the same: their kind, and their message without numbers, quoted parts and case.
#[must_use]
pub fn fingerprint(kind: &str, message: &str) -> String {
    let mut print = format!("{}:", kind.to_lowercase());
    let mut quote = None;
    let mut last = ' ';
    for c in message.chars().take(512).flat_map(char::to_lowercase) {
        if let Some(open) = quote {
            if c == open {
                quote = None;
            }
            continue;
        }
        let shown = match c {
            '"' | '`' => {
                quote = Some(c);
                '…'
            }
            c if c.is_ascii_digit() => '#',
            c if c.is_whitespace() => ' ',
            c => c,
        };
        if !(shown == last && (shown == '#' || shown == ' ')) {
            print.push(shown);
        }
        last = shown;
        if print.len() > 160 {
            break;
        }
    }
    print.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(message: &str) -> Fault {
        Fault::Error { kind: "http".into(), message: message.into() }
    }

    fn count(faults: &[Fault]) -> Vec<FaultCount> {
        let mut held = Faults::default();
        let mut counts = Vec::new();
        for fault in faults {
            let (next, count) = held.and(fault, &FaultLimits::default());
            held = next;
            counts.push(count);
        }
        counts
    }

    #[test]
    fn the_ninth_error_exceeds_and_the_seventh_warns() {
        let nine: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(error).to_vec();
        let counts = count(&nine);
        assert_eq!(counts[5], FaultCount::Counted);
        assert_eq!(counts[6..8], [FaultCount::Low, FaultCount::Low]);
        assert_eq!(counts[8], FaultCount::Exceeded(Exceeded::TotalErrors));
    }

    #[test]
    fn the_third_occurrence_of_one_error_exceeds() {
        let same = [error("timeout after 31 ms"), error("Timeout  after 7 ms"), error("timeout after 1234 ms")];
        assert!(matches!(&count(&same)[2], FaultCount::Exceeded(Exceeded::SameError(print)) if print == "http:timeout after # ms"));
    }

    #[test]
    fn the_second_procedure_violation_exceeds() {
        let counts = count(&[Fault::ProcedureViolation, Fault::ProcedureViolation]);
        assert_eq!(counts, [FaultCount::Low, FaultCount::Exceeded(Exceeded::ProcedureViolations)]);
    }

    #[test]
    fn different_errors_have_different_fingerprints() {
        assert_ne!(fingerprint("http", "not found"), fingerprint("io", "not found"));
        assert_eq!(fingerprint("x", "no file `a.txt` at 12:30"), fingerprint("x", "no file `b.md` at 7:05"));
    }
}
