//! The command line, command by command: the real program on a real store, and what it says to wrong use.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

#[path = "cli/end.rs"]
mod end;
#[path = "cli/limits.rs"]
mod limits;
#[path = "cli/look.rs"]
mod look;
#[path = "cli/policy.rs"]
mod policy;
#[path = "cli/record.rs"]
mod record;
#[path = "cli/retain.rs"]
mod retain;
#[path = "cli/retire.rs"]
mod retire;
#[path = "cli/setup.rs"]
mod setup;

use std::sync::Arc;
use std::time::Duration;

use governance::Governance;
use governance::orchestrator::{RunOptions, RunOutcome};
use governance::vocabulary::AgentRole;
use governance_tests::models::{Call, Held};
use governance_tests::program::User;
use governance_tests::servers::{Product, Server};

const CACHE: &str = "Design a caching strategy";
/// An objective on which ALPHA and BETA disagree.
const DISPUTED: &str = "migrate the database without downtime";
const NOBODY: &str = "pipeline-none";

/// A user who has run something; the run's id.
fn settled(objective: &str) -> (User, String) {
    let user = User::default();
    let id = run(&user, objective);
    (user, id)
}

fn run(user: &User, objective: &str) -> String {
    let answer = user.does(&["run", objective, "--json"]);
    assert!(matches!(answer.code, Some(0 | 2)), "{answer:?}");
    answer.last_object()["pipeline_id"].as_str().unwrap().to_owned()
}

/// A user who has run nothing, but has a home.
fn begun() -> User {
    let user = User::default();
    user.object(&["stop", "--lift", "--reason", "the drill is over"]);
    user
}

/// Agents of the newest run: ALPHA, then BETA.
fn agents(user: &User) -> Vec<String> {
    let agents = user.object(&["pipeline", "status"])["agents"].as_array().unwrap().clone();
    agents.iter().map(|agent| agent["id"].as_str().unwrap().to_owned()).collect()
}

fn redis() -> (tempfile::TempDir, Server, User) {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let server = Server::start(Product::Redis, folder.path(), "server", &[]);
    let user = User::of(format!("redis://127.0.0.1:{}", server.port));
    (folder, server, user)
}

/// A run in this process while the command line is used beside it: `meanwhile` has the run's id, and the model is held at ALPHA's proposal until
/// it is let go.
async fn under_way<T: Send + 'static>(
    user: User,
    meanwhile: impl FnOnce(&User, &str, &Held) -> T + Send + 'static,
) -> (User, RunOutcome, T) {
    let governance = Governance::open(user.config()).await.unwrap();
    let model = Arc::new(Held::at(Call::Propose(AgentRole::Alpha)));
    let options = RunOptions { timeout: Duration::from_secs(60), ..RunOptions::new(model.clone()) };
    let orchestrator = governance.orchestrator();
    let run = tokio::spawn(async move { orchestrator.run(CACHE, options).await.unwrap() });
    model.reached().await;
    let held = model.clone();
    let (user, seen) = tokio::task::spawn_blocking(move || {
        let id = user.object(&["pipeline", "status"])["pipeline_id"].as_str().unwrap().to_owned();
        let seen = meanwhile(&user, &id, &held);
        (user, seen)
    })
    .await
    .unwrap();
    let outcome = run.await.unwrap();
    governance.close().await.unwrap();
    (user, outcome, seen)
}
