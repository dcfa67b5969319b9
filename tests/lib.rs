//! Shared by the integration tests: the real parts, and the rigs that the contract suite runs on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests"
)]

pub mod certificates;
pub mod clusters;
pub mod llmock;
pub mod load;
pub mod lua54;
pub mod model_server;
pub mod models;
pub mod program;
pub mod proxy;
pub mod rigs;
pub mod sentinels;
pub mod servers;
pub mod task;
pub mod world;
