use proptest::prelude::*;

use super::*;

const REST: Duration = Duration::from_millis(50);

fn at(time: u64) -> Millis {
    Millis(time)
}

fn looked(due: Option<u64>) -> Event {
    Event::Looked { due: due.map(Millis), in_vain: false }
}

fn with(events: &[(Event, u64)]) -> Schedule<u8> {
    let mut schedule = Schedule::default();
    for (event, now) in events {
        schedule.note(&1, *event, REST, at(*now));
    }
    schedule
}

#[test]
fn what_is_known_is_looked_at_at_once_or_when_it_is_due_first() {
    let mut schedule = with(&[(Event::Known(1, None), 1_000)]);
    assert_eq!(schedule.take(at(1_000), 9), [1]);
    let mut schedule = with(&[(Event::Known(1, Some(at(2_000))), 1_000)]);
    assert_eq!((schedule.take(at(1_999), 9), schedule.next()), (vec![], Some(at(2_000))));
    assert_eq!(schedule.take(at(2_000), 9), [1]);
    assert_eq!(schedule.next(), None, "handed out once");
}

#[test]
fn what_stirs_is_left_alone_for_a_while_after_each_look_but_not_forgotten() {
    let mut schedule = with(&[(Event::Known(1, None), 1_000)]);
    assert_eq!(schedule.take(at(1_000), 9), [1]);
    schedule.note(&1, Event::Stirred, REST, at(1_001));
    schedule.note(&1, looked(None), REST, at(1_002));
    assert_eq!(schedule.next(), Some(at(1_050)));
    assert_eq!(schedule.take(at(1_050), 9), [1]);
    schedule.note(&1, looked(None), REST, at(1_051));
    schedule.note(&1, Event::Stirred, REST, at(9_000));
    assert_eq!(schedule.next(), Some(at(9_000)));
}

#[test]
fn a_failing_thing_is_tried_less_and_less_often_whatever_stirs() {
    let mut schedule = with(&[(Event::Known(1, None), 0)]);
    let (mut tries, mut now) = (0, 0);
    while now < 10 * 60 * 1_000 {
        for key in schedule.take(at(now), 9) {
            tries += 1;
            schedule.note(&key, Event::Failed, REST, at(now));
        }
        schedule.note(&1, Event::Stirred, REST, at(now));
        now += 10;
    }
    // 0.1, 0.2, 0.4 … 51.2 s, then once a minute.
    assert!((15..=20).contains(&tries), "{tries} tries in ten minutes");
    let now = schedule.next().unwrap();
    assert_eq!(schedule.take(now, 9), [1]);
    schedule.note(&1, looked(None), REST, now);
    assert_eq!(schedule.duty(&1).unwrap().failures, 0);
}

#[test]
fn acting_in_vain_counts_as_failing_and_acting_well_does_not() {
    let mut schedule = with(&[(Event::Known(1, None), 0)]);
    schedule.take(at(0), 9);
    schedule.note(&1, Event::Looked { due: Some(at(5)), in_vain: true }, REST, at(10));
    assert_eq!(schedule.next(), Some(at(110)));
    schedule.take(at(110), 9);
    schedule.note(&1, Event::Looked { due: Some(at(118)), in_vain: false }, REST, at(110));
    assert_eq!(schedule.next(), Some(at(118)));
}

#[derive(Debug, Clone)]
enum Step {
    Know(u8, u64, Option<u64>),
    Stir(u8),
    Pass(u64),
    /// Answers the oldest that is handed out.
    Answer(Option<u64>, bool),
    Fail,
    Lose(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let due = || prop::option::of(0..500_u64);
    let step = prop_oneof![
        3 => (0..4_u8, 1..4_u64, due()).prop_map(|(key, version, due)| Step::Know(key, version, due)),
        3 => (0..4_u8).prop_map(Step::Stir),
        6 => (0..120_u64).prop_map(Step::Pass),
        6 => (due(), any::<bool>()).prop_map(|(due, in_vain)| Step::Answer(due, in_vain)),
        1 => Just(Step::Fail),
        1 => (0..4_u8).prop_map(Step::Lose),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    /// What is promised of every history: nothing is handed out twice, nothing early, and nothing that is due is forgotten.
    #[test]
    fn nothing_is_handed_out_twice_or_early_and_nothing_is_forgotten(steps in steps()) {
        let mut schedule: Schedule<u8> = Schedule::default();
        let (mut now, mut out, mut looked_at) = (10_000, Vec::<u8>::new(), [0_u64; 4]);
        // What must happen by when, at the latest, as far as a simple mind can tell.
        let mut promised: [Option<u64>; 4] = [None; 4];
        for step in steps {
            match step {
                Step::Know(key, version, due) => {
                    let (fresh, due) = (schedule.duty(&key).is_none(), due.map(|due| now + due));
                    schedule.note(&key, Event::Known(version, due.map(Millis)), REST, Millis(now));
                    if fresh {
                        promised[usize::from(key)] = Some(due.unwrap_or(now));
                    }
                }
                Step::Stir(key) => {
                    let calm = schedule.duty(&key).is_some_and(|duty| duty.failures == 0) && !out.contains(&key);
                    schedule.note(&key, Event::Stirred, REST, Millis(now));
                    if calm {
                        let by = now.max(looked_at[usize::from(key)] + 50);
                        let promise = &mut promised[usize::from(key)];
                        *promise = Some(promise.map_or(by, |earlier| earlier.min(by)));
                    }
                }
                Step::Pass(time) => now += time,
                Step::Answer(due, in_vain) => {
                    if out.is_empty() { continue }
                    let key = out.remove(0);
                    let due = due.map(|due| now + due);
                    schedule.note(&key, Event::Looked { due: due.map(Millis), in_vain }, REST, Millis(now));
                    promised[usize::from(key)] = if in_vain { None } else { due };
                }
                Step::Fail => {
                    if out.is_empty() { continue }
                    let key = out.remove(0);
                    schedule.note(&key, Event::Failed, REST, Millis(now));
                    prop_assert!(schedule.duty(&key).is_none_or(|duty| duty.failures > 0));
                    promised[usize::from(key)] = None;
                }
                Step::Lose(key) => {
                    schedule.note(&key, Event::Gone, REST, Millis(now));
                    out.retain(|other| *other != key);
                    promised[usize::from(key)] = None;
                }
            }
            if let Some(next) = schedule.next() {
                prop_assert!(schedule.take(Millis(next.0.saturating_sub(1)), 9).is_empty(), "early");
            }
            for key in schedule.take(Millis(now), 9) {
                prop_assert!(!out.contains(&key), "{key} was handed out twice");
                out.push(key);
                (promised[usize::from(key)], looked_at[usize::from(key)]) = (None, now);
            }
            for (key, promise) in (0..).zip(promised) {
                prop_assert!(promise.is_none_or(|by| by > now), "{key} was due at {promise:?} and is forgotten at {now}");
            }
        }
    }
}
