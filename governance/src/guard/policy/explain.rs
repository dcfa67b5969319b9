//! A decision, step by step: which pattern of which list was looked at, and what it said.

use std::sync::Arc;

use serde::Serialize;

use super::index::List;
use super::pattern::{Grammar, Pattern, fold};
use super::request::malformed;
use super::{Decision, Facts, Field, Judgement, Policy, Request, Verdict};
use crate::vocabulary::named;

named! {
    /// What a step found.
    pub enum Finding {
        /// The text can be read in one way only.
        Readable = "readable",
        /// It cannot: denied.
        Malformed = "malformed",
        /// A pattern stands for it.
        Matched = "matched",
        /// No pattern of the list does.
        Unmatched = "unmatched",
    }
}

/// One step of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What is looked at.
    pub field: Field,
    /// The text that was asked for.
    pub text: String,
    /// The list that is gone through; none where the text itself is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<&'static str>,
    /// How many patterns it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patterns: Option<usize>,
    /// What was found.
    pub finding: Finding,
    /// The first pattern that matched, or what is wrong with the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A decision with every step to it.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Every step, in order. All of them are taken, also those after the one that decided.
    pub steps: Vec<Step>,
    /// What the conditions said, where there are some and the patterns did not deny.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Arc<Judgement>>,
    /// What was decided.
    pub decision: Decision,
}

impl Policy {
    /// Decides, and shows how: pattern by pattern, without what makes [`decide`](Self::decide) fast. So it also shows that nothing was lost there.
    #[must_use]
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        Explanation { steps: self.steps(request), conditions: None, decision: self.decide(request) }
    }

    /// The same for [`decide_for`](Self::decide_for): with the conditions that determined the decision.
    #[must_use]
    pub fn explain_for(&self, request: &Request<'_>, facts: &Facts<'_>) -> Explanation {
        let asked = self.inner.conditions.as_ref().filter(|_| self.by_patterns(request).verdict() != Verdict::Deny);
        let conditions = asked.map(|conditions| conditions.judge(request, facts));
        Explanation { steps: self.steps(request), conditions, decision: self.decide_for(request, facts) }
    }

    fn steps(&self, request: &Request<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        for (field, text) in request.fields() {
            let wrong = malformed(field, text);
            let finding = if wrong.is_some() { Finding::Malformed } else { Finding::Readable };
            let step = Step { field, text: text.to_owned(), list: None, patterns: None, finding, by: wrong.map(str::to_owned) };
            steps.push(step.clone());
            if wrong.is_some() {
                continue;
            }
            for list in [List::Forbidden, List::Allowed, List::Approval] {
                let patterns = list.texts(self.profile(), field);
                if list == List::Approval && patterns.is_empty() {
                    continue;
                }
                let by = patterns.iter().find(|pattern| stands_for(pattern, field, list, text)).cloned();
                let finding = if by.is_some() { Finding::Matched } else { Finding::Unmatched };
                steps.push(Step { list: Some(list.name(field)), patterns: Some(patterns.len()), finding, by, ..step.clone() });
            }
        }
        steps
    }
}

fn stands_for(pattern: &str, field: Field, list: List, text: &str) -> bool {
    let grammar = if field == Field::Path { Grammar::Path } else { Grammar::Name };
    let Ok(pattern) = Pattern::parse(pattern, grammar) else { return false };
    if list == List::Allowed { pattern.matches(text) } else { pattern.folded().matches(&fold(text)) }
}
