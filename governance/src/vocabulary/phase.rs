//! An agent's phases, and the class of output that each yields.

use super::named;

named! {
    /// Where an agent is in its life. Ordered from BOOTSTRAP to EXIT; REVOKED is terminal and outside the order.
    pub enum AgentPhase {
        /// Authenticates.
        Bootstrap = "BOOTSTRAP",
        /// Checks sandbox, inventory and dependencies.
        Preflight = "PREFLIGHT",
        /// Plans.
        Plan = "PLAN",
        /// Acts.
        Execute = "EXECUTE",
        /// Verifies what was done.
        Verify = "VERIFY",
        /// Bundles artifacts and evidence. Can never be skipped.
        Package = "PACKAGE",
        /// Reports.
        Report = "REPORT",
        /// Releases resources.
        Exit = "EXIT",
        /// Revoked: terminal, outside the order.
        Revoked = "REVOKED",
    }
}

named! {
    /// How mature an output is. Not to be confused with the agents ALPHA, BETA and GAMMA.
    pub enum OutputType {
        /// Initial, a draft.
        Alpha = "Alpha",
        /// Refined.
        Beta = "Beta",
        /// Final.
        Gamma = "Gamma",
    }
}

/// The phases in their order, without REVOKED.
pub const AGENT_PHASES_ORDERED: [AgentPhase; 8] = [
    AgentPhase::Bootstrap,
    AgentPhase::Preflight,
    AgentPhase::Plan,
    AgentPhase::Execute,
    AgentPhase::Verify,
    AgentPhase::Package,
    AgentPhase::Report,
    AgentPhase::Exit,
];

/// The class of output that a phase yields; none for REVOKED.
#[must_use]
pub const fn get_output_type_for_phase(phase: AgentPhase) -> Option<OutputType> {
    match phase {
        AgentPhase::Bootstrap | AgentPhase::Preflight => Some(OutputType::Alpha),
        AgentPhase::Plan | AgentPhase::Execute => Some(OutputType::Beta),
        AgentPhase::Verify | AgentPhase::Package | AgentPhase::Report | AgentPhase::Exit => Some(OutputType::Gamma),
        AgentPhase::Revoked => None,
    }
}

/// Whether nothing follows this phase.
#[must_use]
pub const fn is_terminal_phase(phase: AgentPhase) -> bool {
    matches!(phase, AgentPhase::Exit | AgentPhase::Revoked)
}

/// The phase after this one; none after EXIT and REVOKED.
#[must_use]
pub fn next_phase(phase: AgentPhase) -> Option<AgentPhase> {
    let place = AGENT_PHASES_ORDERED.iter().position(|p| *p == phase)?;
    AGENT_PHASES_ORDERED.get(place + 1).copied()
}

/// Whether an agent may go from one phase to another: forward, over skippable phases only, or to REVOKED.
#[must_use]
pub fn may_follow(from: AgentPhase, to: AgentPhase) -> bool {
    if is_terminal_phase(from) {
        return false;
    }
    if to == AgentPhase::Revoked {
        return true;
    }
    from < to && !(from < AgentPhase::Package && to > AgentPhase::Package)
}

/// The first phase that an agent would leave out, if it went straight from one phase to another; PACKAGE, where that is among them.
#[must_use]
pub fn skipped_phase(from: AgentPhase, to: AgentPhase) -> Option<AgentPhase> {
    if to == AgentPhase::Revoked || is_terminal_phase(from) {
        return None;
    }
    let left_out = |phase: &AgentPhase| from < *phase && *phase < to;
    Some(AgentPhase::Package).filter(left_out).or_else(|| AGENT_PHASES_ORDERED.into_iter().find(left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_that_is_left_out_is_noticed_and_package_first() {
        for (at, from) in AGENT_PHASES_ORDERED.into_iter().enumerate().take(7) {
            for (to_at, to) in AGENT_PHASES_ORDERED.into_iter().enumerate() {
                let left_out: Vec<_> = AGENT_PHASES_ORDERED.iter().take(to_at).skip(at + 1).collect();
                let found = skipped_phase(from, to);
                assert_eq!(found.is_some(), !left_out.is_empty(), "{from} {to}");
                assert_eq!(found == Some(AgentPhase::Package), left_out.contains(&&AgentPhase::Package), "{from} {to}");
            }
            assert_eq!(skipped_phase(from, AgentPhase::Revoked), None);
        }
    }

    #[test]
    fn phases_follow_in_order_and_end_at_exit() {
        let mut walked = vec![AgentPhase::Bootstrap];
        while let Some(next) = next_phase(walked[walked.len() - 1]) {
            assert!(may_follow(walked[walked.len() - 1], next));
            walked.push(next);
        }
        assert_eq!(walked, AGENT_PHASES_ORDERED);
        assert_eq!(next_phase(AgentPhase::Revoked), None);
    }

    #[test]
    fn package_is_never_skipped() {
        assert!(!may_follow(AgentPhase::Verify, AgentPhase::Report));
        assert!(!may_follow(AgentPhase::Bootstrap, AgentPhase::Exit));
        assert!(may_follow(AgentPhase::Bootstrap, AgentPhase::Package));
    }

    #[test]
    fn revoked_is_terminal_and_yields_nothing() {
        assert_eq!(get_output_type_for_phase(AgentPhase::Revoked), None);
        assert!(AGENT_PHASES_ORDERED.iter().all(|p| get_output_type_for_phase(*p).is_some()));
        assert!(AgentPhase::ALL.iter().all(|p| !may_follow(AgentPhase::Revoked, *p)));
    }
}
