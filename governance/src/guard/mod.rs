//! Floor 2: who may still act, and how much. Decisions are pure; what they lead to is one commit.
//!
//! ```text
//!   Admissions        begins a pipeline, an agent       raises its epoch
//!   RevocationEngine  ends them                         raises it again: nothing written with the old one lands
//!   ErrorBudget       counts faults and spending        never overshoots, revokes when exceeded
//!   Heartbeat         shows that an agent lives          who stops is revoked by the caretaker
//!   Breaker           refuses calls of what keeps failing, in every process at once
//!   Standing          what the ledger knows to be in force, for a store that has forgotten it
//!   Guard             a governed call: decided, recorded, checked again, run
//!   Recorder          intent before, outcome after      the ledger's side of each of these
//!   policy            who may do what: a profile, compiled and asked
//!   approval          what a person must approve, and who may: requests, signatures, their single use
//!   path              where a path really leads, before a rule is asked about it
//!   care              what the caretaker does here
//! ```

mod admission;
mod alerts;
mod allowance;
pub mod approval;
mod breaker;
mod budget;
mod canonical;
pub mod care;
mod circuit;
mod ending;
mod faults;
mod govern;
mod heartbeat;
pub mod path;
pub mod policy;
mod recorder;
mod reservation;
mod revocation;
mod standing;
mod triggers;

pub use admission::{Admissions, Agent, Role};
pub use allowance::Allowance;
pub use breaker::{Breaker, Interrupted};
pub use budget::{ErrorBudget, Spend, Unit, Usage};
pub use circuit::{Circuit, CircuitEvent, CircuitLimits, CircuitVerdict, Pass, Trial};
pub use ending::RevokedPipeline;
pub use faults::{Exceeded, Fault, FaultCount, Faults, fingerprint};
pub use govern::{BELIEVED, Granted, Guard, TOOL_TIME};
pub use heartbeat::{Beat, HEARTBEAT_INTERVAL, Heartbeat, execution_lock, free_execution_lock};
pub use recorder::{Recorded, Recorder};
pub use reservation::{Reservation, Settled};
pub use revocation::{Receipt, Revocation, RevocationEngine, Stop};
pub use standing::Standing;
pub use triggers::{Observation, Response, Triggers};
