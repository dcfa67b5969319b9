//! The contract of a backend, as named cases, for whoever wants to certify one (feature `testing`).
//!
//! ```ignore
//! mod redis7 {
//!     governance::contract!(crate::rigs::redis7);
//! }
//! ```
//!
//! expands to one test per case, and once more under `with_faults`: the case runs again for each fault at each of its calls to the store.
//! A case that passes only while nothing goes wrong is not passed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a failing case panics with what it saw")]

pub mod contract;
mod faults;
mod rig;
mod run;

pub use faults::{Fault, Faulty};
pub use rig::{MemoryRig, Rig};
pub use run::{Case, Subject, check, check_with_faults};
