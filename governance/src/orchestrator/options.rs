//! How a run is done.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::broadcast::Broadcast;
use super::pulse::Patience;
use super::runtime::Runtimes;
use crate::llm::{DEFAULT_DEADLINE, Model, ModelSettings};
use crate::vocabulary::{FallbackAction, TaskId, UseLimits};

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
    /// What each agent may spend on its model.
    pub grants: Grants,
    /// How much the run, and each of its agents, may use.
    pub use_limits: RunLimits,
    /// Who watches.
    pub observer: Option<Observer>,
    /// Stops the run when cancelled.
    pub interrupt: CancellationToken,
}

impl RunOptions {
    /// With this model, and everything else as usual.
    #[must_use]
    pub fn new(model: Arc<dyn Model>) -> Self {
        Self {
            model,
            call_deadline: DEFAULT_DEADLINE,
            runtimes: Runtimes::default(),
            auto_continue: true,
            timeout: DEFAULT_TIMEOUT,
            limits: Limits::default(),
            grants: Grants::default(),
            use_limits: RunLimits::default(),
            observer: None,
            interrupt: CancellationToken::new(),
        }
    }
}

/// How much a run, and each of its agents, may use: `[limits.run]` and `[limits.agent]` in `config.toml`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunLimits {
    /// The run, with all of its agents.
    pub run: UseLimits,
    /// Each of its agents.
    pub agent: UseLimits,
}

/// How long a run may take, unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

/// What each agent of a run may spend on its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grants {
    /// How many calls.
    pub calls: u64,
    /// How many tokens; not limited, and not counted, where none is said.
    pub tokens: Option<u64>,
    /// How many millionths of a dollar; not limited, and not counted, where none is said.
    pub cost: Option<u64>,
}

impl Default for Grants {
    fn default() -> Self {
        Self { calls: 64, tokens: None, cost: None }
    }
}

impl Grants {
    /// For a model that costs: a million tokens, and five dollars.
    #[must_use]
    pub fn metered() -> Self {
        Self { tokens: Some(1_000_000), cost: Some(5_000_000), ..Self::default() }
    }
}

/// How a run was begun: what takes it up goes on so, unless told otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunContext {
    /// What its blackboard and its bus belong to.
    pub task_id: TaskId,
    /// Which model thinks. What was staged instead of it is not kept.
    pub model: ModelSettings,
    /// How long its agents may work, and then orchestrate.
    pub timeout: Duration,
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
    /// How many ballots a decision needs, of the at most three that ALPHA, BETA and GAMMA cast. With 1 an agent whose partner is lost decides alone; with 3
    /// nothing is decided where no mediator was called.
    pub quorum: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { patience: Patience::default(), conflicts: 3, complexity: 0.8, recoveries: 3, quorum: 2 }
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
