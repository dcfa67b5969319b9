//! What runs an agent: a task in this process, or a process of its own. Both live the same life on the bus.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::process::{self, Seat};
use crate::agent::{Desk, built_in, live};
use crate::error::Result;
use crate::guard::Recorder;
use crate::llm::Model;
use crate::store::{Actor, Store};
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
    store: Store,
    recorder: Recorder,
    model: Arc<dyn Model>,
    seat: (String, PathBuf),
    lives: JoinSet<Ended>,
}

impl Crew {
    pub fn new(runtime: AgentRuntime, store: &Store, recorder: &Recorder, model: Arc<dyn Model>, seat: (String, PathBuf)) -> Self {
        Self { runtime, store: store.clone(), recorder: recorder.clone(), model, seat, lives: JoinSet::new() }
    }

    /// Starts an admitted agent.
    pub fn start(&mut self, actor: Actor, role: AgentRole) -> Result<()> {
        let id = actor.id.clone();
        match &self.runtime {
            AgentRuntime::BuiltIn => {
                let worker = built_in(role)?;
                let (store, recorder, model) = (self.store.clone(), self.recorder.clone(), self.model.clone());
                self.lives.spawn(async move {
                    let life = async { live(&Desk::new(&store, actor, &recorder, model).await?, &*worker).await };
                    (id, life.await)
                });
            }
            AgentRuntime::Process(program) => {
                let (store_url, home) = self.seat.clone();
                let seat = Seat { store_url, home, actor, role };
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
