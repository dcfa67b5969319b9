//! The state machine of a run: pure, `(run, event) -> (run, effects)`.
//!
//! ```text
//!             all ready            all settled           auto, or `continue`
//!   SPAWN ─────────────▶ RUNNING ─────────────▶ REPORT ─────────────▶ ORCHESTRATING ──decided, or accepted──▶ COMPLETED
//!     │ one is lost         │ all lost                                  ▲  │  ▲   │
//!     ▼                     ▼                                  a fallback│  │  │   ├─undecided──▶ awaits its user (exit 2) ──gives up──▶ CONSENSUS_FAILED
//!   FAILED                FAILED                                         └──┼──┼───┘
//!                                                                           │  └── REBOOTING ◀── all lost, one by revocation (3 times, then ABORTED)
//!                                                                           └─all failed──▶ ORCHESTRATION_FAILED
//!
//!   from every state that is not final:  time up ▶ TIMEOUT    a stop ▶ STOPPED    the governor breaks ▶ FAILED, or ORCHESTRATION_ERROR
//!   from STOPPED, once the stop is lifted:  `continue` ▶ the state before
//! ```
//!
//! Within ORCHESTRATING the agents take steps together: work again (after a reboot or a rerun), evaluate, perhaps be mediated, vote.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::agent::{Instruction, Stage};
use crate::coordination::Outcome;
use crate::error::Error;
use crate::vocabulary::{AgentId, AgentRole, AgentStatus, FallbackAction, GammaReason, PipelineId, PipelineStatus, ProposalId, Tier};

/// What a run begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Whether it goes on from REPORT by itself.
    pub auto: bool,
    /// Whether its objective is so complex that a mediator takes it apart.
    pub complex: bool,
    /// From how many unresolved proposals on a mediator arbitrates.
    pub conflicts: u32,
    /// How often it may recover by itself.
    pub recoveries: u32,
    /// How many ballots a decision needs. Runs of earlier versions did not say it: there it is more than half of those who lived when the vote began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u32>,
}

/// A run as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Which.
    pub pipeline: PipelineId,
    /// What it began with.
    pub setup: Setup,
    /// Its state.
    pub status: PipelineStatus,
    /// What its agents do together.
    pub step: Step,
    /// Its agents, those of earlier tries too.
    pub agents: BTreeMap<AgentId, AgentRun>,
    /// How often agents were started anew.
    pub tries: u32,
    /// How far its agents are trusted.
    pub tier: Tier,
    /// How many votes were opened.
    pub round: u32,
    /// Why a mediator was called in this try.
    pub mediated: Option<GammaReason>,
    /// How often it recovered by itself.
    pub recovered: u32,
    /// Whether votes closed without a decision and the user must act.
    pub awaiting_user: bool,
    /// Whether the user took the best proposal without a decision.
    pub partial: bool,
    /// Why it ended as it did, where that needs saying.
    pub reason: Option<String>,
    /// The state that a stop interrupted.
    pub stopped_at: Option<PipelineStatus>,
}

/// What the agents of a run do together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// They get ready.
    Ready,
    /// They analyse and propose.
    Work,
    /// They judge what was proposed.
    Evaluate,
    /// The governor looks whether their judgements settle it.
    Assess,
    /// A mediator arbitrates.
    Mediate,
    /// They vote.
    Vote,
}

/// One agent's part in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRun {
    /// What it is for.
    pub role: AgentRole,
    /// Which try it belongs to.
    pub of_try: u32,
    /// Its state.
    pub status: AgentStatus,
    /// What it was told to do last.
    pub told: Option<Instruction>,
    /// Whether it has done that.
    pub done: bool,
    /// What went wrong with it.
    pub error: Option<String>,
    /// The code of that, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl AgentRun {
    pub(super) fn new(role: AgentRole, of_try: u32) -> Self {
        Self { role, of_try, status: AgentStatus::Pending, told: None, done: false, error: None, code: None }
    }

    /// Whether the run waits for it.
    #[must_use]
    pub fn owes(&self) -> bool {
        !self.status.is_final() && (self.status == AgentStatus::Pending || self.told.is_some()) && !self.done
    }
}

/// What went wrong, as a journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Told", into = "Told")]
pub struct Trouble {
    /// The stable code of the error, where it is known.
    pub code: Option<String>,
    /// The error in words.
    pub message: String,
}

/// Journals of before codes were kept hold the words alone.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Told {
    Words(String),
    Coded { code: String, message: String },
}

impl From<Told> for Trouble {
    fn from(told: Told) -> Self {
        match told {
            Told::Words(message) => Self { code: None, message },
            Told::Coded { code, message } => Self { code: Some(code), message },
        }
    }
}

impl From<Trouble> for Told {
    fn from(trouble: Trouble) -> Self {
        match trouble.code {
            None => Self::Words(trouble.message),
            Some(code) => Self::Coded { code, message: trouble.message },
        }
    }
}

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Self {
        Self { code: Some(error.code().to_owned()), message: error.to_string() }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    Begun,
    /// An agent finished a stage.
    Done(AgentId, Stage),
    /// An agent failed at a stage, and lives.
    Failed(AgentId, Stage, Trouble),
    /// An agent ended before it was told to leave.
    Gone(AgentId, Trouble),
    /// An agent's admission was ended.
    Revoked(AgentId, String),
    /// An agent made no progress for long enough that a mediator should help.
    Stuck(AgentId),
    /// An agent made no progress for so long that it must go.
    Silent(AgentId),
    /// How many proposals the judgements leave unresolved.
    Assessed(u32),
    /// The user says go on.
    Continue,
    /// The user chose how to go on without a decision.
    Fallback(FallbackAction),
    /// The user gives up on a decision.
    GivenUp,
    /// The vote closed.
    VoteClosed(Outcome),
    /// The time given is over.
    TimeUp,
    /// Somebody stopped it.
    Stopped(String),
    /// Another process took the run up.
    Resumed,
    /// The governor itself cannot go on.
    Broken(String),
}

/// What is to be done about it. Each may be done again after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write a state down.
    Record(PipelineStatus),
    /// Start an agent.
    Spawn(AgentId, AgentRole),
    /// Say that a mediator comes, and why.
    Mediate(GammaReason),
    /// Tell an agent what to do.
    Tell(AgentId, Instruction),
    /// Write the report of what was proposed.
    Report,
    /// Write a report of what there is, when time is up.
    PartialReport,
    /// Find out what the judgements leave unresolved.
    Assess,
    /// Put the proposals to the vote.
    OpenVote(ProposalId),
    /// Write the decision down.
    Decide(Outcome),
    /// Take the best proposal without a decision.
    Accept,
    /// Keep what the next try needs.
    KeepFailure(String),
    /// Put what is known of the failure before the next try.
    Preseed,
    /// End an agent's admission.
    Revoke(AgentId, String),
    /// Tell agents to leave.
    Dismiss(Vec<AgentId>),
}

impl Run {
    /// A run that has not begun.
    #[must_use]
    pub fn new(pipeline: PipelineId, setup: Setup) -> Self {
        Self {
            pipeline,
            setup,
            status: PipelineStatus::Spawn,
            step: Step::Ready,
            agents: BTreeMap::new(),
            tries: 1,
            tier: Tier::T0,
            round: 0,
            mediated: None,
            recovered: 0,
            awaiting_user: false,
            partial: false,
            reason: None,
            stopped_at: None,
        }
    }

    /// What an event leads to. An event that no longer matters leads to nothing.
    #[must_use]
    pub fn apply(mut self, event: Event) -> (Self, Vec<Effect>) {
        let stopped = self.status == PipelineStatus::Stopped && event == Event::Resumed;
        let chosen = self.awaiting_user && matches!(event, Event::Fallback(_) | Event::GivenUp | Event::Stopped(_));
        if (self.status.is_final() && !stopped) || (self.awaiting_user && !chosen && !stopped) {
            return (self, Vec::new());
        }
        let effects = match event {
            Event::Begun => self.begin(),
            Event::Done(id, stage) => self.done(&id, stage),
            Event::Failed(id, stage, trouble) => {
                let why = format!("`{id}` failed at {stage}: {}", trouble.message);
                self.blame(&id, trouble.code);
                self.lose(&id, AgentStatus::Failed, why)
            }
            Event::Gone(id, trouble) => {
                let fence = Effect::Revoke(id.clone(), trouble.message.clone());
                self.blame(&id, trouble.code);
                self.with(fence, &id, AgentStatus::Failed, format!("`{id}` ended: {}", trouble.message))
            }
            Event::Revoked(id, why) => self.lose(&id, AgentStatus::Revoked, format!("`{id}` was revoked: {why}")),
            Event::Stuck(id) => self.stuck(&id),
            Event::Silent(id) => {
                let why = "no progress for too long".to_owned();
                let owes = self.agents.get(&id).is_some_and(AgentRun::owes);
                if owes {
                    self.with(Effect::Revoke(id.clone(), why.clone()), &id, AgentStatus::Revoked, format!("`{id}` was revoked: {why}"))
                } else {
                    Vec::new()
                }
            }
            Event::Assessed(unresolved) => self.assessed(unresolved),
            Event::Continue if self.status == PipelineStatus::Report => self.orchestrate(),
            Event::Continue => Vec::new(),
            Event::Fallback(action) => self.fall_back(action),
            Event::GivenUp => self.end(PipelineStatus::ConsensusFailed, "its user gave up on a decision".to_owned()),
            Event::VoteClosed(outcome) => self.closed(outcome),
            Event::TimeUp => self.time_up(),
            Event::Stopped(why) => {
                self.stopped_at = Some(self.status);
                self.stop(PipelineStatus::Stopped, why)
            }
            Event::Resumed => self.resumed(),
            Event::Broken(why) if matches!(self.status, PipelineStatus::Orchestrating | PipelineStatus::Rebooting) => {
                self.end(PipelineStatus::OrchestrationError, why)
            }
            Event::Broken(why) => self.end(PipelineStatus::Failed, why),
        };
        (self, effects)
    }

    /// The agents that still take part.
    pub fn alive(&self) -> impl Iterator<Item = (&AgentId, &AgentRun)> {
        self.agents.iter().filter(|(_, agent)| !agent.status.is_final())
    }

    /// The vote that is under way, or was the last.
    #[must_use]
    pub fn vote(&self) -> Option<ProposalId> {
        (self.round > 0).then(|| ProposalId::new(format!("decision-{}", self.round)).ok()).flatten()
    }

    /// Whether it goes on without its user.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        !self.status.is_final() && !self.awaiting_user && (self.status != PipelineStatus::Report || self.setup.auto)
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
