//! How a run is done.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::broadcast::Broadcast;
use super::runtime::AgentRuntime;
use crate::llm::Model;

/// Who watches a run.
pub type Observer = Arc<dyn Fn(&Broadcast) + Send + Sync>;

/// How a run is done.
#[derive(Clone)]
pub struct RunOptions {
    /// What thinks.
    pub model: Arc<dyn Model>,
    /// How long one call of it may take.
    pub call_deadline: Duration,
    /// What runs the agents.
    pub runtime: AgentRuntime,
    /// Whether it goes on from REPORT by itself.
    pub auto_continue: bool,
    /// How long it may take.
    pub timeout: Duration,
    /// Who watches.
    pub observer: Option<Observer>,
    /// Stops the run when cancelled.
    pub interrupt: CancellationToken,
}
