//! Carries a run out: turns what happens into events, and effects into what is done.
//!
//! An event's effects are carried out, each so that it may be done again, and then the event is written to the [journal](super::journal). Whoever takes the
//! run up after a crash is where the journal ends, and does the rest again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::broadcast::Broadcast;
use super::complexity::complexity;
use super::inbox::Inbox;
use super::journal::{Journal, Line};
use super::metrics::MetricsCollector;
use super::options::{RunOptions, Wish};
use super::outcome::RunOutcome;
use super::parts::Parts;
use super::pulse::Pulse;
use super::run::{Event, Run, Setup, Step, Trouble};
use super::runtime::Crew;
use crate::agent::{GOVERNOR, Report, Said};
use crate::coordination::{Blackboard, BusMessage, Consensus, Lease, MailboxOptions, MessageBus};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::limits::{Scope, ScopeLimits};
use crate::guard::{Held, Lookout, listed};
use crate::store::{Actor, Signals};
use crate::vocabulary::{AgentId, ApprovalId, Extent, PipelineId, PipelineStatus, Section};

/// The longest objective, in bytes.
pub const MAX_OBJECTIVE: usize = 1 << 20;
/// How often a run looks whether it was stopped and who makes progress, in case it was not told.
const LOOK: Duration = Duration::from_millis(500);
/// How long a run belongs to a process that gives no sign of life.
pub(super) const OWNED: Duration = Duration::from_secs(5);
/// How long a run that broke waits for a store that does not answer, to write its end down.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs.
#[derive(Clone)]
pub struct Orchestrator {
    pub(super) parts: Parts,
}

impl Orchestrator {
    /// Runs on these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Runs an objective from SPAWN to its end, or until it waits for its user.
    pub async fn run(&self, objective: &str, options: RunOptions) -> Result<RunOutcome> {
        let objective = self::objective(objective)?;
        let mut driver = Driver::begin(self.parts.clone(), objective, options).await?;
        let done = driver.drive(vec![Event::Begun]).await;
        driver.close(done).await
    }

    /// Takes a run up that waits for its user, was stopped, or whose process died; to its end, or until it waits again.
    pub async fn resume(&self, pipeline: &PipelineId, wish: Wish, options: RunOptions) -> Result<RunOutcome> {
        let (mut driver, events) = Driver::take_up(self.parts.clone(), pipeline, wish, options).await?;
        let done = driver.drive(events).await;
        driver.close(done).await
    }
}

/// An objective as a run takes it: trimmed, not empty, not too large.
pub fn objective(objective: &str) -> Result<&str> {
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
    pub bus: MessageBus,
    inbox: Inbox,
    pub crew: Crew,
    stops: Signals,
    pub owner: Lease,
    pub journal: Journal,
    pub pulse: Pulse,
    pub metrics: MetricsCollector,
    // When time is up, on the clock that goes on during sleep.
    pub until: Duration,
    // When it was last looked, and who waited for people then: for which approval.
    pub looked: Duration,
    pub waiting: BTreeMap<AgentId, ApprovalId>,
    // Who was told to leave.
    pub leaving: Vec<AgentId>,
    // Has this process confirm the end of the run.
    _held: Held,
}

impl Driver {
    async fn begin(parts: Parts, objective: &str, options: RunOptions) -> Result<Self> {
        let (pipeline, admission) = parts.admissions().begin_fresh(objective).await?;
        let governor = Actor { id: AgentId::new(GOVERNOR)?, pipeline: Some(pipeline.clone()), admission };
        match Self::first_seat(&parts, &pipeline, &governor, objective, options).await {
            Err(error) => {
                let failed = [("status", PipelineStatus::Failed.to_string()), ("reason", error.to_string())];
                let mut told = governor.commit().merge(parts.store.keys().pipeline(&pipeline), failed);
                told.writes.extend(listed(parts.store.keys(), &pipeline, PipelineStatus::Failed));
                // Refused where it was stopped meanwhile, which then is its state.
                drop(parts.store.within(LAST_WORDS).commit(told).await);
                Err(error)
            }
            seated => seated,
        }
    }

    async fn first_seat(parts: &Parts, pipeline: &PipelineId, governor: &Actor, objective: &str, options: RunOptions) -> Result<Self> {
        let keys = parts.store.keys();
        let (key, fence) = (keys.pipeline_owner(pipeline), keys.pipeline_owner_fence(pipeline));
        let owner = Lease::claim(&parts.store, key, fence, governor, OWNED).await?;
        let owner = owner.ok_or_else(|| Error::internal("a new run belongs to somebody else"))?;
        ScopeLimits::new(&parts.store, &parts.recorder)
            .set_all(governor, &Scope::Pipeline(pipeline.clone()), &options.use_limits.run)
            .await?;
        let complexity = complexity(objective);
        let limits = options.limits;
        let complex = complexity.score > limits.complexity;
        let setup = Setup {
            auto: options.auto_continue,
            complex,
            conflicts: limits.conflicts,
            recoveries: limits.recoveries,
            quorum: Some(limits.quorum),
        };
        let mut driver = Self::sit_down(parts, governor, owner, objective, Run::new(pipeline.clone(), setup.clone()), options).await?;
        let board = driver.board();
        board.post(Section::Problem, "objective", &objective).await?;
        board.post(Section::Problem, "complexity", &complexity).await?;
        driver.keep_context().await?;
        driver.write_down(&Line::Setup(setup)).await?;
        Ok(driver)
    }

    pub async fn sit_down(parts: &Parts, governor: &Actor, owner: Lease, objective: &str, run: Run, options: RunOptions) -> Result<Self> {
        let task = run.pipeline.task();
        let mut bus = parts.bus(&task, governor);
        bus.take_over(MailboxOptions::default()).await?;
        let clock = &parts.store.ports().clock;
        Ok(Self {
            _held: Lookout::hold(&parts.store, governor).await?,
            inbox: Inbox::open(&bus),
            stops: parts.store.signals(&parts.store.keys().ws_broadcast()).await?,
            crew: Crew::new(parts, &options),
            journal: Journal::new(&parts.store, &run.pipeline),
            pulse: Pulse::new(&parts.store, &parts.blackboard(&task, governor), &bus, options.limits.patience),
            metrics: MetricsCollector::new(),
            until: clock.elapsed() + options.timeout,
            looked: clock.elapsed(),
            waiting: BTreeMap::new(),
            leaving: Vec::new(),
            pipeline: run.pipeline.clone(),
            objective: objective.to_owned(),
            governor: governor.clone(),
            parts: parts.clone(),
            options,
            owner,
            run,
            bus,
        })
    }

    /// Goes on until nothing more can happen without the user.
    async fn drive(&mut self, events: Vec<Event>) -> Result<()> {
        for event in events {
            self.happen(event).await?;
        }
        while self.run.goes_on() {
            if let Some(event) = self.next().await? {
                self.happen(event).await?;
            }
        }
        Ok(())
    }

    /// Carries out what an event leads to, and remembers it.
    pub async fn happen(&mut self, event: Event) -> Result<()> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let (next, effects) = self.run.clone().apply(event.clone());
            if effects.is_empty() && next == self.run {
                continue;
            }
            let before = std::mem::replace(&mut self.run, next);
            if let Err(error) = self.settle(effects, event, &mut events).await {
                // INVARIANT: a run never claims a state of which it could not carry out the effects.
                self.run = before;
                return Err(error);
            }
        }
        Ok(())
    }

    async fn settle(&mut self, effects: Vec<super::run::Effect>, event: Event, events: &mut VecDeque<Event>) -> Result<()> {
        for effect in effects {
            events.extend(self.carry_out(effect).await?);
        }
        self.write_down(&Line::Event(event)).await
    }

    /// Writes a line of the journal. An owner whose time was over meanwhile, because the machine is too busy, takes the run up again first.
    async fn write_down(&mut self, line: &Line) -> Result<()> {
        match self.journal.append(&self.governor, &self.owner, line).await {
            Err(error) if error.code() == "fenced" => {
                self.take_up_again().await?;
                self.journal.append(&self.governor, &self.owner, line).await
            }
            done => done,
        }
    }

    /// What happens next; none where it does not concern the run.
    async fn next(&mut self) -> Result<Option<Event>> {
        self.keep().await?;
        let consensus = self.consensus();
        // One of an earlier try has been closed for long: it would be heard of again and again, and nothing else.
        let vote = self.run.vote().filter(|_| self.run.step == Step::Vote);
        let closed = async {
            match &vote {
                Some(vote) => consensus.outcome(vote).await,
                None => std::future::pending().await,
            }
        };
        let left = self.until.saturating_sub(self.parts.store.ports().clock.elapsed());
        tokio::select! {
            message = self.inbox.next() => self.heard(&message?).await,
            outcome = closed => Ok(Some(Event::VoteClosed(outcome?))),
            (id, ended) = self.crew.ended() => self.ended(id, ended).await,
            _ = self.stops.next() => self.look().await,
            () = tokio::time::sleep(LOOK.min(left)) => {
                let event = self.look().await?;
                // Looking may have found that people are waited for, and given time back.
                let over = self.until <= self.parts.store.ports().clock.elapsed();
                Ok(event.or(over.then_some(Event::TimeUp)))
            }
            () = self.options.interrupt.cancelled() => {
                self.parts.revocations().stop_pipeline(&self.pipeline, "interrupted by its user").await?;
                Ok(Some(Event::Stopped("interrupted by its user".to_owned())))
            }
        }
    }

    /// Stays the run's owner.
    async fn keep(&mut self) -> Result<()> {
        if self.owner.left() > OWNED / 2 {
            return Ok(());
        }
        match self.owner.renew().await {
            Ok(true) => return Ok(()),
            // Who was stopped cannot renew, and hears of it next.
            Err(error) if error.kind() == ErrorKind::Revoked => return Ok(()),
            Err(error) => return Err(error),
            Ok(false) => {}
        }
        self.take_up_again().await
    }

    /// Its time as owner lapsed, as after a long sleep. Nobody may have taken the run up since.
    async fn take_up_again(&mut self) -> Result<()> {
        let keys = self.parts.store.keys();
        let (key, fence) = (keys.pipeline_owner(&self.pipeline), keys.pipeline_owner_fence(&self.pipeline));
        match Lease::claim(&self.parts.store, key, fence, &self.governor, OWNED).await {
            Ok(Some(owner)) => self.owner = owner,
            Ok(None) => return Err(superseded(&self.pipeline)),
            Err(error) if error.kind() == ErrorKind::Revoked => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn heard(&mut self, message: &BusMessage) -> Result<Option<Event>> {
        self.pulse.touch(&message.from);
        let (pipeline_id, content) = (self.pipeline.clone(), message.body.clone());
        self.tell(Broadcast::AgentMessage { pipeline_id, from: message.from.clone(), to: message.to.clone(), content }).await?;
        Ok(match serde_json::from_value(message.body.clone()) {
            Ok(Said::Report(Report::Done(stage))) => Some(Event::Done(message.from.clone(), stage)),
            Ok(Said::Report(Report::Failed { stage, code, error })) => {
                Some(Event::Failed(message.from.clone(), stage, Trouble { code, message: error }))
            }
            _ => None,
        })
    }

    /// An agent's life is over. Whether by a revocation, the store knows.
    async fn ended(&self, id: AgentId, ended: Result<()>) -> Result<Option<Event>> {
        let Err(error) = ended else { return Ok(None) };
        if let Some(revocation) = self.parts.revocations().revocation_of(&id).await? {
            return Ok(Some(Event::Revoked(id, revocation.reason)));
        }
        // Who stops a run ends its agents with it, and says of each why: nobody here may say it first.
        if let Some(why) = self.stopped().await? {
            return Ok(Some(Event::Stopped(why)));
        }
        Ok(Some(Event::Gone(id, Trouble::from(&error))))
    }

    /// Whether the run was stopped, lost an agent to a revocation, or waits for one that is still for too long.
    pub async fn look(&mut self) -> Result<Option<Event>> {
        if let Some(why) = self.stopped().await? {
            return Ok(Some(Event::Stopped(why)));
        }
        for (id, _) in self.run.alive() {
            if let Some(revocation) = self.parts.revocations().revocation_of(id).await? {
                // It may not have heard of it, or not want to.
                match revocation.extent {
                    Extent::Token => self.crew.abort(id),
                    Extent::Full => self.crew.kill(id),
                }
                return Ok(Some(Event::Revoked(id.clone(), revocation.reason)));
            }
        }
        let found = self.pulse.look(&self.run).await?;
        self.stand_still().await?;
        Ok(match found {
            Some(Event::Silent(id)) => {
                let never = self.crew.never_sat(&self.run, &id);
                Some(never.map_or(Event::Silent(id.clone()), |error| Event::Gone(id, Trouble::from(&error))))
            }
            other => other,
        })
    }

    /// Why the run was stopped, if it was.
    pub async fn stopped(&self) -> Result<Option<String>> {
        let store = &self.parts.store;
        for (key, admitted) in self.governor.admission.0.iter() {
            if store.number(key.clone()).await? == *admitted {
                continue;
            }
            if let Some(stop) = self.parts.revocations().stop_in_force().await? {
                return Ok(Some(format!("everything was stopped: {}", stop.reason)));
            }
            let Some(state) = store.state(store.keys().pipeline(&self.pipeline)).await? else {
                // Nobody takes a run's state away: a store that has lost it says so where something is to be written.
                store.apply(self.governor.commit().absent(store.keys().pipeline(&self.pipeline))).await?;
                return Err(superseded(&self.pipeline));
            };
            if state.field("status") != PipelineStatus::Stopped.as_str() {
                return Err(superseded(&self.pipeline));
            }
            let reason = state.field("reason");
            return Ok(Some(if reason.is_empty() { "the pipeline was stopped".to_owned() } else { reason.to_owned() }));
        }
        Ok(None)
    }

    pub fn board(&self) -> Blackboard {
        self.parts.blackboard(&self.pipeline.task(), &self.governor)
    }

    pub fn consensus(&self) -> Consensus {
        self.parts.consensus(&self.pipeline.task(), &self.governor)
    }
}

/// Another process took the run up.
pub(super) fn superseded(pipeline: &PipelineId) -> Error {
    let message = format!("another process has taken `{pipeline}` up: see `governance pipeline status {pipeline}`");
    Error::new(ErrorKind::Conflict, "superseded", message)
}
