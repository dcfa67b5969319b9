//! An agent's profile: what it is, what it may do, how it is governed. Read from a file, so every field is checked.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::{AgentId, Capability, Tier};

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
    #[serde(default)]
    pub constraints: Constraints,
    /// How it gets its credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<VaultRole>,
    /// How it is governed.
    #[serde(default)]
    pub governance: GovernanceRules,
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
    pub error_budget: FaultLimits,
    /// How its approvals are given.
    #[serde(skip_serializing_if = "ApprovalRules::is_default")]
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
            approval: ApprovalRules::default(),
        }
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
}

impl ApprovalRules {
    // So that a profile that says nothing of it keeps its hash.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for ApprovalRules {
    fn default() -> Self {
        Self { quorum: NonZeroU32::MIN, deadline: NonZeroU32::MIN.saturating_add(3_599) }
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
