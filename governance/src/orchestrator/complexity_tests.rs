use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::vocabulary::{Clock, System};

fn score(objective: &str) -> f64 {
    complexity(objective).score
}

#[test]
fn what_asks_for_much_is_above_and_what_asks_for_little_below() {
    let much = [
        "Migrate the monolith to services: split billing, catalogue and accounts, keep every existing URL working, move 40 million rows \
         without downtime, encrypt personal data at rest, log each administrative change for 7 years, and the old system must stay able to \
         take over within 15 minutes. Deliver a plan, a cost estimate, and a rollback procedure; at most 3 engineers for 6 months.",
        "Build a booking platform for 12 clinics. Patients choose a doctor, see free slots, pay a deposit and get a reminder 24 hours \
         before. Receptionists can overrule every booking but must give a reason. No appointment may ever be sold twice. Records never \
         leave the country, and an auditor reads who looked at which file. It has to work on old phones without an app.",
        "Design our disaster recovery: two regions, data loss below 5 seconds, service back within 10 minutes; tested monthly without \
         customers noticing; backups encrypted with keys that operators cannot read; restore drills documented; costs at most 30% above \
         today's bill; suppliers must be replaceable, and the on-call rota stays under 6 people.",
        "Plan the rollout of passwordless login for 3 products:\n- existing sessions stay valid\n- recovery must work without support staff\n\
         - hardware keys for administrators only\n- at least 2 factors for payments\n- phishing reports reach security within 1 hour\n\
         - marketing gets a weekly adoption figure\n- no tracking identifiers are stored\n- legacy clients are cut off after 90 days",
        "Create a data warehouse that ingests 200 GB a day from 14 sources, deduplicates customers, masks personal fields before analysts \
         see them, answers dashboards within 2 seconds, keeps 5 years of history, rebuilds any table from raw files, alerts when a feed is \
         late, and never costs more than 9,000 euros a month. Document lineage, train the team, then retire the old cube.",
    ];
    let little = [
        "Design a caching strategy",
        "Choose a name for the new billing service",
        "Write a function that reverses a linked list and add a test for it",
        "Propose how to cut the build time of our repository from 20 to 10 minutes",
        "We need a better way to onboard new engineers. Propose one, with a checklist for the first week.",
    ];
    for objective in much {
        assert!(score(objective) > 0.8, "{objective}: {:?}", complexity(objective));
    }
    for objective in little {
        assert!(score(objective) < 0.6, "{objective}: {:?}", complexity(objective));
    }
    assert!(score("Design a caching strategy") < 0.15);
}

#[test]
fn the_inputs_explain_the_score() {
    let complexity = complexity("Cache the prices for 60 seconds and never serve stale stock");
    let value = |name: &str| complexity.inputs.iter().find(|input| input.name == name).map(|input| input.value);
    assert_eq!(["requirements", "constraints", "quantities", "words"].map(value), [Some(2), Some(2), Some(1), Some(10)]);
    assert!((complexity.inputs.iter().map(|input| input.weight).sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn who_repeats_himself_asks_for_nothing_more() {
    let once = "The service must answer within 50 ms";
    let often = [once; 50].join(". ");
    assert!(score(&often) < 0.4, "{:?}", complexity(&often));
    assert!(score(&"must without never always only. ".repeat(100)) < 0.4);
}

#[test]
fn a_decimal_or_a_thousand_is_one_number_and_ends_no_clause() {
    let complexity = complexity("Availability of 99.95% for 1,000,000 users");
    assert_eq!(complexity.inputs.iter().find(|input| input.name == "quantities").unwrap().value, 2);
    assert_eq!(complexity.inputs.iter().find(|input| input.name == "requirements").unwrap().value, 1);
}

#[test]
fn a_text_that_is_wrapped_asks_for_no_more_and_a_list_for_each_of_its_items() {
    let requirements = |text: &str| complexity(text).inputs[0].value;
    assert_eq!(requirements("Design a caching strategy for prices\nand keep stock fresh, wrapped at\nforty columns"), 3);
    assert_eq!(requirements("Design a caching\nstrategy for\nproduct prices"), 1);
    assert_eq!(requirements("Plan:\n1. split billing service\n2) move customer rows\n- train support staff"), 3);
}

#[test]
fn a_megabyte_is_counted_in_bounded_time() {
    let words: String = (0..150_000).map(|number| format!("w{number:x} ")).collect();
    for objective in ["x".repeat(1 << 20), "a, ".repeat(350_000), words, "\u{3c3}.\n".repeat(260_000)] {
        let begun = System.elapsed();
        assert!((0.0..=1.0).contains(&score(&objective)));
        let took = System.elapsed().saturating_sub(begun);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

fn clause() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-z]{1,9}|[0-9]{1,4}|must|without|and|at most", 1..8).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn the_score_is_between_0_and_1_whatever_the_text(text in ".*") {
        prop_assert!((0.0..=1.0).contains(&score(&text)));
    }

    #[test]
    fn a_further_requirement_never_lowers_the_score(base in "\\PC{0,80}", clauses in prop::collection::vec(clause(), 1..12)) {
        let mut text = base;
        for clause in clauses {
            let before = score(&text);
            text = format!("{text}; {clause}");
            prop_assert!(score(&text) >= before, "{text}");
        }
    }
}
