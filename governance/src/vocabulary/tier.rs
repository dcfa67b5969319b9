//! The trust tiers as data: what each may do, and what it takes to rise.

use serde::Serialize;

use super::named;

named! {
    /// How far an agent is trusted.
    pub enum Tier {
        /// Observer.
        T0 = "T0",
        /// Operator, also called executor.
        T1 = "T1",
        /// Automator.
        T2 = "T2",
        /// Engineer.
        T3 = "T3",
        /// Architect.
        T4 = "T4",
    }
}

named! {
    /// What an agent can be able to do at all.
    pub enum Capability {
        /// Reads the inventory.
        ReadInventory = "read_inventory",
        /// Reads documents.
        ReadDocumentation = "read_documentation",
        /// Drafts plans.
        GeneratePlans = "generate_plans",
        /// Executes commands.
        ExecuteCommands = "execute_commands",
        /// Modifies files.
        ModifyFiles = "modify_files",
        /// Reads secrets.
        AccessSecrets = "access_secrets",
        /// Uses SSH.
        SshAccess = "ssh_access",
        /// Calls APIs.
        ApiAccess = "api_access",
    }
}

named! {
    /// Where a promotion stands.
    pub enum PromotionStatus {
        /// The requirements are met.
        Eligible = "eligible",
        /// They are not.
        NotEligible = "not_eligible",
        /// A person reviews.
        PendingReview = "pending_review",
        /// Granted.
        Approved = "approved",
        /// Refused.
        Rejected = "rejected",
    }
}

/// A tier's shipped rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TierRules {
    /// The tier.
    pub tier: Tier,
    /// Its name.
    pub name: &'static str,
    /// The policy that its tokens carry.
    pub policy: &'static str,
    /// What it can do.
    pub capabilities: &'static [Capability],
    /// Actions it may take; `*` for all but the forbidden ones.
    pub allowed_actions: &'static [&'static str],
    /// Actions it may never take.
    pub forbidden_actions: &'static [&'static str],
    /// Targets it may touch.
    pub allowed_targets: &'static [&'static str],
    /// Targets it may never touch.
    pub forbidden_targets: &'static [&'static str],
    /// Targets that need an approval each time.
    pub approval_targets: &'static [&'static str],
    /// Tiers whose agents it may review and demote.
    pub reviews: &'static [Tier],
    /// What it takes to rise from here.
    pub promotion: Option<PromotionRules>,
}

/// What it takes to rise by one tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PromotionRules {
    /// The tier above.
    pub target: Tier,
    /// Compliant runs in all.
    pub runs: u32,
    /// Compliant runs in a row.
    pub consecutive: u32,
    /// Actions that must have been done.
    pub actions: &'static [&'static str],
    /// Successful modifications.
    pub modifications: u32,
    /// Days without a violation; 0 where none are asked.
    pub clean_days: u32,
    /// Whether a person reviews.
    pub review: bool,
    /// Whether an administrator approves.
    pub administrator: bool,
}

const OBSERVER_ACTIONS: &[&str] =
    &["read_file", "list_directory", "search_code", "read_logs", "read_inventory", "generate_plan", "request_review"];
const OPERATOR_ACTIONS: &[&str] = &[
    "read_file",
    "list_directory",
    "search_code",
    "generate_plan",
    "request_review",
    "execute_command",
    "write_file",
    "ansible_check",
    "ansible_run",
    "terraform_plan",
    "terraform_apply",
    "docker_run",
];
const ALL: &[&str] = &["*"];
const TAMPERING: &[&str] = &["modify_governance"];
const PRODUCTION: &[&str] = &["prod-*", "staging-db-*"];
const EVERYTHING: &[Capability] = Capability::ALL;

const PROMOTION: PromotionRules = PromotionRules {
    target: Tier::T1,
    runs: 5,
    consecutive: 3,
    actions: &["generate_plan"],
    modifications: 0,
    clean_days: 30,
    review: false,
    administrator: false,
};

/// The shipped tiers, lowest first.
pub const TIERS: [TierRules; 5] = [
    TierRules {
        tier: Tier::T0,
        name: "Observer",
        policy: "t0-observer",
        capabilities: &[Capability::ReadInventory, Capability::ReadDocumentation, Capability::GeneratePlans],
        allowed_actions: OBSERVER_ACTIONS,
        forbidden_actions: &[
            "execute_command",
            "write_file",
            "access_secrets",
            "delete_production",
            "access_vault_root",
            "modify_governance",
        ],
        allowed_targets: &[],
        forbidden_targets: ALL,
        approval_targets: &[],
        reviews: &[],
        promotion: Some(PROMOTION),
    },
    TierRules {
        tier: Tier::T1,
        name: "Operator",
        policy: "t1-operator",
        capabilities: &[
            Capability::ReadInventory,
            Capability::ReadDocumentation,
            Capability::GeneratePlans,
            Capability::ExecuteCommands,
            Capability::ModifyFiles,
            Capability::ApiAccess,
        ],
        allowed_actions: OPERATOR_ACTIONS,
        forbidden_actions: &["delete_production", "access_vault_root", "modify_governance"],
        allowed_targets: &["localhost", "sandbox-*"],
        forbidden_targets: PRODUCTION,
        approval_targets: &[],
        reviews: &[],
        promotion: Some(PromotionRules {
            target: Tier::T2,
            runs: 10,
            consecutive: 5,
            actions: &["ansible_check", "terraform_plan"],
            modifications: 2,
            ..PROMOTION
        }),
    },
    TierRules {
        tier: Tier::T2,
        name: "Automator",
        policy: "t2-automator",
        capabilities: EVERYTHING,
        allowed_actions: ALL,
        forbidden_actions: &["delete_production", "access_vault_root", "modify_governance"],
        allowed_targets: ALL,
        forbidden_targets: &[],
        approval_targets: PRODUCTION,
        reviews: &[],
        promotion: Some(PromotionRules {
            target: Tier::T3,
            runs: 25,
            consecutive: 10,
            actions: &["ansible_run", "terraform_apply"],
            modifications: 5,
            review: true,
            ..PROMOTION
        }),
    },
    TierRules {
        tier: Tier::T3,
        name: "Engineer",
        policy: "t3-engineer",
        capabilities: EVERYTHING,
        allowed_actions: ALL,
        forbidden_actions: &["access_vault_root", "modify_governance"],
        allowed_targets: ALL,
        forbidden_targets: &[],
        approval_targets: &[],
        reviews: &[Tier::T0, Tier::T1, Tier::T2],
        promotion: Some(PromotionRules {
            target: Tier::T4,
            runs: 50,
            consecutive: 25,
            actions: &[],
            clean_days: 0,
            review: true,
            administrator: true,
            ..PROMOTION
        }),
    },
    TierRules {
        tier: Tier::T4,
        name: "Architect",
        policy: "t4-architect",
        capabilities: EVERYTHING,
        allowed_actions: ALL,
        forbidden_actions: TAMPERING,
        allowed_targets: ALL,
        forbidden_targets: &[],
        approval_targets: &[],
        reviews: &[Tier::T0, Tier::T1, Tier::T2, Tier::T3],
        promotion: None,
    },
];

impl Tier {
    /// The shipped rules of this tier.
    #[must_use]
    pub const fn rules(self) -> &'static TierRules {
        &TIERS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tier_finds_its_own_rules_and_leads_to_the_next() {
        for (tier, above) in Tier::ALL.iter().zip(Tier::ALL.iter().skip(1).map(Some).chain([None])) {
            assert_eq!(tier.rules().tier, *tier);
            assert_eq!(tier.rules().promotion.map(|p| p.target).as_ref(), above);
        }
    }

    #[test]
    fn no_tier_may_tamper_with_governance() {
        assert!(TIERS.iter().all(|t| t.forbidden_actions.contains(&"modify_governance")));
    }
}
