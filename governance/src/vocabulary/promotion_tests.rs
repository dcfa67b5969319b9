use proptest::prelude::*;

use super::*;
use crate::vocabulary::PromotionRequirements;

const NOW: Millis = Millis(1_000_000_000_000);

fn days_ago(days: u64) -> Millis {
    Millis(NOW.0 - days * 24 * 60 * 60 * 1_000)
}

fn asked(tier: Tier) -> Requirements {
    Requirements::of(tier, None).unwrap().unwrap()
}

/// A history that meets each requirement of a tier exactly.
fn exact(asked: &Requirements) -> ProfileHistory {
    ProfileHistory {
        compliant: asked.runs,
        consecutive: asked.consecutive,
        actions: asked.actions.iter().map(|action| (action.clone(), 1)).collect(),
        modifications: asked.modifications,
        violations: [days_ago(u64::from(asked.clean_days))].into(),
        ..ProfileHistory::default()
    }
}

fn status(history: &ProfileHistory, tier: Tier) -> PromotionStatus {
    eligibility(history, Some(&asked(tier)), NOW).status
}

const RISING: [Tier; 4] = [Tier::T0, Tier::T1, Tier::T2, Tier::T3];

#[test]
fn the_numbers_are_those_of_the_rules() {
    let numbers = |tier| {
        let Requirements { runs, consecutive, actions, modifications, clean_days, review, administrator, .. } = asked(tier);
        (runs, consecutive, actions.join(" "), modifications, clean_days, review, administrator)
    };
    assert_eq!(numbers(Tier::T0), (5, 3, "generate_plan".to_owned(), 0, 30, false, false));
    assert_eq!(numbers(Tier::T1), (10, 5, "ansible_check terraform_plan".to_owned(), 2, 30, false, false));
    assert_eq!(numbers(Tier::T2), (25, 10, "ansible_run terraform_apply".to_owned(), 5, 30, true, false));
    assert_eq!(numbers(Tier::T3), (50, 25, String::new(), 0, 0, true, true));
    assert_eq!(Requirements::of(Tier::T4, None).unwrap(), None);
    assert_eq!(eligibility(&ProfileHistory::default(), None, NOW).status, PromotionStatus::NotEligible);
}

#[test]
fn what_is_met_exactly_is_met_and_each_thing_less_is_not() {
    for tier in RISING {
        let (asked, history) = (asked(tier), exact(&asked(tier)));
        assert_eq!(status(&history, tier), PromotionStatus::Eligible, "{tier}");
        let mut less = vec![
            ("runs", ProfileHistory { compliant: asked.runs - 1, ..history.clone() }),
            ("consecutive", ProfileHistory { consecutive: asked.consecutive - 1, ..history.clone() }),
        ];
        for action in &asked.actions {
            let mut without = history.clone();
            without.actions.remove(action);
            less.push((action, without));
        }
        if asked.modifications > 0 {
            less.push(("modifications", ProfileHistory { modifications: asked.modifications - 1, ..history.clone() }));
        }
        if asked.clean_days > 0 {
            let mut broken = history.clone();
            broken.violations.push_back(Millis(days_ago(30).0 + 1));
            less.push(("violations", broken));
        }
        for (what, history) in less {
            let found = eligibility(&history, Some(&asked), NOW);
            assert_eq!(found.status, PromotionStatus::NotEligible, "{tier} without {what}");
            assert_eq!(found.missing().map(|missing| missing.name.as_str()).collect::<Vec<_>>(), [what], "{tier}");
        }
    }
}

#[test]
fn a_profile_may_ask_for_more_and_never_for_less() {
    let terms = |requirements| PromotionTerms { target: Tier::T2, requirements };
    let own = PromotionRequirements { runs: Some(12), actions: vec!["docker_run".into(), "ansible_check".into()], ..Default::default() };
    let asked = Requirements::of(Tier::T1, Some(&terms(own))).unwrap().unwrap();
    assert_eq!((asked.runs, asked.consecutive, asked.actions.len()), (12, 5, 3));
    for lax in [
        PromotionRequirements { runs: Some(9), ..Default::default() },
        PromotionRequirements { consecutive: Some(0), ..Default::default() },
        PromotionRequirements { modifications: Some(1), ..Default::default() },
        PromotionRequirements { clean_days: Some(29), ..Default::default() },
    ] {
        assert_eq!(Requirements::of(Tier::T1, Some(&terms(lax))).unwrap_err().code(), "bad_profile");
    }
    let unreviewed = PromotionRequirements { review: Some(false), ..Default::default() };
    let unreviewed = PromotionTerms { target: Tier::T3, requirements: unreviewed };
    assert!(Requirements::of(Tier::T2, Some(&unreviewed)).is_err());
    let leap = PromotionTerms { target: Tier::T4, requirements: PromotionRequirements::default() };
    assert!(Requirements::of(Tier::T1, Some(&leap)).is_err() && Requirements::of(Tier::T4, Some(&leap)).is_err());
}

fn run() -> impl Strategy<Value = Run> {
    let actions = proptest::collection::btree_map("generate_plan|ansible_check|terraform_plan|write_file", 1..4_u32, 0..3);
    let compliant = prop_oneof![4 => Just(Some(true)), 1 => Just(Some(false)), 1 => Just(None)];
    (compliant, actions, 0..3_u32, proptest::collection::vec(0..60_u64, 0..2)).prop_map(|(compliant, actions, modifications, days)| {
        let violations = if compliant == Some(false) { days.into_iter().map(days_ago).collect() } else { Vec::new() };
        Run { compliant, actions, modifications, violations }
    })
}

proptest! {
    /// Counted one by one, the same as counted anew from all of them.
    #[test]
    fn a_history_is_what_its_lives_come_to(runs in proptest::collection::vec(run(), 0..40)) {
        let history = runs.iter().fold(ProfileHistory::default(), |history, run| history.and(run));
        let good = runs.iter().filter(|run| run.compliant == Some(true)).count();
        let told: Vec<_> = runs.iter().filter_map(|run| run.compliant).collect();
        let in_a_row = told.iter().rev().take_while(|good| **good).count();
        prop_assert_eq!((history.compliant as usize, history.consecutive as usize), (good, in_a_row));
        prop_assert_eq!(history.violations.len(), runs.iter().map(|run| run.violations.len()).sum::<usize>());
        let plans: u32 = runs.iter().filter_map(|run| run.actions.get("generate_plan")).sum();
        prop_assert_eq!(history.actions.get("generate_plan").copied().unwrap_or_default(), plans);
    }

    /// One more compliant life never takes eligibility away; a life that was not compliant leaves nobody with less than one more in a row eligible.
    #[test]
    fn good_conduct_never_harms_and_bad_conduct_always_does(runs in proptest::collection::vec(run(), 0..40), tier in 0..4_usize) {
        let tier = RISING[tier];
        let history = runs.iter().fold(ProfileHistory::default(), |history, run| history.and(run));
        let better = history.clone().and(&Run { compliant: Some(true), ..Run::default() });
        if status(&history, tier) == PromotionStatus::Eligible {
            prop_assert_eq!(status(&better, tier), PromotionStatus::Eligible);
        }
        let worse = history.and(&Run { compliant: Some(false), ..Run::default() });
        prop_assert_eq!(status(&worse, tier), PromotionStatus::NotEligible);
        prop_assert_eq!(status(&worse.anew(), tier), PromotionStatus::NotEligible);
    }

    /// However many violations there were, the newest are remembered, and what is remembered is bounded.
    #[test]
    fn violations_are_bounded_and_the_newest_are_kept(days in proptest::collection::vec(0..1_000_u64, 0..600)) {
        let run = Run { compliant: Some(false), violations: days.iter().copied().map(days_ago).collect(), ..Run::default() };
        let history = ProfileHistory::default().and(&run);
        prop_assert_eq!(history.violations.len(), days.len().min(REMEMBERED));
        prop_assert_eq!(history.violations.back().copied(), days.iter().min().copied().map(days_ago));
    }
}
