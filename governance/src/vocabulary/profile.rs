//! An agent's profile: what it is, what it may do, how it is governed. Read from a file, so every field is checked.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::fields::{fields, maybe_fields};
use super::{AgentId, Capability, Tier, named};

/// What an agent is, as written in its profile file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentProfile {
    /// The profile's name; instances add a suffix.
    pub agent_id: AgentId,
    /// Its version.
    pub agent_version: String,
    /// Its tier.
    pub tier: Tier,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// What it may do.
    #[serde(default, deserialize_with = "fields")]
    pub constraints: Constraints,
    /// What else must hold, in Cedar: see docs/policies.md.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<String>,
    /// The same in a file beside the profile's, as `deployer.cedar`. Read with it, so that a profile that is asked has its conditions in itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions_file: Option<String>,
    /// How it gets its credentials.
    #[serde(default, deserialize_with = "maybe_fields", skip_serializing_if = "Option::is_none")]
    pub vault: Option<VaultRole>,
    /// How it is governed.
    #[serde(default, deserialize_with = "fields")]
    pub governance: GovernanceRules,
    /// What it takes to be trusted further.
    #[serde(default, deserialize_with = "maybe_fields", skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionTerms>,
}

/// What a profile asks beyond the rules of its tier before it rises. It may only be stricter than those.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromotionTerms {
    /// The tier that it is to rise to: the next one.
    pub target: Tier,
    /// What it takes; where nothing is said, what the tier's rules say.
    #[serde(default, deserialize_with = "fields")]
    pub requirements: PromotionRequirements,
}

/// What it takes to rise, where a profile asks for more than its tier's rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromotionRequirements {
    /// Compliant runs in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<u32>,
    /// Compliant runs in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive: Option<u32>,
    /// Actions that must have been done, beside those of the tier's rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// Successful modifications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modifications: Option<u32>,
    /// Days without a violation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clean_days: Option<u32>,
    /// Whether a person reviews.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<bool>,
    /// Whether an administrator approves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub administrator: Option<bool>,
}

/// What an agent may and may not do, as patterns: see docs/policies.md. What is forbidden outranks what is allowed; what nothing is said of is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Constraints {
    /// Actions it may take.
    pub allowed_actions: Vec<String>,
    /// Actions it may never take.
    pub forbidden_actions: Vec<String>,
    /// Targets it may touch.
    pub allowed_targets: Vec<String>,
    /// Targets it may never touch.
    pub forbidden_targets: Vec<String>,
    /// Targets that need an approval each time, although they are allowed.
    pub approval_targets: Vec<String>,
    /// Paths it may use, below the root of what it works in.
    pub allowed_paths: Vec<String>,
    /// Paths it may never use.
    pub forbidden_paths: Vec<String>,
}

/// How an agent gets its credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultRole {
    /// The AppRole.
    pub role: String,
    /// Seconds that a token lives.
    pub ttl: u64,
    /// Seconds that it can be renewed to.
    pub max_ttl: u64,
    /// The policies it carries.
    pub policies: Vec<String>,
}

/// How an agent is governed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GovernanceRules {
    /// Whether preflight must pass.
    pub preflight_required: bool,
    /// Whether its plan needs an approval.
    pub plan_approval_required: bool,
    /// Whether it must show evidence.
    pub evidence_required: bool,
    /// Seconds between heartbeats.
    pub heartbeat_interval: u64,
    /// How many faults it may make.
    #[serde(deserialize_with = "fields")]
    pub error_budget: FaultLimits,
    /// How much it may use.
    #[serde(deserialize_with = "fields", skip_serializing_if = "UseLimits::is_empty")]
    pub limits: UseLimits,
    /// When what keeps failing is not called for a while; never, where nothing is said.
    #[serde(deserialize_with = "maybe_fields", skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerRules>,
    /// Checks that its preflight must hold beside the usual ones, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preflight_checks: Vec<String>,
    /// Actions that change nothing, beside the shipped ones: they may be taken before preflight has passed. Exact names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reading_actions: Vec<String>,
    /// How its approvals are given.
    #[serde(deserialize_with = "fields", skip_serializing_if = "ApprovalRules::is_default")]
    pub approval: ApprovalRules,
}

impl Default for GovernanceRules {
    fn default() -> Self {
        Self {
            preflight_required: true,
            plan_approval_required: true,
            evidence_required: true,
            heartbeat_interval: 30,
            error_budget: FaultLimits::default(),
            limits: UseLimits::default(),
            breaker: None,
            preflight_checks: Vec::new(),
            reading_actions: Vec::new(),
            approval: ApprovalRules::default(),
        }
    }
}

named! {
    /// What has a breaker of its own.
    pub enum BreakerBy {
        /// Each action: where its tool may be ill.
        Action = "action",
        /// Each target, whatever is done to it.
        Target = "target",
    }
}

/// When calls of what keeps failing are refused, and when it is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerRules {
    /// What has one of its own.
    pub by: BreakerBy,
    /// So many failures in a row open it.
    #[serde(default = "five")]
    pub failures: u32,
    /// It stays open for so many seconds.
    #[serde(default = "minute")]
    pub pause: u64,
    /// So many successful trials close it.
    #[serde(default = "two")]
    pub successes: u32,
}

const fn five() -> u32 {
    5
}

const fn minute() -> u64 {
    60
}

const fn two() -> u32 {
    2
}

/// How much an agent, a pipeline or a tenant may use. What is not said is not limited here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UseLimits {
    /// Calls of models and tools in all. Of an agent only its model's, and those are granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Calls of models and tools within any minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u64>,
    /// Calls at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u64>,
    /// Tokens of models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Millionths of a dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<u64>,
    /// Calls that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<u64>,
    /// Seconds since it began. Waiting for a person does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_time: Option<u64>,
}

impl UseLimits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How approvals are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalRules {
    /// How many people must approve.
    pub quorum: NonZeroU32,
    /// Seconds that they have for it.
    pub deadline: NonZeroU32,
    /// Whether one of them must be an administrator.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub administrator: bool,
}

impl ApprovalRules {
    // So that a profile that says nothing of it keeps its hash.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for ApprovalRules {
    fn default() -> Self {
        Self { quorum: NonZeroU32::MIN, deadline: NonZeroU32::MIN.saturating_add(3_599), administrator: false }
    }
}

/// How many faults an agent may make before it is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultLimits {
    /// Errors in all; the next one exceeds.
    pub max_total_errors: u32,
    /// Repeats of one error; the next one exceeds.
    pub max_same_error_repeats: u32,
    /// Procedure violations; the next one exceeds.
    pub max_procedure_violations: u32,
}

impl Default for FaultLimits {
    fn default() -> Self {
        Self { max_total_errors: 8, max_same_error_repeats: 2, max_procedure_violations: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_field_in_a_profile_is_refused() {
        let good = r#"{"agent_id":"tier0-agent","agent_version":"1.0.0","tier":"T0"}"#;
        let typo = r#"{"agent_id":"tier0-agent","agent_version":"1.0.0","tier":"T0","capabilites":[]}"#;
        assert_eq!(serde_json::from_str::<AgentProfile>(good).unwrap().governance.error_budget.max_total_errors, 8);
        assert!(serde_json::from_str::<AgentProfile>(typo).unwrap_err().to_string().contains("capabilites"));
    }
}
