//! How a run is done.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::broadcast::Broadcast;
use super::pulse::Patience;
use super::runtime::Runtimes;
use crate::llm::Model;
use crate::vocabulary::FallbackAction;

/// Who watches a run.
pub type Observer = Arc<dyn Fn(&Broadcast) + Send + Sync>;

/// How a run is done.
#[derive(Clone)]
pub struct RunOptions {
    /// What thinks.
    pub model: Arc<dyn Model>,
    /// How long one call of it may take.
    pub call_deadline: Duration,
    /// What runs the agents, by role.
    pub runtimes: Runtimes,
    /// Whether it goes on from REPORT by itself.
    pub auto_continue: bool,
    /// How long the agents may work, and then how long they may orchestrate.
    pub timeout: Duration,
    /// When a run needs help.
    pub limits: Limits,
    /// Who watches.
    pub observer: Option<Observer>,
    /// Stops the run when cancelled.
    pub interrupt: CancellationToken,
}

/// When a run needs help.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// How long an agent may make no progress.
    pub patience: Patience,
    /// From how many unresolved proposals on a mediator arbitrates.
    pub conflicts: u32,
    /// Above which score an objective is so complex that a mediator takes it apart.
    pub complexity: f64,
    /// How often a run may recover by itself.
    pub recoveries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { patience: Patience::default(), conflicts: 3, complexity: 0.8, recoveries: 3 }
    }
}

/// How a user goes on with a run that waits, was stopped, or whose process died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// From where it is.
    Continue,
    /// Without a decision, so.
    Fallback(FallbackAction),
    /// Not at all.
    GiveUp,
}
