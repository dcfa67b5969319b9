//! Scenarios with the real program: what is staged happens, and the run takes it as it should.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use governance_tests::program::{Answer, User};
use serde_json::Value;

const CACHE: &str = "Design a caching strategy";

fn staged(user: &User, scenario: &str, more: &[&str]) -> Answer {
    let file = user.path("scenario.yaml");
    std::fs::write(&file, scenario).unwrap();
    let answer = user.does(&[&["run", CACHE, "--json", "--script", file.to_str().unwrap()], more].concat());
    user.verified();
    answer
}

fn steps(steps: &str) -> String {
    format!("version: 1\nsteps: [{steps}]\n")
}

fn proposals(outcome: &Value) -> Vec<&str> {
    outcome["proposals"].as_array().unwrap().iter().map(|proposal| proposal["name"].as_str().unwrap()).collect()
}

fn agent<'a>(outcome: &'a Value, role: &str) -> &'a Value {
    outcome["agents"].as_array().unwrap().iter().find(|agent| agent["role"] == role).unwrap()
}

/// What the ledger says of an agent's calls of one kind: the attempts, and the codes of those that failed.
fn calls(user: &User, id: &str, kind: &str) -> (Vec<u64>, Vec<String>) {
    let rows = user.objects(&["ledger", "list", "--action", "model_call", "--agent", id, "--limit", "1000"]);
    let payload = |row: &Value| serde_json::from_str::<Value>(row["payload"].as_str().unwrap()).unwrap();
    let begun: Vec<&Value> = rows.iter().filter(|row| row["kind"] == "intent" && payload(row)["call"] == kind).collect();
    let attempts = begun.iter().map(|row| payload(row)["attempt"].as_u64().unwrap()).collect();
    let token = |row: &Value| format!("{}.{}", row["segment"].as_str().unwrap(), row["number"]);
    let tokens: Vec<String> = begun.iter().map(|row| token(row)).collect();
    let ended = rows.iter().filter(|row| row["kind"] == "outcome" && tokens.iter().any(|token| row["intent"] == **token));
    (attempts, ended.filter_map(|row| payload(row)["code"].as_str().map(str::to_owned)).collect())
}

#[test]
fn the_example_of_the_documentation_ends_in_a_tie() {
    let guide = include_str!("../../docs/scenarios.md");
    let example = guide.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let user = User::default();
    let answer = staged(&user, example, &[]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    let outcome = answer.calm().last_object();
    assert_eq!(proposals(&outcome).iter().filter(|name| name.contains("-rival-")).count(), 2, "{outcome}");
    let alpha = agent(&outcome, "alpha")["id"].as_str().unwrap();
    assert_eq!(calls(&user, alpha, "propose"), (vec![1, 2], vec!["answer_not_json".to_owned()]));
}

#[test]
fn a_bad_answer_is_asked_for_again_and_two_are_an_error() {
    let user = User::default();
    let answer = staged(&user, &steps("{agent: alpha, on: propose, do: {answer: wrong_shape}}"), &[]);
    let outcome = answer.calm().last_object();
    let alpha = agent(&outcome, "alpha")["id"].as_str().unwrap();
    assert_eq!(calls(&user, alpha, "propose"), (vec![1, 2], vec!["answer_wrong".to_owned(); 2]));
    assert!(outcome["reason"].as_str().unwrap().contains(alpha), "{outcome}");
    assert!(!proposals(&outcome).contains(&alpha), "nothing of it was proposed");
}

#[test]
fn a_server_that_fails_is_asked_three_times() {
    let user = User::default();
    let outcome = staged(&user, &steps("{agent: beta, on: propose, do: {error: unavailable}}"), &[]).last_object();
    let beta = agent(&outcome, "beta")["id"].as_str().unwrap();
    assert_eq!(calls(&user, beta, "propose"), (vec![1, 2, 3], vec!["model_failed".to_owned(); 3]));
    let user = User::default();
    let outcome = staged(&user, &steps("{agent: beta, on: propose, call: 1, do: {error: rate_limited}}"), &[]).last_object();
    assert_eq!(outcome["status"], "COMPLETED", "{outcome}");
}

#[test]
fn silence_lasts_until_the_deadline_of_the_call() {
    let user = User::default();
    let answer = staged(&user, &steps("{agent: alpha, on: analyse, do: silence}"), &["--call-timeout", "0.1"]);
    let outcome = answer.calm().last_object();
    let alpha = agent(&outcome, "alpha")["id"].as_str().unwrap();
    assert_eq!(calls(&user, alpha, "analyse").1, ["call_timed_out"; 3]);
    let slow = staged(&user, &steps("{agent: alpha, do: {slow: 50ms}}"), &[]);
    assert_eq!((slow.code, &slow.last_object()["status"]), (Some(0), &Value::from("COMPLETED")), "{slow:?}");
}

#[test]
fn an_agent_that_crashes_is_missed_as_a_task_and_as_a_process() {
    for runtime in ["built-in", "process"] {
        let user = User::default();
        let answer = staged(&user, &steps("{agent: alpha, on: propose, do: crash}"), &["--agents", runtime]);
        let outcome = answer.last_object();
        let alpha = agent(&outcome, "alpha")["id"].as_str().unwrap();
        assert!(outcome["reason"].as_str().unwrap().contains(&format!("`{alpha}` ended")), "{runtime}: {outcome}");
        assert!(proposals(&outcome).contains(&agent(&outcome, "beta")["id"].as_str().unwrap()), "{runtime}: {outcome}");
    }
}

#[test]
fn a_wrong_scenario_begins_nothing_and_says_its_line_and_what_is_allowed() {
    let user = User::default();
    let file = user.path("wrong.yaml");
    std::fs::write(&file, "version: 1\nsteps:\n  - agent: alpha\n    on: voting\n    do: deadlock\n").unwrap();
    let answer = user.does(&["run", CACHE, "--script", file.to_str().unwrap()]);
    answer.explains("wrong.yaml`, line 4: ").explains("voting").explains("vote");
    assert!(!user.home().exists(), "nothing was begun");
    user.does(&["run", CACHE, "--script", user.path("missing.yaml").to_str().unwrap()]).explains("missing.yaml` cannot be read");
}

#[test]
fn a_real_model_needs_a_key_and_a_safe_address() {
    let user = User::default();
    user.does(&["run", CACHE, "--mode", "openrouter"]).explains("OPENROUTER_API_KEY is not set");
    let with_key = |address: &str| {
        let mut command = user.command(["run", CACHE, "--mode", "openrouter", "--base-url", address]);
        command.env("OPENROUTER_API_KEY", "sk-canary");
        governance_tests::program::Living::spawn(command).end()
    };
    with_key("http://example.com/v1").explains("in the clear");
    with_key("somewhere").explains("is not a base URL");
    assert!(!user.home().exists(), "nothing was begun");
}
