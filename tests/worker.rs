//! Another process: does one thing to a store as fast as it can, and tells on its standard output what came of it, a line each.
//!
//! `governance-worker ROLE` reads one line of JSON (a [`Task`]) from its standard input; later lines are told what to do next.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use governance::coordination::{Blackboard, CaretakerStatus, Written};
use governance::guard::limits::{Asked, Limits};
use governance::guard::policy::Request;
use governance::guard::{Admissions, Breaker, CircuitLimits, Heartbeat, Pass, Recorder, Role, Spend, Triggers, Unit};
use governance::ledger::{Action, Durability, Ledger, OutcomeResult};
use governance::store::{Actor, Store};
use governance::vocabulary::{AgentId, AgentRole, PipelineId, Ports, Section, TaskId, Tier, UseLimits};
use governance::{Config, ErrorBudget, ErrorKind, Governance, Joining};
use governance_tests::task::Task;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let task: Task = serde_json::from_str(&line().expect("a task")).unwrap();
    let store = Store::open(&task.store).await.unwrap();
    match std::env::args().nth(1).as_deref() {
        Some("spend") => spend(&store, &task).await,
        Some("call") => call(&store, &task).await,
        Some("try") => try_again(&store, &task).await,
        Some("replace") => replace(&store, &task).await,
        Some("write") => write(&store, &task).await,
        Some("spawn") => spawn(&store, &task).await,
        Some("keep") => keep(&store, &task).await,
        Some("agent") => agent(&store, &task).await,
        Some("follow") => follow(&task).await,
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

/// Lives so many lives as an agent of a profile, one after another, each with a governed call.
async fn live(governance: &Governance, pipeline: &PipelineId, said: &serde_json::Value, lives: u64) -> serde_json::Value {
    let (profile, action) = (said["profile"].as_str().unwrap(), said["action"].as_str().unwrap());
    let tier = said["tier"].as_str().map(|tier| tier.parse().unwrap());
    let joining = Joining { role: Some(AgentRole::Beta), tier, ..Joining::default() };
    for _ in 0..lives {
        let lived = async {
            let agent = governance.agent(profile, pipeline, joining.clone()).await?;
            agent.govern(&Request::new(action).on("sandbox-1"), &serde_json::json!({}), async |_| Ok(())).await?;
            agent.leave().await
        };
        if let Err(error) = lived.await {
            return serde_json::json!({"refused": error.code(), "message": error.to_string()});
        }
    }
    serde_json::json!({"lived": lives})
}

/// Makes governed calls as an agent, held to the limits of its pipeline, until one is refused for good; tells `started n` in each.
async fn call(store: &Store, task: &Task) {
    let ledger = Ledger::open(&task.home, Ports::default(), Durability::Process).await.unwrap();
    let recorder = Recorder::new(&ledger, &task.store);
    let free = UseLimits { calls_per_minute: Some(1 << 40), ..UseLimits::default() };
    let limits = Limits::open(store, &task.actor, &recorder, free, &Triggers::default());
    let (mut number, pause) = (0, Duration::from_millis(task.ttl_ms));
    loop {
        let taken = match limits.take(Asked::default(), Duration::from_secs(1)).await {
            Ok(taken) => taken,
            // Denied because the store does not answer: one who was frozen may hold it up.
            Err(error) if error.may_retry() => continue,
            Err(error) if error.code() == "too_many_at_once" => {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
                break tell!("refused {}", error.code());
            }
        };
        let subject = (Some(&task.actor.id), task.actor.pipeline.as_ref());
        let intent = recorder.intent(store, Action::ToolCall, subject.0, subject.1, &number).unwrap();
        if taken.confirm().is_err() {
            recorder.outcome(&intent, OutcomeResult::Error, &"lapsed").unwrap();
            continue;
        }
        number += 1;
        // The machine itself counts who is under way at the same time, and lets the place of the dead go.
        let place = (task.number > 0).then(|| place(task).expect("more calls at the same time than there are places"));
        tell!("started {number}");
        // The action.
        tokio::time::sleep(pause).await;
        recorder.outcome(&intent, OutcomeResult::Ok, &number).unwrap();
        drop(place);
        if let Err(error) = taken.end(Asked::default(), false).await {
            assert!(error.may_retry(), "{error}");
        }
    }
}

/// One of so many files, locked.
fn place(task: &Task) -> Option<File> {
    let file = |number: u64| File::create(task.home.join(format!("place-{number}"))).unwrap();
    (0..task.number).map(file).find(|file| file.try_lock().is_ok())
}

/// Asks a breaker again and again. A trial fails as long as there is a file `ill`; tells of each, and that it was closed at last.
async fn try_again(store: &Store, task: &Task) {
    let pause = Duration::from_millis(task.ttl_ms);
    let limits = CircuitLimits { pause, ..CircuitLimits::default() };
    let breaker = Breaker::open(store, &task.actor, "a-service").with_limits(limits);
    loop {
        match breaker.ask(pause * 2).await.unwrap() {
            Err(interrupted) => tokio::time::sleep(interrupted.after.min(Duration::from_millis(5))).await,
            Ok(Pass::Free) => break tell!("closed"),
            Ok(pass) => {
                let tries = place(task).expect("two try at the same time");
                tell!("tries");
                tokio::time::sleep(pause / 4).await;
                drop(tries);
                if task.home.join("ill").exists() { breaker.failed(pass).await } else { breaker.succeeded(pass).await }.unwrap();
                tell!("tried");
            }
        }
    }
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
    // As long as its heart is missed: who looks on has time to see that it holds it.
    let allowance = budget.allowance(Unit::Calls, task.number, interval * 3);
    for _ in 0..3 {
        assert!(matches!(allowance.draw(1).await.unwrap(), Spend::Admitted { .. }));
    }
    tell!("lives");
    line();
}

/// Asks for one thing over and over as an agent that joined; tells each time that the answer is another one than before, and how many calls were made.
async fn follow(task: &Task) {
    let config = Config { home: task.home.clone(), store: Some(task.store.clone()), ..Config::default() };
    let governance = Governance::open(config).await.unwrap();
    let pipeline = task.actor.pipeline.clone().unwrap();
    let alpha = governance.agent("alpha", &pipeline, Joining { tier: Some(Tier::T1), ..Joining::default() }).await.unwrap();
    let stop = tokio::task::spawn_blocking(line);
    let (mut calls, mut before) = (0_u64, String::new());
    while !stop.is_finished() {
        // Asked for without being called: a denial would be held against the agent.
        let decision = alpha.desk().guard().decide(&Request::new("write_file").on("sandbox-1")).await.unwrap();
        calls += 1;
        let now = format!("{} {}", decision.verdict(), decision.policy_hash());
        if now != before {
            tell!("{calls} {now}");
            before = now;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tell!("called {calls}");
    governance.close().await.unwrap();
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
        if let Some(lives) = said["lives"].as_u64() {
            tell!("{}", live(&governance, &pipeline, &said, lives).await);
            continue;
        }
        let mut guard = agent.desk().guard().clone().waiting(Duration::from_millis(said["waiting_ms"].as_u64().unwrap_or(0)));
        if let Some(presented) = said["presented"].as_str() {
            guard = guard.presenting(&presented.parse().unwrap());
        }
        let risks: Vec<&str> = said["risks"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
        let request = Request::new("terraform_apply").on("prod-db").risking(&risks);
        let done = guard.govern(&request, &said["arguments"], async |_| Ok(())).await;
        match done {
            Ok(()) => tell!("{}", serde_json::json!({"ran": said["arguments"]})),
            Err(error) => tell!("{}", serde_json::json!({"refused": error.code(), "details": error.details()})),
        }
    }
    agent.leave().await.ok();
    governance.close().await.unwrap();
}
