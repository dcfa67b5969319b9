//! Counting ballots: a pure function from rule and ballots to an outcome. Permuting the ballots changes nothing; a tie or a missed quorum is
//! undecided, and undecided is never a yes.
//!
//! The seven protocols of arXiv:2502.19130 ("Voting or Consensus? Decision-Making in Multi-Agent Debate"): majority, supermajority, unanimity;
//! plurality, ranked, cumulative, approval. And weighted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::vocabulary::{AgentId, named};

/// What a voter distributes under the cumulative rule.
const POINTS: u32 = 10;

named! {
    /// How ballots become a decision.
    pub enum DecisionRule {
        /// More than half of the votes for one option.
        Majority = "majority",
        /// Two thirds of the votes or more.
        Supermajority = "supermajority",
        /// Every member of the electorate for the same option.
        Unanimity = "unanimity",
        /// More votes than any other option.
        Plurality = "plurality",
        /// Borda count: an option gets one point for each option ranked behind it, or not ranked.
        Ranked = "ranked",
        /// Each ballot approves of any number of options; the most approved.
        Approval = "approval",
        /// Each ballot distributes up to ten points; the most points.
        Cumulative = "cumulative",
        /// More than half of the weight. Needs four voters or more, each below one third.
        Weighted = "weighted",
    }
}

#[expect(clippy::derivable_impls, reason = "`named!` makes the enum")]
impl Default for DecisionRule {
    fn default() -> Self {
        Self::Majority
    }
}

/// What a ballot says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Present, for nothing. Counts for the quorum.
    Abstain,
    /// For one option: majority, supermajority, unanimity, plurality, weighted.
    One(String),
    /// For several options alike: approval.
    Approve(BTreeSet<String>),
    /// Best first: ranked.
    Rank(Vec<String>),
    /// Points by option, ten at most in all: cumulative.
    Points(BTreeMap<String, u32>),
}

impl Choice {
    /// Refuses a choice that the rule cannot count, or that names an unknown option.
    pub fn check(&self, rule: DecisionRule, options: &[String]) -> Result<()> {
        let fits = matches!(
            (self, rule),
            (Self::Abstain, _)
                | (Self::Approve(_), DecisionRule::Approval)
                | (Self::Rank(_), DecisionRule::Ranked)
                | (Self::Points(_), DecisionRule::Cumulative)
        ) || matches!(self, Self::One(_))
            && !matches!(rule, DecisionRule::Approval | DecisionRule::Ranked | DecisionRule::Cumulative);
        if !fits {
            return Err(Error::invalid("wrong_ballot", format!("this kind of ballot cannot be counted under the rule `{rule}`")));
        }
        let named: Vec<&String> = match self {
            Self::Abstain => Vec::new(),
            Self::One(option) => vec![option],
            Self::Approve(set) => set.iter().collect(),
            Self::Rank(list) => list.iter().collect(),
            Self::Points(points) => points.keys().collect(),
        };
        if let Some(unknown) = named.iter().find(|option| !options.contains(option)) {
            return Err(Error::invalid("unknown_option", format!("`{unknown}` is not among the options: {}", options.join(", "))));
        }
        if named.iter().collect::<BTreeSet<_>>().len() != named.len() {
            return Err(Error::invalid("wrong_ballot", "an option is ranked twice"));
        }
        match self {
            Self::Points(points) if points.values().map(|p| u64::from(*p)).sum::<u64>() > u64::from(POINTS) => {
                Err(Error::invalid("wrong_ballot", format!("a ballot distributes at most {POINTS} points")))
            }
            _ => Ok(()),
        }
    }
}

/// One member's valid ballot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    /// Whose.
    pub member: AgentId,
    /// What it weighs; 1 under every rule but weighted.
    pub weight: u32,
    /// What it says.
    pub choice: Choice,
}

/// The outcome of a vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// One option won.
    Decided {
        /// Which.
        option: String,
        /// What each option got.
        counts: BTreeMap<String, u64>,
    },
    /// None did. Never a yes.
    Undecided {
        /// Why.
        reason: Undecided,
        /// What each option got.
        counts: BTreeMap<String, u64>,
    },
}

/// Why nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undecided {
    /// Too few ballots.
    NoQuorum {
        /// How many were cast and valid.
        cast: u32,
        /// How many were needed.
        needed: u32,
    },
    /// Several options got the most.
    Tie(Vec<String>),
    /// No option got as much as the rule asks.
    ShortOf {
        /// The best option.
        best: String,
        /// What it got.
        got: u64,
        /// Out of how much.
        of: u64,
    },
    /// Nobody was for anything.
    NoVotes,
}

/// Counts ballots. `voters` is the size of the electorate; `quorum` the ballots needed.
#[must_use]
pub fn tally(rule: DecisionRule, options: &[String], voters: u32, quorum: u32, ballots: &[Ballot]) -> Outcome {
    let mut counts: BTreeMap<String, u64> = options.iter().map(|option| (option.clone(), 0)).collect();
    let mut total = 0;
    for ballot in ballots {
        total += count(rule, options, ballot, &mut counts);
    }
    let undecided = |reason| Outcome::Undecided { reason, counts: counts.clone() };
    let cast = u32::try_from(ballots.len()).unwrap_or(u32::MAX);
    if cast < quorum {
        return undecided(Undecided::NoQuorum { cast, needed: quorum });
    }
    let most = counts.values().copied().max().unwrap_or(0);
    if most == 0 {
        return undecided(Undecided::NoVotes);
    }
    let best: Vec<String> = counts.iter().filter(|(_, got)| **got == most).map(|(option, _)| option.clone()).collect();
    let [winner] = &best[..] else { return undecided(Undecided::Tie(best)) };
    let (enough, of) = match rule {
        DecisionRule::Majority | DecisionRule::Weighted => (most * 2 > total, total),
        DecisionRule::Supermajority => (most * 3 >= total * 2, total),
        DecisionRule::Unanimity => (most == u64::from(voters), u64::from(voters)),
        DecisionRule::Plurality | DecisionRule::Ranked | DecisionRule::Approval | DecisionRule::Cumulative => (true, total),
    };
    if !enough {
        return undecided(Undecided::ShortOf { best: winner.clone(), got: most, of });
    }
    Outcome::Decided { option: winner.clone(), counts }
}

/// Adds a ballot; answers how much it adds to the total that a share is taken of.
fn count(rule: DecisionRule, options: &[String], ballot: &Ballot, counts: &mut BTreeMap<String, u64>) -> u64 {
    let weight = if rule == DecisionRule::Weighted { u64::from(ballot.weight) } else { 1 };
    let mut add = |option: &String, amount: u64| {
        if let Some(got) = counts.get_mut(option) {
            *got += amount;
        }
    };
    match &ballot.choice {
        Choice::Abstain => return 0,
        Choice::One(option) => add(option, weight),
        Choice::Approve(set) => set.iter().for_each(|option| add(option, 1)),
        Choice::Rank(list) => {
            for (place, option) in list.iter().enumerate() {
                add(option, (options.len() - 1).saturating_sub(place) as u64);
            }
        }
        Choice::Points(points) => points.iter().for_each(|(option, points)| add(option, u64::from(*points))),
    }
    weight
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options() -> Vec<String> {
        ["a", "b", "c"].map(String::from).to_vec()
    }

    fn ones(choices: &[&str]) -> Vec<Ballot> {
        let ballot = |(number, choice): (usize, &&str)| Ballot {
            member: AgentId::new(format!("m{number}")).unwrap(),
            weight: 1,
            choice: if choice.is_empty() { Choice::Abstain } else { Choice::One((*choice).to_owned()) },
        };
        choices.iter().enumerate().map(ballot).collect()
    }

    fn winner(rule: DecisionRule, voters: u32, ballots: &[Ballot]) -> Option<String> {
        match tally(rule, &options(), voters, 1, ballots) {
            Outcome::Decided { option, .. } => Some(option),
            Outcome::Undecided { .. } => None,
        }
    }

    #[test]
    fn half_is_not_a_majority_and_a_tie_is_undecided() {
        assert_eq!(winner(DecisionRule::Majority, 4, &ones(&["a", "a", "b", "c"])), None);
        assert_eq!(winner(DecisionRule::Majority, 4, &ones(&["a", "a", "b", ""])), Some("a".into()));
        assert_eq!(winner(DecisionRule::Plurality, 4, &ones(&["a", "a", "b", "b"])), None);
        assert_eq!(winner(DecisionRule::Plurality, 4, &ones(&["a", "a", "b", "c"])), Some("a".into()));
    }

    #[test]
    fn supermajority_is_two_thirds_and_unanimity_is_everyone() {
        assert_eq!(winner(DecisionRule::Supermajority, 3, &ones(&["a", "a", "b"])), Some("a".into()));
        assert_eq!(winner(DecisionRule::Supermajority, 5, &ones(&["a", "a", "a", "b", "b"])), None);
        assert_eq!(winner(DecisionRule::Unanimity, 3, &ones(&["a", "a"])), None);
        assert_eq!(winner(DecisionRule::Unanimity, 2, &ones(&["a", "a"])), Some("a".into()));
    }

    #[test]
    fn ranked_approval_cumulative_and_weighted_count_their_own_way() {
        let ballot = |choice: Choice, weight| Ballot { member: AgentId::new("m").unwrap(), weight, choice };
        let rank = |list: &[&str]| ballot(Choice::Rank(list.iter().map(|s| (*s).to_owned()).collect()), 1);
        // Everybody's second choice beats two divisive first ones.
        let ranked = [rank(&["a", "b", "c"]), rank(&["c", "b", "a"]), rank(&["b", "a", "c"])];
        assert_eq!(winner(DecisionRule::Ranked, 3, &ranked), Some("b".into()));
        let approve = |list: &[&str]| ballot(Choice::Approve(list.iter().map(|s| (*s).to_owned()).collect()), 1);
        assert_eq!(winner(DecisionRule::Approval, 2, &[approve(&["a", "b"]), approve(&["b"])]), Some("b".into()));
        let points = |list: &[(&str, u32)]| ballot(Choice::Points(list.iter().map(|(s, p)| ((*s).to_owned(), *p)).collect()), 1);
        assert_eq!(winner(DecisionRule::Cumulative, 2, &[points(&[("a", 10)]), points(&[("a", 1), ("b", 9)])]), Some("a".into()));
        let one = |option: &str, weight| ballot(Choice::One(option.into()), weight);
        assert_eq!(winner(DecisionRule::Weighted, 4, &[one("a", 3), one("b", 2), one("b", 2), one("a", 2)]), Some("a".into()));
    }

    #[test]
    fn a_missed_quorum_is_undecided_whatever_the_votes() {
        let few = tally(DecisionRule::Plurality, &options(), 5, 3, &ones(&["a", "a"]));
        assert!(matches!(few, Outcome::Undecided { reason: Undecided::NoQuorum { cast: 2, needed: 3 }, .. }));
    }

    #[test]
    fn a_ballot_that_the_rule_cannot_count_is_refused() {
        let points = |n| Choice::Points(BTreeMap::from([("a".to_owned(), n)]));
        assert!(points(10).check(DecisionRule::Cumulative, &options()).is_ok());
        assert!(points(11).check(DecisionRule::Cumulative, &options()).is_err());
        assert!(points(1).check(DecisionRule::Majority, &options()).is_err());
        assert!(Choice::One("z".into()).check(DecisionRule::Majority, &options()).is_err());
        assert!(Choice::Rank(vec!["a".into(), "a".into()]).check(DecisionRule::Ranked, &options()).is_err());
    }

    fn any_choice(rule: DecisionRule) -> BoxedStrategy<Choice> {
        let option = prop::sample::select(options());
        match rule {
            DecisionRule::Approval => prop::collection::btree_set(option, 0..3).prop_map(Choice::Approve).boxed(),
            DecisionRule::Ranked => Just(options()).prop_shuffle().prop_map(Choice::Rank).boxed(),
            DecisionRule::Cumulative => prop::collection::btree_map(option, 0..4_u32, 0..3).prop_map(Choice::Points).boxed(),
            _ => prop_oneof![Just(Choice::Abstain), option.prop_map(Choice::One)].boxed(),
        }
    }

    fn any_vote() -> impl Strategy<Value = (DecisionRule, Vec<Ballot>, Vec<Ballot>)> {
        prop::sample::select(DecisionRule::ALL).prop_flat_map(|rule| {
            let ballot =
                (any_choice(rule), 1..4_u32).prop_map(|(choice, weight)| Ballot { member: AgentId::new("m").unwrap(), weight, choice });
            prop::collection::vec(ballot, 0..8)
                .prop_flat_map(move |ballots| (Just(rule), Just(ballots.clone()), Just(ballots).prop_shuffle()))
        })
    }

    proptest! {
        #[test]
        fn permuting_the_ballots_changes_nothing((rule, ballots, shuffled) in any_vote()) {
            prop_assert_eq!(tally(rule, &options(), 8, 1, &ballots), tally(rule, &options(), 8, 1, &shuffled));
        }

        #[test]
        fn a_winner_got_more_than_every_other_option((rule, ballots, _) in any_vote()) {
            if let Outcome::Decided { option, counts } = tally(rule, &options(), 8, 1, &ballots) {
                prop_assert!(counts.iter().all(|(other, got)| *other == option || *got < counts[&option]));
            }
        }
    }
}
