//! The runs that go on: found without walking through every one that ever was, and ended by whoever began them.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use governance::guard::{Admissions, Recorder, Role, health};
use governance::store::Commit;
use governance::vocabulary::{AgentRole, AgentStatus, PipelineId, Tier};
use governance::{ErrorKind, RevocationEngine};
use governance_tests::world::{Backend, World};

governance_tests::on_every_backend! {
    a_pipeline_ends_once_its_agents_have_and_nobody_joins_it_any_more
    a_run_that_was_stopped_is_listed_apart_until_it_goes_on
    health_does_not_ask_once_for_each_run_that_ever_was
}

fn pipe() -> PipelineId {
    PipelineId::new("pipe").unwrap()
}

async fn lists(world: &World) -> (Vec<String>, Vec<String>) {
    let store = world.store().await;
    let keys = store.keys();
    (store.set(keys.pipelines_open()).await.unwrap(), store.set(keys.pipelines_stopped()).await.unwrap())
}

fn a_pipeline_ends_once_its_agents_have_and_nobody_joins_it_any_more(on: Backend) {
    on.story(async |world| {
        let admission = world.pipeline(&pipe()).await;
        let (store, agent) = world.agent(&admission, &pipe(), "alpha-1").await;
        let admissions = Admissions::new(&store, &Recorder::default());
        let refused = admissions.end_pipeline(&pipe()).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Conflict, "agents_live"));
        assert!(refused.to_string().contains("`alpha-1` still lives"), "{refused}");
        let left = [("status", AgentStatus::Completed)];
        store.apply(agent.commit().merge(store.keys().agent_state(&agent.id), left)).await.unwrap();
        admissions.end_pipeline(&pipe()).await.unwrap();
        admissions.end_pipeline(&pipe()).await.unwrap();
        let state = store.state(store.keys().pipeline(&pipe())).await.unwrap().unwrap();
        assert_eq!((state.field("status"), lists(&world).await), ("COMPLETED", (vec![], vec![])));
        let role = Role { role: AgentRole::Alpha, tier: Tier::T1 };
        let late = admissions.admit(&admission, &pipe(), &"alpha-2".parse().unwrap(), role).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Revoked, "{late}");
        // A run ends by itself, and what has ended otherwise stays so.
        let run = PipelineId::new("run").unwrap();
        world.pipeline(&run).await;
        store.apply(Commit::default().raise(store.keys().pipeline_owner_fence(&run))).await.unwrap();
        assert_eq!(admissions.end_pipeline(&run).await.unwrap_err().code(), "owned");
        RevocationEngine::open(&store).stop_pipeline(&run, "a drill").await.unwrap();
        assert_eq!(admissions.end_pipeline(&run).await.unwrap_err().code(), "already_ended");
        assert_eq!(admissions.end_pipeline(&"nothing".parse().unwrap()).await.unwrap_err().code(), "no_such_pipeline");
    });
}

fn a_run_that_was_stopped_is_listed_apart_until_it_goes_on(on: Backend) {
    on.story(async |world| {
        world.pipeline(&pipe()).await;
        let (open, none) = (vec!["pipe".to_owned()], Vec::<String>::new());
        assert_eq!(lists(&world).await, (open.clone(), none.clone()));
        RevocationEngine::open(&world.store().await).stop_pipeline(&pipe(), "a drill").await.unwrap();
        assert_eq!(lists(&world).await, (none, open));
    });
}

fn health_does_not_ask_once_for_each_run_that_ever_was(on: Backend) {
    const RUNS: usize = 200;
    on.story(async |world| {
        let admissions = Admissions::new(&world.store().await, &Recorder::default());
        let id = |number| PipelineId::new(format!("pipe-{number}")).unwrap();
        join_all((0..RUNS).map(async |number| admissions.begin_pipeline(&id(number), "try it").await.unwrap())).await;
        let role = Role { role: AgentRole::Alpha, tier: Tier::T1 };
        let above = admissions.begin_pipeline(&pipe(), "try it").await.unwrap();
        let agent = admissions.admit(&above, &pipe(), &"alpha-1".parse().unwrap(), role).await.unwrap();
        let store = world.store().await;
        store.apply(agent.commit().merge(store.keys().agent_state(&agent.id), [("status", AgentStatus::Running)])).await.unwrap();
        let (counted, reads) = world.counted().await;
        let before = reads.load(Ordering::SeqCst);
        let found = health::agents(&counted).await.unwrap();
        assert!(found.reason.contains("alpha-1"), "who is silent is still found: {}", found.reason);
        let asked = reads.load(Ordering::SeqCst) - before;
        assert!(asked <= 10, "{asked} questions for {RUNS} runs");
        join_all((0..RUNS).map(async |number| admissions.end_pipeline(&id(number)).await.unwrap())).await;
        assert_eq!(lists(&world).await.0, ["pipe"]);
    });
}
