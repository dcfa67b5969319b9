//! Governance for AI agents, in-process: one atomic, fenced commit on shared state.
#![warn(missing_docs)]

mod disk;
pub mod error;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod vocabulary;
