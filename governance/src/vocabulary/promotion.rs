//! What it takes to be trusted further: counts of what a profile's agents did, held against the rules of its tier. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Millis, PromotionStatus, PromotionTerms, Tier};
use crate::error::{Error, Result};

/// How many violations are remembered; more than that within the days that are asked for is too many in any case.
const REMEMBERED: usize = 256;
/// How many different actions are counted by name.
const ACTIONS: usize = 256;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of a profile: what its agents did, counted when each had ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProfileHistory {
    /// Compliant runs in all, since it last rose or fell.
    pub compliant: u32,
    /// Compliant runs in a row, up to the last.
    pub consecutive: u32,
    /// Runs that were not compliant.
    pub not_compliant: u32,
    /// How often each action was done, by name.
    pub actions: BTreeMap<String, u32>,
    /// Actions that changed something, and succeeded.
    pub modifications: u32,
    /// When it broke a rule, oldest first.
    pub violations: VecDeque<Millis>,
}

/// What one agent did in its life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Whether it ended well and broke no rule; none where others ended it, which is held neither for nor against it.
    pub compliant: Option<bool>,
    /// What it did with success, and how often.
    pub actions: BTreeMap<String, u32>,
    /// How many of those changed something.
    pub modifications: u32,
    /// When it broke a rule.
    pub violations: Vec<Millis>,
}

impl Run {
    /// The same life, of which nothing counts for the profile.
    #[must_use]
    pub fn without_merit(self) -> Self {
        Self { compliant: self.compliant.filter(|good| !good), violations: self.violations, ..Self::default() }
    }
}

impl ProfileHistory {
    /// The history with one more life.
    #[must_use]
    pub fn and(mut self, run: &Run) -> Self {
        match run.compliant {
            Some(true) => {
                self.compliant = self.compliant.saturating_add(1);
                self.consecutive = self.consecutive.saturating_add(1);
            }
            Some(false) => {
                self.not_compliant = self.not_compliant.saturating_add(1);
                self.consecutive = 0;
            }
            None => {}
        }
        for (action, times) in &run.actions {
            if self.actions.len() < ACTIONS || self.actions.contains_key(action) {
                let done = self.actions.entry(action.clone()).or_default();
                *done = done.saturating_add(*times);
            }
        }
        self.modifications = self.modifications.saturating_add(run.modifications);
        self.violations.extend(&run.violations);
        self.violations.make_contiguous().sort_unstable();
        let surplus = self.violations.len().saturating_sub(REMEMBERED);
        self.violations.drain(..surplus);
        self
    }

    /// The history from which a profile goes on that has risen or fallen: everything is to be shown anew, but violations are not forgotten.
    #[must_use]
    pub fn anew(self) -> Self {
        Self { violations: self.violations, ..Self::default() }
    }
}

/// What it takes to rise from one tier to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requirements {
    /// The tier above.
    pub target: Tier,
    /// Compliant runs in all.
    pub runs: u32,
    /// Compliant runs in a row.
    pub consecutive: u32,
    /// Actions that must have been done.
    pub actions: Vec<String>,
    /// Successful modifications.
    pub modifications: u32,
    /// Days without a violation; 0 where none are asked.
    pub clean_days: u32,
    /// Whether a person reviews.
    pub review: bool,
    /// Whether an administrator approves.
    pub administrator: bool,
}

impl Requirements {
    /// What it takes from a tier by its rules, and by a profile's own terms. Refuses terms that ask for less than the rules. None from the
    /// highest tier.
    pub fn of(tier: Tier, terms: Option<&PromotionTerms>) -> Result<Option<Self>> {
        let Some(rules) = tier.rules().promotion else {
            return terms.map_or(Ok(None), |_| Err(laxer(tier, "there is no tier above")));
        };
        let mut asked = Self {
            target: rules.target,
            runs: rules.runs,
            consecutive: rules.consecutive,
            actions: rules.actions.iter().map(|action| (*action).to_owned()).collect(),
            modifications: rules.modifications,
            clean_days: rules.clean_days,
            review: rules.review,
            administrator: rules.administrator,
        };
        let Some(terms) = terms else { return Ok(Some(asked)) };
        if terms.target != rules.target {
            return Err(laxer(tier, &format!("the next tier is {}, not {}", rules.target, terms.target)));
        }
        let own = &terms.requirements;
        for (name, count, rule) in [
            ("runs", own.runs, &mut asked.runs),
            ("consecutive", own.consecutive, &mut asked.consecutive),
            ("modifications", own.modifications, &mut asked.modifications),
            ("clean_days", own.clean_days, &mut asked.clean_days),
        ] {
            match count {
                Some(count) if count < *rule => return Err(laxer(tier, &format!("`{name}` is {count}, and the rules ask for {rule}"))),
                Some(count) => *rule = count,
                None => {}
            }
        }
        for (name, wanted, rule) in
            [("review", own.review, &mut asked.review), ("administrator", own.administrator, &mut asked.administrator)]
        {
            match wanted {
                Some(false) if *rule => return Err(laxer(tier, &format!("`{name}` is asked for by the rules"))),
                Some(wanted) => *rule = wanted,
                None => {}
            }
        }
        for action in &own.actions {
            if !asked.actions.contains(action) {
                asked.actions.push(action.clone());
            }
        }
        Ok(Some(asked))
    }
}

/// One requirement, with how far a profile is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// What is counted.
    pub name: String,
    /// What there is.
    pub have: u32,
    /// What is asked for: at least so much, or, for `violations`, at most.
    pub need: u32,
    /// Whether it is met.
    pub met: bool,
}

/// Whether a profile may rise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Eligibility {
    /// Eligible or not; what people still have to say is not part of it.
    pub status: PromotionStatus,
    /// To which tier; none from the highest.
    pub target: Option<Tier>,
    /// Each requirement.
    pub requirements: Vec<Requirement>,
    /// Whether a person must review.
    pub review: bool,
    /// Whether an administrator must approve.
    pub administrator: bool,
}

impl Eligibility {
    /// What is not met.
    pub fn missing(&self) -> impl Iterator<Item = &Requirement> {
        self.requirements.iter().filter(|requirement| !requirement.met)
    }
}

/// Holds a history against what it takes; none asked where there is no tier above. `now` is the store's time.
#[must_use]
pub fn eligibility(history: &ProfileHistory, asked: Option<&Requirements>, now: Millis) -> Eligibility {
    let Some(asked) = asked else {
        let (status, requirements) = (PromotionStatus::NotEligible, Vec::new());
        return Eligibility { status, target: None, requirements, review: false, administrator: false };
    };
    let at_least = |name: &str, have: u32, need: u32| Requirement { name: name.to_owned(), have, need, met: have >= need };
    let mut requirements =
        vec![at_least("runs", history.compliant, asked.runs), at_least("consecutive", history.consecutive, asked.consecutive)];
    for action in &asked.actions {
        requirements.push(at_least(action, history.actions.get(action).copied().unwrap_or_default(), 1));
    }
    if asked.modifications > 0 {
        requirements.push(at_least("modifications", history.modifications, asked.modifications));
    }
    if asked.clean_days > 0 {
        let span = DAY.saturating_mul(asked.clean_days);
        // One that is dated later than now, by another clock, counts.
        let within = history.violations.iter().filter(|at| at.after(span) > now).count();
        let have = u32::try_from(within).unwrap_or(u32::MAX);
        requirements.push(Requirement { name: "violations".to_owned(), have, need: 0, met: have == 0 });
    }
    let met = requirements.iter().all(|requirement| requirement.met);
    Eligibility {
        status: if met { PromotionStatus::Eligible } else { PromotionStatus::NotEligible },
        target: Some(asked.target),
        requirements,
        review: asked.review,
        administrator: asked.administrator,
    }
}

fn laxer(tier: Tier, why: &str) -> Error {
    Error::invalid("bad_profile", format!("what a profile asks for before it rises may only be stricter than the rules of {tier}: {why}"))
}

#[cfg(test)]
#[path = "promotion_tests.rs"]
mod tests;
