//! What an agent leaves in the store when it has ended by itself.

use std::time::Duration;

use governance::agent::Agent;
use governance::guard::Breaker;
use governance::{Config, Governance, Joining};
use governance_tests::rigs::RedisRig;
use tempfile::TempDir;

/// The keys that bear an id, each with the time in milliseconds after which it goes; below zero for never.
fn keys_of(rig: &RedisRig, id: &str) -> Vec<(String, i64)> {
    let keys = "return table.concat(redis.call('KEYS', ARGV[1]), '\\n')";
    let found = rig.with_server(|server| server.ask(&["EVAL", keys, "0", &format!("*{id}*")]));
    let names = found.lines().filter(|line| line.contains(id)).map(|line| line.trim().to_owned());
    let time = |name: &str| rig.with_server(|server| server.ask(&["PTTL", name])).trim().trim_start_matches(':').parse().unwrap();
    names.map(|name| (name.clone(), time(&name))).collect()
}

/// An agent of a pipeline of its own.
async fn joined(rig: &RedisRig) -> (Governance, Agent, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let config = Config { home: home.path().join("home"), store: Some(rig.url().to_string()), ..Config::default() };
    let governance = Governance::open(config).await.unwrap();
    let pipeline = governance.begin("Design a caching strategy").await.unwrap();
    let agent = governance.agent("alpha", &pipeline, Joining::default()).await.unwrap();
    (governance, agent, home)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_agent_that_ended_nothing_stays_for_ever_but_what_fences_it() {
    let rig = super::redis7();
    let (governance, agent, _home) = joined(&rig).await;
    let id = agent.desk().actor().id.clone();
    let kept = |keys: &[(String, i64)]| -> Vec<_> { keys.iter().filter(|(_, time)| *time < 0).map(|(name, _)| name.clone()).collect() };
    let living = keys_of(&rig, id.as_str());
    assert!(kept(&living).iter().any(|name| name.ends_with(":state")), "{living:?}");
    agent.leave().await.unwrap();
    let left = keys_of(&rig, id.as_str());
    let stays = kept(&left);
    assert!(stays.iter().all(|name| name.ends_with(":epoch") || name.ends_with(":fence")), "{left:?}");
    assert!(stays.iter().any(|name| name.ends_with(":epoch")), "it stays fenced: {left:?}");
    let week = 7 * 24 * 60 * 60 * 1_000;
    let state = left.iter().find(|(name, _)| name.ends_with(":state")).unwrap();
    assert!(state.1 > week - 60_000 && state.1 <= week, "{left:?}");
    governance.end(agent.desk().actor().pipeline.as_ref().unwrap()).await.unwrap();
    governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_once_is_forgotten_after_a_day() {
    let rig = super::redis7();
    let (governance, agent, _home) = joined(&rig).await;
    let breaker = Breaker::open(governance.store(), agent.desk().actor(), "web.search-shop-7");
    let pass = breaker.ask(Duration::from_secs(1)).await.unwrap().unwrap();
    breaker.failed(pass).await.unwrap();
    let found = keys_of(&rig, "web.search-shop-7");
    let day = 24 * 60 * 60 * 1_000;
    assert!(matches!(found[..], [(_, left)] if left > day && left <= day + 60_000), "{found:?}");
    agent.leave().await.unwrap();
    governance.end(agent.desk().actor().pipeline.as_ref().unwrap()).await.unwrap();
    governance.close().await.unwrap();
}
