//! Floor 4: a run, from its objective to its decision.
//!
//! ```text
//!   bus, votes, clock, stops ──▶ Event ──▶ Run (pure) ──▶ Effect ──▶ Driver ──▶ bus, blackboard, votes, ledger, state
//! ```
//!
//! [`Run`] decides, without I/O; the driver carries out and feeds back what happened.

mod broadcast;
mod complexity;
mod conflict;
mod diagnosis;
mod driver;
mod ending;
mod gather;
mod inbox;
mod metrics;
mod options;
mod outcome;
mod parts;
mod process;
mod product;
mod remedies;
mod run;
mod runtime;

pub use broadcast::Broadcast;
pub use complexity::{Complexity, Input, complexity};
pub use conflict::unresolved;
pub use diagnosis::{Diagnosis, Failure, diagnose};
pub use driver::{MAX_OBJECTIVE, Orchestrator};
pub use metrics::{MetricsCollector, RunMetrics};
pub use options::{Observer, RunOptions};
pub use outcome::{AgentSummary, Decision, ProposalSummary, RunOutcome};
pub use parts::{Address, Parts};
pub use process::Seat;
pub use product::markdown;
pub use run::{AgentRun, Effect, Event, Run};
pub use runtime::AgentRuntime;
