//! Floor 4: a run, from its objective to its decision.
//!
//! ```text
//!   bus, votes, clock, stops, user ──▶ Event ──▶ Run (pure) ──▶ Effect ──▶ Driver ──▶ bus, blackboard, votes, ledger, state
//!                                        │                                                            │
//!                                        └───────────── Journal ◀── once its effects are done ────────┘
//! ```
//!
//! [`Run`] decides, without I/O; the driver carries out and feeds back what happened. A run is taken up again from its journal.

mod broadcast;
mod complexity;
mod conflict;
mod context;
mod diagnosis;
mod driver;
mod effects;
mod ending;
mod gather;
mod inbox;
mod journal;
mod metrics;
mod options;
mod outcome;
mod parts;
mod process;
mod product;
mod program;
mod pulse;
mod resume;
mod retirement;
mod run;
mod runtime;
mod standstill;
mod telling;
mod transitions;

pub use broadcast::{Broadcast, Stream};
pub use complexity::{Complexity, Input, complexity};
pub use conflict::unresolved;
pub use diagnosis::{Diagnosis, Failure, diagnose};
pub use driver::{MAX_OBJECTIVE, Orchestrator, objective};
pub use journal::{Line, replay};
pub use metrics::{MetricsCollector, RunMetrics};
pub use options::{DEFAULT_TIMEOUT, Grants, Limits, Observer, RunContext, RunLimits, RunOptions, Wish};
pub use outcome::{AgentSummary, Decision, ProposalSummary, RunOutcome};
pub use parts::{Address, Parts};
pub use process::Seat;
pub use product::markdown;
pub use program::{PROCESS, Program, Quota};
pub use pulse::Patience;
pub use retirement::{Retired, Retirement, retired};
pub use run::{AgentRun, Effect, Event, Run, Setup, Step, Trouble};
pub use runtime::{AgentRuntime, Runtimes};
