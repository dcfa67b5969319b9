//! Another process: does one thing to a store as fast as it can, and tells on its standard output what came of it, a line each.
//!
//! `governance-worker ROLE` reads one line of JSON (a [`Task`]) from its standard input; later lines are told what to do next.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::Write;
use std::time::Duration;

use governance::coordination::{Blackboard, CaretakerStatus, Written};
use governance::guard::policy::Request;
use governance::guard::{Admissions, Heartbeat, Recorder, Role, Spend, Unit};
use governance::ledger::{Durability, Ledger};
use governance::store::{Actor, Store};
use governance::vocabulary::{AgentId, AgentRole, PipelineId, Ports, Section, TaskId, Tier};
use governance::{Config, ErrorBudget, ErrorKind, Governance, Joining};
use governance_tests::task::Task;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let task: Task = serde_json::from_str(&line().expect("a task")).unwrap();
    let store = Store::open(&task.store).await.unwrap();
    match std::env::args().nth(1).as_deref() {
        Some("spend") => spend(&store, &task).await,
        Some("replace") => replace(&store, &task).await,
        Some("write") => write(&store, &task).await,
        Some("spawn") => spawn(&store, &task).await,
        Some("keep") => keep(&store, &task).await,
        Some("agent") => agent(&store, &task).await,
        Some("govern") => govern(&task).await,
        role => panic!("no such role: {role:?}"),
    }
}

fn line() -> Option<String> {
    let mut line = String::new();
    (std::io::stdin().read_line(&mut line).unwrap() > 0).then_some(line)
}

/// One write(2) a line, so that a death tears none.
fn tell(what: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{what}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

macro_rules! tell {
    ($($what:tt)*) => { tell(format_args!($($what)*)) };
}

/// Draws from one budget until nothing is left; tells `started n` before it acts.
async fn spend(store: &Store, task: &Task) {
    let ledger = Ledger::open(&task.home, Ports::default(), Durability::Process).await.unwrap();
    let budget = ErrorBudget::open(store, &task.actor).recorded(&Recorder::new(&ledger, &task.store));
    let allowance = budget.allowance(Unit::Calls, task.number, Duration::from_millis(task.ttl_ms));
    let mut number = 0;
    loop {
        match allowance.draw(1).await {
            Ok(Spend::Admitted { .. }) => number += 1,
            Ok(Spend::Exhausted { .. }) => break,
            // Denied because the store does not answer: one who was frozen may hold it up.
            Err(error) if error.may_retry() => continue,
            Err(error) => panic!("{error}"),
        }
        tell!("started {number}");
        // The action.
        tokio::time::sleep(Duration::from_millis(12)).await;
    }
    tell!("exhausted");
}

/// Replaces each version of one entry with the next, as everybody does; tells which ones it won.
async fn replace(store: &Store, task: &Task) {
    let board = Blackboard::open(store, &TaskId::new("t").unwrap(), &task.actor);
    // All begin at once.
    tell!("ready");
    line().expect("a word to begin");
    let mut version = 0;
    while version < task.number {
        match board.put_if(Section::Progress, "step", &task.actor.id, version).await.unwrap() {
            Written::Accepted(new) => {
                tell!("won {version}");
                version = new;
            }
            Written::Conflict(found) => {
                assert!(found > version);
                version = found;
            }
        }
    }
}

/// Writes as one agent after the other until it is refused, and then as often again as it was told to.
async fn write(store: &Store, task: &Task) {
    while let Some(actor) = line() {
        let actor: Actor = serde_json::from_str(&actor).unwrap();
        let board = Blackboard::open(store, &TaskId::new("t").unwrap(), &actor);
        let (mut landed, mut refused) = (0, 0);
        while refused < task.number {
            let written = board.put_if(Section::Progress, actor.id.as_str(), &landed, landed).await;
            match written {
                Ok(Written::Accepted(_)) if refused == 0 => {
                    landed += 1;
                    if landed == 1 {
                        tell!("writing");
                    }
                }
                Ok(written) => panic!("a write landed after a refused one: {written:?}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Revoked, "{error}");
                    refused += 1;
                }
            }
        }
        tell!("landed {landed} refused {refused}");
    }
}

/// Admits agents, each writing at once, until that is refused; then tries to write as each of them.
async fn spawn(store: &Store, task: &Task) {
    let admissions = Admissions::new(store, &Recorder::default());
    let (role, pipeline) = (Role { role: AgentRole::Alpha, tier: Tier::T1 }, PipelineId::new("pipe").unwrap());
    let (mut parent, mut spawned): (_, Vec<Actor>) = (task.actor.admission.clone(), Vec::new());
    loop {
        let id = AgentId::new(format!("{}-{}", task.actor.id, spawned.len())).unwrap();
        match admissions.admit(&parent, &pipeline, &id, role).await {
            Ok(actor) => {
                // Children, grandchildren, and again children.
                parent = if spawned.len() % 3 == 2 { task.actor.admission.clone() } else { actor.admission.clone() };
                spawned.push(actor);
                tell!("spawned {id}");
            }
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Revoked | ErrorKind::Denied), "{error}");
                break;
            }
        }
    }
    let mut escaped = 0;
    for actor in &spawned {
        let board = Blackboard::open(store, &TaskId::new("t").unwrap(), actor);
        match board.post(Section::Progress, actor.id.as_str(), &1).await {
            Ok(_) => escaped += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Revoked, "{error}"),
        }
    }
    tell!("escaped {escaped} of {}", spawned.len());
}

/// Keeps house, or waits to, until its input closes.
async fn keep(store: &Store, task: &Task) {
    let config = Config { home: task.home.clone(), store: Some(task.store.clone()), ..Config::default() };
    let governance = Governance::open(config).await.unwrap();
    let (key, own) = (store.keys().caretaker_status(), std::process::id());
    let mut watch = store.watch(std::slice::from_ref(&key)).await.unwrap();
    tell!("open");
    let waiting = async {
        while CaretakerStatus::of(store).await.unwrap().is_none_or(|status| status.pid != own) {
            watch.changed().await;
        }
        tell!("keeps house");
        std::future::pending::<()>().await;
    };
    let told = tokio::task::spawn_blocking(line);
    tokio::select! { () = waiting => {}, _ = told => {} }
    governance.close().await.unwrap();
}

/// Lives as an agent that was admitted: its heart beats, it holds a share of its budget, and it is out with a message.
async fn agent(store: &Store, task: &Task) {
    let ledger = Ledger::open(&task.home, Ports::default(), Durability::Process).await.unwrap();
    let interval = Duration::from_millis(task.ttl_ms);
    let _heart = Heartbeat::start(store, &task.actor, interval).await.unwrap();
    let budget = ErrorBudget::open(store, &task.actor).recorded(&Recorder::new(&ledger, &task.store));
    let allowance = budget.allowance(Unit::Calls, task.number, interval);
    for _ in 0..3 {
        assert!(matches!(allowance.draw(1).await.unwrap(), Spend::Admitted { .. }));
    }
    tell!("lives");
    line();
}

/// Joins as an agent that may touch production with an approval only. Each line is a call (`{arguments, presented, waiting_ms}`), or something
/// that it starts (`{run: [command, …]}`).
async fn govern(task: &Task) {
    let config = Config { home: task.home.clone(), store: Some(task.store.clone()), ..Config::default() };
    let governance = Governance::open(config).await.unwrap();
    let pipeline = governance.begin("try it").await.unwrap();
    let agent = governance.agent("alpha", &pipeline, Joining { tier: Some(Tier::T2), ..Joining::default() }).await.unwrap();
    tell!("{}", serde_json::json!({"agent": agent.desk().actor().id, "process": std::process::id()}));
    while let Some(line) = tokio::task::spawn_blocking(line).await.unwrap() {
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        if let Some(command) = said["run"].as_array() {
            let words: Vec<_> = command.iter().map(|word| word.as_str().unwrap()).collect();
            let done = tokio::process::Command::new(words[0]).args(&words[1..]).stdin(std::process::Stdio::null()).output().await.unwrap();
            let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
            tell!("{}", serde_json::json!({"code": done.status.code(), "out": out, "err": err}));
            continue;
        }
        let mut guard = agent.desk().guard().clone().waiting(Duration::from_millis(said["waiting_ms"].as_u64().unwrap_or(0)));
        if let Some(presented) = said["presented"].as_str() {
            guard = guard.presenting(&presented.parse().unwrap());
        }
        let done = guard.govern(&Request::new("terraform_apply").on("prod-db"), &said["arguments"], async |_| Ok(())).await;
        match done {
            Ok(()) => tell!("{}", serde_json::json!({"ran": said["arguments"]})),
            Err(error) => tell!("{}", serde_json::json!({"refused": error.code(), "details": error.details()})),
        }
    }
    agent.leave().await.ok();
    governance.close().await.unwrap();
}
