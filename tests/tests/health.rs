//! `governance health`: each part really broken, one after the other, and told within a deadline with what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "health/record.rs"]
mod record;
#[path = "health/room.rs"]
mod room;
#[path = "races/worker.rs"]
#[allow(dead_code, reason = "nobody is frozen here")]
mod worker;

use std::time::{Duration, Instant};

use governance::guard::{Breaker, RevocationEngine};
use governance::store::Actor;
use governance::{Config, Governance};
use governance_tests::program::{Answer, User};
use governance_tests::servers::{Product, Server};
use governance_tests::task::Task;
use serde_json::Value;

use self::worker::Worker;

/// The longest that a look may take, however ill everything is.
const DEADLINE: Duration = Duration::from_secs(15);

/// A user who has run something already.
fn at_work(user: User) -> User {
    assert_eq!(user.does(&["run", "Design a caching strategy"]).code, Some(0));
    user
}

/// What `health` says, with its exit code.
fn health(user: &User) -> (Option<i32>, Value) {
    let began = Instant::now();
    let answer = user.does(&["health", "--json"]);
    assert!(began.elapsed() < DEADLINE, "it took {:?}", began.elapsed());
    answer.calm();
    (answer.code, answer.last_object())
}

fn part(health: &Value, name: &str) -> Value {
    let parts = health["components"].as_array().unwrap();
    parts.iter().find(|part| part["component"] == name).unwrap_or_else(|| panic!("no `{name}` in {health}")).clone()
}

/// A part is so, and people are told what to do about it.
fn ill(user: &User, name: &str, state: &str, says: &str) -> Answer {
    let (code, found) = health(user);
    let part = part(&found, name);
    assert_eq!((code, part["state"].as_str()), (Some(1), Some(state)), "{found}");
    assert!(part["reason"].as_str().unwrap().contains(says), "`{says}` is missing in {part}");
    assert!(part["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{part}");
    let told = user.does(&["health"]);
    assert!(told.code == Some(1) && told.out.contains("what to do:") && told.out.contains(name), "{told:?}");
    told
}

#[test]
fn where_everything_works_health_says_so() {
    let user = at_work(User::default());
    let (code, found) = health(&user);
    assert_eq!((code, &found["state"]), (Some(0), &"healthy".into()), "{found}");
    let names: Vec<_> = found["components"].as_array().unwrap().iter().map(|part| part["component"].as_str().unwrap()).collect();
    assert_eq!(names, ["store", "ledger", "disk", "model", "tools", "agents", "caretaker"]);
    assert!(found["components"].as_array().unwrap().iter().all(|part| part["since"].is_u64() && part["latency_ms"].is_u64()));
    User::default().does(&["health"]).explains("there is nothing in");
}

#[test]
fn a_server_that_was_stopped_is_told_and_what_stands_on_it_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(Product::Redis, folder.path(), "health", &[]);
    let user = at_work(User::of(format!("redis://127.0.0.1:{}", server.port)));
    assert_eq!(health(&user).0, Some(0));
    // Who watches hears it, and hears when it is over.
    let mut watching = user.start(&["health", "--watch", "--json"]);
    assert_eq!(watching.object().unwrap()["state"], "healthy");
    server.kill();
    let seen = watching.object().unwrap();
    assert_eq!(part(&seen, "store")["state"], "unhealthy", "{seen}");
    ill(&user, "store", "unhealthy", "");
    let (_, found) = health(&user);
    assert_eq!(part(&found, "agents")["state"], "unknown", "{found}");
    assert_eq!(part(&found, "ledger")["state"], "healthy", "{found}");
    watching.interrupt();
    assert_eq!(watching.end().code, Some(1));
}

#[test]
fn a_server_that_never_answers_does_not_hold_health_up() {
    let user = at_work(User::default());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let began = Instant::now();
    let answer = user.does(&["health", "--json", "--store", &url]);
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    assert_eq!((answer.code, part(&answer.last_object(), "store")["state"].as_str()), (Some(1), Some("unhealthy")), "{answer:?}");
}

#[test]
fn a_store_that_is_damaged_is_told() {
    let user = at_work(User::default());
    // Whether its log was brought in when the last process left is up to who left.
    for log in ["state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(user.home().join(log));
    }
    std::fs::write(user.home().join("state.db"), "this is no database, whoever says so".repeat(100)).unwrap();
    let (code, found) = health(&user);
    assert_eq!((code, part(&found, "store")["state"].as_str()), (Some(1), Some("unhealthy")), "{found}");
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(work)
}

#[test]
fn a_caretaker_that_was_killed_is_told_until_somebody_takes_over() {
    let user = at_work(User::default());
    let url = format!("sqlite:{}", user.home().join("state.db").display());
    let task = block_on(async {
        let store = governance::store::Store::open(&url).await.unwrap();
        Task { store: url.clone(), home: user.home().into(), actor: Actor::system(&store, "person").await.unwrap(), number: 0, ttl_ms: 0 }
    });
    let mut caretaker = Worker::start("keep", &task);
    worker::until("it keeps house", || caretaker.lines().all().len() == 2);
    assert_eq!(health(&user).0, Some(0));
    assert!(caretaker.kill());
    worker::until("it is told", || health(&user).0 == Some(1));
    ill(&user, "caretaker", "degraded", "fell silent");
    // Any command that works on what is there takes over once the lease has lapsed, and leaves in order.
    worker::until("somebody took over", || {
        assert_eq!(user.does(&["budget", "list"]).code, Some(0));
        health(&user).0 == Some(0)
    });
}

#[test]
fn an_open_breaker_and_a_silent_agent_and_a_stop_are_told() {
    let user = at_work(User::default());
    let model = ["health", "--json"];
    let openrouter = |user: &User| {
        let mut command = user.command(model);
        command.env("GOVERNANCE_MODE", "openrouter").env("OPENROUTER_MODEL", "some/model").env("OPENROUTER_API_KEY", "none");
        governance_tests::program::Living::spawn(command).end()
    };
    assert_eq!(openrouter(&user).code, Some(0), "{:?}", openrouter(&user));
    block_on(async {
        let governance = Governance::open(Config { home: user.home().into(), ..Config::default() }).await.unwrap();
        let actor = governance.actor("operator").await.unwrap();
        for name in ["some/model", "action.web.search"] {
            let breaker = Breaker::open(governance.store(), &actor, name);
            for _ in 0..5 {
                let pass = breaker.ask(DEADLINE).await.unwrap().unwrap();
                breaker.failed(pass).await.unwrap();
            }
        }
        governance.close().await.unwrap();
    });
    let found = openrouter(&user).last_object();
    assert_eq!(part(&found, "model")["state"], "unhealthy", "{found}");
    ill(&user, "tools", "degraded", "action.web.search");
    block_on(async {
        let governance = Governance::open(Config { home: user.home().into(), ..Config::default() }).await.unwrap();
        let pipeline = governance.begin("live").await.unwrap();
        let alpha = governance.agent("alpha", &pipeline, governance::Joining::default()).await.unwrap();
        let beat = governance.store().keys().agent_heartbeat(&alpha.desk().actor().id);
        let store = governance.store();
        // The sign of life is gone, as when its process stood still for too long; nobody has revoked it yet.
        store.apply(governance::store::Commit::default().write(governance::store::Write::Delete(beat.into()))).await.unwrap();
        let found = governance.health().await;
        let agents = found.components.iter().find(|part| part.component.as_str() == "agents").unwrap();
        let revoked = RevocationEngine::open(store).revocation_of(&alpha.desk().actor().id).await.unwrap().is_some();
        assert!(revoked || agents.reason.contains("no sign of life of alpha-"), "{agents:?}");
        drop(alpha);
        governance.revocations().stop_all("a drill").await.unwrap();
        governance.close().await.unwrap();
    });
    ill(&user, "store", "degraded", "everything was stopped: a drill");
}
