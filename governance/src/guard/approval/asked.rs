//! What is asked, and the request that it becomes. Everything a person is shown is covered by the request's hash.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::guard::canonical::{canonical, digest, sha256};
use crate::store::{Actor, Admission};
use crate::vocabulary::{AgentId, AgentPhase, ApprovalId, ApprovalRules, LedgerId, MAX_DEADLINE, Millis, PipelineId, named};

/// The largest arguments that somebody can be asked to read, in bytes of their canonical form.
pub const MAX_ARGUMENTS: usize = 64 * 1024;
/// The longest that a request may stay open.
pub const MAX_WITHIN: Duration = Duration::from_secs(MAX_DEADLINE as u64);

named! {
    /// What is to be approved.
    pub enum ApprovalKind {
        /// One call of a tool.
        Action = "action",
        /// A plan, before it is carried out.
        Plan = "plan",
        /// An agent's rise to a higher tier.
        Promotion = "promotion",
    }
}

/// What somebody asks approval for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Of which kind it is.
    pub kind: ApprovalKind,
    /// What is to be done, as `terraform_apply`.
    pub action: String,
    /// To what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Where: the path that it really leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// With what.
    pub arguments: Value,
    /// What whoever wraps the tool says of its risks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risks: Vec<String>,
    /// Where in its life the agent asks, for who is asked. It may be used in another phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<AgentPhase>,
    /// Why a person is asked, for that person.
    pub reason: String,
    /// The hash of the policy that wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// How many people must approve, and how long they have.
    #[serde(default)]
    pub rules: ApprovalRules,
}

impl Asked {
    /// A plan that is to be approved before it is carried out.
    #[must_use]
    pub fn plan(plan: Value, rules: ApprovalRules) -> Self {
        let reason = "the profile requires that its plans are approved".to_owned();
        Self {
            kind: ApprovalKind::Plan,
            action: "execute_plan".into(),
            target: None,
            path: None,
            arguments: plan,
            risks: Vec::new(),
            phase: None,
            reason,
            policy: None,
            rules,
        }
    }

    /// A profile's rise, with what speaks for it.
    #[must_use]
    pub fn promotion(profile: &AgentId, evidence: Value, reason: &str, rules: ApprovalRules) -> Self {
        let target = Some(profile.to_string());
        let (action, reason, risks) = ("promote_agent".to_owned(), reason.to_owned(), Vec::new());
        Self {
            kind: ApprovalKind::Promotion,
            action,
            target,
            path: None,
            arguments: evidence,
            risks,
            phase: None,
            reason,
            policy: None,
            rules,
        }
    }

    /// The canonical text of its arguments. Refuses more than a person can be asked to read.
    pub(super) fn text(&self) -> Result<String> {
        let text = canonical(&self.arguments);
        if text.len() > MAX_ARGUMENTS {
            let message = format!(
                "the arguments of `{}` have {} bytes: at most {MAX_ARGUMENTS} can be shown to whoever approves",
                self.action.escape_debug(),
                text.len()
            );
            return Err(Error::invalid("arguments_too_large", message));
        }
        Ok(text)
    }

    pub(super) fn within(&self) -> Result<Duration> {
        let unkeepable = |(field, why)| Error::invalid("bad_approval_rules", format!("the `{field}` of an approval {why}"));
        self.rules.check().map_err(unkeepable)?;
        Ok(Duration::from_secs(self.rules.deadline.get().into()))
    }

    /// What makes two asks the same one: who, admitted how, wants to do what with what, and which people that takes.
    pub(super) fn subject(&self, actor: &Actor) -> String {
        let mut subject = json!({
            "kind": self.kind, "agent": actor.id, "epochs": actor.admission, "action": self.action, "target": self.target, "path": self.path,
            "arguments": digest(&self.arguments), "quorum": self.rules.quorum, "administrator": self.rules.administrator,
        });
        if !self.risks.is_empty() {
            subject["risks"] = json!(self.risks);
        }
        digest(&subject)
    }
}

/// A request: what was asked, by whom, and what an approval of it is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRequest {
    /// Its id.
    pub id: ApprovalId,
    /// Of which kind it is.
    pub kind: ApprovalKind,
    /// Who asks.
    pub agent: AgentId,
    /// In which pipeline.
    pub pipeline: Option<PipelineId>,
    /// What is to be done.
    pub action: String,
    /// To what.
    pub target: Option<String>,
    /// Where.
    pub path: Option<String>,
    /// SHA-256 of the canonical arguments.
    pub arguments: String,
    /// What whoever wraps the tool says of its risks. Not written where it says none: a request of before has the hash that it had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risks: Vec<String>,
    /// Where in its life the agent was when it asked, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<AgentPhase>,
    /// Why a person is asked.
    pub reason: String,
    /// The hash of the policy that wants it.
    pub policy: Option<String>,
    /// The admission under which it may be used.
    pub epochs: Admission,
    /// How many people must approve.
    pub quorum: NonZeroU32,
    /// Whether one of them must be an administrator.
    pub administrator: bool,
    /// When it was asked, on the store's clock.
    pub asked_at: Millis,
    /// Until when it may be approved and used, on the store's clock.
    pub deadline: Millis,
    /// The ledger that it belongs to.
    pub ledger: LedgerId,
    /// What the store's keys of this tenant begin with.
    pub tenant: String,
    /// The store's lineage: a store that was recovered honours nothing from before.
    pub lineage: u64,
}

impl ApprovalRequest {
    /// What a signature binds: the hash of all of it.
    #[must_use]
    pub fn hash(&self) -> String {
        // A plain struct of texts and numbers is always JSON; if it were not, nothing would match the empty hash.
        serde_json::to_value(self).map(|value| digest(&value)).unwrap_or_default()
    }

    /// Who asked, with the admission that it was asked under.
    pub(super) fn actor(&self) -> Actor {
        Actor { id: self.agent.clone(), pipeline: self.pipeline.clone(), admission: self.epochs.clone() }
    }

    /// Whether these are the arguments that were asked for.
    pub(super) fn is_of(&self, text: &str) -> bool {
        sha256(text.as_bytes()) == self.arguments
    }

    /// What differs between this request and what somebody is about to do; nothing if it is the same to the last byte.
    pub(in crate::guard) fn differs_from(&self, actor: &Actor, asked: &Asked) -> Option<&'static str> {
        let checks = [
            (self.kind == asked.kind, "kind"),
            (self.agent == actor.id, "agent"),
            (self.epochs == actor.admission, "admission"),
            (self.action == asked.action, "action"),
            (self.target == asked.target, "target"),
            (self.path == asked.path, "path"),
            (self.risks == asked.risks, "risks"),
            (self.arguments == digest(&asked.arguments), "arguments"),
        ];
        checks.into_iter().find(|(same, _)| !same).map(|(_, what)| what)
    }
}
