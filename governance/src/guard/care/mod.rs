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

use super::admission::{Admissions, Agent};
use super::recorder::Recorder;
use crate::error::Result;
use crate::store::Store;
use crate::vocabulary::{AgentId, PipelineStatus};

/// An agent that is still expected to do something; none if it, or its run, has ended, or if it never was admitted.
async fn living(store: &Store, id: &AgentId) -> Result<Option<Agent>> {
    let agent = Admissions::new(store, &Recorder::default()).agent(id).await?;
    let Some(agent) = agent.filter(|agent| !agent.status.is_final()) else { return Ok(None) };
    if let Some(pipeline) = &agent.pipeline {
        let state = store.state(store.keys().pipeline(pipeline)).await?.unwrap_or_default();
        if state.field("status").parse::<PipelineStatus>().is_ok_and(PipelineStatus::is_final) {
            return Ok(None);
        }
    }
    Ok(Some(agent))
}
