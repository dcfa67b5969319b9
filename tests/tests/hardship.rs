//! What a run and its record come through: a store that is wiped or put back, a disk that fills up, a user who presses Ctrl-C.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

#[path = "hardship/standing.rs"]
mod standing;

use governance_tests::program::User;
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
