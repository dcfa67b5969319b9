//! The end of a pipeline: stopped or revoked, at whatever moment, and never rewritten.

use governance::guard::{Admissions, Recorder, Role};
use governance::store::Commit;
use governance::vocabulary::{AgentId, AgentRole, AgentStatus, PipelineId, PipelineStatus, RevocationType, Tier};
use governance::{ErrorKind, RevocationEngine};
use governance_tests::world::{Backend, World};

governance_tests::on_every_backend! {
    a_stop_leaves_the_end_of_what_has_ended_and_still_nothing_lands
    a_stop_is_not_lost_between_two_states_of_its_pipeline
    no_agent_that_begins_while_its_pipeline_is_revoked_escapes
    agents_that_had_ended_are_not_revoked
}

fn pipe() -> PipelineId {
    PipelineId::new("pipe").unwrap()
}

async fn status(world: &World) -> (String, String) {
    let store = world.store().await;
    let state = store.state(store.keys().pipeline(&pipe())).await.unwrap().unwrap();
    (state.field("status").to_owned(), state.field("reason").to_owned())
}

fn a_stop_leaves_the_end_of_what_has_ended_and_still_nothing_lands(on: Backend) {
    on.story(async |world| {
        let admission = world.pipeline(&pipe()).await;
        let (store, agent) = world.agent(&admission, &pipe(), "a0").await;
        let completed = [("status", PipelineStatus::Completed.as_str()), ("reason", "decided")];
        store.apply(Commit::by(&admission).merge(store.keys().pipeline(&pipe()), completed)).await.unwrap();
        let engine = RevocationEngine::open(&store);
        let first = engine.stop_pipeline(&pipe(), "too late").await.unwrap();
        assert_eq!(status(&world).await, ("COMPLETED".to_owned(), "decided".to_owned()));
        let state = store.keys().agent_state(&agent.id);
        let late = store.apply(agent.commit().merge(state, [("phase", "EXIT")])).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Revoked);
        // Again, it is the same end, and a later epoch.
        assert!(engine.stop_pipeline(&pipe(), "once more").await.unwrap().epoch > first.epoch);
        assert_eq!(status(&world).await.1, "decided");
    });
}

fn a_stop_is_not_lost_between_two_states_of_its_pipeline(on: Backend) {
    on.story(async |world| {
        let admission = world.pipeline(&pipe()).await;
        let (store, by) = (world.store().await, admission.clone());
        // A governor that goes from state to state as fast as it can, until it is refused.
        let governor = tokio::spawn(async move {
            for round in 0.. {
                let status = if round % 2 == 0 { PipelineStatus::Running } else { PipelineStatus::Orchestrating };
                let going = Commit::by(&by).merge(store.keys().pipeline(&pipe()), [("status", status.as_str())]);
                if let Err(error) = store.apply(going).await {
                    return error.kind();
                }
                tokio::task::yield_now().await;
            }
            unreachable!()
        });
        RevocationEngine::open(&world.store().await).stop_pipeline(&pipe(), "enough").await.unwrap();
        assert_eq!(governor.await.unwrap(), ErrorKind::Revoked);
        assert_eq!(status(&world).await, ("STOPPED".to_owned(), "enough".to_owned()));
    });
}

fn no_agent_that_begins_while_its_pipeline_is_revoked_escapes(on: Backend) {
    on.story(async |world| {
        let admission = world.pipeline(&pipe()).await;
        world.agent(&admission, &pipe(), "a0").await;
        let (store, by) = (world.store().await, admission.clone());
        let spawner = tokio::spawn(async move {
            let admissions = Admissions::new(&store, &Recorder::default());
            for number in 1..500 {
                let id = AgentId::new(format!("a{number}")).unwrap();
                let role = Role { role: AgentRole::Beta, tier: Tier::T0 };
                if let Err(error) = admissions.admit(&by, &pipe(), &id, role).await {
                    return (number, Some(error.kind()));
                }
            }
            (500, None)
        });
        let store = world.store().await;
        let engine = RevocationEngine::open(&store);
        let revoked = engine.revoke_pipeline(&pipe(), RevocationType::Policy, "left its paths").await.unwrap();
        let (begun, refused) = spawner.await.unwrap();
        assert!(refused.is_none_or(|kind| kind == ErrorKind::Revoked), "{refused:?}");
        assert_eq!((revoked.revoked.len(), revoked.ended.len()), (begun, 0), "each that began was gone through");
        for id in &revoked.revoked {
            let why = engine.revocation_of(id).await.unwrap().unwrap();
            assert_eq!((why.kind, why.reason.as_str()), (RevocationType::Policy, "left its paths"));
            assert!(store.cell(store.keys().agent_handoff(id)).await.unwrap().is_some());
        }
    });
}

fn agents_that_had_ended_are_not_revoked(on: Backend) {
    on.story(async |world| {
        let admission = world.pipeline(&pipe()).await;
        let (store, done) = world.agent(&admission, &pipe(), "a0").await;
        world.agent(&admission, &pipe(), "a1").await;
        let state = store.keys().agent_state(&done.id);
        store.apply(done.commit().merge(state, [("status", AgentStatus::Completed.as_str())])).await.unwrap();
        let engine = RevocationEngine::open(&store);
        let revoked = engine.revoke_pipeline(&pipe(), RevocationType::Manual, "a drill").await.unwrap();
        assert_eq!((revoked.revoked.len(), &revoked.ended), (1, &vec![done.id.clone()]));
        assert!(engine.revocation_of(&done.id).await.unwrap().is_none());
        assert_eq!(engine.revoke_pipeline(&pipe(), RevocationType::Manual, "again").await.unwrap().revoked, revoked.revoked);
        let none = engine.revoke_pipeline(&PipelineId::new("none").unwrap(), RevocationType::Manual, "?").await.unwrap_err();
        assert_eq!(none.code(), "no_such_pipeline");
    });
}
