//! What a run does when it goes wrong: who is called, who goes on alone, what waits for its user, how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use governance::Governance;
use governance::vocabulary::{AgentId, PipelineId, RevocationType};
use governance_tests::program::{Answer, Living, User, signal};
use rustix::process::Signal;
use serde_json::Value;

const CACHE: &str = "Design a caching strategy";
const COMPLEX: &str = "Design, without downtime, a multi-region cache that must serve 1,000,000 reads per second within 5 ms, must not lose writes, \
    must encrypt data at rest and in transit, should cost at most 2,000 dollars a month, must survive the loss of a region, must support 3 clients, \
    must be observable, and should be reversible; compare at least 4 options; list the risks; plan the migration in 5 steps; define alarms; test the \
    failover every month; document who may change it; never store secrets in it; and give a budget for each quarter.";
const TIE: &str = "{agent: alpha, on: vote, do: deadlock}\n  - {agent: beta, on: vote, do: deadlock}";

/// A run in a scenario.
fn staged(user: &User, objective: &str, steps: &str, more: &[&str]) -> Answer {
    let script = user.path("scenario.yaml");
    std::fs::write(&script, format!("version: 1\nsteps:\n  - {steps}\n")).unwrap();
    user.does(&[&["run", objective, "--json", "--script", script.to_str().unwrap()], more].concat())
}

fn mediated_for(answer: &Answer) -> Vec<String> {
    let lines = answer.out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let spawned = lines.filter(|object| object["type"] == "gamma_spawned");
    spawned.map(|object| object["data"]["reason"].as_str().unwrap().to_owned()).collect()
}

fn waiting(user: &User) -> String {
    let answer = staged(user, CACHE, TIE, &[]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    let outcome = answer.last_object();
    assert_eq!((&outcome["status"], &outcome["decision"]), (&Value::from("ORCHESTRATING"), &Value::Null));
    outcome["pipeline_id"].as_str().unwrap().to_owned()
}

#[test]
fn many_unresolved_proposals_call_a_mediator() {
    let user = User::default();
    let rivals = "{agent: alpha, on: propose, do: {conflict: {rivals: 3}}}\n  - {agent: beta, on: propose, do: {conflict: {rivals: 3}}}";
    let answer = staged(&user, CACHE, rivals, &[]);
    assert_eq!((answer.code, mediated_for(&answer)), (Some(0), vec!["CONFLICT".to_owned()]), "{answer:?}");
    assert_eq!(answer.last_object()["agents"].as_array().unwrap().len(), 3);
    user.verified();
}

#[test]
fn an_agent_that_falls_silent_counts_as_stuck_and_calls_a_mediator() {
    let user = User::default();
    let answer = staged(&user, CACHE, "{agent: alpha, on: propose, do: silence}", &["--call-timeout", "1"]);
    assert_eq!((answer.code, mediated_for(&answer)), (Some(0), vec!["STUCK".to_owned()]), "{answer:?}");
    user.verified();
}

#[test]
fn a_complex_objective_calls_a_mediator_and_a_plain_one_does_not() {
    let user = User::default();
    let answer = user.does(&["run", COMPLEX, "--json"]);
    assert_eq!((answer.code, mediated_for(&answer)), (Some(0), vec!["COMPLEXITY".to_owned()]), "{answer:?}");
    let plain = user.does(&["run", CACHE, "--json"]);
    assert_eq!((plain.code, mediated_for(&plain)), (Some(0), vec![]));
}

#[test]
fn a_deadlock_waits_and_rerun_same_starts_fresh_agents_who_know_what_failed() {
    let user = User::default();
    let id = waiting(&user);
    user.does(&["pipeline", "continue", &id]).explains("waits for your decision");
    let answer = user.does(&["pipeline", "fallback", &id, "rerun_same", "--json"]);
    assert!(matches!(answer.code, Some(0 | 2)), "{answer:?}");
    let agents = answer.last_object()["agents"].as_array().unwrap().len();
    assert_eq!(agents, 4, "{answer:?}");
    let seed = user.objects(&["blackboard", "show", &id]).into_iter().find(|entry| entry["name"] == "failure-2").unwrap();
    assert!(seed["content"]["summary"].as_str().unwrap().contains("without a decision"), "{seed}");
    user.verified();
}

#[test]
fn rerun_gamma_forces_a_mediator() {
    let user = User::default();
    let id = waiting(&user);
    let script = user.path("scenario.yaml");
    let answer = user.does(&["pipeline", "fallback", &id, "rerun_gamma", "--json", "--script", script.to_str().unwrap()]);
    assert_eq!((answer.code, mediated_for(&answer).len()), (Some(0), 1), "{answer:?}");
    assert!(answer.last_object()["decision"]["proposal"].is_string(), "the mediator tips the scales: {answer:?}");
}

#[test]
fn escalate_tier_trusts_the_next_agents_further() {
    let user = User::default();
    let id = waiting(&user);
    user.registers_ann();
    let mut run = user.start(&["pipeline", "fallback", &id, "escalate_tier", "--json"]);
    // More is in their power now, so people look at what they are going to do.
    for _ in 0..2 {
        user.approves(user.awaits(&mut run)["approval_id"].as_str().unwrap());
    }
    let answer = run.end();
    assert!(matches!(answer.code, Some(0 | 2)), "{answer:?}");
    let status = user.object(&["pipeline", "status", &id]);
    let tiers: BTreeSet<_> = status["agents"].as_array().unwrap().iter().map(|agent| agent["tier"].as_str().unwrap().to_owned()).collect();
    assert_eq!(tiers, BTreeSet::from(["T0".to_owned(), "T1".to_owned()]));
}

#[test]
fn accept_partial_takes_the_best_proposal_and_completes() {
    let user = User::default();
    let id = waiting(&user);
    let outcome = user.object(&["pipeline", "fallback", &id, "accept_partial"]);
    assert_eq!((&outcome["status"], &outcome["decision"]["outcome"]), (&Value::from("COMPLETED"), &Value::Null));
    assert!(outcome["decision"]["solution"]["title"].is_string(), "{outcome}");
    let decided = user.objects(&["ledger", "list", "--pipeline", &id, "--action", "decision"]);
    assert!(!decided.is_empty(), "an explicit act is in the record");
}

#[test]
fn download_log_exports_everything_and_changes_nothing() {
    let user = User::default();
    let id = waiting(&user);
    let context = user.object(&["pipeline", "fallback", &id, "download_log"]);
    for part in ["journal", "blackboard", "votes", "failure_context", "logs", "agents", "run"] {
        assert!(context[part].is_array() || context[part].is_object(), "no {part}: {context}");
    }
    let status = user.object(&["pipeline", "status", &id]);
    assert_eq!(status["state"]["awaiting_user"], "true", "{status}");
}

#[test]
fn a_run_that_is_stopped_while_it_waits_still_waits_once_it_goes_on() {
    let user = User::default();
    let id = waiting(&user);
    user.object(&["pipeline", "stop", &id]);
    user.does(&["pipeline", "fallback", &id, "accept_partial"]).explains("waits for no decision");
    assert_eq!(user.does(&["pipeline", "continue", &id]).code, Some(2), "it waits again");
    assert_eq!(user.object(&["pipeline", "fallback", &id, "accept_partial"])["status"], "COMPLETED");
}

#[test]
fn giving_up_ends_as_consensus_failed() {
    let user = User::default();
    let id = waiting(&user);
    let answer = user.does(&["pipeline", "give-up", &id, "--json"]);
    assert_eq!((answer.code, &answer.last_object()["status"]), (Some(2), &Value::from("CONSENSUS_FAILED")));
}

#[test]
fn a_partner_goes_on_alone_and_two_deaths_end_the_run_with_a_checkpoint() {
    let user = User::default();
    let alone = staged(&user, CACHE, "{agent: alpha, on: propose, do: crash}", &[]);
    assert_eq!(alone.code, Some(0), "{alone:?}");
    let both = "{agent: alpha, on: propose, do: crash}\n  - {agent: beta, on: propose, do: crash}";
    let answer = staged(&user, CACHE, both, &[]);
    assert_eq!((answer.code, &answer.last_object()["status"]), (Some(1), &Value::from("FAILED")), "{answer:?}");
    assert_eq!(user.objects(&["checkpoint", "list"]).len(), 2);
    let id = answer.last_object()["pipeline_id"].as_str().unwrap().to_owned();
    let context = user.object(&["pipeline", "fallback", &id, "download_log"]);
    assert!(context["failure_context"]["diagnosis"]["attempts"].is_array(), "{context}");
}

#[test]
fn a_sole_survivor_decides_alone_only_where_that_was_allowed() {
    let user = User::default();
    let last = "{agent: alpha, on: evaluate, do: crash}\n  - {agent: gamma, on: mediate, do: crash}";
    let answer = staged(&user, CACHE, last, &[]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    let outcome = answer.last_object();
    assert_eq!((&outcome["status"], &outcome["decision"]), (&Value::from("ORCHESTRATING"), &Value::Null), "{outcome}");
    // It was asked nothing, and its user may still take what it has.
    let id = outcome["pipeline_id"].as_str().unwrap();
    assert_eq!(user.object(&["pipeline", "fallback", id, "accept_partial"])["status"], "COMPLETED");
    let alone = staged(&user, CACHE, last, &["--quorum", "1"]);
    assert_eq!((alone.code, &alone.last_object()["status"]), (Some(0), &Value::from("COMPLETED")), "{alone:?}");
    // Three ballots are cast where a mediator was called, and not by two.
    let two = user.does(&["run", CACHE, "--json", "--quorum", "3"]);
    assert_eq!((two.code, &two.last_object()["decision"]), (Some(2), &Value::Null), "{two:?}");
    assert_eq!(user.does(&["run", CACHE, "--quorum", "4"]).code, Some(1), "nobody else votes");
    user.verified();
}

#[test]
fn time_up_ends_as_timeout_with_what_there_is() {
    let user = User::default();
    let slow = "{agent: alpha, on: evaluate, call: 2, do: {slow: 30s}}";
    let answer = staged(&user, CACHE, slow, &["--timeout", "3"]);
    let outcome = answer.last_object();
    assert_eq!((answer.code, &outcome["status"]), (Some(1), &Value::from("TIMEOUT")), "{answer:?}");
    assert!(!outcome["proposals"].as_array().unwrap().is_empty());
    let board = user.objects(&["blackboard", "show"]);
    let partial = board.iter().find(|entry| entry["name"] == "partial-report").expect("no partial report");
    let proposed = partial["content"]["proposals"].as_array().unwrap();
    assert_eq!(proposed.len(), outcome["proposals"].as_array().unwrap().len(), "{partial}");
    user.verified();
}

#[test]
fn a_diagnosis_names_what_helps_against_the_error_that_it_knows() {
    let user = User::default();
    let refused = "{agent: alpha, do: {error: refused}}\n  - {agent: beta, do: {error: refused}}";
    let answer = staged(&user, CACHE, refused, &[]);
    assert_eq!((answer.code, &answer.last_object()["status"]), (Some(1), &Value::from("FAILED")), "{answer:?}");
    let id = answer.last_object()["pipeline_id"].as_str().unwrap().to_owned();
    let context = user.object(&["pipeline", "fallback", &id, "download_log"]);
    let attempts = context["failure_context"]["diagnosis"]["attempts"].to_string();
    assert!(attempts.contains("OPENROUTER_API_KEY"), "{attempts}");
}

#[test]
fn a_run_is_taken_up_as_it_was_begun_unless_told_otherwise() {
    let user = User::default();
    let begun = user.object(&["run", CACHE, "--auto-orchestrate", "false", "--timeout", "77"]);
    let id = begun["pipeline_id"].as_str().unwrap().to_owned();
    let kept = user.object(&["pipeline", "fallback", &id, "download_log"]);
    let context: Value = serde_json::from_str(kept["state"]["context"].as_str().unwrap_or_default()).unwrap_or_default();
    assert_eq!((&context["timeout"]["secs"], &context["task_id"]), (&Value::from(77), &Value::from(id.as_str())), "{kept}");
    let elsewhere = user.does(&["pipeline", "continue", &id, "--mode", "openrouter"]);
    assert_eq!((elsewhere.code, elsewhere.err.contains("OPENROUTER_API_KEY")), (Some(1), true), "{elsewhere:?}");
    assert_eq!(user.object(&["pipeline", "continue", &id])["status"], "COMPLETED");
}

#[test]
fn who_takes_a_run_up_goes_by_a_directory_of_policies_as_who_begins_one() {
    let user = User::default();
    let begun = user.object(&["run", CACHE, "--auto-orchestrate", "false"]);
    assert_eq!(user.objects(&["policy", "list"]).len(), 0);
    let policies = user.path("policies");
    std::fs::create_dir(&policies).unwrap();
    std::fs::write(policies.join("ann.yaml"), "agent_id: ann\nagent_version: '1'\ntier: T1\n").unwrap();
    user.object(&["pipeline", "continue", begun["pipeline_id"].as_str().unwrap(), "--policies", policies.to_str().unwrap()]);
    let listed = user.object(&["policy", "list"]);
    assert_eq!((&listed["name"], &listed["by"]), (&"ann".into(), &"the directory of policies".into()), "{listed}");
}

/// Moves the beginning of a run, and of its wait, an hour back: nothing else is different from a user who comes back then.
async fn an_hour_later(user: &User, id: &str) {
    let governance = Governance::visit(user.config()).await.unwrap();
    let (store, key) = (governance.store(), governance.store().keys().pipeline(&PipelineId::new(id).unwrap()));
    let state = store.state(key.clone()).await.unwrap().unwrap();
    let earlier = |field| (state.field(field).parse::<u64>().unwrap() - 3_600_000).to_string();
    let moved = ["created_at", "waits_since"].map(|field| (field, earlier(field)));
    store.apply(governance::store::Commit::default().merge(key, moved)).await.unwrap();
    governance.close().await.unwrap();
}

/// For how long a run waited that does so no more, in milliseconds.
async fn waited(user: &User, id: &str) -> u64 {
    let governance = Governance::visit(user.config()).await.unwrap();
    let (store, id) = (governance.store(), PipelineId::new(id).unwrap());
    let state = store.state(store.keys().pipeline(&id)).await.unwrap().unwrap();
    assert_eq!(state.field("waits_since"), "", "it waits no more");
    let waited = store.number(store.keys().pipeline_spend(&id, "waited")).await.unwrap();
    governance.close().await.unwrap();
    waited
}

#[test]
fn what_a_run_waits_for_its_user_does_not_count_against_its_wall_time() {
    let user = User::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    std::fs::create_dir_all(user.home()).unwrap();
    std::fs::write(user.home().join("config.toml"), "[limits.run]\nwall_time = 120\n").unwrap();
    // At its report.
    let id = user.object(&["run", CACHE, "--auto-orchestrate", "false"])["pipeline_id"].as_str().unwrap().to_owned();
    runtime.block_on(an_hour_later(&user, &id));
    assert_eq!(user.object(&["pipeline", "continue", &id])["status"], "COMPLETED");
    assert!((3_600_000..3_660_000).contains(&runtime.block_on(waited(&user, &id))));
    // And without a decision.
    let id = waiting(&user);
    runtime.block_on(an_hour_later(&user, &id));
    let answer = user.does(&["pipeline", "fallback", &id, "rerun_gamma", "--json"]);
    assert_eq!((answer.code, &answer.last_object()["status"]), (Some(0), &Value::from("COMPLETED")), "{answer:?}");
    assert!((3_600_000..3_660_000).contains(&runtime.block_on(waited(&user, &id))));
    user.verified();
}

/// The agents' processes of a run.
fn children(of: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    let all = std::fs::read_dir(format!("/proc/{of}/task")).unwrap().flatten();
    let more = all.map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default()).collect::<String>();
    let mut pids: Vec<u32> = format!("{listed}{more}").split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

#[test]
fn a_frozen_agent_climbs_the_ladder_mediator_then_revocation() {
    let user = User::default();
    let script = user.path("scenario.yaml");
    std::fs::write(
        &script,
        "version: 1\nsteps:\n  - {agent: alpha, on: propose, do: {slow: 2s}}\n  - {agent: beta, on: propose, do: {slow: 2s}}\n",
    )
    .unwrap();
    let mut command = user.command(["run", CACHE, "--json", "--agents", "process", "--call-timeout", "5", "--script"]);
    command.arg(&script).env("GAMMA_STUCK_THRESHOLD", "3");
    let mut run = Living::spawn(command);
    while run.object().is_some_and(|object| object["data"]["status"] != "RUNNING") {}
    std::thread::sleep(Duration::from_millis(200));
    let frozen = children(run.pid())[0];
    signal(frozen, Signal::STOP);
    let answer = run.end();
    let outcome = answer.last_object();
    assert_eq!((answer.code, &outcome["status"]), (Some(0), &Value::from("COMPLETED")), "{answer:?}");
    assert_eq!(mediated_for(&answer), ["STUCK"]);
    let revoked = outcome["agents"].as_array().unwrap().iter().filter(|agent| agent["status"] == "revoked").count();
    assert_eq!(revoked, 1, "{outcome}");
    user.verified();
}

#[tokio::test(flavor = "multi_thread")]
async fn three_automatic_recoveries_then_aborted() {
    let user = User::default();
    let script = user.path("scenario.yaml");
    let silent = "version: 1\nsteps:\n  - {agent: alpha, on: evaluate, call: 2, do: silence}\n  - {agent: beta, on: evaluate, call: 2, do: silence}\n  - \
                  {agent: gamma, do: silence}\n";
    std::fs::write(&script, silent).unwrap();
    let mut run = user.start(&["run", CACHE, "--json", "--call-timeout", "60", "--script", script.to_str().unwrap()]);
    while run.object().is_some_and(|object| object["data"]["status"] != "ORCHESTRATING") {}
    let governance = Governance::open(user.config()).await.unwrap();
    let id = user.objects(&["pipeline", "list"])[0]["pipeline_id"].as_str().unwrap().to_owned();
    let id = PipelineId::new(id).unwrap();
    let until = Instant::now() + Duration::from_secs(50);
    let mut revoked = BTreeSet::<AgentId>::new();
    while Instant::now() < until && run.goes() {
        let state = governance.store().state(governance.store().keys().pipeline(&id)).await.unwrap().unwrap();
        for agent in governance.admissions().agents(&id).await.unwrap() {
            if matches!(state.field("status"), "ORCHESTRATING" | "REBOOTING") && revoked.insert(agent.id.clone()) {
                governance.revocations().revoke(&agent.id, RevocationType::Policy, "a drill").await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answer = run.end();
    let outcome = answer.last_object();
    assert_eq!((answer.code, &outcome["status"]), (Some(3), &Value::from("ABORTED")), "{answer:?}");
    assert!(outcome["reason"].as_str().unwrap().contains("3 automatic recoveries"), "{outcome}");
    // Two agents at first, and three in each recovery, where a mediator is forced.
    assert_eq!(outcome["agents"].as_array().unwrap().len(), 2 + 3 * 3, "{outcome}");
    governance.close().await.unwrap();
    user.verified();
}
