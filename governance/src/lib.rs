//! Governance for AI agents, in-process: one atomic, fenced commit on shared state.
#![warn(missing_docs)]

mod disk;
pub mod error;
pub mod ledger;
pub mod store;
pub mod vocabulary;
