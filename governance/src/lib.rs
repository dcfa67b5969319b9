//! Governance for AI agents, in-process: one atomic, fenced commit on shared state.
#![warn(missing_docs)]

pub mod coordination;
mod disk;
pub mod error;
pub mod guard;
pub mod ledger;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod vocabulary;

pub use coordination::{Blackboard, Consensus, MessageBus};
pub use error::{Error, ErrorKind, Result};
pub use guard::{ErrorBudget, RevocationEngine};
pub use ledger::Ledger;
