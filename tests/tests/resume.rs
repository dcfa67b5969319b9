//! A run outlives whoever carries it out: killed behind any line of its journal, it is taken up and ends as if nothing had happened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use governance::orchestrator::{Line, Run, replay};
use governance::vocabulary::PipelineId;
use governance_tests::program::{Living, User};
use governance_tests::servers::{Product, Server};
use serde_json::Value;

const CACHE: &str = "Design a caching strategy";
/// Behind which line of its journal a process dies.
const DIE: &str = "GOVERNANCE_TESTING_DIE_AFTER_LINE";

/// What is left of a run once its own id is taken out of it.
#[derive(Debug, PartialEq)]
struct Story {
    status: Value,
    decision: Value,
    votes: Value,
    agents: BTreeMap<String, Value>,
    // Each action that came out well, once: what was repeated is repeated.
    done: BTreeSet<String>,
}

fn only_run(user: &User) -> String {
    let runs = user.objects(&["pipeline", "list"]);
    assert_eq!(runs.len(), 1);
    runs[0]["pipeline_id"].as_str().unwrap().to_owned()
}

/// What is said, without moments, and without hashes of what holds the run's own name.
fn lasting(said: Value) -> Value {
    match said {
        Value::Object(fields) => {
            let passing = |name: &str| matches!(name, "at" | "took" | "packet" | "hash" | "content_hash" | "outputs");
            fields.into_iter().filter(|(name, _)| !passing(name)).map(|(name, value)| (name, lasting(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(lasting).collect(),
        other => other,
    }
}

fn story(user: &User, outcome: &Value) -> Story {
    let id = outcome["pipeline_id"].as_str().unwrap();
    let own = id.trim_start_matches("pipeline-").to_owned();
    let plain = |value: &Value| serde_json::from_str::<Value>(&value.to_string().replace(&own, "x")).unwrap();
    let mut done = BTreeSet::new();
    for entry in user.objects(&["ledger", "list", "--pipeline", id, "--limit", "10000"]) {
        // Whoever takes a run up says so, and what is repeated is charged again: that is the difference.
        if entry["kind"] == "intent" && !matches!(entry["action"].as_str(), Some("resume" | "spend")) {
            let payload = entry["payload"].as_str().map_or_else(|| entry["payload"].to_string(), str::to_owned);
            let payload = serde_json::from_str(&payload).map_or(payload, |said| lasting(said).to_string());
            done.insert(format!("{} {} {payload}", entry["action"], entry["agent"]).replace(&own, "x"));
        }
    }
    let agents = outcome["agents"].as_array().unwrap().iter().map(|agent| {
        let agent = plain(agent);
        (agent["id"].as_str().unwrap().to_owned(), agent["status"].clone())
    });
    Story {
        status: outcome["status"].clone(),
        decision: plain(&outcome["decision"]),
        votes: plain(&outcome["votes"]),
        agents: agents.collect(),
        done,
    }
}

fn journal(user: &User, id: &str) -> (Vec<Line>, Run) {
    let context = user.object(&["pipeline", "fallback", id, "download_log"]);
    (serde_json::from_value(context["journal"].clone()).unwrap(), serde_json::from_value(context["run"].clone()).unwrap())
}

/// Kills a run behind each line of its journal, takes each up, and compares.
fn killed_behind_every_line(user: impl Fn() -> User, agents: &str) {
    let whole = user();
    let outcome = whole.object(&["run", CACHE, "--agents", agents]);
    let lines = journal(&whole, outcome["pipeline_id"].as_str().unwrap()).0.len();
    assert!(lines >= 10, "a journal of {lines} lines");
    let expected = story(&whole, &outcome);
    let dying: Vec<(usize, User, Living)> = (1..lines)
        .map(|line| {
            let user = user();
            let mut command = user.command(["run", CACHE, "--agents", agents, "--json"]);
            command.env(DIE, line.to_string());
            let living = Living::spawn(command);
            (line, user, living)
        })
        .collect();
    let resumed: Vec<_> = dying
        .into_iter()
        .map(|(line, user, living)| {
            let died = living.end();
            if died.code == Some(0) {
                // Ballots and the end of a vote come in either order, so a journal may be two lines shorter.
                assert!(line + 2 >= lines, "not killed behind line {line}: {died:?}");
                return (line, user, None);
            }
            assert_eq!(died.code, None, "killed behind line {line}: {died:?}");
            let id = only_run(&user);
            if user.object(&["pipeline", "status", &id])["state"]["status"] == "COMPLETED" {
                assert!(line + 2 >= lines, "ended behind line {line}");
                return (line, user, None);
            }
            let living = user.start(&["pipeline", "continue", &id, "--agents", agents, "--json"]);
            (line, user, Some(living))
        })
        .collect();
    for (line, user, living) in resumed {
        let Some(living) = living else { continue };
        let answer = living.end();
        assert_eq!(answer.calm().code, Some(0), "taken up behind line {line}: {answer:?}");
        let mut told = story(&user, &answer.last_object());
        let differs: Vec<_> = told.done.symmetric_difference(&expected.done).collect();
        assert!(differs.is_empty(), "taken up behind line {line}: {differs:#?}");
        told.done.clone_from(&expected.done);
        assert_eq!(told, expected, "taken up behind line {line}");
        user.verified();
    }
}

#[test]
fn a_run_killed_behind_any_line_of_its_journal_ends_as_if_nothing_had_happened() {
    killed_behind_every_line(User::default, "built-in");
}

#[test]
fn so_does_a_run_whose_agents_are_processes() {
    killed_behind_every_line(User::default, "process");
}

#[test]
fn so_does_a_run_on_a_server() {
    for product in [Product::Redis, Product::Valkey] {
        let folder = tempfile::tempdir().unwrap();
        let server = std::cell::Cell::new(0);
        let servers = std::cell::RefCell::new(Vec::new());
        killed_behind_every_line(
            || {
                server.set(server.get() + 1);
                let own = Server::start(product, folder.path(), &format!("r{}", server.get()), &[]);
                let user = User::of(format!("redis+unix://{}", own.socket.display()));
                servers.borrow_mut().push(own);
                user
            },
            "built-in",
        );
    }
}

#[test]
fn of_two_who_take_a_run_up_at_once_one_owns_it() {
    let user = User::default();
    let mut command = user.command(["run", CACHE, "--json"]);
    command.env(DIE, "5");
    assert_eq!(Living::spawn(command).end().code, None);
    let id = only_run(&user);
    let both = [0, 1].map(|_| user.start(&["pipeline", "continue", &id, "--json"]));
    let answers = both.map(Living::end);
    let won = answers.iter().filter(|answer| answer.code == Some(0)).count();
    assert_eq!(won, 1, "{answers:?}");
    let lost = answers.iter().find(|answer| answer.code != Some(0)).unwrap();
    assert_eq!(lost.calm().code, Some(1));
    assert!(lost.last_object()["error"]["message"].as_str().unwrap().contains(&id), "{lost:?}");
    user.verified();
}

#[test]
fn who_has_ended_or_was_never_there_is_not_taken_up() {
    let user = User::default();
    let outcome = user.object(&["run", CACHE]);
    let id = outcome["pipeline_id"].as_str().unwrap();
    user.does(&["pipeline", "continue", id]).explains("has ended as COMPLETED");
    user.does(&["pipeline", "fallback", id, "rerun_same"]).explains("has ended as COMPLETED");
    user.does(&["pipeline", "continue", "pipeline-nobody"]).explains("there is no run");
}

#[test]
fn a_run_that_was_stopped_goes_on_once_the_stop_is_lifted() {
    let user = User::default();
    let script = user.path("slow.yaml");
    std::fs::write(&script, "version: 1\nsteps:\n  - {agent: alpha, on: propose, do: {slow: 30s}}\n").unwrap();
    let mut run = user.start(&["run", CACHE, "--json", "--agents", "process", "--script", script.to_str().unwrap()]);
    while run.object().is_some_and(|object| object["data"]["status"] != "RUNNING") {}
    user.object(&["stop", "--all", "--reason", "a drill"]);
    assert_eq!(run.end().code, Some(3));
    let id = only_run(&user);
    let refused = user.does(&["pipeline", "continue", &id]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.err.contains("lift it"), "{refused:?}");
    user.object(&["stop", "--lift", "--reason", "the drill is over"]);
    let outcome = user.object(&["pipeline", "continue", &id]);
    assert_eq!(outcome["status"], "COMPLETED");
    user.verified();
}

#[test]
fn who_was_revoked_while_nobody_carried_the_run_out_does_nothing_more() {
    for agents in ["built-in", "process"] {
        let user = User::default();
        let mut command = user.command(["run", CACHE, "--agents", agents, "--json"]);
        command.env(DIE, "5");
        assert_eq!(Living::spawn(command).end().code, None);
        let id = only_run(&user);
        let record = user.object(&["pipeline", "status", &id]);
        let agent = record["agents"].as_array().unwrap().iter().find_map(|agent| agent["id"].as_str().filter(|id| id.starts_with("alpha")));
        let agent = agent.unwrap_or_else(|| panic!("{record}"));
        user.object(&["revoke", agent, "--reason", "left its paths"]);
        let outcome = user.does(&["pipeline", "continue", &id, "--agents", agents, "--json"]).last_object();
        let ended = outcome["agents"].as_array().unwrap().iter().find(|ended| ended["id"] == agent).unwrap();
        assert_eq!(ended["status"], "revoked", "{outcome}");
        let told = user.objects(&["ledger", "list", "--pipeline", &id, "--limit", "10000"]);
        let revoked = told.iter().position(|entry| entry["action"] == "revoke").unwrap();
        let late: Vec<_> = told[revoked..].iter().filter(|entry| entry["agent"] == agent && entry["action"] != "revoke").collect();
        assert!(late.is_empty(), "{late:#?}");
        user.verified();
    }
}

#[test]
fn a_run_waits_at_its_report_for_continue() {
    let user = User::default();
    let outcome = user.object(&["run", CACHE, "--auto-orchestrate", "false"]);
    assert_eq!(outcome["status"], "REPORT");
    let outcome = user.object(&["pipeline", "continue", outcome["pipeline_id"].as_str().unwrap()]);
    assert_eq!(outcome["status"], "COMPLETED");
}

#[test]
fn promise_10_old_journals_replay_identically() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut seen = 0;
    for file in std::fs::read_dir(golden).unwrap() {
        let path = file.unwrap().path();
        let kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let id = PipelineId::new(kept["pipeline_id"].as_str().unwrap()).unwrap();
        let lines: Vec<Line> = serde_json::from_value(kept["journal"].clone()).unwrap();
        let run = replay(&id, lines).unwrap();
        assert_eq!(serde_json::to_value(&run).unwrap(), kept["run"], "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 4, "only {seen} journals are kept");
}
