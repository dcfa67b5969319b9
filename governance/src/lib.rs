//! Governance for AI agents, in-process: one atomic, fenced commit on shared state.
//!
//! [`Governance`] opens a store and its ledger and hands out handles: [`Blackboard`], [`MessageBus`], [`ErrorBudget`], [`RevocationEngine`],
//! [`Consensus`], and runs. Each of them also stands alone on a [`store::Store`].
//!
//! The rooms, from the ground up: [`vocabulary`]; [`store`], [`ledger`], [`llm`]; [`coordination`]; [`guard`]; [`agent`]; [`orchestrator`]; [`ops`].
//!
//! Features: `redis` (Redis, Valkey, Dragonfly), `llm` (models on servers, and scenarios), `cli` (the command line, with `llm`), `testing` (the
//! contract suite for backends). The default is the embedded library on SQLite.
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
mod machine;
pub mod ops;
pub mod orchestrator;
pub mod process;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod vocabulary;

pub use agent::Agent;
pub use config::Config;
pub use coordination::{Blackboard, Consensus, MessageBus};
pub use error::{Error, ErrorKind, Result};
pub use governance::{Governance, Joining};
pub use guard::{ErrorBudget, Guard, RevocationEngine};
pub use ledger::Ledger;

/// The README's code is tested.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
