//! Examples of `governance`. Each is a program of its own beside this file: `cargo run -p governance-examples --example blackboard`.
