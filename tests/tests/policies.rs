//! Which profiles are in force: changed from the command line, followed by agents in other processes, kept by version, and brought back after a loss.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "policies/asked.rs"]
mod asked;
#[path = "policies/directory.rs"]
mod directory;
#[path = "policies/grounds.rs"]
mod grounds;
#[path = "policies/story.rs"]
mod story;
