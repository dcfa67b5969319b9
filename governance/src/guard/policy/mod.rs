//! Who may do what: a profile, compiled, and asked. Pure: no I/O, no clock, nothing that is kept.
//!
//! ```text
//!   Request { action, target, path } ──▶ readable in one way only? ──no──▶ deny
//!                                            │ for the action, then the target, then the path:
//!                                            ▼
//!                                  forbidden? ──yes──▶ deny              forbidden outranks everything
//!                                  allowed?   ──no───▶ deny              what nobody spoke of is denied
//!                                  needs an approval? ──yes──▶ step_up   once nothing else denies it
//!                                            ▼
//!                                          allow
//! ```

mod decision;
mod explain;
mod index;
mod pattern;
mod read;
mod request;

use std::sync::Arc;

pub use decision::{Decision, Field, Rule, Verdict};
pub use explain::{Explanation, Finding, Step};
pub use pattern::MAX_PATTERN;
pub use read::MAX_PROFILE;
pub(in crate::guard) use request::ambiguous;
pub use request::{MAX_NAME, MAX_PATH, Request};

use super::canonical::digest;
use crate::error::{Error, Result};
use crate::vocabulary::{AgentProfile, Requirements, ViolationType};
use decision::{Cause, violation};
use index::{Index, List};
use pattern::{Grammar, Pattern};
use request::malformed;

/// The most patterns in one list of a profile.
pub const MAX_PATTERNS: usize = 100_000;

/// A profile that is ready to be asked. Cheap to clone.
#[derive(Clone)]
pub struct Policy {
    inner: Arc<Inner>,
}

struct Inner {
    profile: AgentProfile,
    hash: String,
    // For each field, what is forbidden and what is allowed.
    rules: [Index; 3],
    // What needs an approval each time, although it is allowed.
    approvals: Index,
}

impl Policy {
    /// Compiles a profile. Refuses one with a pattern that could mean something else than it seems to.
    pub fn new(profile: AgentProfile) -> Result<Self> {
        let list = |field, list| -> Result<_> { Ok((list, patterns(&profile, field, list)?)) };
        let index = |field, lists: &[_]| Index::new(lists).map_err(|why| bad(&profile, &format!("its {field} patterns: {why}")));
        let rules = |field| index(field, &[list(field, List::Forbidden)?, list(field, List::Allowed)?]);
        let rules = [rules(Field::Action)?, rules(Field::Target)?, rules(Field::Path)?];
        let approvals = index(Field::Target, &[list(Field::Target, List::Approval)?])?;
        Requirements::of(profile.tier, profile.promotion.as_ref()).map_err(|why| bad(&profile, &why.to_string()))?;
        let hash = hash(&profile)?;
        Ok(Self { inner: Arc::new(Inner { profile, hash, rules, approvals }) })
    }

    /// Decides. What it costs does not depend on how many patterns there are.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let (mut allowed, mut approval) = (None, None);
        for (field, text) in request.fields() {
            if malformed(field, text).is_some() {
                return self.deny(Cause::Malformed(field, excerpt(text)), ViolationType::ProcedureViolation);
            }
            match self.inner.rules[field as usize].find(text) {
                Some((List::Allowed, place)) => drop(allowed.get_or_insert(Cause::Rule { field, list: List::Allowed, place })),
                Some((list, place)) => return self.deny(Cause::Rule { field, list, place }, violation(field, list, text)),
                None => return self.deny(Cause::Unsaid(field, excerpt(text)), violation(field, List::Allowed, text)),
            }
            if field == Field::Target
                && let Some((list, place)) = self.inner.approvals.find(text)
            {
                approval = Some(Cause::Rule { field, list, place });
            }
        }
        match (approval, allowed) {
            (Some(cause), _) => self.decision(Verdict::StepUp, cause, None),
            (None, Some(cause)) => self.decision(Verdict::Allow, cause, None),
            // There is no request without an action; if there were one, nothing would speak for it.
            (None, None) => self.deny(Cause::Unsaid(Field::Action, excerpt(request.action)), ViolationType::ProcedureViolation),
        }
    }

    /// The profile.
    #[must_use]
    pub fn profile(&self) -> &AgentProfile {
        &self.inner.profile
    }

    /// SHA-256 of the profile in its canonical form: JSON without spaces, names sorted, lists in order. In hexadecimal.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.inner.hash
    }
}

impl Policy {
    fn decision(&self, verdict: Verdict, cause: Cause, violation: Option<ViolationType>) -> Decision {
        Decision { verdict, cause, violation, policy: self.clone(), epochs: None }
    }

    fn deny(&self, cause: Cause, violation: ViolationType) -> Decision {
        self.decision(Verdict::Deny, cause, Some(violation))
    }

    fn pattern(&self, field: Field, list: List, place: usize) -> Option<&str> {
        list.texts(self.profile(), field).get(place).map(String::as_str)
    }
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.profile() == other.profile()
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("profile", &self.profile().agent_id).field("hash", &self.hash()).finish_non_exhaustive()
    }
}

/// The patterns of one list, each checked.
fn patterns(profile: &AgentProfile, field: Field, list: List) -> Result<Vec<Pattern>> {
    let (texts, name) = (list.texts(profile, field), list.name(field));
    if texts.len() > MAX_PATTERNS {
        return Err(bad(profile, &format!("`{name}` has {} patterns, at most {MAX_PATTERNS} are read", texts.len())));
    }
    let grammar = if field == Field::Path { Grammar::Path } else { Grammar::Name };
    let wrong = |text: &str, why| bad(profile, &format!("`{}` in `{name}`: {why}", excerpt(text).escape_debug()));
    texts.iter().map(|text| Pattern::parse(text, grammar).map_err(|why| wrong(text, why))).collect()
}

fn hash(profile: &AgentProfile) -> Result<String> {
    let value = serde_json::to_value(profile).map_err(|e| Error::internal("a profile is not JSON").because(e))?;
    Ok(digest(&value))
}

fn bad(profile: &AgentProfile, why: &str) -> Error {
    Error::invalid("bad_profile", format!("the profile `{}`: {why}", profile.agent_id))
}

/// What is repeated of a text from outside.
fn excerpt(text: &str) -> Box<str> {
    text.chars().take(200).collect::<String>().into()
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
