//! Governance for AI agents, in-process: one atomic, fenced commit on shared state.
//!
//! ```text
//!   floor 0   store    the shared state: one atomic, fenced commit      (ADR 1, 2)
//!             ledger   the record: intent before, outcome after         (ADR 2, 4)
//!   ground    vocabulary, error
//! ```
#![warn(missing_docs)]

pub mod agent;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod coordination;
mod disk;
pub mod error;
mod governance;
pub mod guard;
pub mod ledger;
pub mod llm;
pub mod orchestrator;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod vocabulary;

pub use config::Config;
pub use coordination::{Blackboard, Consensus, MessageBus};
pub use error::{Error, ErrorKind, Result};
pub use governance::Governance;
pub use guard::{ErrorBudget, RevocationEngine};
pub use ledger::Ledger;
