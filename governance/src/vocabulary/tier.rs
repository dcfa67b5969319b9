//! The trust tiers as data: what each is called, whom it reviews, and what it takes to rise.

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

/// A tier's shipped rules. What its agents may do is in its profile, which [`Policy::shipped`](crate::guard::policy::Policy::shipped) reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TierRules {
    /// The tier.
    pub tier: Tier,
    /// Its name.
    pub name: &'static str,
    /// The policy that its tokens carry.
    pub policy: &'static str,
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
    TierRules { tier: Tier::T0, name: "Observer", policy: "t0-observer", reviews: &[], promotion: Some(PROMOTION) },
    TierRules {
        tier: Tier::T1,
        name: "Operator",
        policy: "t1-operator",
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
}
