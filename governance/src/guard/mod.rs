//! Floor 2: who may still act, and how much. Decisions are pure; what they lead to is one commit.
//!
//! ```text
//!   Admissions        begins a pipeline, an agent       raises its epoch
//!   RevocationEngine  ends them                         raises it again: nothing written with the old one lands
//!   ErrorBudget       counts faults and spending        never overshoots, revokes when exceeded
//!   Heartbeat         shows that an agent lives          who stops is revoked by the caretaker
//!   Breaker           refuses calls of what keeps failing, in every process at once
//!   Lookout           who works in this process: hears of a revocation, confirms it
//!   Receipts          who has confirmed, and who has not
//!   Standing          what the ledger knows to be in force, for a store that has forgotten it
//!   Guard             a governed call: decided, recorded, checked again, run
//!   Recorder          intent before, outcome after      the ledger's side of each of these
//!   Gate              what an agent's life asks for before a call: its preflight, its deadline, its plan
//!   Progress          what an agent does, counted in its own process
//!   policy            who may do what: a profile, compiled and asked
//!   policies          which profiles are in force: kept in the store, followed by every process
//!   approval          what a person must approve, and who may: requests, signatures, their single use
//!   path              where a path really leads, before a rule is asked about it
//!   care              what the caretaker does here
//! ```

mod admission;
mod alerts;
mod allowance;
pub mod approval;
mod breaker;
mod breakers;
mod budget;
mod canonical;
pub mod care;
mod circuit;
mod descendants;
mod diagnosis;
mod ending;
mod fallout;
mod faults;
mod gate;
mod govern;
pub mod health;
mod heartbeat;
pub mod limits;
mod lookout;
pub mod path;
pub mod policies;
pub mod policy;
mod progress;
mod receipts;
mod recorder;
mod remedies;
mod reservation;
mod revocation;
mod runs;
mod standing;
mod triggers;
mod turns;

pub use admission::{Admissions, Agent, Role};
pub(crate) use alerts::alert;
pub use alerts::{ALERT_TYPES, Alert, Alerts, FollowAlerts, NewAlerts};
pub use allowance::Allowance;
pub use breaker::{Breaker, Interrupted};
pub use budget::{ErrorBudget, Spend, Unit, Usage};
pub(crate) use canonical::digest;
pub use circuit::{Circuit, CircuitEvent, CircuitLimits, CircuitVerdict, Pass, Trial};
pub use diagnosis::{AgentDiagnosis, DIAGNOSTIC};
pub use ending::RevokedPipeline;
pub(crate) use fallout::failed_within_a_minute;
pub use faults::{Exceeded, Fault, FaultCount, Faults, fingerprint};
pub use gate::{Gate, READING_ACTIONS, RUNNING_ACTIONS, changes_something};
pub use govern::{
    Arguments, Asked, BELIEVED, BoxError, Call, GovernLayer, GovernService, Governed, Granted, Guard, Running, TOOL_TIME, Terms,
};
pub use heartbeat::{Beat, HEARTBEAT_INTERVAL, Heartbeat, execution_lock, free_execution_lock};
pub use lookout::{Act, Process, Unfinished, name_runtime};
pub(crate) use lookout::{Held, Lookout, Work};
pub(crate) use progress::Stillness;
pub use progress::{Progress, Underway};
pub use receipts::{CONFIRM, ProcessReceipt, ReceiptState, Receipts, Roll};
pub(crate) use recorder::Open;
pub use recorder::{Recorded, Recorder};
pub(crate) use remedies::{remedies, ways_on};
pub use reservation::{Reservation, Settled};
pub use revocation::{Lifted, Receipt, Revocation, RevocationEngine, Stop};
pub(crate) use runs::listed;
pub(crate) use runs::runs;
pub use standing::Standing;
pub use triggers::{Observation, Response, Triggers};
