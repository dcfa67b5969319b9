//! A running agent sees a change within a second, and its work goes on; what is not good changes nothing and is told.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use governance::vocabulary::PipelineId;
use governance::{Config, Governance};
use governance_tests::program::{Living, PATIENCE, User};
use governance_tests::servers::{Product, Server};
use governance_tests::task::Task;
use serde_json::Value;

/// Within a second a change is seen in every process; a busy machine lets whoever sees it wait.
const D: Duration = Duration::from_secs(5);

/// A profile of the name that the agent joins by.
pub fn profile(version: &str, allowed: &str) -> String {
    format!(
        "agent_id: alpha\nagent_version: '{version}'\ntier: T1\nconstraints:\n  allowed_actions: [write_file]\n  allowed_targets: [{allowed}]\n"
    )
}

pub fn written(user: &User, name: &str, text: &str) -> String {
    let path = user.path(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn worker() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("governance-worker")
}

/// An agent in a process of its own that asks whether it may write to `sandbox-1`, again and again.
fn agent(user: &User) -> (Living, std::process::ChildStdin) {
    let (runtime, config) = (tokio::runtime::Runtime::new().unwrap(), user.config());
    let task = runtime.block_on(async {
        let governance = Governance::open(Config { ..config.clone() }).await.unwrap();
        let pipeline: PipelineId = governance.begin("be governed").await.unwrap();
        let mut actor = governance.actor("tests").await.unwrap();
        actor.pipeline = Some(pipeline);
        let store = config.store_url().unwrap();
        governance.close().await.unwrap();
        Task { store, home: config.home.clone(), actor, number: 0, ttl_ms: 0 }
    });
    let mut command = Command::new(worker());
    command.arg("follow").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let (living, mut input) = Living::led(command);
    std::io::Write::write_all(&mut input, format!("{}\n", serde_json::to_string(&task).unwrap()).as_bytes()).unwrap();
    (living, input)
}

/// The alert that tells of what was refused.
fn alert(user: &User) -> Value {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let governance = Governance::visit(user.config()).await.unwrap();
        let store = governance.store();
        let end = Instant::now() + PATIENCE;
        loop {
            let alerts = store.list(store.keys().alerts_queue(), 100).await.unwrap();
            let mut alerts = alerts.iter().map(|alert| serde_json::from_slice::<Value>(alert).unwrap());
            if let Some(found) = alerts.find(|alert| alert["type"] == "policy_refused") {
                return found;
            }
            assert!(Instant::now() < end, "no alert in time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

fn tell(user: User) {
    user.object(&["stop", "--lift", "--reason", "a beginning"]);
    let (mut agent, input) = agent(&user);
    // The shipped profile of its tier: sandboxes are allowed.
    assert!(agent.line().unwrap().contains("allow"));
    let none = written(&user, "alpha.yaml", &profile("1", "nothing-*"));
    let applied = user.object(&["policy", "apply", &none, "--note", "a drill", "--by", "ann"]);
    let at = Instant::now();
    let denied = agent.line().unwrap();
    assert!(at.elapsed() < D, "seen after {:?}", at.elapsed());
    assert!(denied.contains(&format!("deny {}", applied["hash"].as_str().unwrap())), "{denied}");
    assert_eq!((&applied["version"], &applied["by"], &applied["note"]), (&1.into(), &"ann".into(), &"a drill".into()));
    // What is not good changes nothing.
    let bad = written(&user, "bad.yaml", &profile("2", "'sandbox-[ab]'"));
    user.does(&["policy", "apply", &none, &bad]).explains("sandbox-[ab]");
    let again = written(&user, "alpha.yaml", &profile("3", "sandbox-*"));
    let applied = user.object(&["policy", "apply", &again]);
    let at = Instant::now();
    let allowed = agent.line().unwrap();
    assert!(
        at.elapsed() < D && allowed.contains(&format!("allow {}", applied["hash"].as_str().unwrap())),
        "{allowed} after {:?}",
        at.elapsed()
    );
    assert_eq!(applied["version"], 2, "the bad one is no version");
    let back = user.object(&["policy", "rollback", "alpha"]);
    assert!(agent.line().unwrap().contains("deny"));
    assert_eq!((&back["version"], &back["of"]), (&3.into(), &1.into()));
    let withdrawn = user.object(&["policy", "withdraw", "alpha"]);
    assert_eq!(withdrawn["withdrawn"], true);
    assert!(agent.line().unwrap().contains("deny"), "who was governed by it is denied everything");
    let back = user.object(&["policy", "rollback", "alpha", "--to", "2"]);
    assert!(agent.line().unwrap().contains("allow"));
    assert_eq!(back["version"], 5);
    // A directory that another process watches: what is good comes into force, what is not changes nothing and is an alert.
    let folder = user.path("policies");
    std::fs::create_dir(&folder).unwrap();
    let watching = user.start(&["policy", "watch", folder.to_str().unwrap()]);
    std::fs::write(folder.join("alpha.yaml"), profile("5", "localhost")).unwrap();
    let denied = agent.line().unwrap();
    assert!(denied.contains("deny"), "{denied}");
    std::fs::write(folder.join("alpha.yaml"), profile("6", "'sandbox-[ab]'")).unwrap();
    assert_eq!(alert(&user)["data"]["file"], "alpha.yaml");
    let held = user.object(&["policy", "show", "alpha"]);
    assert_eq!((&held["version"], denied.ends_with(held["hash"].as_str().unwrap())), (&6.into(), true));
    watching.interrupt();
    assert_eq!(watching.end().calm().code, Some(0));
    let calls = |line: &str| line.split(' ').next().unwrap().parse::<u64>().unwrap();
    drop(input);
    let called = agent.until("called");
    assert!(called.strip_prefix("called ").unwrap().parse::<u64>().unwrap() > calls(&allowed), "its work went on: {called}");
    let history = user.objects(&["policy", "history", "alpha"]);
    assert_eq!(history.iter().map(|version| version["version"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(user.verified()["intact"], true);
}

#[test]
fn a_change_reaches_a_running_agent_within_a_second_on_the_file() {
    tell(User::default());
}

fn on_a_server(product: Product) {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let server = Server::start(product, folder.path(), "server", &[]);
    tell(User::of(format!("redis://127.0.0.1:{}", server.port)));
}

#[test]
fn a_change_reaches_a_running_agent_within_a_second_on_redis() {
    on_a_server(Product::Redis);
}

#[test]
fn a_change_reaches_a_running_agent_within_a_second_on_valkey() {
    on_a_server(Product::Valkey);
}
