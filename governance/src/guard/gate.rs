//! What an agent's life asks for before a governed call: that its preflight has passed and its plan is approved, where its profile wants that, and
//! that its time is not over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::policy::{Decision, Policy, Request, Verdict};
use super::progress::{Progress, Underway};
use crate::error::Result;
use crate::store::Store;
use crate::vocabulary::{AgentId, AgentPhase, AgentProfile, InstructionPacket, Millis, ViolationType};

/// Actions that change nothing: they may be taken before preflight has passed, and succeed without counting as a modification. Every other one is
/// taken to change something, also one that nobody knows.
pub const READING_ACTIONS: [&str; 10] = [
    "read_file",
    "list_directory",
    "search_code",
    "read_logs",
    "read_inventory",
    "read_documentation",
    "generate_plan",
    "request_review",
    "ansible_check",
    "terraform_plan",
];

/// Whether an action changes something, as far as a profile knows.
#[must_use]
pub fn changes_something(profile: &AgentProfile, action: &str) -> bool {
    !READING_ACTIONS.contains(&action) && !profile.governance.reading_actions.iter().any(|reading| reading == action)
}

/// Actions whose path is the folder that they run in. What they do there is theirs, and no rule about paths sees it.
pub const RUNNING_ACTIONS: [&str; 4] = ["execute_command", "ansible_run", "terraform_apply", "docker_run"];

/// Whether an action at a folder may change, move or remove everything below it, as far as a profile knows: every one that is known neither to read nor to
/// run there.
#[must_use]
pub(super) fn touches_below(profile: &AgentProfile, action: &str) -> bool {
    changes_something(profile, action) && !RUNNING_ACTIONS.contains(&action)
}

/// Where an agent is in its life, as its guard has to know it. Looked at in each call, without a round trip.
#[derive(Debug, Default)]
pub struct Gate {
    passed: AtomicBool,
    // Milliseconds; 0 for none.
    deadline: AtomicU64,
    // Its place among all phases, from 1; 0 for none.
    phase: AtomicUsize,
    progress: Progress,
}

impl Gate {
    /// Says whether preflight has passed.
    pub fn set_passed(&self, passed: bool) {
        self.passed.store(passed, Ordering::Release);
    }

    /// Whether preflight has passed.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.passed.load(Ordering::Acquire)
    }

    /// Says where it is.
    pub fn set_phase(&self, phase: AgentPhase) {
        let place = AgentPhase::ALL.iter().position(|known| *known == phase);
        self.phase.store(place.map_or(0, |place| place + 1), Ordering::Release);
    }

    /// Where it is, if it has said so.
    #[must_use]
    pub fn phase(&self) -> Option<AgentPhase> {
        self.phase.load(Ordering::Acquire).checked_sub(1).and_then(|place| AgentPhase::ALL.get(place).copied())
    }

    /// Says until when the agent may do anything.
    pub fn set_deadline(&self, deadline: Option<Millis>) {
        self.deadline.store(deadline.map_or(0, |deadline| deadline.0.max(1)), Ordering::Release);
    }

    /// What the agent does.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// A call begins that may take so long: it counts as progress until then, and its end does.
    #[must_use]
    pub fn under_way(self: &Arc<Self>, within: Duration) -> Underway {
        Underway::begin(self, within)
    }

    /// Takes the deadline from the agent's instruction packet, as it is now.
    pub(super) async fn follow(&self, store: &Store, agent: &AgentId) -> Result<()> {
        let packet: Option<(u64, InstructionPacket)> = store.json(store.keys().agent_packet(agent)).await?;
        self.set_deadline(packet.and_then(|(_, packet)| packet.deadline));
        Ok(())
    }

    /// The decision, or why nothing comes of it now.
    pub(super) fn judge(&self, policy: &Policy, request: &Request<'_>, now: Millis, decision: Decision) -> Decision {
        let deadline = self.deadline.load(Ordering::Acquire);
        if !decision.is_allowed() && decision.verdict() != Verdict::StepUp {
            return decision;
        }
        if deadline > 0 && now.0 >= deadline {
            let late = format!("the agent's time was over {} ms ago: its instruction packet says until when", now.0 - deadline);
            return policy.refuse(&late, None);
        }
        if policy.profile().governance.preflight_required && !self.has_passed() && changes_something(policy.profile(), request.action) {
            let name = &policy.profile().agent_id;
            let early = format!("the profile `{name}` asks for a preflight, which has not passed, before anything is changed");
            return policy.refuse(&early, Some(ViolationType::PreflightBypass));
        }
        let rules = &policy.profile().governance;
        let plans = self.phase() == Some(AgentPhase::Plan);
        if rules.plan_approval_required && plans && changes_something(policy.profile(), request.action) {
            let name = &policy.profile().agent_id;
            let early = format!(
                "the profile `{name}` asks for an approved plan, and the agent is still in PLAN: nothing is changed before EXECUTE"
            );
            return policy.refuse(&early, Some(ViolationType::ApprovalBypass));
        }
        decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::Tier;

    fn ask(gate: &Gate, tier: Tier, action: &str, now: u64) -> (Verdict, Option<ViolationType>) {
        let policy = Policy::shipped(tier).unwrap();
        let request = Request::new(action).on("sandbox-1");
        let decision = gate.judge(&policy, &request, Millis(now), policy.decide(&request));
        (decision.verdict(), decision.violation())
    }

    #[test]
    fn nothing_is_changed_before_preflight_has_passed_and_reading_goes_on() {
        let gate = Gate::default();
        assert_eq!(ask(&gate, Tier::T1, "write_file", 1), (Verdict::Deny, Some(ViolationType::PreflightBypass)));
        assert_eq!(ask(&gate, Tier::T1, "execute_command", 1).0, Verdict::Deny);
        for reading in ["read_file", "generate_plan", "ansible_check", "terraform_plan"] {
            assert_eq!(ask(&gate, Tier::T1, reading, 1).0, Verdict::Allow, "{reading}");
        }
        gate.set_passed(true);
        assert_eq!(ask(&gate, Tier::T1, "write_file", 1), (Verdict::Allow, None));
        gate.set_passed(false);
        // What is denied anyway is denied for its own reason.
        assert_eq!(ask(&gate, Tier::T1, "delete_production", 1).1, Some(ViolationType::ForbiddenAction));
    }

    #[test]
    fn each_phase_is_the_one_that_was_entered() {
        let gate = Gate::default();
        assert_eq!(gate.phase(), None);
        for phase in AgentPhase::ALL {
            gate.set_phase(*phase);
            assert_eq!(gate.phase(), Some(*phase));
        }
    }

    #[test]
    fn whoever_has_begun_to_plan_changes_nothing_before_its_plan_is_carried_out() {
        let gate = Gate::default();
        gate.set_passed(true);
        // An agent that keeps no phases is held by its policy alone.
        assert_eq!(ask(&gate, Tier::T1, "write_file", 1).0, Verdict::Allow);
        gate.set_phase(AgentPhase::Plan);
        assert_eq!(ask(&gate, Tier::T1, "write_file", 1), (Verdict::Deny, Some(ViolationType::ApprovalBypass)));
        assert_eq!(ask(&gate, Tier::T1, "read_file", 1).0, Verdict::Allow);
        // T3 asks for no approval of its plans.
        assert_eq!(ask(&gate, Tier::T3, "write_file", 1).0, Verdict::Allow);
        gate.set_phase(AgentPhase::Execute);
        assert_eq!(ask(&gate, Tier::T1, "write_file", 1).0, Verdict::Allow);
    }

    #[test]
    fn nothing_is_done_after_the_deadline() {
        let gate = Gate::default();
        gate.set_deadline(Some(Millis(1_000)));
        assert_eq!(ask(&gate, Tier::T1, "read_file", 999).0, Verdict::Allow);
        assert_eq!(ask(&gate, Tier::T1, "read_file", 1_000), (Verdict::Deny, None));
        gate.set_deadline(None);
        assert_eq!(ask(&gate, Tier::T1, "read_file", 2_000).0, Verdict::Allow);
    }
}
