//! When calls of something that fails are refused, and when it is tried again. Pure; [`Breaker`](super::Breaker) carries it out.
//!
//! ```text
//!            5 failures in a row                60 s later: one trial
//!   closed ───────────────────────▶ open ─────────────────────────────▶ half open ──┐ a success: the next trial
//!     ▲                              ▲                                   │  │  ▲     │
//!     │                              └────────── a trial fails ──────────┘  │  └─────┘
//!     └───────────────────────────────── 2 successes ───────────────────────┘
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::vocabulary::{Millis, Token};

/// When a circuit opens, and how it closes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitLimits {
    /// So many failures in a row open it.
    pub failures: u32,
    /// It stays open so long.
    pub pause: Duration,
    /// So many successful trials close it.
    pub successes: u32,
}

impl Default for CircuitLimits {
    fn default() -> Self {
        Self { failures: 5, pause: Duration::from_secs(60), successes: 2 }
    }
}

/// Whether calls are let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum Circuit {
    /// All are.
    Closed {
        /// So many failed in a row.
        failures: u32,
    },
    /// None is.
    Open {
        /// Since when, in the store's time.
        since: Millis,
    },
    /// One at a time is, to see whether it works again.
    HalfOpen {
        /// So many did.
        successes: u32,
        /// The one that is under way.
        trial: Option<Trial>,
    },
}

/// A call that tries whether it works again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Whose result counts.
    pub id: Token,
    /// Until when; then its caller is taken for dead, and another may try. In the store's time.
    pub until: Millis,
}

/// What was let through: give it back with the result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "what was let through reports how it ended"]
pub enum Pass {
    /// A call like any other.
    Free,
    /// The one trial.
    Trial(Token),
}

/// What happens to a circuit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CircuitEvent {
    /// Somebody asks to be let through.
    Ask {
        /// What its trial would be called.
        id: Token,
        /// How long its call may take.
        within: Duration,
    },
    /// A call worked.
    Succeeded(Pass),
    /// A call failed.
    Failed(Pass),
    /// A call was not made, or says nothing about whether it works.
    Abandoned(Pass),
}

/// What a circuit answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CircuitVerdict {
    /// Go.
    Admitted(Pass),
    /// Not before this time.
    Refused(Millis),
    /// Nothing changed for others.
    Noted,
    /// It opened.
    Opened,
    /// It closed.
    Closed,
}

impl Default for Circuit {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Circuit {
    /// What an event leads to. A result that comes too late leads to nothing.
    #[must_use]
    pub fn apply(self, event: CircuitEvent, limits: &CircuitLimits, now: Millis) -> (Self, CircuitVerdict) {
        match event {
            CircuitEvent::Ask { id, within } => self.ask(id, within, limits, now),
            CircuitEvent::Succeeded(pass) => self.succeeded(&pass, limits),
            CircuitEvent::Failed(pass) => self.failed(&pass, limits, now),
            CircuitEvent::Abandoned(pass) => self.abandoned(&pass),
        }
    }

    fn ask(self, id: Token, within: Duration, limits: &CircuitLimits, now: Millis) -> (Self, CircuitVerdict) {
        let successes = match &self {
            Self::Closed { .. } => return (self, CircuitVerdict::Admitted(Pass::Free)),
            Self::Open { since } if now < since.after(limits.pause) => {
                let until = since.after(limits.pause);
                return (self, CircuitVerdict::Refused(until));
            }
            Self::Open { .. } => 0,
            // INVARIANT: one trial at a time.
            Self::HalfOpen { trial: Some(trial), .. } if now < trial.until => {
                let until = trial.until;
                return (self, CircuitVerdict::Refused(until));
            }
            Self::HalfOpen { successes, .. } => *successes,
        };
        let trial = Some(Trial { id: id.clone(), until: now.after(within) });
        (Self::HalfOpen { successes, trial }, CircuitVerdict::Admitted(Pass::Trial(id)))
    }

    fn succeeded(self, pass: &Pass, limits: &CircuitLimits) -> (Self, CircuitVerdict) {
        match self {
            Self::Closed { .. } => (Self::Closed { failures: 0 }, CircuitVerdict::Noted),
            Self::HalfOpen { successes, ref trial } if is(trial.as_ref(), pass) => {
                let successes = successes + 1;
                if successes >= limits.successes {
                    return (Self::default(), CircuitVerdict::Closed);
                }
                (Self::HalfOpen { successes, trial: None }, CircuitVerdict::Noted)
            }
            other => (other, CircuitVerdict::Noted),
        }
    }

    fn failed(self, pass: &Pass, limits: &CircuitLimits, now: Millis) -> (Self, CircuitVerdict) {
        match self {
            Self::Closed { failures } if failures + 1 >= limits.failures => (Self::Open { since: now }, CircuitVerdict::Opened),
            Self::Closed { failures } => (Self::Closed { failures: failures + 1 }, CircuitVerdict::Noted),
            Self::HalfOpen { ref trial, .. } if is(trial.as_ref(), pass) => (Self::Open { since: now }, CircuitVerdict::Opened),
            other => (other, CircuitVerdict::Noted),
        }
    }

    fn abandoned(self, pass: &Pass) -> (Self, CircuitVerdict) {
        match self {
            Self::HalfOpen { successes, ref trial } if is(trial.as_ref(), pass) => {
                (Self::HalfOpen { successes, trial: None }, CircuitVerdict::Noted)
            }
            other => (other, CircuitVerdict::Noted),
        }
    }
}

fn is(trial: Option<&Trial>, pass: &Pass) -> bool {
    matches!((trial, pass), (Some(trial), Pass::Trial(id)) if trial.id == *id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(10);

    fn limits() -> CircuitLimits {
        CircuitLimits::default()
    }

    fn ask(number: usize) -> CircuitEvent {
        CircuitEvent::Ask { id: Token::new(format!("ask-{number}")).unwrap(), within: WITHIN }
    }

    fn step(circuit: &mut Circuit, event: CircuitEvent, now: u64) -> CircuitVerdict {
        let (next, verdict) = std::mem::take(circuit).apply(event, &limits(), Millis(now));
        *circuit = next;
        verdict
    }

    fn opened_at(now: u64) -> Circuit {
        let mut circuit = Circuit::default();
        (0..5).for_each(|_| drop(step(&mut circuit, CircuitEvent::Failed(Pass::Free), now)));
        circuit
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_a_success_between_does_not() {
        let mut circuit = Circuit::default();
        for _ in 0..4 {
            assert_eq!(step(&mut circuit, CircuitEvent::Failed(Pass::Free), 1), CircuitVerdict::Noted);
        }
        step(&mut circuit, CircuitEvent::Succeeded(Pass::Free), 1);
        for _ in 0..4 {
            assert_eq!(step(&mut circuit, CircuitEvent::Failed(Pass::Free), 1), CircuitVerdict::Noted);
        }
        assert_eq!(step(&mut circuit, CircuitEvent::Failed(Pass::Free), 1), CircuitVerdict::Opened);
    }

    #[test]
    fn after_a_minute_one_trial_goes_and_two_successes_close_it() {
        let mut circuit = opened_at(1_000);
        assert_eq!(step(&mut circuit, ask(0), 60_999), CircuitVerdict::Refused(Millis(61_000)));
        for (number, last) in [(1, CircuitVerdict::Noted), (2, CircuitVerdict::Closed)] {
            let CircuitVerdict::Admitted(pass) = step(&mut circuit, ask(number), 61_000) else { panic!("{circuit:?}") };
            assert_eq!(step(&mut circuit, ask(9), 61_001), CircuitVerdict::Refused(Millis(71_000)));
            assert_eq!(step(&mut circuit, CircuitEvent::Succeeded(pass), 61_002), last);
        }
        assert_eq!(circuit, Circuit::default());
    }

    #[test]
    fn a_failed_trial_opens_it_for_another_minute_and_an_abandoned_one_leaves_the_place() {
        let mut circuit = opened_at(0);
        let CircuitVerdict::Admitted(pass) = step(&mut circuit, ask(1), 60_000) else { panic!("{circuit:?}") };
        step(&mut circuit, CircuitEvent::Abandoned(pass), 60_001);
        let CircuitVerdict::Admitted(pass) = step(&mut circuit, ask(2), 60_002) else { panic!("{circuit:?}") };
        assert_eq!(step(&mut circuit, CircuitEvent::Failed(pass), 60_003), CircuitVerdict::Opened);
        assert_eq!(step(&mut circuit, ask(3), 60_004), CircuitVerdict::Refused(Millis(120_003)));
    }

    #[test]
    fn whoever_dies_with_the_trial_gives_it_up_and_its_late_result_counts_no_more() {
        let mut circuit = opened_at(0);
        let CircuitVerdict::Admitted(dead) = step(&mut circuit, ask(1), 60_000) else { panic!("{circuit:?}") };
        let CircuitVerdict::Admitted(pass) = step(&mut circuit, ask(2), 70_000) else { panic!("{circuit:?}") };
        let before = circuit.clone();
        step(&mut circuit, CircuitEvent::Failed(dead), 70_001);
        assert_eq!(circuit, before);
        step(&mut circuit, CircuitEvent::Succeeded(pass), 70_002);
        assert_eq!(circuit, Circuit::HalfOpen { successes: 1, trial: None });
    }

    #[derive(Debug, Clone)]
    enum Op {
        Ask,
        Wait(u64),
        /// The n-th pass that was given ends so.
        End(prop::sample::Index, u8),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            4 => Just(Op::Ask),
            2 => (0..70_000_u64).prop_map(Op::Wait),
            6 => (any::<prop::sample::Index>(), 0..8_u8).prop_map(|(which, how)| Op::End(which, how)),
        ];
        prop::collection::vec(op, 0..120)
    }

    proptest! {
        #[test]
        fn while_open_nothing_goes_and_half_open_one_at_a_time(ops in ops()) {
            let (mut circuit, mut now, mut out) = (Circuit::default(), 0, Vec::<(Pass, u64)>::new());
            for (number, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Wait(ms) => now += ms,
                    Op::Ask => {
                        let before = circuit.clone();
                        match (before, step(&mut circuit, ask(number), now)) {
                            (Circuit::Closed { .. }, verdict) => prop_assert_eq!(verdict, CircuitVerdict::Admitted(Pass::Free)),
                            (Circuit::Open { since }, CircuitVerdict::Admitted(_)) => prop_assert!(now >= since.0 + 60_000),
                            (_, CircuitVerdict::Refused(until)) => prop_assert!(until > Millis(now)),
                            (_, verdict) => {
                                let trial = matches!(verdict, CircuitVerdict::Admitted(Pass::Trial(_)));
                                prop_assert!(trial);
                            }
                        }
                        if let Circuit::HalfOpen { trial: Some(Trial { id, .. }), .. } = &circuit {
                            let pass = Pass::Trial(id.clone());
                            let living = out.iter().filter(|(pass, until)| matches!(pass, Pass::Trial(_)) && *until > now);
                            prop_assert!(living.filter(|(other, _)| *other != pass).count() == 0, "two trials at a time");
                            if out.iter().all(|(known, _)| *known != pass) {
                                out.push((pass, now + 10_000));
                            }
                        } else if matches!(circuit, Circuit::Closed { .. }) {
                            out.push((Pass::Free, u64::MAX));
                        }
                    }
                    Op::End(which, how) if !out.is_empty() => {
                        let (pass, _) = out.swap_remove(which.index(out.len()));
                        let before = circuit.clone();
                        let event = match how {
                            0..4 => CircuitEvent::Failed(pass.clone()),
                            4..7 => CircuitEvent::Succeeded(pass.clone()),
                            _ => CircuitEvent::Abandoned(pass.clone()),
                        };
                        let verdict = step(&mut circuit, event.clone(), now);
                        let closes = !matches!(before, Circuit::Closed { .. }) && circuit == Circuit::default();
                        prop_assert_eq!(verdict == CircuitVerdict::Closed, closes);
                        if verdict == CircuitVerdict::Closed {
                            let second = matches!(before, Circuit::HalfOpen { successes: 1, .. });
                            prop_assert!(second && event == CircuitEvent::Succeeded(pass));
                        }
                        if verdict == CircuitVerdict::Opened {
                            let due = before == Circuit::Closed { failures: 4 } || matches!(before, Circuit::HalfOpen { .. });
                            prop_assert!(due);
                        }
                        if matches!(before, Circuit::Open { .. }) {
                            prop_assert_eq!(&circuit, &before, "a late result changes nothing");
                        }
                    }
                    Op::End(..) => {}
                }
            }
        }
    }
}
