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

mod conditions;
mod decision;
mod explain;
mod facts;
mod index;
mod pattern;
mod read;
mod request;
mod wording;

use std::sync::Arc;

pub use conditions::{Judgement, MAX_CONDITIONS, SCHEMA, Say};
pub use decision::{Decision, Field, Rule, Verdict};
pub use explain::{Explanation, Finding, Step};
pub use facts::Facts;
pub use pattern::MAX_PATTERN;
pub use read::MAX_PROFILE;
pub(in crate::guard) use request::ambiguous;
pub(crate) use request::visible;
pub use request::{MAX_NAME, MAX_PATH, Request};

use super::canonical::digest;
use crate::error::{Error, Result};
use crate::vocabulary::{AgentId, AgentProfile, Constraints, GovernanceRules, Requirements, Tier, ViolationType};
use conditions::Conditions;
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
    // What narrows what the patterns allow.
    conditions: Option<Conditions>,
    // Why nothing at all is allowed, where that is so.
    closed: Option<Box<str>>,
}

impl Policy {
    /// Compiles a profile. Refuses one with a pattern that could mean something else than it seems to.
    pub fn new(profile: AgentProfile) -> Result<Self> {
        if profile.conditions_file.is_some() {
            return Err(bad(&profile, "its file of conditions was not read with it"));
        }
        let list = |field, list| -> Result<_> { Ok((list, patterns(&profile, field, list)?)) };
        let index = |field, lists: &[_]| Index::new(lists).map_err(|why| bad(&profile, &format!("its {field} patterns: {why}")));
        let rules = |field| index(field, &[list(field, List::Forbidden)?, list(field, List::Allowed)?]);
        let rules = [rules(Field::Action)?, rules(Field::Target)?, rules(Field::Path)?];
        let approvals = index(Field::Target, &[list(Field::Target, List::Approval)?])?;
        let conditions = profile.conditions.as_deref().map(|text| Conditions::compile(&profile, text)).transpose()?;
        profile.governance.check().map_err(|why| bad(&profile, &why))?;
        Requirements::of(profile.tier, profile.promotion.as_ref()).map_err(|why| bad(&profile, &why.to_string()))?;
        let hash = hash(&profile)?;
        Ok(Self { inner: Arc::new(Inner { profile, hash, rules, approvals, conditions, closed: None }) })
    }

    /// Decides by the patterns. What it costs does not depend on how many there are. Where there are conditions too, what the patterns allow is put off:
    /// ask with [`decide_for`](Self::decide_for).
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let decision = self.by_patterns(request);
        match &self.inner.conditions {
            Some(_) if decision.verdict() != Verdict::Deny => self.defer("the profile has conditions, which ask who calls, and with what"),
            _ => decision,
        }
    }

    /// Decides by the patterns, and by the conditions where there are some.
    #[must_use]
    pub fn decide_for(&self, request: &Request<'_>, facts: &Facts<'_>) -> Decision {
        let decision = self.by_patterns(request);
        match &self.inner.conditions {
            Some(conditions) if decision.verdict() != Verdict::Deny => self.judged(decision, conditions.judge(request, facts)),
            _ => decision,
        }
    }

    /// Whether it has conditions that ask for the time.
    #[must_use]
    pub fn reads_time(&self) -> bool {
        self.inner.conditions.as_ref().is_some_and(Conditions::reads_time)
    }

    /// Whether it has conditions beside its patterns.
    #[must_use]
    pub fn has_conditions(&self) -> bool {
        self.inner.conditions.is_some()
    }

    /// What the conditions leave of what the patterns allow.
    fn judged(&self, decision: Decision, judgement: Arc<Judgement>) -> Decision {
        let violation = judgement.violation;
        match judgement.says {
            Say::Permit => decision,
            Say::StepUp => self.decision(Verdict::StepUp, Cause::Judged(judgement), None),
            Say::Forbid => self.decision(Verdict::Deny, Cause::Judged(judgement), violation),
        }
    }

    /// What the patterns alone say.
    pub(in crate::guard) fn by_patterns(&self, request: &Request<'_>) -> Decision {
        self.by_fields(request.fields())
    }

    /// What the patterns of paths say, whatever is done there.
    pub(in crate::guard) fn by_path(&self, path: &str) -> Decision {
        self.by_fields([(Field::Path, path)])
    }

    fn by_fields<'a>(&self, fields: impl IntoIterator<Item = (Field, &'a str)>) -> Decision {
        if let Some(why) = self.is_closed() {
            // Whoever asks has broken no rule: there is none that could be kept.
            return self.decision(Verdict::Deny, Cause::Closed(why.into()), None);
        }
        let (mut allowed, mut approval) = (None, None);
        for (field, text) in fields {
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
            (None, None) => self.deny(Cause::Unsaid(Field::Action, "".into()), ViolationType::ProcedureViolation),
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
    /// One that denies everything, and holds it against nobody: where what is in force cannot be gone by.
    pub(in crate::guard) fn closed(name: &AgentId, tier: Tier, why: &str) -> Self {
        let (agent_version, constraints) = ("none".to_owned(), Constraints::default());
        let governance = GovernanceRules::default();
        let profile = AgentProfile {
            promotion: None,
            agent_id: name.clone(),
            agent_version,
            tier,
            capabilities: Vec::new(),
            constraints,
            conditions: None,
            conditions_file: None,
            vault: None,
            governance,
        };
        let hash = serde_json::to_value(&profile).map_or_else(|_| String::new(), |value| digest(&value));
        let (rules, approvals, conditions) = (std::array::from_fn(|_| Index::empty()), Index::empty(), None);
        let inner = Inner { profile, hash, rules, approvals, conditions, closed: Some(why.into()) };
        Self { inner: Arc::new(inner) }
    }

    /// Why it denies everything, where it does.
    #[must_use]
    pub fn is_closed(&self) -> Option<&str> {
        self.inner.closed.as_deref()
    }

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
        self.profile() == other.profile() && self.is_closed() == other.is_closed()
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
