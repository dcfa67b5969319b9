//! Governance for AI agents, in-process: one atomic, fenced commit on shared state.
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
