//! What runs an agent: a task in this process, or a process of its own. Both live the same life on the bus.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::options::{Observer, RunOptions};
use super::parts::Parts;
use super::process::{Group, Keeper, LastWords, Seat};
use super::program::Program;
use super::run::Run;
use super::telling::Voice;
use crate::agent::{Desk, built_in, live};
use crate::error::{Error, Result};
use crate::guard::approval::MAX_WITHIN;
use crate::llm::{Model, ModelSettings};
use crate::store::Actor;
use crate::vocabulary::{AgentId, AgentRole, AgentStatus};

/// How long all processes of a run together may take to end, killed at last.
const ENDED: Duration = Duration::from_secs(5);

/// What runs an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AgentRuntime {
    /// A task in this process.
    #[default]
    BuiltIn,
    /// A process: this program, told by its standard input who it is.
    Process(Program),
}

/// What runs the agents of a run, by role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runtimes {
    /// Where no role says otherwise.
    pub default: AgentRuntime,
    /// For these roles.
    pub roles: BTreeMap<AgentRole, AgentRuntime>,
    /// Which model the processes ask.
    pub model: ModelSettings,
}

impl AgentRuntime {
    /// Its name, as shown.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::BuiltIn => "built-in".to_owned(),
            Self::Process(program) => program.name.clone(),
        }
    }
}

impl Runtimes {
    /// What runs the agents of a role.
    #[must_use]
    pub fn of(&self, role: AgentRole) -> &AgentRuntime {
        self.roles.get(&role).unwrap_or(&self.default)
    }
}

/// How an agent ended: well, or why not.
pub(super) type Ended = (AgentId, Result<()>);

/// The agents of a run. Dropping it ends them.
pub(super) struct Crew {
    runtimes: Runtimes,
    parts: Parts,
    model: Arc<dyn Model>,
    deadline: Duration,
    observer: Option<Observer>,
    tasks: JoinSet<Result<()>>,
    lives: HashMap<Id, Life>,
}

struct Life {
    of: AgentId,
    task: AbortHandle,
    process: Option<Process>,
}

/// What is known of a process beside the task that keeps it.
#[derive(Clone, Default)]
struct Process {
    group: Group,
    words: LastWords,
    ending: CancellationToken,
}

impl Life {
    /// Ends it: a task at once, a process as soon as it goes or is killed.
    fn end(&self) {
        match &self.process {
            Some(process) => process.ending.cancel(),
            None => self.task.abort(),
        }
    }
}

impl Crew {
    pub fn new(parts: &Parts, options: &RunOptions) -> Self {
        let (runtimes, model, deadline) = (options.runtimes.clone(), options.model.clone(), options.call_deadline);
        let observer = options.observer.clone();
        Self { runtimes, parts: parts.clone(), model, deadline, observer, tasks: JoinSet::new(), lives: HashMap::new() }
    }

    /// Starts an admitted agent. A program that cannot be started is an agent that ends at once.
    pub fn start(&mut self, actor: Actor, role: AgentRole, governor: &Actor) -> Result<()> {
        let of = actor.id.clone();
        let (task, process) = match self.runtimes.of(role).clone() {
            AgentRuntime::BuiltIn => {
                let worker = built_in(role)?;
                let (parts, model, deadline) = (self.parts.clone(), self.model.clone(), self.deadline);
                let task = self.tasks.spawn(async move {
                    let desk = Desk::new(&parts.store, actor, &parts.recorder, model).await?.following(&parts.policies).await?;
                    // Nobody else is there to come back when people have approved.
                    let desk = desk.with_guard(|guard| guard.waiting(MAX_WITHIN));
                    live(&desk.with_model(|model| model.within(deadline)), &*worker).await
                });
                (task, None)
            }
            AgentRuntime::Process(program) => {
                let pipeline = governor.pipeline.as_ref().ok_or_else(|| Error::internal("a governor without a run"))?;
                let process = Process::default();
                let keeper = Keeper {
                    program,
                    seat: Seat { address: self.parts.address.clone(), actor, role, model: self.runtimes.model.clone() },
                    governor: governor.clone(),
                    voice: Voice::new(&self.parts.store, pipeline, self.observer.clone()),
                    parts: self.parts.clone(),
                    group: process.group.clone(),
                    words: process.words.clone(),
                    ending: process.ending.clone(),
                };
                (self.tasks.spawn(keeper.keep()), Some(process))
            }
        };
        self.lives.insert(task.id(), Life { of, task, process });
        Ok(())
    }

    /// Whether an agent runs here.
    pub fn has(&self, id: &AgentId) -> bool {
        self.lives.values().any(|life| life.of == *id)
    }

    /// Ends an agent: its process is gone in 5 s at the latest.
    pub fn abort(&self, id: &AgentId) {
        self.lives.values().filter(|life| life.of == *id).for_each(Life::end);
    }

    /// Ends an agent without asking it: its process, and everything that this has started in its group, is killed at once.
    pub fn kill(&self, id: &AgentId) {
        for life in self.lives.values().filter(|life| life.of == *id) {
            life.end();
            if let Some(process) = &life.process {
                process.group.kill();
            }
        }
    }

    /// Why an agent is silent whose process never sat down; nothing if it did, or has none.
    pub fn never_sat(&self, run: &Run, id: &AgentId) -> Option<Error> {
        let pending = run.agents.get(id).is_some_and(|agent| agent.status == AgentStatus::Pending);
        let process = self.lives.values().find(|life| life.of == *id)?.process.as_ref()?;
        pending.then(|| Error::unavailable("never_sat_down", format!("its process never sat down{}", process.words.told())))
    }

    /// The next agent that ends; never, when none is left. Cancel safe.
    pub async fn ended(&mut self) -> Ended {
        loop {
            let (task, ended) = match self.tasks.join_next_with_id().await {
                Some(Ok(ended)) => ended,
                Some(Err(error)) => (error.id(), Err(Error::internal("its task panicked").because(error))),
                None => std::future::pending().await,
            };
            if let Some(life) = self.lives.remove(&task) {
                return (life.of, ended);
            }
        }
    }

    /// Ends all that are left, and waits until they are gone.
    pub async fn end(&mut self) {
        self.lives.values().for_each(Life::end);
        let gone = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(ENDED, gone).await.is_err() {
            tracing::warn!("some agents did not end in time");
        }
        self.tasks.shutdown().await;
        self.lives.clear();
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // The tasks that keep them are only told to end: what they keep must not outlive this.
        self.lives.values().filter_map(|life| life.process.as_ref()).for_each(|process| process.group.sweep());
    }
}
