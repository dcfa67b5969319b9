//! What runs an agent: a task in this process, or a process of its own. Both live the same life on the bus.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinSet};

use super::options::RunOptions;
use super::parts::Parts;
use super::process::{self, Seat};
use crate::agent::{Desk, built_in, live};
use crate::error::{Error, Result};
use crate::llm::{Model, ModelSettings};
use crate::store::Actor;
use crate::vocabulary::{AgentId, AgentRole};

/// What runs agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AgentRuntime {
    /// Tasks in this process.
    #[default]
    BuiltIn,
    /// A process each: this program, told by its standard input who it is.
    Process {
        /// The program.
        program: PathBuf,
        /// Which model it asks.
        model: ModelSettings,
    },
}

impl AgentRuntime {
    /// Its name, as shown.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Process { .. } => "process",
        }
    }
}

/// How an agent ended: well, or why not.
pub(super) type Ended = (AgentId, Result<()>);

/// The agents of a run. Dropping it ends them.
pub(super) struct Crew {
    runtime: AgentRuntime,
    parts: Parts,
    model: Arc<dyn Model>,
    deadline: Duration,
    tasks: JoinSet<Result<()>>,
    lives: HashMap<Id, (AgentId, AbortHandle)>,
}

impl Crew {
    pub fn new(parts: &Parts, options: &RunOptions) -> Self {
        let (runtime, model, deadline) = (options.runtime.clone(), options.model.clone(), options.call_deadline);
        Self { runtime, parts: parts.clone(), model, deadline, tasks: JoinSet::new(), lives: HashMap::new() }
    }

    /// Starts an admitted agent.
    pub fn start(&mut self, actor: Actor, role: AgentRole) -> Result<()> {
        let id = actor.id.clone();
        let life = match &self.runtime {
            AgentRuntime::BuiltIn => {
                let worker = built_in(role)?;
                let (parts, model, deadline) = (self.parts.clone(), self.model.clone(), self.deadline);
                self.tasks.spawn(async move {
                    let desk = Desk::new(&parts.store, actor, &parts.recorder, model).await?;
                    live(&desk.with_model(|model| model.within(deadline)), &*worker).await
                })
            }
            AgentRuntime::Process { program, model } => {
                let seat = Seat { address: self.parts.address.clone(), actor, role, model: model.clone() };
                let child = process::start(program, &seat)?;
                self.tasks.spawn(child.end())
            }
        };
        self.lives.insert(life.id(), (id, life));
        Ok(())
    }

    /// Whether an agent runs here.
    pub fn has(&self, id: &AgentId) -> bool {
        self.lives.values().any(|(of, _)| of == id)
    }

    /// Ends an agent at once.
    pub fn abort(&self, id: &AgentId) {
        self.lives.values().filter(|(of, _)| of == id).for_each(|(_, life)| life.abort());
    }

    /// The next agent that ends; never, when none is left. Cancel safe.
    pub async fn ended(&mut self) -> Ended {
        loop {
            let (task, ended) = match self.tasks.join_next_with_id().await {
                Some(Ok(ended)) => ended,
                Some(Err(error)) => (error.id(), Err(Error::internal("its task panicked").because(error))),
                None => std::future::pending().await,
            };
            if let Some((id, _)) = self.lives.remove(&task) {
                return (id, ended);
            }
        }
    }

    /// Ends all that are left, and waits until they are gone.
    pub async fn end(&mut self) {
        self.tasks.shutdown().await;
        self.lives.clear();
    }
}
