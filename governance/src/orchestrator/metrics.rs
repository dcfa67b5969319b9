//! What a run took, counted from what it tells. Pure: time comes with each event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::broadcast::Broadcast;
use crate::vocabulary::{AgentId, AgentRole, GammaReason, Millis, PipelineStatus, millis};

/// What a run took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunMetrics {
    /// Milliseconds in each state. Those in which the run waited for its user do not count.
    pub states: BTreeMap<PipelineStatus, u64>,
    /// Agents by role.
    pub agents: BTreeMap<AgentRole, u64>,
    /// Messages on the bus that the governor heard.
    pub messages: u64,
    /// Proposals that were put to the vote, each time that there was one.
    pub proposals: u64,
    /// Ballots in votes that were decided.
    pub votes: u64,
    /// Mediators by what they were called for.
    pub gammas: BTreeMap<GammaReason, u64>,
    /// Automatic recoveries that began.
    pub recoveries: u64,
    /// Calls of the model.
    pub calls: u64,
    /// Tokens, read and written.
    pub tokens: u64,
    /// Millionths of a dollar.
    pub cost_micros: u64,
}

/// Counts one run.
#[derive(Debug, Clone, Default)]
pub struct MetricsCollector {
    counted: RunMetrics,
    roles: BTreeMap<AgentId, AgentRole>,
    // The state that time is being spent in, and since when.
    open: Option<(PipelineStatus, Millis)>,
}

impl MetricsCollector {
    /// A run of which nothing was heard yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts what the run told, and when.
    pub fn observe(&mut self, at: Millis, broadcast: &Broadcast) {
        match broadcast {
            Broadcast::PipelineStatus { status, .. } => self.enter(*status, at),
            Broadcast::AgentSpawned { agent_id, role, .. } => drop(self.roles.insert(agent_id.clone(), *role)),
            Broadcast::AgentMessage { .. } => self.counted.messages += 1,
            Broadcast::GammaSpawned { reason, .. } => *self.counted.gammas.entry(*reason).or_default() += 1,
            Broadcast::ConsensusEvent { event, .. } if event.get("event").and_then(Value::as_str) == Some("opened") => {
                self.counted.proposals += event.get("options").and_then(Value::as_array).map_or(0, |options| options.len() as u64);
            }
            Broadcast::ConsensusReached { votes, .. } => {
                self.counted.votes += votes.as_object().map_or(0, |votes| votes.values().filter(|vote| !vote.is_null()).count() as u64);
            }
            // Whether it ended or waits for its user: its clocks stop.
            Broadcast::OrchestrationComplete { .. } => self.close(at),
            Broadcast::ConsensusEvent { .. }
            | Broadcast::OrchestrationStarted { .. }
            | Broadcast::AgentWaiting { .. }
            | Broadcast::AgentLog { .. } => {}
        }
    }

    /// Counts what was spent on the model.
    pub fn spent(&mut self, calls: u64, tokens: u64, cost_micros: u64) {
        let counted = &mut self.counted;
        counted.calls = counted.calls.saturating_add(calls);
        counted.tokens = counted.tokens.saturating_add(tokens);
        counted.cost_micros = counted.cost_micros.saturating_add(cost_micros);
    }

    /// What was counted until now.
    #[must_use]
    pub fn report(&self, now: Millis) -> RunMetrics {
        let mut until_now = self.clone();
        until_now.close(now);
        for role in until_now.roles.values() {
            *until_now.counted.agents.entry(*role).or_default() += 1;
        }
        until_now.counted
    }

    fn enter(&mut self, status: PipelineStatus, at: Millis) {
        let before = self.open.map(|(before, _)| before);
        self.close(at);
        if status == PipelineStatus::Rebooting && before != Some(status) {
            self.counted.recoveries += 1;
        }
        self.open = (!status.is_final()).then_some((status, at));
    }

    fn close(&mut self, at: Millis) {
        if let Some((status, since)) = self.open.take() {
            *self.counted.states.entry(status).or_default() += millis(at.since(since));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::vocabulary::{PipelineId, ProposalId};

    fn run() -> PipelineId {
        PipelineId::new("pipeline-a").unwrap()
    }

    fn entered(status: PipelineStatus) -> Broadcast {
        Broadcast::PipelineStatus { pipeline_id: run(), status, reason: None }
    }

    fn spawned(name: &str, role: AgentRole) -> Broadcast {
        Broadcast::AgentSpawned { pipeline_id: run(), agent_id: AgentId::new(name).unwrap(), role, runtime: "built-in".into() }
    }

    fn complete(status: PipelineStatus) -> Broadcast {
        Broadcast::OrchestrationComplete { pipeline_id: run(), status, results: Value::Null }
    }

    #[test]
    fn a_run_is_counted_from_what_it_tells() {
        let (from, vote) = (AgentId::new("a").unwrap(), ProposalId::new("decision").unwrap());
        let story = [
            (0, spawned("a", AgentRole::Alpha)),
            (0, spawned("b", AgentRole::Beta)),
            (0, entered(PipelineStatus::Spawn)),
            (10, entered(PipelineStatus::Running)),
            (15, Broadcast::AgentMessage { pipeline_id: run(), from, to: None, content: Value::Null }),
            (110, entered(PipelineStatus::Report)),
            (111, entered(PipelineStatus::Orchestrating)),
            (120, Broadcast::GammaSpawned { pipeline_id: run(), reason: GammaReason::Conflict }),
            (120, spawned("c", AgentRole::Gamma)),
            (
                150,
                Broadcast::ConsensusEvent {
                    pipeline_id: run(),
                    proposal_id: vote.clone(),
                    event: json!({"event": "opened", "options": ["x", "y", "z"]}),
                },
            ),
            (180, Broadcast::ConsensusReached { pipeline_id: run(), proposal_id: vote, votes: json!({"a": {"one": "x"}, "b": null}) }),
            (200, entered(PipelineStatus::Completed)),
            (260, complete(PipelineStatus::Completed)),
        ];
        let mut metrics = MetricsCollector::new();
        story.iter().for_each(|(at, told)| metrics.observe(Millis(*at), told));
        metrics.spent(3, 400, 50);
        metrics.spent(1, 100, 0);
        let report = metrics.report(Millis(9_999));
        let (spawn, running, reported, orchestrating) =
            (PipelineStatus::Spawn, PipelineStatus::Running, PipelineStatus::Report, PipelineStatus::Orchestrating);
        let expected = RunMetrics {
            states: [(spawn, 10), (running, 100), (reported, 1), (orchestrating, 89)].into(),
            agents: [(AgentRole::Alpha, 1), (AgentRole::Beta, 1), (AgentRole::Gamma, 1)].into(),
            messages: 1,
            proposals: 3,
            votes: 1,
            gammas: [(GammaReason::Conflict, 1)].into(),
            recoveries: 0,
            calls: 4,
            tokens: 500,
            cost_micros: 50,
        };
        assert_eq!(report, expected);
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.contains("\"ORCHESTRATING\":89") && text.contains("\"CONFLICT\":1"), "{text}");
        assert_eq!(serde_json::from_str::<RunMetrics>(&text).unwrap(), report);
    }

    #[test]
    fn waiting_for_the_user_stops_the_clocks_until_the_run_goes_on() {
        let mut metrics = MetricsCollector::new();
        metrics.observe(Millis(0), &entered(PipelineStatus::Orchestrating));
        metrics.observe(Millis(40), &entered(PipelineStatus::Orchestrating));
        metrics.observe(Millis(50), &complete(PipelineStatus::Orchestrating));
        metrics.observe(Millis(90_000), &entered(PipelineStatus::Orchestrating));
        assert_eq!(metrics.report(Millis(90_005)).states, [(PipelineStatus::Orchestrating, 55)].into());
    }

    #[test]
    fn each_recovery_counts_once() {
        let mut metrics = MetricsCollector::new();
        let told = [PipelineStatus::Rebooting, PipelineStatus::Rebooting, PipelineStatus::Orchestrating, PipelineStatus::Rebooting];
        told.into_iter().for_each(|status| metrics.observe(Millis(0), &entered(status)));
        assert_eq!(metrics.report(Millis(0)).recoveries, 2);
    }

    proptest! {
        #[test]
        fn no_more_time_is_counted_than_passed(steps in prop::collection::vec((0_u64..1_000, 0..15_usize), 0..30)) {
            let (mut metrics, mut at) = (MetricsCollector::new(), 0);
            for (span, what) in steps {
                at += span;
                let told = PipelineStatus::ALL.get(what).map_or(complete(PipelineStatus::Orchestrating), |status| entered(*status));
                metrics.observe(Millis(at), &told);
            }
            let report = metrics.report(Millis(at + 7));
            prop_assert!(report.states.values().sum::<u64>() <= at + 7);
            prop_assert!(report.states.keys().all(|status| !status.is_final()));
        }
    }
}
