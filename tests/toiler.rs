//! Another process with an agent of its own, whose tool runs when everything is stopped.
//!
//! `governance-toiler HOME STORE HOW` joins a pipeline and tells `AGENT PIPELINE`; then, by `HOW`:
//! `toils` runs a tool that would not end, `idles` holds the agent, and `before`, `between` and `within` stop this process by SIGSTOP before its
//! check, between its intent and its check, and within its tool; each tells what came of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governance::guard::Guard;
use governance::guard::policy::{Policy, Request};
use governance::store::{Actor, Store};
use governance::vocabulary::{Clock, Millis, Ports, Section, System, TenantId, Tier};
use governance::{Agent, Blackboard, Config, Governance, Joining};
use serde_json::json;

/// A clock at which the process stops, when it is asked for the time for so many times.
#[derive(Default)]
struct Trap(AtomicU64);

impl Clock for Trap {
    fn now(&self) -> Millis {
        System.now()
    }

    fn elapsed(&self) -> Duration {
        if self.0.load(Ordering::SeqCst) > 0 && self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            stop();
        }
        System.elapsed()
    }
}

/// Stops this process until it is told to go on.
fn stop() {
    tell("stopped");
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP).unwrap();
    // Another thread may take the signal, and this one have gone on for some microseconds before all stand still: enough for a governed call.
    // The time that it sleeps for is over when the process is told to go on.
    std::thread::sleep(Duration::from_secs(1));
}

fn tell(what: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{what}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let store = Some(words[1].clone()).filter(|store| !store.is_empty());
    let config = Config { home: PathBuf::from(&words[0]), store, ..Config::default() };
    let url = config.store_url().unwrap();
    // Who keeps house and is stopped in the middle of it holds the embedded file up for everybody: that is another story.
    let governance = Governance::visit(config).await.unwrap();
    let pipeline = governance.begin("Toil").await.unwrap();
    let agent = governance.agent("alpha", &pipeline, Joining { tier: Some(Tier::T1), ..Joining::default() }).await.unwrap();
    tell(&format!("{} {pipeline}", agent.desk().actor().id));
    match words[2].as_str() {
        "toils" => toil(&agent).await,
        "idles" => tell(&format!("{:?}", agent.next_event().await)),
        how => freeze(&governance, agent.desk().actor(), &url, how).await,
    }
    drop(agent);
    let _ = tokio::time::timeout(Duration::from_secs(10), governance.close()).await;
}

async fn toil(agent: &Agent) {
    let request = Request::new("write_file").on("localhost");
    let done = agent
        .govern(&request, &json!({}), async |_| {
            tell("toils");
            std::future::pending::<()>().await;
            Ok(())
        })
        .await;
    tell(done.unwrap_err().code());
    // What it tries afterwards.
    let late = agent
        .govern(&request, &json!({}), async |_| {
            tell("ran");
            Ok(())
        })
        .await;
    tell(late.unwrap_err().code());
    let late = agent.desk().board().post(Section::Progress, "late", &1).await;
    tell(late.unwrap_err().code());
}

/// Governs a tool that writes, and is stopped on the way there.
async fn freeze(governance: &Governance, actor: &Actor, url: &str, how: &str) {
    let trap = Arc::new(Trap::default());
    let ports = Ports { clock: trap.clone(), ..Ports::default() };
    let store = Store::open_as(url, &TenantId::default(), ports).await.unwrap();
    let guard = Guard::open(&store, actor, governance.recorder(), Policy::shipped(Tier::T1).unwrap());
    let request = Request::new("write_file").on("localhost");
    // The first call: from now on its admission is believed to hold.
    guard.govern(&request, &json!({}), async |_| Ok(())).await.unwrap();
    let board = Blackboard::open(governance.store(), &actor.pipeline.as_ref().unwrap().task(), actor);
    let within = how == "within";
    trap.0.store(
        match how {
            "before" => 1,
            "between" => 2,
            _ => 0,
        },
        Ordering::SeqCst,
    );
    let done = guard
        .govern(&request, &json!({}), async |_| {
            tell("ran");
            if within {
                stop();
            }
            board.post(Section::Progress, "effect", &1).await
        })
        .await;
    tell(done.unwrap_err().code());
}
