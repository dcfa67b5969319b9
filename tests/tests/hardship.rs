//! What a run and its record come through: a store that is wiped or put back, a disk that fills up, a user who presses Ctrl-C.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

#[path = "hardship/interrupt.rs"]
mod interrupt;
#[path = "hardship/room.rs"]
mod room;
#[path = "hardship/standing.rs"]
mod standing;
#[path = "hardship/tls.rs"]
mod tls;
#[path = "hardship/wiped.rs"]
mod wiped;

use governance_tests::program::{Living, User};
use governance_tests::servers::{Product, Server};

const CACHE: &str = "Design a caching strategy";

fn redis() -> (tempfile::TempDir, Server, User) {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let server = Server::start(Product::Redis, folder.path(), "server", &[]);
    let user = User::of(format!("redis://127.0.0.1:{}", server.port));
    (folder, server, user)
}

/// Removes the store's file with what belongs to it.
fn remove_store(user: &User) {
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(user.home().join(name));
    }
}

/// A run whose agents take their time, so that something can happen to it; it has begun to work.
fn slow(user: &User, more: &[&str]) -> Living {
    let script = user.path("slow.yaml");
    let steps = ["alpha", "beta"].map(|agent| format!("  - {{agent: {agent}, on: propose, do: {{slow: 3s}}}}\n")).concat();
    std::fs::write(&script, format!("version: 1\nsteps:\n{steps}")).unwrap();
    let mut run = user.start(&[&["run", CACHE, "--json", "--script", script.to_str().unwrap()], more].concat());
    while run.object().is_some_and(|object| object["data"]["status"] != "RUNNING") {}
    assert!(run.goes());
    run
}
