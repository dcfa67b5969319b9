//! A server that stands still while many call at once: each is told within one deadline, not one after the other.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use governance::guard::limits::Limits;
use governance::guard::policies::Policies;
use governance::guard::policy::{Policy, Request};
use governance::guard::{Admissions, Arguments, Guard, Recorder, Role, Triggers};
use governance::ledger::{Durability, Ledger};
use governance::store::{Actor, Store};
use governance::vocabulary::{AgentId, AgentRole, PipelineId, Ports, Tier, UseLimits};
use governance_tests::program::signal;
use governance_tests::rigs::RedisRig;
use governance_tests::world::until;
use rustix::process::Signal;

/// How long a call waits for the store.
const DEADLINE: Duration = Duration::from_millis(500);
/// How many call at once.
const CALLERS: usize = 8;
const LONG: Duration = Duration::from_secs(3_600);

/// A store's agents in one process.
struct Scene {
    rig: std::sync::Arc<RedisRig>,
    store: Store,
    recorder: Recorder,
    _home: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        let rig = super::redis7();
        let store = super::store(&rig).await.within(DEADLINE);
        let home = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(home.path(), Ports::default(), Durability::Process).await.unwrap();
        Self { rig, store, recorder: Recorder::new(&ledger, "the-store"), _home: home }
    }

    async fn agents(&self, count: usize) -> Vec<Actor> {
        let (admissions, pipe) = (Admissions::new(&self.store, &Recorder::default()), PipelineId::new("pipe").unwrap());
        let above = admissions.begin_pipeline(&pipe, "try it").await.unwrap();
        let role = Role { role: AgentRole::Alpha, tier: Tier::T1 };
        let id = |number| AgentId::new(format!("alpha-{number}")).unwrap();
        join_all((0..count).map(async |number| admissions.admit(&above, &pipe, &id(number), role).await.unwrap())).await
    }

    fn guard(&self, actor: &Actor) -> Guard {
        Guard::open(&self.store, actor, &self.recorder, Policy::shipped(Tier::T1).unwrap()).believing(LONG)
    }

    /// All call at once while the server stands still.
    async fn calls_in_vain(&self, guards: &[Guard]) {
        let pid = self.rig.with_server(|server| server.pid());
        signal(pid, Signal::STOP);
        let began = Instant::now();
        let called =
            join_all(guards.iter().map(async |guard| call(guard).await.map(|()| began.elapsed()).map_err(|e| (e, began.elapsed())))).await;
        signal(pid, Signal::CONT);
        for told in called {
            let (error, after) = told.unwrap_err();
            assert!(error.may_retry() || error.code() == "undecided", "{error}");
            assert!(after < DEADLINE * (CALLERS as u32 / 2), "{error}: after {after:?}");
        }
        // And once it answers again, each goes on: a busy machine may need more than one deadline for that.
        let goes_on = async |guard| until("it goes on", async || call(guard).await.is_ok()).await;
        join_all(guards.iter().map(goes_on)).await;
    }
}

async fn call(guard: &Guard) -> governance::Result<()> {
    guard.begin(&Request::new("write_file").on("sandbox-1"), &Arguments::of(&serde_json::json!({}))).await?.done()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_to_hear_of_the_policies_shares_the_answer_that_does_not_come() {
    let scene = Scene::set().await;
    let policies = Policies::new(&scene.store, &scene.recorder).refreshed_every(LONG);
    let mut guards = Vec::new();
    for actor in scene.agents(CALLERS).await {
        guards.push(scene.guard(&actor).with_policy(policies.source(&actor, Tier::T1).await.unwrap()));
    }
    join_all(guards.iter().map(async |guard| call(guard).await.unwrap())).await;
    // Nothing that was heard before is believed now.
    let believed = DEADLINE / 100;
    let guards: Vec<_> = guards.into_iter().map(|guard| guard.believing(believed)).collect();
    tokio::time::sleep(believed * 2).await;
    scene.calls_in_vain(&guards).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_to_be_watched_over_shares_the_answer_that_does_not_come() {
    let scene = Scene::set().await;
    let guards: Vec<_> = scene.agents(CALLERS).await.iter().map(|actor| scene.guard(actor)).collect();
    scene.calls_in_vain(&guards).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_to_draw_from_limits_shares_the_answer_that_does_not_come() {
    let scene = Scene::set().await;
    let actor = scene.agents(1).await.remove(0);
    let guard = scene.guard(&actor);
    call(&guard).await.unwrap();
    let limits = Limits::open(
        &scene.store,
        &actor,
        &scene.recorder,
        UseLimits { calls_per_minute: Some(100), ..UseLimits::default() },
        &Triggers::default(),
    );
    scene.calls_in_vain(&vec![guard.limited(limits.of_tools()); CALLERS]).await;
}
