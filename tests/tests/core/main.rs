//! What the core types promise, line by line of the design's "Semantics", on every backend.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod admissions;
mod allowance;
mod approvals;
mod blackboard;
mod breaker;
mod budget;
mod bus;
mod bus_losses;
mod caretaker;
mod consensus;
mod ending;
mod extent;
mod faults;
mod follower;
mod governed;
mod guard;
mod limits;
mod plans;
mod policies;
mod promotions;
mod retirement;
mod revocation;
mod runs;
mod sealed;
mod stillness;
