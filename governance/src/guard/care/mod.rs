//! What the caretaker does for agents, budgets, revocations and the record.

mod acknowledgements;
mod budgets;
mod retention;
mod sequencing;
mod signs;

pub use self::acknowledgements::Acknowledgements;
pub use self::budgets::Budgets;
pub use self::retention::Retention;
pub use self::sequencing::Sequencing;
pub use self::signs::{Heartbeats, Locks};

use super::admission::Admissions;
use super::recorder::Recorder;
use crate::error::Result;
use crate::store::{Fields, Store};
use crate::vocabulary::{AgentId, PipelineStatus};

/// The state of an agent's run, empty where it is in none, if the agent is still expected to do something: neither of them has ended, and it was admitted.
async fn living(store: &Store, id: &AgentId) -> Result<Option<Fields>> {
    let agent = Admissions::new(store, &Recorder::default()).agent(id).await?;
    let Some(agent) = agent.filter(|agent| !agent.status.is_final()) else { return Ok(None) };
    let Some(pipeline) = &agent.pipeline else { return Ok(Some(Fields::default())) };
    let run = store.state(store.keys().pipeline(pipeline)).await?.unwrap_or_default();
    let is_over = run.field("status").parse().is_ok_and(PipelineStatus::is_final);
    Ok(Some(run).filter(|_| !is_over))
}
