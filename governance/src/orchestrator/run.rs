//! The state machine of a run: pure, `(run, event) -> (run, effects)`.
//!
//! ```text
//!             all ready              all settled             auto, or `continue`
//!   SPAWN ───────────────▶ RUNNING ───────────────▶ REPORT ───────────────▶ ORCHESTRATING ──decided──▶ COMPLETED
//!     │ one is gone           │ all failed                                       │  │
//!     ▼                       ▼                                                  │  └─undecided─▶ ORCHESTRATING, awaiting its user (exit 2)
//!   FAILED                  FAILED                                               └─all failed─▶ ORCHESTRATION_FAILED
//!
//!   from every state that is not final:  time up ▶ TIMEOUT    a stop ▶ STOPPED    the governor breaks ▶ FAILED, or ORCHESTRATION_ERROR
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::agent::Stage;
use crate::coordination::Outcome;
use crate::vocabulary::{AgentId, AgentRole, AgentStatus, PipelineStatus};

/// A run as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its state.
    pub status: PipelineStatus,
    /// Its agents.
    pub agents: BTreeMap<AgentId, AgentRun>,
    /// Whether it goes on from REPORT by itself.
    pub auto: bool,
    /// Whether votes closed without a decision and the user must act.
    pub awaiting_user: bool,
    /// Why it ended as it did, where that needs saying.
    pub reason: Option<String>,
}

/// One agent's part in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRun {
    /// What it is for.
    pub role: AgentRole,
    /// Its state.
    pub status: AgentStatus,
    /// The last stage that it finished.
    pub done: Option<Stage>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An agent finished a stage.
    Done(AgentId, Stage),
    /// An agent failed at a stage, and lives.
    Failed(AgentId, Stage, String),
    /// An agent ended, or was revoked, before it was told to leave.
    Gone(AgentId, String),
    /// The user says go on.
    Continue,
    /// The vote closed.
    VoteClosed(Outcome),
    /// The run's time is over.
    TimeUp,
    /// Somebody stopped it.
    Stopped(String),
    /// The governor itself cannot go on.
    Broken(String),
}

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write a state down.
    Record(PipelineStatus),
    /// Tell the agents that are alive to do a stage.
    Instruct(Stage),
    /// Write the report of what was proposed.
    Report,
    /// Put the proposals to the vote.
    OpenVote,
    /// Write the decision down.
    Decide(Outcome),
    /// Keep what the next try needs.
    KeepFailure(String),
    /// Tell the agents to leave, and end.
    Dismiss,
}

impl Run {
    /// A run whose agents are being started.
    #[must_use]
    pub fn new(agents: impl IntoIterator<Item = (AgentId, AgentRole)>, auto: bool) -> Self {
        let begun = |(id, role)| (id, AgentRun { role, status: AgentStatus::Pending, done: None });
        Self { status: PipelineStatus::Spawn, agents: agents.into_iter().map(begun).collect(), auto, awaiting_user: false, reason: None }
    }

    /// What an event leads to. An event that no longer matters leads to nothing.
    #[must_use]
    pub fn apply(mut self, event: Event) -> (Self, Vec<Effect>) {
        if self.status.is_final() || self.awaiting_user {
            return (self, Vec::new());
        }
        let effects = match event {
            Event::Done(id, stage) => self.done(&id, stage),
            Event::Failed(id, stage, error) => self.failed(&id, stage, error),
            Event::Gone(id, why) => self.gone(&id, why),
            Event::Continue if self.status == PipelineStatus::Report => self.orchestrate(),
            Event::Continue => Vec::new(),
            Event::VoteClosed(outcome) => self.closed(outcome),
            Event::TimeUp => self.end(PipelineStatus::Timeout, "the time given to the run is over".to_owned()),
            Event::Stopped(why) => self.end(PipelineStatus::Stopped, why),
            Event::Broken(why) if self.status == PipelineStatus::Orchestrating => self.end(PipelineStatus::OrchestrationError, why),
            Event::Broken(why) => self.end(PipelineStatus::Failed, why),
        };
        (self, effects)
    }

    /// The agents that still take part.
    pub fn alive(&self) -> impl Iterator<Item = &AgentId> {
        self.agents.iter().filter(|(_, agent)| !agent.status.is_final()).map(|(id, _)| id)
    }

    fn done(&mut self, id: &AgentId, stage: Stage) -> Vec<Effect> {
        let Some(agent) = self.agents.get_mut(id) else { return Vec::new() };
        agent.status = AgentStatus::Running;
        agent.done = Some(stage);
        self.settle()
    }

    fn failed(&mut self, id: &AgentId, stage: Stage, error: String) -> Vec<Effect> {
        let Some(agent) = self.agents.get_mut(id) else { return Vec::new() };
        agent.status = AgentStatus::Failed;
        agent.done = Some(stage);
        self.reason = Some(format!("`{id}` failed at {stage}: {error}"));
        self.settle()
    }

    fn gone(&mut self, id: &AgentId, why: String) -> Vec<Effect> {
        let Some(agent) = self.agents.get_mut(id).filter(|agent| !agent.status.is_final()) else { return Vec::new() };
        agent.status = AgentStatus::Failed;
        self.reason = Some(format!("`{id}` ended: {why}"));
        self.settle()
    }

    /// Goes on when every agent that lives has done the stage that is under way.
    fn settle(&mut self) -> Vec<Effect> {
        let lost = self.alive().next().is_none();
        let all = |stage| self.agents.values().all(|agent| agent.status.is_final() || agent.done == Some(stage));
        let why = || self.reason.clone().unwrap_or_else(|| "no agent is left".to_owned());
        match self.status {
            PipelineStatus::Spawn if self.agents.values().any(|agent| agent.status == AgentStatus::Failed) => {
                self.end(PipelineStatus::Failed, why())
            }
            PipelineStatus::Spawn if all(Stage::Ready) => {
                self.status = PipelineStatus::Running;
                vec![Effect::Record(self.status), Effect::Instruct(Stage::Work)]
            }
            PipelineStatus::Running if lost => self.end(PipelineStatus::Failed, why()),
            PipelineStatus::Running if all(Stage::Work) => {
                self.status = PipelineStatus::Report;
                let mut effects = vec![Effect::Record(self.status), Effect::Report];
                if self.auto {
                    effects.extend(self.orchestrate());
                }
                effects
            }
            PipelineStatus::Orchestrating if lost => self.end(PipelineStatus::OrchestrationFailed, why()),
            PipelineStatus::Orchestrating if all(Stage::Evaluate) => vec![Effect::OpenVote, Effect::Instruct(Stage::Vote)],
            _ => Vec::new(),
        }
    }

    fn orchestrate(&mut self) -> Vec<Effect> {
        self.status = PipelineStatus::Orchestrating;
        vec![Effect::Record(self.status), Effect::Instruct(Stage::Evaluate)]
    }

    fn closed(&mut self, outcome: Outcome) -> Vec<Effect> {
        if self.status != PipelineStatus::Orchestrating {
            return Vec::new();
        }
        if matches!(outcome, Outcome::Decided { .. }) {
            self.status = PipelineStatus::Completed;
            return vec![Effect::Decide(outcome), Effect::Record(self.status), Effect::Dismiss];
        }
        // Undecided is never a yes: the run waits for its user.
        self.awaiting_user = true;
        self.reason = Some("the votes closed without a decision".to_owned());
        let context = serde_json::to_string(&outcome).unwrap_or_default();
        vec![Effect::KeepFailure(context), Effect::Record(self.status), Effect::Dismiss]
    }

    fn end(&mut self, status: PipelineStatus, why: String) -> Vec<Effect> {
        self.status = status;
        self.reason = Some(why.clone());
        vec![Effect::KeepFailure(why), Effect::Record(status), Effect::Dismiss]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::coordination::Undecided;

    fn id(name: &str) -> AgentId {
        AgentId::new(name).unwrap()
    }

    fn fresh(auto: bool) -> Run {
        Run::new([(id("a"), AgentRole::Alpha), (id("b"), AgentRole::Beta)], auto)
    }

    fn through(run: Run, events: impl IntoIterator<Item = Event>) -> (Run, Vec<Effect>) {
        events.into_iter().fold((run, Vec::new()), |(run, mut all), event| {
            let (run, effects) = run.apply(event);
            all.extend(effects);
            (run, all)
        })
    }

    fn both(stage: Stage) -> [Event; 2] {
        [Event::Done(id("a"), stage), Event::Done(id("b"), stage)]
    }

    fn decided() -> Outcome {
        Outcome::Decided { option: "x".into(), counts: BTreeMap::new() }
    }

    #[test]
    fn a_run_goes_from_spawn_to_completed() {
        let events = both(Stage::Ready).into_iter().chain(both(Stage::Work)).chain(both(Stage::Evaluate)).chain(both(Stage::Vote));
        let (run, effects) = through(fresh(true), events.chain([Event::VoteClosed(decided())]));
        assert_eq!(run.status, PipelineStatus::Completed);
        let told: Vec<_> = effects.into_iter().filter(|e| !matches!(e, Effect::Record(_))).collect();
        assert_eq!(
            told,
            [
                Effect::Instruct(Stage::Work),
                Effect::Report,
                Effect::Instruct(Stage::Evaluate),
                Effect::OpenVote,
                Effect::Instruct(Stage::Vote),
                Effect::Decide(decided()),
                Effect::Dismiss
            ]
        );
    }

    #[test]
    fn without_auto_it_waits_at_report_for_continue() {
        let (run, _) = through(fresh(false), both(Stage::Ready).into_iter().chain(both(Stage::Work)));
        assert_eq!(run.status, PipelineStatus::Report);
        assert_eq!(run.apply(Event::Continue).0.status, PipelineStatus::Orchestrating);
    }

    #[test]
    fn undecided_waits_for_the_user_and_is_never_completed() {
        let outcome = Outcome::Undecided { reason: Undecided::Tie(vec![]), counts: BTreeMap::new() };
        let events = both(Stage::Ready).into_iter().chain(both(Stage::Work)).chain(both(Stage::Evaluate));
        let (run, effects) = through(fresh(true), events.chain([Event::VoteClosed(outcome)]));
        assert!(run.awaiting_user && run.status == PipelineStatus::Orchestrating);
        assert!(effects.iter().any(|e| matches!(e, Effect::KeepFailure(_))));
    }

    #[test]
    fn one_failure_goes_on_alone_and_two_end_it() {
        let (run, _) = through(fresh(true), both(Stage::Ready).into_iter().chain([Event::Failed(id("a"), Stage::Work, "x".into())]));
        assert_eq!(run.status, PipelineStatus::Running);
        let (alone, _) = run.clone().apply(Event::Done(id("b"), Stage::Work));
        assert_eq!(alone.status, PipelineStatus::Orchestrating);
        assert_eq!(alone.apply(Event::Gone(id("b"), "killed".into())).0.status, PipelineStatus::OrchestrationFailed);
        assert_eq!(run.apply(Event::Gone(id("b"), "killed".into())).0.status, PipelineStatus::Failed);
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let agent = prop::sample::select(vec![id("a"), id("b"), id("stranger")]);
        let stage = prop::sample::select(Stage::ALL);
        prop_oneof![
            8 => (agent.clone(), stage.clone()).prop_map(|(a, s)| Event::Done(a, s)),
            1 => (agent.clone(), stage).prop_map(|(a, s)| Event::Failed(a, s, "x".into())),
            1 => agent.prop_map(|a| Event::Gone(a, "x".into())),
            1 => Just(Event::Continue),
            1 => Just(Event::VoteClosed(decided())),
            1 => Just(Event::TimeUp),
            1 => Just(Event::Stopped("x".into())),
            1 => Just(Event::Broken("x".into())),
        ]
    }

    proptest! {
        #[test]
        fn a_run_ends_once_and_stays_ended(events in prop::collection::vec(any_event(), 0..40), auto: bool) {
            let mut run = fresh(auto);
            let mut dismissed = 0;
            for event in events {
                let before = run.clone();
                let (next, effects) = run.apply(event);
                dismissed += effects.iter().filter(|e| **e == Effect::Dismiss).count();
                if before.status.is_final() {
                    prop_assert_eq!(&next, &before);
                }
                prop_assert!(next.status.is_final() == (dismissed == 1) || next.awaiting_user);
                run = next;
            }
            prop_assert!(dismissed <= 1);
        }
    }
}
