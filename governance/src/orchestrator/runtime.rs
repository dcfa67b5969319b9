//! What runs an agent: a task in this process, or a process of its own. Both live the same life on the bus.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::parts::Parts;
use super::process::{self, Seat};
use crate::agent::{Desk, built_in, live};
use crate::error::Result;
use crate::llm::Model;
use crate::store::Actor;
use crate::vocabulary::{AgentId, AgentRole};

/// What runs agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AgentRuntime {
    /// Tasks in this process.
    #[default]
    BuiltIn,
    /// A process each: this program, told by its standard input who it is.
    Process(PathBuf),
}

impl AgentRuntime {
    /// Its name, as shown.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Process(_) => "process",
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
    lives: JoinSet<Ended>,
}

impl Crew {
    pub fn new(runtime: AgentRuntime, parts: &Parts, model: Arc<dyn Model>) -> Self {
        Self { runtime, parts: parts.clone(), model, lives: JoinSet::new() }
    }

    /// Starts an admitted agent.
    pub fn start(&mut self, actor: Actor, role: AgentRole) -> Result<()> {
        let id = actor.id.clone();
        match &self.runtime {
            AgentRuntime::BuiltIn => {
                let worker = built_in(role)?;
                let (parts, model) = (self.parts.clone(), self.model.clone());
                self.lives.spawn(async move {
                    let life = async { live(&Desk::new(&parts.store, actor, &parts.recorder, model).await?, &*worker).await };
                    (id, life.await)
                });
            }
            AgentRuntime::Process(program) => {
                let seat = Seat { address: self.parts.address.clone(), actor, role };
                let child = process::start(program, &seat)?;
                self.lives.spawn(async move { (id, child.end().await) });
            }
        }
        Ok(())
    }

    /// The next agent that ends; never, when none is left. Cancel safe.
    pub async fn ended(&mut self) -> Ended {
        loop {
            match self.lives.join_next().await {
                Some(Ok(ended)) => return ended,
                Some(Err(error)) if error.is_panic() => tracing::error!(%error, "an agent panicked"),
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}
