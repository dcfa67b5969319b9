//! What runs an agent: a task in this process, or a process of its own. Both live the same life on the bus.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};

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
    lives: JoinSet<Result<()>>,
    ids: HashMap<Id, AgentId>,
}

impl Crew {
    pub fn new(parts: &Parts, options: &RunOptions) -> Self {
        let (runtime, model, deadline) = (options.runtime.clone(), options.model.clone(), options.call_deadline);
        Self { runtime, parts: parts.clone(), model, deadline, lives: JoinSet::new(), ids: HashMap::new() }
    }

    /// Starts an admitted agent.
    pub fn start(&mut self, actor: Actor, role: AgentRole) -> Result<()> {
        let id = actor.id.clone();
        let life = match &self.runtime {
            AgentRuntime::BuiltIn => {
                let worker = built_in(role)?;
                let (parts, model, deadline) = (self.parts.clone(), self.model.clone(), self.deadline);
                self.lives.spawn(async move {
                    let desk = Desk::new(&parts.store, actor, &parts.recorder, model).await?;
                    live(&desk.with_model(|model| model.within(deadline)), &*worker).await
                })
            }
            AgentRuntime::Process { program, model } => {
                let seat = Seat { address: self.parts.address.clone(), actor, role, model: model.clone() };
                let child = process::start(program, &seat)?;
                self.lives.spawn(child.end())
            }
        };
        self.ids.insert(life.id(), id);
        Ok(())
    }

    /// The next agent that ends; never, when none is left. Cancel safe.
    pub async fn ended(&mut self) -> Ended {
        loop {
            let (task, ended) = match self.lives.join_next_with_id().await {
                Some(Ok(ended)) => ended,
                Some(Err(error)) => (error.id(), Err(Error::internal("its task panicked").because(error))),
                None => std::future::pending().await,
            };
            if let Some(id) = self.ids.remove(&task) {
                return (id, ended);
            }
        }
    }

    /// Ends all that are left, and waits until they are gone.
    pub async fn end(&mut self) {
        self.lives.shutdown().await;
        self.ids.clear();
    }
}
