//! Carries a run out: turns what happens into events, and effects into what is done.

use std::time::Duration;

use serde_json::json;

use super::broadcast::Broadcast;
use super::inbox::Inbox;
use super::options::RunOptions;
use super::outcome::RunOutcome;
use super::parts::Parts;
use super::run::{Effect, Event, Run};
use super::runtime::Crew;
use crate::agent::{GOVERNOR, Instruction, Report, Said, Stage};
use crate::coordination::{Blackboard, BusMessage, Consensus, DecisionRule, MailboxOptions, MessageBus, Opening, Outcome};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{Role, Unit};
use crate::ledger::Action;
use crate::store::{Actor, Commit, Signals, Write, to_json};
use crate::vocabulary::{AgentId, AgentRole, PipelineId, PipelineStatus, ProposalId, Section, Tier};

/// The longest objective, in bytes.
pub const MAX_OBJECTIVE: usize = 1 << 20;
/// What an agent may ask its model for in one run.
const CALLS: u64 = 64;
/// How many log lines a pipeline keeps.
const LOG_LINES: u64 = 2_000;
/// How often a run looks whether it was stopped, in case it was not told.
const LOOK: Duration = Duration::from_millis(500);
/// How long a run that broke waits for a store that does not answer, to write its end down.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs.
#[derive(Clone)]
pub struct Orchestrator {
    parts: Parts,
}

impl Orchestrator {
    /// Runs on these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Runs an objective from SPAWN to its end, or until it waits for its user.
    pub async fn run(&self, objective: &str, options: RunOptions) -> Result<RunOutcome> {
        let objective = checked(objective)?;
        let mut driver = Driver::begin(self.parts.clone(), objective, options).await?;
        let done = driver.drive().await;
        driver.close(done).await
    }
}

fn checked(objective: &str) -> Result<&str> {
    let objective = objective.trim();
    if objective.is_empty() {
        return Err(Error::invalid("empty_objective", "the objective is empty: say what is to be decided"));
    }
    if objective.len() > MAX_OBJECTIVE {
        let message = format!("the objective is larger than {MAX_OBJECTIVE} bytes: put the rest into a file that it refers to");
        return Err(Error::invalid("objective_too_large", message));
    }
    if objective.contains('\0') {
        return Err(Error::invalid("bad_objective", "the objective holds a NUL byte"));
    }
    Ok(objective)
}

pub(super) struct Driver {
    pub parts: Parts,
    pub options: RunOptions,
    pub pipeline: PipelineId,
    pub objective: String,
    pub governor: Actor,
    pub run: Run,
    bus: MessageBus,
    inbox: Inbox,
    pub crew: Crew,
    stops: Signals,
    pub vote: Option<ProposalId>,
}

impl Driver {
    async fn begin(parts: Parts, objective: &str, options: RunOptions) -> Result<Self> {
        let store = &parts.store;
        let admissions = parts.admissions();
        let (pipeline, admission) = loop {
            let id = PipelineId::fresh(store.ports().clock.now());
            match admissions.begin_pipeline(&id, objective).await {
                Ok(admission) => break (id, admission),
                // Two runs in one millisecond: the next one is free.
                Err(error) if error.code() == "taken" => tokio::time::sleep(Duration::from_millis(1)).await,
                Err(error) => return Err(error),
            }
        };
        let governor = Actor { id: AgentId::new(GOVERNOR)?, pipeline: Some(pipeline.clone()), admission };
        match Self::sit_down(&parts, &pipeline, &governor, objective, options).await {
            Err(error) => {
                let failed = [("status", PipelineStatus::Failed.to_string()), ("reason", error.to_string())];
                let told = governor.commit().merge(parts.store.keys().pipeline(&pipeline), failed);
                // Refused where it was stopped meanwhile, which then is its state.
                drop(parts.store.within(LAST_WORDS).commit(told).await);
                Err(error)
            }
            seated => seated,
        }
    }

    async fn sit_down(parts: &Parts, pipeline: &PipelineId, governor: &Actor, objective: &str, options: RunOptions) -> Result<Self> {
        let task = pipeline.task();
        parts.blackboard(&task, governor).post(Section::Problem, "objective", &objective).await?;
        let mut bus = parts.bus(&task, governor);
        bus.join(MailboxOptions::default()).await?;
        Ok(Self {
            inbox: Inbox::open(&bus),
            stops: parts.store.signals(&parts.store.keys().ws_broadcast()).await?,
            crew: Crew::new(parts, &options),
            run: Run::new([], options.auto_continue),
            bus,
            pipeline: pipeline.clone(),
            objective: objective.to_owned(),
            governor: governor.clone(),
            parts: parts.clone(),
            options,
            vote: None,
        })
    }

    async fn spawn(&mut self) -> Result<()> {
        let admissions = self.parts.admissions();
        let mut actors = Vec::new();
        for role in [AgentRole::Alpha, AgentRole::Beta] {
            let id = AgentId::fresh(role, &*self.parts.store.ports().chance);
            let actor = admissions.admit(&self.governor.admission, &self.pipeline, &id, Role { role, tier: Tier::T0 }).await?;
            let runtime = self.options.runtime.name();
            let state = self.parts.store.keys().agent_state(&id);
            self.parts.store.apply(self.governor.commit().merge(state, [("runtime", runtime)])).await?;
            self.parts.budget(&actor).grant(&self.governor, Unit::Calls, CALLS).await?;
            let pipeline_id = self.pipeline.clone();
            self.tell(Broadcast::AgentSpawned { pipeline_id, agent_id: id, role, runtime: runtime.to_owned() }).await?;
            actors.push((actor, role));
        }
        self.run = Run::new(actors.iter().map(|(actor, role)| (actor.id.clone(), *role)), self.options.auto_continue);
        self.record(PipelineStatus::Spawn).await?;
        actors.into_iter().try_for_each(|(actor, role)| self.crew.start(actor, role))
    }

    /// Goes on until nothing more can happen without the user.
    async fn drive(&mut self) -> Result<()> {
        self.spawn().await?;
        let clock = self.parts.store.ports().clock.clone();
        let until = clock.elapsed() + self.options.timeout;
        let waits = |run: &Run| run.status.is_final() || run.awaiting_user || (run.status == PipelineStatus::Report && !run.auto);
        while !waits(&self.run) {
            let Some(event) = self.next(until.saturating_sub(clock.elapsed())).await? else { continue };
            let (next, effects) = self.run.clone().apply(event);
            let before = std::mem::replace(&mut self.run, next);
            if let Err(error) = self.carry_out_all(effects).await {
                // INVARIANT: a run never claims a state of which it could not carry out the effects.
                self.run = before;
                return Err(error);
            }
        }
        Ok(())
    }

    /// What happens next; none where it does not concern the run.
    async fn next(&mut self, left: Duration) -> Result<Option<Event>> {
        let consensus = Consensus::open(&self.parts.store, &self.pipeline.task(), &self.governor);
        let vote = self.vote.clone();
        let closed = async {
            match &vote {
                Some(vote) => consensus.outcome(vote).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = self.inbox.next() => self.heard(&message?).await,
            outcome = closed => Ok(Some(Event::VoteClosed(outcome?))),
            (id, ended) = self.crew.ended() => Ok(ended.err().map(|error| Event::Gone(id, error.to_string()))),
            _ = self.stops.next() => self.look().await,
            () = tokio::time::sleep(LOOK.min(left)) => if left <= LOOK { Ok(Some(Event::TimeUp)) } else { self.look().await },
            () = self.options.interrupt.cancelled() => {
                self.parts.revocations().stop_pipeline(&self.pipeline, "interrupted by its user").await?;
                Ok(Some(Event::Stopped("interrupted by its user".to_owned())))
            }
        }
    }

    async fn heard(&self, message: &BusMessage) -> Result<Option<Event>> {
        let (pipeline_id, content) = (self.pipeline.clone(), message.body.clone());
        self.tell(Broadcast::AgentMessage { pipeline_id, from: message.from.clone(), to: message.to.clone(), content }).await?;
        Ok(match serde_json::from_value(message.body.clone()) {
            Ok(Said::Report(Report::Done(stage))) => Some(Event::Done(message.from.clone(), stage)),
            Ok(Said::Report(Report::Failed { stage, error })) => Some(Event::Failed(message.from.clone(), stage, error)),
            _ => None,
        })
    }

    /// Whether the run was stopped, or lost an agent to a revocation.
    pub async fn look(&self) -> Result<Option<Event>> {
        let store = &self.parts.store;
        for (key, admitted) in &self.governor.admission.0 {
            if store.number(key.clone()).await? != *admitted {
                let why = match self.parts.revocations().stop_in_force().await? {
                    Some(stop) => format!("everything was stopped: {}", stop.reason),
                    None => self.stopped_because().await?,
                };
                return Ok(Some(Event::Stopped(why)));
            }
        }
        for id in self.run.alive() {
            if let Some(revocation) = self.parts.revocations().revocation_of(id).await? {
                return Ok(Some(Event::Gone(id.clone(), format!("revoked: {}", revocation.reason))));
            }
        }
        Ok(None)
    }

    async fn stopped_because(&self) -> Result<String> {
        let state = self.parts.store.state(self.parts.store.keys().pipeline(&self.pipeline)).await?.unwrap_or_default();
        let stopped = state.field("status") == PipelineStatus::Stopped.as_str() && !state.field("reason").is_empty();
        Ok(if stopped { state.field("reason").to_owned() } else { "the pipeline was stopped".to_owned() })
    }

    pub async fn carry_out_all(&mut self, effects: Vec<Effect>) -> Result<()> {
        for effect in effects {
            self.carry_out(effect).await?;
        }
        Ok(())
    }

    async fn carry_out(&mut self, effect: Effect) -> Result<()> {
        match effect {
            Effect::Record(status) => self.record(status).await,
            Effect::Instruct(stage) => self.instruct(stage).await,
            Effect::Report => self.report().await,
            Effect::OpenVote => self.open_vote().await,
            Effect::Decide(outcome) => self.decide(outcome).await,
            Effect::KeepFailure(context) => self.keep_failure(&context).await,
            Effect::Dismiss => match self.instruct(Stage::Leave).await {
                // The agents of a run that was stopped hear it from the store.
                Err(error) if error.kind() == ErrorKind::Revoked => Ok(()),
                other => other,
            },
        }
    }

    /// Writes the run's state down, fenced; the end of a run that was stopped is written by whoever may.
    async fn record(&self, status: PipelineStatus) -> Result<()> {
        let key = self.parts.store.keys().pipeline(&self.pipeline);
        let fields = [
            ("status", status.to_string()),
            ("awaiting_user", self.run.awaiting_user.to_string()),
            ("reason", self.run.reason.clone().unwrap_or_default()),
        ];
        let fenced = if status == PipelineStatus::Stopped { Commit::default().urgent() } else { self.governor.commit() };
        let payload = json!({"status": status, "reason": self.run.reason});
        let recorder = &self.parts.recorder;
        let store = &self.parts.store;
        recorder
            .record(store, Action::Phase, (None, Some(&self.pipeline)), &payload, async |token| {
                let mut commit = fenced.token(token).merge(key.clone(), fields);
                if status == PipelineStatus::Orchestrating && !self.run.awaiting_user {
                    let now = store.ports().clock.now().0;
                    commit = commit.write(Write::Push {
                        list: self.log(),
                        value: format!("{now} orchestration started").into(),
                        bound: LOG_LINES,
                    });
                }
                store.apply(commit).await.map(drop)
            })
            .await?;
        let (pipeline_id, reason) = (self.pipeline.clone(), self.run.reason.clone());
        self.tell(Broadcast::PipelineStatus { pipeline_id, status, reason }).await?;
        if status == PipelineStatus::Orchestrating && !self.run.awaiting_user {
            let (pipeline_id, model) = (self.pipeline.clone(), self.options.model.name().to_owned());
            let agents = self.run.alive().cloned().collect();
            self.tell(Broadcast::OrchestrationStarted { pipeline_id, model, agents }).await?;
        }
        Ok(())
    }

    async fn instruct(&self, stage: Stage) -> Result<()> {
        let instruction = match (stage, &self.vote) {
            (Stage::Work, _) => Instruction::Work,
            (Stage::Evaluate, _) => Instruction::Evaluate,
            (Stage::Vote, Some(vote)) => Instruction::Vote(vote.clone()),
            (Stage::Leave, _) => Instruction::Leave,
            (Stage::Ready | Stage::Vote, _) => return Ok(()),
        };
        let told = Said::Instruction(instruction);
        for id in self.run.alive() {
            match self.bus.send(id, &told).await {
                // It left by itself, or never came.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                other => other.map(drop)?,
            }
        }
        Ok(())
    }

    async fn report(&self) -> Result<()> {
        let board = self.board();
        let reports: Vec<_> =
            board.entries(Section::Progress).await?.into_iter().filter(|e| e.name.as_str().starts_with("report-")).collect();
        let summary: Vec<_> = reports.iter().map(|entry| &entry.content).collect();
        board.post(Section::Progress, "report", &json!({"agents": summary})).await.map(drop)
    }

    async fn open_vote(&mut self) -> Result<()> {
        let options: Vec<_> = self.board().entries(Section::Solutions).await?.iter().map(|entry| entry.name.to_string()).collect();
        let id = ProposalId::new(format!("decision-{}", options.len()))?;
        let opening = Opening {
            question: json!("which solution is carried out"),
            options: options.clone(),
            rule: DecisionRule::Majority,
            quorum: None,
            electorate: self.run.alive().map(|id| (id.clone(), 1)).collect(),
            within: self.options.timeout,
            sealed: false,
        };
        self.consensus().propose(&id, opening).await?;
        self.vote = Some(id.clone());
        let event = json!({"event": "opened", "options": options});
        self.tell(Broadcast::ConsensusEvent { pipeline_id: self.pipeline.clone(), proposal_id: id, event }).await
    }

    async fn decide(&self, outcome: Outcome) -> Result<()> {
        let (Outcome::Decided { option, .. }, Some(vote)) = (&outcome, &self.vote) else { return Ok(()) };
        let subject = (None, Some(&self.pipeline));
        let payload = json!({"proposal": option, "outcome": outcome});
        let recorder = &self.parts.recorder;
        recorder
            .record(&self.parts.store, Action::Decision, subject, &payload, async |token| {
                self.board().put_once(token, Section::Consensus, "decision", &payload, 0).await.map(drop)
            })
            .await?;
        let votes = json!(self.consensus().votes(vote).await?);
        self.tell(Broadcast::ConsensusReached { pipeline_id: self.pipeline.clone(), proposal_id: vote.clone(), votes }).await
    }

    async fn keep_failure(&self, context: &str) -> Result<()> {
        let store = &self.parts.store;
        let proposals = self.board().entries(Section::Solutions).await?;
        let names: Vec<_> = proposals.iter().map(|entry| &entry.name).collect();
        let kept = json!({"status": self.run.status, "reason": self.run.reason, "context": context, "proposals": names});
        let key = store.keys().pipeline_failure_context(&self.pipeline);
        store.apply(Commit::default().urgent().put(key, to_json(&kept)?)).await.map(drop)
    }

    pub async fn tell(&self, event: Broadcast) -> Result<()> {
        if let Some(observer) = &self.options.observer {
            observer(&event);
        }
        let payload = to_json(&event)?;
        let store = &self.parts.store;
        // Telling is not governed: a run that was stopped still says so.
        let commit = Commit::default()
            .write(Write::Signal { channel: store.keys().ws_broadcast(), payload: payload.clone() })
            .write(Write::Push { list: self.log(), value: payload, bound: LOG_LINES });
        store.apply(commit).await.map(drop)
    }

    pub fn board(&self) -> Blackboard {
        self.parts.blackboard(&self.pipeline.task(), &self.governor)
    }

    pub fn consensus(&self) -> Consensus {
        self.parts.consensus(&self.pipeline.task(), &self.governor)
    }

    fn log(&self) -> crate::vocabulary::Key {
        self.parts.store.keys().pipeline_logs(&self.pipeline)
    }
}
