//! How far a revocation reaches, and whom it takes with it.

use std::time::Duration;

use governance::guard::{Admissions, Heartbeat, Recorder, Role, execution_lock};
use governance::store::{Actor, Commit, Store};
use governance::vocabulary::{AgentId, AgentRole, Extent, PipelineId, RevocationType, Section, Tier};
use governance::{Blackboard, ErrorKind, RevocationEngine};
use governance_tests::world::{Backend, World};

governance_tests::on_every_backend! {
    token_only_leaves_what_the_agent_kept_and_a_full_revocation_takes_it
    who_was_begun_by_a_revoked_agent_is_revoked_by_name
    children_that_are_being_begun_are_refused_or_named
    two_administrators_at_once_leave_one_truth
    lifting_says_what_stays_stopped
}

fn pipe() -> PipelineId {
    PipelineId::new("pipe").unwrap()
}

async fn lands(store: &Store, actor: &Actor, name: &str) -> bool {
    match Blackboard::open(store, &pipe().task(), actor).post(Section::Progress, name, &1).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Revoked, "{error}");
            false
        }
    }
}

fn token_only_leaves_what_the_agent_kept_and_a_full_revocation_takes_it(on: Backend) {
    on.story(async |world| {
        let admission = world.pipeline(&pipe()).await;
        for (name, extent) in [("token", Extent::Token), ("full", Extent::Full)] {
            let (store, actor) = world.agent(&admission, &pipe(), name).await;
            let (keys, engine) = (store.keys(), RevocationEngine::open(&store));
            let lease = execution_lock(&store, &actor).await.unwrap().unwrap();
            let heart = Heartbeat::start(&store, &actor, Duration::from_secs(30)).await.unwrap();
            assert!(lands(&store, &actor, &format!("{name}-before")).await);
            match extent {
                Extent::Token => engine.revoke_token(&actor.id, RevocationType::Policy, "a drill").await.unwrap(),
                Extent::Full => engine.revoke(&actor.id, RevocationType::Policy, "a drill").await.unwrap(),
            };
            assert_eq!(engine.revocation_of(&actor.id).await.unwrap().unwrap().extent, extent);
            // Either way nothing more lands, what had landed stays, and there is a handoff.
            assert!(!lands(&store, &actor, &format!("{name}-after")).await);
            let board = Blackboard::open(&store, &pipe().task(), &actor);
            assert!(board.entry(Section::Progress, &format!("{name}-before")).await.unwrap().is_some());
            assert!(store.cell(keys.agent_handoff(&actor.id)).await.unwrap().is_some());
            let kept = [keys.agent_lock(&actor.id), keys.agent_heartbeat(&actor.id)];
            for key in kept {
                assert_eq!(store.cell(key.clone()).await.unwrap().is_some(), extent == Extent::Token, "{key}");
            }
            let told = store.list(keys.pipeline_errors(&pipe()), 10).await.unwrap();
            assert_eq!(told.len(), usize::from(extent == Extent::Full), "the pipeline is told of what is taken from it");
            drop((lease, heart));
        }
    });
}

async fn begin(world: &World, parent: &Actor, name: &str) -> Actor {
    world.agent(&parent.admission, &pipe(), name).await.1
}

fn who_was_begun_by_a_revoked_agent_is_revoked_by_name(on: Backend) {
    on.story(async |world| {
        let (store, parent) = world.agent(&world.pipeline(&pipe()).await, &pipe(), "parent").await;
        let child = begin(&world, &parent, "child").await;
        let grandchild = begin(&world, &child, "grandchild").await;
        let (_, stranger) = world.agent(&admission_above(&parent), &pipe(), "stranger").await;
        let engine = RevocationEngine::open(&store);
        engine.revoke_token(&parent.id, RevocationType::Policy, "a drill").await.unwrap();
        for actor in [&parent, &child, &grandchild] {
            assert!(!lands(&store, actor, actor.id.as_str()).await);
            assert!(engine.revocation_of(&actor.id).await.unwrap().unwrap().reason.ends_with("a drill"), "{}", actor.id);
        }
        assert!(engine.revocation_of(&grandchild.id).await.unwrap().unwrap().reason.contains("`child`"));
        assert_eq!(engine.revocations(10).await.unwrap().len(), 3, "a line each");
        assert!(lands(&store, &stranger, "stranger").await && engine.revocation_of(&stranger.id).await.unwrap().is_none());
    });
}

/// What an agent was begun under.
fn admission_above(actor: &Actor) -> governance::store::Admission {
    let (_, above) = actor.admission.0.split_last().unwrap();
    governance::store::Admission(above.into())
}

fn children_that_are_being_begun_are_refused_or_named(on: Backend) {
    on.story(async |world| {
        let (store, parent) = world.agent(&world.pipeline(&pipe()).await, &pipe(), "parent").await;
        let (spawner, above) = (world.store().await, parent.admission.clone());
        let begins = async {
            let (admissions, mut begun) = (Admissions::new(&spawner, &Recorder::default()), Vec::new());
            let role = Role { role: AgentRole::Beta, tier: Tier::T1 };
            for number in 0.. {
                let id = AgentId::new(format!("child-{number}")).unwrap();
                match admissions.admit(&above, &pipe(), &id, role).await {
                    Ok(actor) => begun.push(actor),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Revoked, "{error}");
                        break;
                    }
                }
                tokio::task::yield_now().await;
            }
            begun
        };
        let engine = RevocationEngine::open(&store);
        let revoke = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            engine.revoke(&parent.id, RevocationType::Manual, "a drill").await.unwrap();
        };
        let (begun, ()) = tokio::join!(begins, revoke);
        for child in begun {
            assert!(!lands(&store, &child, child.id.as_str()).await, "{} outlived its parent", child.id);
            assert!(engine.revocation_of(&child.id).await.unwrap().is_some(), "{} was not named", child.id);
        }
    });
}

fn two_administrators_at_once_leave_one_truth(on: Backend) {
    on.story(async |world| {
        let (_, actor) = world.agent(&world.pipeline(&pipe()).await, &pipe(), "alpha-1").await;
        let (ann, bob) = (RevocationEngine::open(&world.store().await), RevocationEngine::open(&world.store().await));
        let (first, second) = tokio::join!(
            ann.revoke(&actor.id, RevocationType::Manual, "ann says so"),
            bob.revoke_token(&actor.id, RevocationType::Policy, "bob says so")
        );
        assert_eq!(first.unwrap().epoch, second.unwrap().epoch, "one revocation, whoever made it");
        assert_eq!(ann.revocations(10).await.unwrap().len(), 1);
        for round in 0..5 {
            let (stopped, lifted) = tokio::join!(ann.stop_all("ann stops"), bob.lift_because("bob lifts"));
            let (stopped, lifted) = (stopped.unwrap(), lifted.unwrap());
            // Whoever came last decides, and both can tell who that was.
            let in_force = ann.stop_in_force().await.unwrap().is_some();
            let lifts_last = lifted.stop.is_some() && lifted.receipt.generation > stopped.generation;
            assert_eq!(in_force, !lifts_last, "round {round}: {stopped:?} {lifted:?}");
            bob.lift_because("the next round").await.unwrap();
        }
    });
}

fn lifting_says_what_stays_stopped(on: Backend) {
    on.story(async |world| {
        let (store, engine) = (world.store().await, RevocationEngine::open(&world.store().await));
        let run = |name| PipelineId::new(name).unwrap();
        // Runs that an orchestrator carries out, of which one waits for its user, and a pipeline whose agents join by themselves.
        for id in [pipe(), run("stopped"), run("waits"), run("joined")] {
            world.pipeline(&id).await;
            if id != run("joined") {
                store.apply(Commit::default().raise(store.keys().pipeline_owner_fence(&id))).await.unwrap();
            }
        }
        store.apply(Commit::default().merge(store.keys().pipeline(&run("waits")), [("awaiting_user", "true")])).await.unwrap();
        engine.stop_pipeline(&run("stopped"), "a stop of its own").await.unwrap();
        engine.stop_all("a drill").await.unwrap();
        let lifted = engine.lift_because("it is over").await.unwrap();
        assert_eq!((lifted.stop.unwrap().reason.as_str(), lifted.stays_stopped), ("a drill", vec![pipe(), run("stopped")]));
        let again = engine.lift_because("it is over").await.unwrap();
        assert!(again.stop.is_none(), "nothing was left to lift");
    });
}
