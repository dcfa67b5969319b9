//! Which proposals nobody settled. Pure.

use std::collections::BTreeMap;

use crate::vocabulary::{AgentId, EntryName};

/// What its judges gave one proposal.
type Scores = BTreeMap<AgentId, u32>;

/// The proposals that stand against each other still, by name.
///
/// One proposal is better than another when it is at least as good for every judge of both, and better for one of them. A proposal is
/// settled when better ones lead from it up to one that nothing is better than. So equal ones both stay, one that nobody judged stays, and
/// so do those that only go round in a circle, which comes about where not everybody judged everything. Something always stays.
#[must_use]
pub fn unresolved(scores: &BTreeMap<EntryName, BTreeMap<AgentId, u32>>) -> Vec<EntryName> {
    let proposals: Vec<(&EntryName, &Scores)> = scores.iter().collect();
    let worse_than = |one: usize| (0..proposals.len()).filter(move |other| *other != one);
    let worse: Vec<Vec<usize>> = (0..proposals.len())
        .map(|one| worse_than(one).filter(|other| is_better(proposals[one].1, proposals[*other].1)).collect())
        .collect();
    let mut beaten = vec![false; proposals.len()];
    worse.iter().flatten().for_each(|other| beaten[*other] = true);
    let mut next: Vec<usize> = (0..proposals.len()).filter(|one| !beaten[*one]).collect();
    let mut settled = vec![false; proposals.len()];
    while let Some(one) = next.pop() {
        for other in &worse[one] {
            if !std::mem::replace(&mut settled[*other], true) {
                next.push(*other);
            }
        }
    }
    proposals.iter().zip(settled).filter(|(_, settled)| !settled).map(|((name, _), _)| (*name).clone()).collect()
}

fn is_better(one: &Scores, other: &Scores) -> bool {
    let mut better = false;
    for (judge, score) in one {
        match other.get(judge) {
            Some(theirs) if score < theirs => return false,
            Some(theirs) => better |= score > theirs,
            None => {}
        }
    }
    better
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(rows: &[(&str, &[(&str, u32)])]) -> BTreeMap<EntryName, Scores> {
        let scores = |row: &[(&str, u32)]| row.iter().map(|(judge, score)| (AgentId::new(judge).unwrap(), *score)).collect();
        rows.iter().map(|(name, row)| (EntryName::new(name).unwrap(), scores(row))).collect()
    }

    fn stay(rows: &[(&str, &[(&str, u32)])]) -> Vec<String> {
        unresolved(&table(rows)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_what_another_one_beats_for_all_is_settled() {
        assert_eq!(stay(&[]), [""; 0]);
        assert_eq!(stay(&[("a", &[("x", 5), ("y", 5)]), ("b", &[("x", 5), ("y", 4)])]), ["a"]);
        assert_eq!(stay(&[("a", &[("x", 9), ("y", 1)]), ("b", &[("x", 1), ("y", 9)]), ("c", &[("x", 1), ("y", 1)])]), ["a", "b"]);
    }

    #[test]
    fn equal_ones_and_ones_without_a_common_judge_stay() {
        assert_eq!(stay(&[("a", &[("x", 5)]), ("b", &[("x", 5)])]), ["a", "b"]);
        assert_eq!(stay(&[("a", &[("x", 9)]), ("b", &[]), ("c", &[("y", 1)])]), ["a", "b", "c"]);
    }

    #[test]
    fn what_goes_round_in_a_circle_stays() {
        let circle: [(&str, &[(&str, u32)]); 3] =
            [("a", &[("x", 1), ("z", 2)]), ("b", &[("x", 2), ("y", 1)]), ("c", &[("y", 2), ("z", 1)])];
        assert_eq!(stay(&circle), ["a", "b", "c"]);
        let best: (&str, &[(&str, u32)]) = ("d", &[("x", 9)]);
        assert_eq!(stay(&[circle[0], circle[1], circle[2], best]), ["d"], "one that beats two of them settles all");
    }

    /// Scores of up to three judges; each judged all, or only some.
    fn any_table(all: bool) -> impl Strategy<Value = BTreeMap<EntryName, Scores>> {
        let judge =
            move |name: &'static str| (0_u32..5, 0..10).prop_map(move |(score, chance)| (all || chance < 6).then_some((name, score)));
        let row = [judge("x"), judge("y"), judge("z")]
            .prop_map(|scores| scores.into_iter().flatten().map(|(judge, score)| (AgentId::new(judge).unwrap(), score)).collect());
        prop::collection::vec(row, 0..7)
            .prop_map(|rows| (0..).zip(rows).map(|(number, row)| (EntryName::new(format!("p{number}")).unwrap(), row)).collect())
    }

    proptest! {
        #[test]
        fn where_all_judged_all_it_is_the_pareto_front(scores in any_table(true)) {
            let beaten = |own: &Scores| scores.values().any(|other| is_better(other, own));
            let front: Vec<_> = scores.iter().filter(|(_, own)| !beaten(own)).map(|(name, _)| name.clone()).collect();
            prop_assert_eq!(unresolved(&scores), front);
        }

        #[test]
        fn something_stays_and_what_nothing_beats_always_does(scores in any_table(false)) {
            let stay = unresolved(&scores);
            prop_assert!(scores.is_empty() || !stay.is_empty());
            for (name, own) in &scores {
                let beaten = scores.values().any(|other| is_better(other, own));
                prop_assert!(beaten || stay.contains(name));
            }
        }

        #[test]
        fn asking_again_among_those_that_stay_changes_nothing(scores in any_table(true)) {
            let stay = unresolved(&scores);
            let rest = scores.into_iter().filter(|(name, _)| stay.contains(name)).collect();
            prop_assert_eq!(unresolved(&rest), stay);
        }
    }
}
