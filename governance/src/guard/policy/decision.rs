//! What was decided, by which rule, and why.

use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::Policy;
use super::conditions::{Judgement, Say};
use super::index::List;
use super::request::{malformed, visible};
use crate::guard::path::PathRefused;
use crate::store::Admission;
use crate::vocabulary::{AgentProfile, ViolationType, named};

named! {
    /// What comes of a request.
    pub enum Verdict {
        /// It may be done as it is.
        Allow = "allow",
        /// It may not be done.
        Deny = "deny",
        /// It may be done, but not as it was asked: with the path that was resolved.
        Modify = "modify",
        /// It may be done once a person approves.
        StepUp = "step_up",
        /// It cannot be said now; asking again later may help.
        Defer = "defer",
    }
}

named! {
    /// What a rule is about.
    pub enum Field {
        /// What is done.
        Action = "action",
        /// To what.
        Target = "target",
        /// Where.
        Path = "path",
    }
}

/// A decision: the verdict, the rule behind it, what it was decided with. Its reason is put into words when it is asked for.
#[derive(Debug, Clone)]
pub struct Decision {
    pub(super) verdict: Verdict,
    pub(super) cause: Cause,
    pub(super) violation: Option<ViolationType>,
    pub(super) policy: Policy,
    pub(super) epochs: Option<Admission>,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// A pattern matched.
    Rule { field: Field, list: List, place: usize },
    /// No pattern of this field matched.
    Unsaid(Field, Box<str>),
    /// A field holds what cannot be read in one way only.
    Malformed(Field, Box<str>),
    /// The path leads where nothing may be touched, or cannot be read in one way only.
    Path(Box<str>),
    /// The path was asked for in another spelling than the one that is used.
    Resolved(Box<str>),
    /// It cannot be known now whether it may be done.
    Later(Box<str>),
    /// Conditions forbid it, permit it not, or ask for an approval.
    Judged(Arc<Judgement>),
    /// What is in force cannot be gone by.
    Closed(Box<str>),
}

impl List {
    /// Its name in a profile's constraints.
    pub(super) fn name(self, field: Field) -> &'static str {
        match (self, field) {
            (Self::Forbidden, Field::Action) => "forbidden_actions",
            (Self::Forbidden, Field::Target) => "forbidden_targets",
            (Self::Forbidden, Field::Path) => "forbidden_paths",
            (Self::Allowed, Field::Action) => "allowed_actions",
            (Self::Allowed, Field::Target) => "allowed_targets",
            (Self::Allowed, Field::Path) => "allowed_paths",
            (Self::Approval, _) => "approval_targets",
        }
    }

    /// Its patterns.
    pub(super) fn texts(self, profile: &AgentProfile, field: Field) -> &[String] {
        let said = &profile.constraints;
        match (self, field) {
            (Self::Forbidden, Field::Action) => &said.forbidden_actions,
            (Self::Forbidden, Field::Target) => &said.forbidden_targets,
            (Self::Forbidden, Field::Path) => &said.forbidden_paths,
            (Self::Allowed, Field::Action) => &said.allowed_actions,
            (Self::Allowed, Field::Target) => &said.allowed_targets,
            (Self::Allowed, Field::Path) => &said.allowed_paths,
            (Self::Approval, Field::Target) => &said.approval_targets,
            (Self::Approval, _) => &[],
        }
    }
}

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The profile.
    pub profile: String,
    /// The list in its constraints, as `forbidden_targets`.
    pub list: &'static str,
    /// The pattern; none where no pattern of the list matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

impl Decision {
    /// What comes of the request.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether it may be done now.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self.verdict, Verdict::Allow | Verdict::Modify)
    }

    /// The rule that decided, where one did.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        let profile = self.policy.profile().agent_id.to_string();
        match &self.cause {
            Cause::Rule { field, list, place } => {
                let pattern = self.policy.pattern(*field, *list, *place).map(str::to_owned);
                Some(Rule { profile, list: list.name(*field), pattern })
            }
            Cause::Judged(judgement) => Some(Rule { profile, list: "conditions", pattern: judgement.by.first().cloned() }),
            Cause::Unsaid(field, _) => Some(Rule { profile, list: List::Allowed.name(*field), pattern: None }),
            _ => None,
        }
    }

    /// Why, for people.
    #[must_use]
    pub fn reason(&self) -> String {
        let name = self.policy.profile().agent_id.as_str();
        match &self.cause {
            Cause::Rule { field, list, place } => {
                let pattern = self.policy.pattern(*field, *list, *place).unwrap_or_default();
                let stands = format!("`{pattern}` in `{}` of the profile `{name}`", list.name(*field));
                match list {
                    List::Forbidden => format!("the {field} is forbidden by {stands}"),
                    List::Approval => format!("the {field} needs an approval each time, by {stands}"),
                    List::Allowed => format!("allowed by {stands}"),
                }
            }
            Cause::Unsaid(field, text) => {
                format!(
                    "the {field} `{text}` is not allowed: nothing in `{}` of the profile `{name}` stands for it",
                    List::Allowed.name(*field)
                )
            }
            Cause::Malformed(field, text) => {
                let why = malformed(*field, text).unwrap_or("it cannot be read in one way only");
                format!("the {field} `{}` is refused: {why}", text.escape_debug())
            }
            Cause::Path(why) => format!("the path is refused: {why}"),
            Cause::Resolved(path) => format!("allowed by the profile `{name}` at the path that it really leads to, `{path}`"),
            Cause::Judged(judgement) => {
                let why = judgement.why.as_ref().map_or_else(String::new, |why| format!(": {}", visible(why)));
                let by = listed(&judgement.by);
                match judgement.says {
                    _ if by.is_empty() => format!("the conditions of the profile `{name}` do not permit it{why}"),
                    Say::StepUp => format!("needs an approval, by the condition {by} of the profile `{name}`{why}"),
                    _ => format!("forbidden by the condition {by} of the profile `{name}`{why}"),
                }
            }
            Cause::Later(why) => why.to_string(),
            Cause::Closed(why) => format!("everything is denied: {why}"),
        }
    }

    /// The violation that a denial is. None where nothing was violated: what needs an approval, or has to wait, was rightly asked.
    #[must_use]
    pub fn violation(&self) -> Option<ViolationType> {
        self.violation
    }

    /// The hash of the profile that it was decided with.
    #[must_use]
    pub fn policy_hash(&self) -> &str {
        self.policy.hash()
    }

    /// The epochs of the admission that it was decided for; none where a policy was asked by itself.
    #[must_use]
    pub fn epochs(&self) -> Option<&Admission> {
        self.epochs.as_ref()
    }
}

impl Decision {
    /// The same, for an admission.
    pub(in crate::guard) fn under(mut self, epochs: &Admission) -> Self {
        self.epochs = Some(epochs.clone());
        self
    }

    /// The same, with the path that was resolved, where it is allowed.
    pub(in crate::guard) fn resolved(mut self, path: &str) -> Self {
        if self.verdict == Verdict::Allow {
            self.verdict = Verdict::Modify;
            self.cause = Cause::Resolved(path.into());
        }
        self
    }
}

impl Policy {
    /// A path that nothing may be asked about.
    pub(in crate::guard) fn refuse_path(&self, refused: &PathRefused) -> Decision {
        self.deny(Cause::Path(refused.why.as_str().into()), refused.violation)
    }

    /// What is denied whatever the patterns say.
    pub(in crate::guard) fn refuse(&self, why: &str, violation: Option<ViolationType>) -> Decision {
        self.decision(Verdict::Deny, Cause::Later(why.into()), violation)
    }

    /// What cannot be decided now.
    pub(in crate::guard) fn defer(&self, why: &str) -> Decision {
        self.decision(Verdict::Defer, Cause::Later(why.into()), None)
    }
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut told = serializer.serialize_struct("Decision", 6)?;
        told.serialize_field("verdict", &self.verdict)?;
        told.serialize_field("reason", &self.reason())?;
        told.serialize_field("rule", &self.rule())?;
        told.serialize_field("violation", &self.violation())?;
        told.serialize_field("policy_hash", self.policy_hash())?;
        told.serialize_field("epochs", &self.epochs())?;
        told.end()
    }
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{}`", visible(name))).collect::<Vec<_>>().join(", ")
}

/// The violation that it is to ask for what this list denies.
pub(super) fn violation(field: Field, list: List, text: &str) -> ViolationType {
    let is_one_of = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
    match (field, list) {
        (Field::Path, _) => ViolationType::PathOutOfScope,
        // Who asks for what nobody spoke of has not followed the procedure; that alone is no break-in.
        (_, List::Allowed | List::Approval) => ViolationType::ProcedureViolation,
        (Field::Target, List::Forbidden) => ViolationType::ForbiddenTargetAccess,
        (Field::Action, List::Forbidden) if is_one_of(&["modify_governance"]) => ViolationType::GovernanceTampering,
        (Field::Action, List::Forbidden) if is_one_of(&["access_secrets", "access_vault_root"]) => ViolationType::UnauthorizedSecretAccess,
        (Field::Action, List::Forbidden) => ViolationType::ForbiddenAction,
    }
}
