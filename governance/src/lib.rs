//! Governance for AI agents, in-process: one atomic, fenced commit on shared state.
//!
//! ```text
//!   floor 0   store    the shared state: one atomic, fenced commit      (ADR 1, 2)
//!             ledger   the record: intent before, outcome after         (ADR 2, 4)
//!   ground    vocabulary, error
//! ```
#![warn(missing_docs)]

mod disk;
pub mod error;
pub mod ledger;
pub mod store;
pub mod vocabulary;
