//! The main job, with the real program: an objective becomes a decision, on every store, and every way in which that can end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use governance_tests::program::{Answer, Living, User, signal};
use governance_tests::servers::{Product, Server};
use rustix::process::Signal;
use serde_json::Value;

const CACHE: &str = "Design a caching strategy";
/// An objective on which ALPHA and BETA disagree.
const DISPUTED: &str = "migrate the database without downtime";

fn run(user: &User, objective: &str, more: &[&str]) -> Answer {
    let answer = user.does(&[&["run", objective, "--json"], more].concat());
    answer.calm();
    answer
}

/// What was decided, without what differs from run to run: ids and times.
fn decided(outcome: &Value) -> (Value, Vec<u64>) {
    let mut counts: Vec<u64> =
        outcome["decision"]["outcome"]["counts"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).collect();
    counts.sort_unstable();
    (outcome["decision"]["solution"].clone(), counts)
}

fn completes(user: &User) -> Value {
    let answer = run(user, CACHE, &[]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let outcome = answer.last_object();
    assert_eq!(outcome["status"], "COMPLETED");
    assert!(outcome["pipeline_id"].as_str().unwrap().starts_with("pipeline-"));
    let agents = outcome["agents"].as_array().unwrap();
    assert_eq!(agents.iter().map(|agent| agent["role"].as_str().unwrap()).collect::<Vec<_>>(), ["alpha", "beta"]);
    for agent in agents {
        let id = agent["id"].as_str().unwrap();
        assert_eq!(agent["runtime"], "built-in");
        assert!(id.starts_with(agent["role"].as_str().unwrap()));
        assert!(outcome["votes"][id]["one"].is_string(), "`{id}` voted: {outcome}");
        assert!(outcome["proposals"].as_array().unwrap().iter().any(|proposal| proposal["author"] == id), "`{id}` proposed");
    }
    assert!(!outcome["decision"]["solution"]["steps"].as_array().unwrap().is_empty());
    // Everything that was done is in the record that the head signs.
    let head = user.path("head.json");
    std::fs::write(&head, outcome["ledger_head"].to_string()).unwrap();
    let report = user.object(&["ledger", "verify", "--head", head.to_str().unwrap()]);
    assert_eq!(report["intact"], true, "{report}");
    for action in ["spawn", "model_call", "proposal", "vote", "decision", "phase"] {
        let listed = user.objects(&["ledger", "list", "--action", action, "--pipeline", outcome["pipeline_id"].as_str().unwrap()]);
        let intents = listed.iter().filter(|entry| entry["kind"] == "intent").count();
        let outcomes = listed.iter().filter(|entry| entry["kind"] == "outcome" && entry["result"] == "ok").count();
        assert!(intents > 0 && intents == outcomes, "{action}: {intents} intents, {outcomes} outcomes: {listed:#?}");
    }
    outcome
}

fn server(product: Product) -> (tempfile::TempDir, Server) {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let server = Server::start(product, folder.path(), "server", &[]);
    (folder, server)
}

#[test]
fn an_objective_becomes_a_decision_on_the_embedded_file() {
    completes(&User::default());
}

#[test]
fn the_same_decision_is_made_on_the_file_on_redis_over_tcp_and_over_a_socket_and_on_valkey() {
    let expected = decided(&completes(&User::default()));
    let (_redis, redis) = server(Product::Redis);
    let (_valkey, valkey) = server(Product::Valkey);
    let unix = |server: &Server| format!("redis+unix://{}", server.socket.display());
    assert_eq!(decided(&completes(&User::of(format!("redis://127.0.0.1:{}", valkey.port)))), expected);
    assert_eq!(decided(&completes(&User::of(unix(&redis)))), expected);
    redis.ask(&["FLUSHALL"]);
    assert_eq!(decided(&completes(&User::of(format!("redis://127.0.0.1:{}", redis.port)))), expected);
}

#[test]
fn the_same_objective_decides_the_same_twice_and_another_one_differs() {
    let user = User::default();
    let (first, again) = (run(&user, CACHE, &[]).last_object(), run(&user, CACHE, &[]).last_object());
    assert_ne!(first["pipeline_id"], again["pipeline_id"]);
    assert_eq!(decided(&first), decided(&again));
    let other = run(&user, "Protect patient records in a public API", &[]).last_object();
    assert_ne!(first["decision"]["solution"]["title"], other["decision"]["solution"]["title"]);
}

#[test]
fn agents_in_processes_of_their_own_reach_the_same_decision() {
    let (_folder, redis) = server(Product::Redis);
    for user in [User::default(), User::of(format!("redis://127.0.0.1:{}", redis.port))] {
        let here = run(&user, CACHE, &[]).last_object();
        let apart = run(&user, CACHE, &["--agents", "process"]);
        assert_eq!(apart.code, Some(0), "{apart:?}");
        assert!(apart.last_object()["agents"].as_array().unwrap().iter().all(|agent| agent["runtime"] == "process"));
        assert_eq!(decided(&apart.last_object()), decided(&here));
        user.verified();
    }
}

#[test]
fn promise_09_votes_without_agreement_are_no_decision_and_wait_for_the_user() {
    let user = User::default();
    let answer = run(&user, DISPUTED, &["--out", user.path("out.md").to_str().unwrap()]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    let outcome = answer.last_object();
    assert_eq!((&outcome["status"], &outcome["decision"]), (&"ORCHESTRATING".into(), &Value::Null));
    let id = outcome["pipeline_id"].as_str().unwrap();
    let state = user.object(&["pipeline", "status", id]);
    assert_eq!((&state["state"]["status"], &state["state"]["awaiting_user"]), (&"ORCHESTRATING".into(), &"true".into()));
    assert!(user.objects(&["ledger", "list", "--action", "decision"]).is_empty(), "nothing was decided");
    assert!(std::fs::read_to_string(user.path("out.md")).unwrap().starts_with("# No decision"));
    let kept = library(&user, async |governance| {
        let id = governance::vocabulary::PipelineId::new(id).unwrap();
        governance.store().json::<Value>(governance.store().keys().pipeline_failure_context(&id)).await.unwrap().unwrap().1
    });
    assert_eq!((&kept["status"], kept["proposals"].as_array().unwrap().len()), (&"ORCHESTRATING".into(), 3), "{kept}");
    assert!(kept["context"].as_str().unwrap().contains("undecided"), "{kept}");
}

fn library<T>(user: &User, look: impl AsyncFnOnce(&governance::Governance) -> T) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let governance = governance::Governance::open(user.config()).await.unwrap();
        let seen = look(&governance).await;
        governance.close().await.unwrap();
        seen
    })
}

#[test]
fn without_auto_orchestration_a_run_stops_at_its_report() {
    let user = User::default();
    let answer = run(&user, CACHE, &["--auto-orchestrate", "false"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let outcome = answer.last_object();
    assert_eq!((&outcome["status"], &outcome["decision"]), (&"REPORT".into(), &Value::Null));
    assert_eq!(outcome["proposals"].as_array().unwrap().len(), 2);
    let mut environment = user.command(["run", CACHE, "--json"]);
    environment.env("AUTO_ORCHESTRATE", "false");
    assert_eq!(Living::spawn(environment).end().last_object()["status"], "REPORT");
}

#[test]
fn the_product_is_written_as_markdown() {
    let user = User::default();
    let out = user.path("solution.md");
    let outcome = run(&user, CACHE, &["--out", out.to_str().unwrap()]).last_object();
    let text = std::fs::read_to_string(out).unwrap();
    assert!(text.starts_with(&format!("# {}", outcome["decision"]["solution"]["title"].as_str().unwrap())), "{text}");
    for part in ["## What to do", "## Who proposed what", "## How the vote went", CACHE, outcome["ledger_head"]["root"].as_str().unwrap()] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
}

#[test]
fn an_objective_comes_from_an_argument_a_file_or_standard_input() {
    let user = User::default();
    let file = user.path("objective.txt");
    std::fs::write(&file, format!("{CACHE}\n")).unwrap();
    let expected = run(&user, CACHE, &[]).last_object();
    let from_file = user.does(&["run", "--file", file.to_str().unwrap(), "--json"]).last_object();
    let fed = Living::fed(user.command(["run", "-", "--json"]), CACHE.into()).end().last_object();
    for outcome in [from_file, fed] {
        assert_eq!(outcome["objective"], CACHE);
        assert_eq!(decided(&outcome), decided(&expected));
    }
}

/// The processes that a process started, as the kernel knows them.
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let told = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let ids: Vec<u32> = told.collect::<String>().split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    // Whoever still begins carries its parent's name; frozen there it would freeze its parent too.
    let begun = |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|name| name.ends_with(b"governance\0agent\0"));
    ids.into_iter().filter(begun).collect()
}

/// A run whose agents, processes of their own, are frozen as soon as they are there. Not on the embedded file: a process that is frozen
/// in the middle of its transaction holds the file's lock until it ends.
fn frozen(user: &User) -> (Living, Vec<u32>) {
    let mut run = user.start(&["run", CACHE, "--json", "--agents", "process"]);
    run.until("agent_spawned");
    let agents = loop {
        match children(run.pid()) {
            agents if agents.len() == 2 => break agents,
            _ => assert!(run.goes(), "it ended before its agents began"),
        }
    };
    agents.iter().for_each(|agent| signal(*agent, Signal::STOP));
    (run, agents)
}

fn is_gone(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn an_interrupted_run_stops_cleanly_and_takes_even_frozen_agents_with_it() {
    let (_folder, redis) = server(Product::Redis);
    let user = User::of(format!("redis://127.0.0.1:{}", redis.port));
    let (mut run, agents) = frozen(&user);
    run.interrupt();
    run.until("STOPPED");
    let answer = run.end();
    assert_eq!(answer.code, Some(3), "{answer:?}");
    let outcome = answer.calm().last_object();
    assert_eq!((&outcome["status"], &outcome["reason"]), (&"STOPPED".into(), &"interrupted by its user".into()));
    assert!(agents.into_iter().all(is_gone), "an agent outlived its run");
    user.verified();
    assert_eq!(user.object(&["pipeline", "status"])["state"]["status"], "STOPPED");
}

#[test]
fn a_stop_is_in_force_although_somebody_frozen_holds_the_ledger() {
    let (_folder, redis) = server(Product::Redis);
    let user = User::of(format!("redis://127.0.0.1:{}", redis.port));
    completes(&user);
    let opening = std::fs::File::create(user.home().join("migrate.lock")).unwrap();
    opening.lock().unwrap();
    let writing = rusqlite::Connection::open(user.home().join("governance.db")).unwrap();
    writing.execute_batch("BEGIN IMMEDIATE").unwrap();
    let stopped = user.does(&["stop", "--all", "--reason", "a drill"]);
    assert_eq!(stopped.code, Some(1), "{stopped:?}");
    assert!(stopped.err.contains("it is in force") && stopped.err.contains("governance.db"), "{stopped:?}");
    drop((opening, writing));
    assert_eq!(user.does(&["run", CACHE]).code, Some(3));
    user.object(&["stop", "--lift", "--reason", "the drill is over"]);
    completes(&user);
    user.verified();
}

#[test]
fn a_stop_of_everything_ends_a_run_and_nothing_begins_until_it_is_lifted() {
    let (_folder, redis) = server(Product::Redis);
    let user = User::of(format!("redis://127.0.0.1:{}", redis.port));
    let (begun, _agents) = frozen(&user);
    user.object(&["stop", "--all", "--reason", "a drill"]);
    let answer = begun.end();
    assert_eq!(answer.code, Some(3), "{answer:?}");
    let outcome = answer.calm().last_object();
    assert_eq!(outcome["status"], "STOPPED");
    assert!(outcome["reason"].as_str().unwrap().contains("a drill"), "{outcome}");
    let refused = user.does(&["run", CACHE]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.err.contains("governance stop --lift"), "{refused:?}");
    assert_eq!(user.objects(&["pipeline", "list"]).len(), 1, "nothing was begun");
    user.object(&["stop", "--lift", "--reason", "the drill is over"]);
    completes(&user);
}
