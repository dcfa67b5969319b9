//! How much is taken, and what stands in the way.

use proptest::prelude::*;

use super::*;
use crate::vocabulary::Kind;

fn term(scope: Scope, unit: Unit, limit: u64, used: u64) -> Term {
    let counter = Key::new(format!("{scope}:{unit}"), Kind::Counter);
    Term { scope, unit, limit, closed: false, used, set: None, counter, frees: Vec::new(), told_low: false }
}

fn agent() -> Scope {
    Scope::Agent("alpha-1".parse().unwrap())
}

const CALL: Asked = Asked { tokens: 0, cost: 0 };

#[test]
fn where_nothing_is_limited_nothing_is_counted() {
    let plan = plan(&[], &CALL, 8, Millis(0)).unwrap();
    assert_eq!((plan.calls, plan.places, plan.single), (u64::MAX, u64::MAX, false));
}

#[test]
fn the_strictest_scope_decides_how_much_is_taken() {
    let terms = [term(agent(), Unit::CallsPerMinute, 1_000, 0), term(Scope::Tenant, Unit::CallsPerMinute, 64, 0)];
    assert_eq!(plan(&terms, &CALL, 1_000, Millis(0)).unwrap().calls, 4);
    assert_eq!(plan(&terms, &CALL, 2, Millis(0)).unwrap().calls, 2, "no more than was used lately");
}

#[test]
fn of_a_small_limit_each_piece_is_one_call() {
    assert_eq!(plan(&[term(Scope::Tenant, Unit::Calls, 10, 0)], &CALL, 1_000, Millis(0)).unwrap().calls, 1);
    let places = plan(&[term(Scope::Tenant, Unit::Concurrency, 10, 3)], &CALL, 1_000, Millis(0)).unwrap();
    assert!(places.single && places.places == 1, "a place that is scarce is given back with its call");
}

#[test]
fn fewer_tokens_are_set_aside_where_fewer_are_left() {
    let asked = Asked { tokens: 500, cost: 0 };
    let terms = [term(agent(), Unit::Tokens, 1_000, 0), term(Scope::Tenant, Unit::Tokens, 1_000, 900)];
    assert_eq!(plan(&terms, &asked, 1, Millis(0)).unwrap().tokens, 100);
    let terms = [term(Scope::Tenant, Unit::Tokens, 1_000, 1_000)];
    assert!(plan(&terms, &CALL, 1, Millis(0)).is_ok(), "a call that uses none needs none");
    assert_eq!(plan(&terms, &asked, 1, Millis(0)).unwrap_err().code(), "budget_exhausted");
}

#[test]
fn a_refusal_says_whose_limit_it_is_how_much_is_left_and_when_it_may_go_on() {
    let mut window = term(Scope::Pipeline("pipe".parse().unwrap()), Unit::CallsPerMinute, 10, 10);
    window.frees = vec![(Millis(60_500), 4), (Millis(65_000), 6)];
    let refusal = plan(&[window.clone()], &CALL, 1, Millis(60_000)).unwrap_err();
    assert_eq!((refusal.code(), refusal.remaining, refusal.retry_after_ms), ("rate_limited", 0, Some(500)));
    assert_eq!(refusal.sentence(), "the pipeline `pipe` may make 10 calls a minute, and has made them: again in 0.5 s");
    // What does not come back by itself is told first.
    let spent = term(Scope::Tenant, Unit::Calls, 5, 5);
    assert_eq!(plan(&[window, spent], &CALL, 1, Millis(60_000)).unwrap_err().code(), "budget_exhausted");
}

#[test]
fn a_limit_warns_once_at_four_fifths() {
    let plan = Plan { calls: 8, places: 1, tokens: 0, cost: 0, single: false };
    assert!(!term(agent(), Unit::Calls, 100, 71).warns(&plan));
    assert!(term(agent(), Unit::Calls, 100, 72).warns(&plan));
    assert!(!Term { told_low: true, ..term(agent(), Unit::Calls, 100, 72) }.warns(&plan));
}

proptest! {
    #[test]
    fn no_plan_takes_more_than_there_is(
        rooms in prop::collection::vec((0..4_usize, 0..5_000_u64, 0..5_000_u64), 0..8),
        tokens in 0..3_000_u64,
        appetite in 0..10_000_u64,
    ) {
        let units = [Unit::Calls, Unit::CallsPerMinute, Unit::Concurrency, Unit::Tokens];
        let terms: Vec<_> = rooms.iter().map(|(unit, limit, used)| term(Scope::Tenant, units[*unit], *limit, *used)).collect();
        let asked = Asked { tokens, cost: 0 };
        match plan(&terms, &asked, appetite, Millis(0)) {
            Ok(plan) => prop_assert!(terms.iter().all(|term| term.takes(&plan) <= term.room()) && plan.calls > 0 && plan.places > 0),
            Err(refusal) => prop_assert!(refusal.remaining < 1),
        }
    }
}
