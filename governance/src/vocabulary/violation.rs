//! What can go wrong with an agent's conduct, how grave each case is, and which revocation it leads to.

use super::named;

named! {
    /// How grave a violation is, gravest first.
    pub enum Severity {
        /// Immediate full revocation.
        Critical = "CRITICAL",
        /// The agent's token is revoked, a handoff is written.
        High = "HIGH",
        /// Counts against the error budget.
        Medium = "MEDIUM",
        /// Logged, with an alert.
        Low = "LOW",
    }
}

/// Another name that existing code uses.
pub type ViolationSeverity = Severity;

named! {
    /// The fourteen violations.
    pub enum ViolationType {
        /// A secret was read without the right to.
        UnauthorizedSecretAccess = "unauthorized_secret_access",
        /// A forbidden target was touched.
        ForbiddenTargetAccess = "forbidden_target_access",
        /// The governance itself was tampered with.
        GovernanceTampering = "governance_tampering",
        /// More rights were taken than given.
        PrivilegeEscalation = "privilege_escalation",
        /// A forbidden action.
        ForbiddenAction = "forbidden_action",
        /// A path outside the allowed ones.
        PathOutOfScope = "path_out_of_scope",
        /// Preflight was skipped.
        PreflightBypass = "preflight_bypass",
        /// An approval was skipped.
        ApprovalBypass = "approval_bypass",
        /// The execution lock was lost.
        LockLost = "lock_lost",
        /// The error budget was exceeded.
        ErrorBudgetExceeded = "error_budget_exceeded",
        /// A step of the procedure was not followed.
        ProcedureViolation = "procedure_violation",
        /// Resources were used beyond measure.
        ResourceAbuse = "resource_abuse",
        /// The heartbeat stopped.
        HeartbeatLost = "heartbeat_lost",
        /// Evidence is missing.
        EvidenceMissing = "evidence_missing",
    }
}

named! {
    /// Why an admission was ended.
    pub enum RevocationType {
        /// The error budget was exceeded.
        ErrorBudget = "error_budget",
        /// The procedure was not followed.
        Procedure = "procedure",
        /// The lock was lost.
        Lock = "lock",
        /// The heartbeat was lost.
        Heartbeat = "heartbeat",
        /// A policy was broken.
        Policy = "policy",
        /// A person said so.
        Manual = "manual",
    }
}

named! {
    /// How far a revocation reaches. Either way nothing that the agent, or an agent that it began, was admitted to lands any more.
    pub enum Extent {
        /// The agent's admission ends. What it wrote and reserved stays, its process may end by itself, a successor may begin.
        Token = "token",
        /// Also its lock and its heartbeat are taken, its supervised process is killed, its pipeline is told.
        Full = "full",
    }
}

impl ViolationType {
    /// How grave it is.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::UnauthorizedSecretAccess | Self::ForbiddenTargetAccess | Self::GovernanceTampering | Self::PrivilegeEscalation => {
                Severity::Critical
            }
            Self::ForbiddenAction
            | Self::PathOutOfScope
            | Self::PreflightBypass
            | Self::ApprovalBypass
            | Self::LockLost
            | Self::ErrorBudgetExceeded => Severity::High,
            Self::ProcedureViolation | Self::ResourceAbuse | Self::HeartbeatLost => Severity::Medium,
            Self::EvidenceMissing => Severity::Low,
        }
    }

    /// The revocation it leads to, when it leads to one.
    #[must_use]
    pub const fn revocation(self) -> RevocationType {
        match self {
            Self::UnauthorizedSecretAccess
            | Self::ForbiddenTargetAccess
            | Self::GovernanceTampering
            | Self::PrivilegeEscalation
            | Self::ForbiddenAction
            | Self::PathOutOfScope
            | Self::ResourceAbuse => RevocationType::Policy,
            Self::PreflightBypass | Self::ApprovalBypass | Self::ProcedureViolation | Self::EvidenceMissing => RevocationType::Procedure,
            Self::LockLost => RevocationType::Lock,
            Self::ErrorBudgetExceeded => RevocationType::ErrorBudget,
            Self::HeartbeatLost => RevocationType::Heartbeat,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_fourteen_violations_in_four_severities() {
        let count = |severity| ViolationType::ALL.iter().filter(|v| v.severity() == severity).count();
        assert_eq!(ViolationType::ALL.len(), 14);
        assert_eq!(Severity::ALL.iter().map(|s| count(*s)).collect::<Vec<_>>(), [4, 6, 3, 1]);
    }
}
