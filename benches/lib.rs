//! What the benches share.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it measured, and fails loudly")]

pub mod shape;
