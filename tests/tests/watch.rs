//! A second terminal: what happens in a run is seen there while it happens, whole and in order, until the run ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use governance::Governance;
use governance::orchestrator::RunOptions;
use governance::vocabulary::AgentRole;
use governance_tests::models::{Call, Held};
use governance_tests::program::{Living, User};
use governance_tests::servers::{Product, Server};
use serde_json::Value;

/// Reads on until an object says something; everything read is kept.
fn until(watcher: &mut Living, seen: &mut Vec<Value>, holds: impl Fn(&Value) -> bool) {
    loop {
        let object = watcher.object().expect("the watcher ended before the run");
        seen.push(object);
        if holds(&seen[seen.len() - 1]) {
            return;
        }
    }
}

/// Reads to the end, which must come by itself.
fn rest(mut watcher: Living, seen: &mut Vec<Value>) {
    while let Some(object) = watcher.object() {
        seen.push(object);
    }
    let answer = watcher.end();
    assert_eq!(answer.code, Some(0), "{answer:?}");
}

fn in_order(seen: &[Value]) {
    let positions: Vec<_> = seen.iter().map(|object| object["position"].as_u64().unwrap_or_else(|| panic!("a gap: {object}"))).collect();
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>(), "every event once, in order");
}

async fn followed_live(user: User) {
    let governance = Governance::open(user.config()).await.unwrap();
    // Both wait for the next run that begins.
    let mut board = user.start(&["blackboard", "watch", "--json"]);
    let mut bus = user.start(&["bus", "tail", "--json"]);

    let model = Arc::new(Held::at(Call::Propose(AgentRole::Alpha)));
    let (orchestrator, given) = (governance.orchestrator(), options(model.clone()));
    let run = tokio::spawn(async move { orchestrator.run("Design a caching strategy", given).await.unwrap() });
    model.reached().await;

    let (mut events, mut messages) = (Vec::new(), Vec::new());
    // What was written before ALPHA began to think is seen while it thinks.
    let (mut board, mut bus, mut events, mut messages) = tokio::task::spawn_blocking(move || {
        until(&mut board, &mut events, |event| event["entry"]["name"] == "analysis");
        until(&mut bus, &mut messages, |object| object["message"]["body"]["report"]["done"] == "ready");
        (board, bus, events, messages)
    })
    .await
    .unwrap();
    assert!(!run.is_finished() && board.goes() && bus.goes(), "the run is still going, and followed");
    assert!(!events.iter().any(|event| event["entry"]["section"] == "consensus"), "nothing is decided yet");

    model.let_go();
    let outcome = run.await.unwrap();
    let (events, messages) = tokio::task::spawn_blocking(move || {
        rest(board, &mut events);
        rest(bus, &mut messages);
        (events, messages)
    })
    .await
    .unwrap();
    in_order(&events);
    in_order(&messages);
    // Complete: the last event is the decision, and every agent took its leave.
    let wrote = |name: &str| events.iter().any(|event| event["entry"]["name"] == name);
    assert!(wrote("objective") && wrote("analysis") && wrote("combined") && wrote("decision"), "{events:?}");
    assert!(outcome.proposals.iter().all(|proposal| wrote(proposal.name.as_str())));
    let left = messages.iter().filter(|object| object["message"]["body"]["report"]["done"] == "leave").count();
    assert_eq!(left, 2, "{messages:?}");
    governance.close().await.unwrap();
    // Whoever comes later sees the same.
    let id = outcome.pipeline_id.to_string();
    tokio::task::spawn_blocking(move || {
        assert_eq!(user.objects(&["blackboard", "watch", &id]), events);
        assert_eq!(user.objects(&["bus", "tail", &id]), messages);
    })
    .await
    .unwrap();
}

fn options(model: Arc<Held>) -> RunOptions {
    let (timeout, interrupt) = (Duration::from_secs(60), tokio_util::sync::CancellationToken::new());
    RunOptions { timeout, interrupt, ..RunOptions::new(model) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_the_embedded_file_is_followed_live_by_other_processes() {
    followed_live(User::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_redis_is_followed_live_by_other_processes() {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let server = Server::start(Product::Redis, folder.path(), "server", &[]);
    followed_live(User::of(format!("redis+unix://{}", server.socket.display()))).await;
}
