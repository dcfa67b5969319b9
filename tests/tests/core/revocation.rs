//! After a revocation returns, nothing of what it ended lands any more.

use std::collections::BTreeMap;

use governance::coordination::{Blackboard, Cursor};
use governance::ledger::{Action, EntryKind, Filter, OutcomeResult};
use governance::store::{Actor, Admission};
use governance::vocabulary::{AgentId, AgentPhase, AgentStatus, Handoff, PipelineId, PipelineStatus, RevocationType, Section, TaskId};
use governance::{ErrorKind, RevocationEngine};
use governance_tests::world::{Backend, STORE_URL, World};
use proptest::prelude::*;
use serde_json::Value;

governance_tests::on_every_backend! {
    after_revoke_returns_no_write_of_the_agent_or_its_descendants_lands
    a_stopped_pipeline_ends_with_all_of_its_agents_and_no_others
    revoking_again_at_once_or_later_changes_nothing
    of_two_revocations_on_their_way_the_first_stands
    a_revocation_writes_what_existing_readers_read
    a_revocation_is_recorded_and_witnessed
    a_revocation_whose_engine_died_holds_or_does_not_and_the_next_one_finishes_it
    a_revocation_lands_when_the_memory_is_full
    after_a_loss_everything_is_denied_until_recovery_and_what_was_admitted_before_stays_refused
    who_is_not_known_cannot_be_revoked
}

fn id(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn pipe(name: &str) -> PipelineId {
    PipelineId::new(name).unwrap()
}

async fn engine(world: &World) -> RevocationEngine {
    RevocationEngine::open(&world.store().await)
}

/// Agents in a tree: each is admitted under the pipeline or under an earlier one.
async fn tree(world: &World, parents: &[Option<usize>]) -> Vec<(Blackboard, Actor, Option<usize>)> {
    let admission = world.pipeline(&pipe("pipe")).await;
    let mut agents: Vec<(Blackboard, Actor, Option<usize>)> = Vec::new();
    for (number, parent) in parents.iter().enumerate() {
        let parent = parent.filter(|_| number > 0).map(|parent| parent % number);
        let above: &Admission = parent.map_or(&admission, |parent| &agents[parent].1.admission);
        let (store, actor) = world.agent(above, &pipe("pipe"), &format!("a{number}")).await;
        agents.push((Blackboard::open(&store, &TaskId::new("t").unwrap(), &actor), actor, parent));
    }
    agents
}

fn descends(agents: &[(Blackboard, Actor, Option<usize>)], who: usize, from: usize) -> bool {
    who == from || agents[who].2.is_some_and(|parent| descends(agents, parent, from))
}

fn after_revoke_returns_no_write_of_the_agent_or_its_descendants_lands(on: Backend) {
    let parents = prop::collection::vec(prop::option::weighted(0.7, 0..8_usize), 2..6);
    on.property((parents, any::<prop::sample::Index>()), async |world, (parents, revoked)| {
        let agents = tree(&world, &parents).await;
        let revoked = revoked.index(agents.len());
        let mut writing = Vec::new();
        for (number, (board, ..)) in agents.iter().enumerate() {
            let board = board.clone();
            writing.push(tokio::spawn(async move {
                let name = format!("by-a{number}");
                // As fast as it can, until it is refused or has shown that it was not.
                for version in 0..40 {
                    match board.put_if(Section::Progress, &name, &version, version).await {
                        Ok(written) => assert!(written.version().is_some()),
                        Err(error) => return Some(error.kind()),
                    }
                }
                None
            }));
        }
        engine(&world).await.revoke(&id(&format!("a{revoked}")), RevocationType::Manual, "a test").await.unwrap();
        let reader = Blackboard::open(&world.store().await, &TaskId::new("t").unwrap(), &agents[0].1);
        let landed = written(&reader).await;
        for (number, writer) in writing.into_iter().enumerate() {
            let ended = writer.await.unwrap();
            assert!(ended.is_none_or(|kind| kind == ErrorKind::Revoked));
            assert!(ended.is_none() || descends(&agents, number, revoked), "an agent that was not revoked was refused");
        }
        let later = written(&reader).await;
        for number in 0..agents.len() {
            let name = format!("a{number}");
            if descends(&agents, number, revoked) {
                assert_eq!(landed.get(&name), later.get(&name), "a late write of {name} landed");
                let refused = agents[number].0.post(Section::Problem, "late", &1).await.unwrap_err();
                assert_eq!((refused.kind(), refused.code()), (ErrorKind::Revoked, "revoked"));
            } else {
                assert_eq!(later.get(&name), Some(&40));
            }
        }
    });
}

/// How much each author wrote, by the events.
async fn written(board: &Blackboard) -> BTreeMap<String, usize> {
    let (mut events, mut written) = (board.events(Cursor::default()), BTreeMap::new());
    while let Some(piece) = events.piece().await.unwrap() {
        for event in piece {
            *written.entry(event.unwrap().entry.author.to_string()).or_default() += 1;
        }
    }
    written
}

fn a_stopped_pipeline_ends_with_all_of_its_agents_and_no_others(on: Backend) {
    on.story(async |world| {
        let agents = tree(&world, &[None, Some(0)]).await;
        let (store, other) = world.agent(&world.pipeline(&pipe("other")).await, &pipe("other"), "b0").await;
        let engine = engine(&world).await;
        engine.stop_pipeline(&pipe("pipe"), "enough").await.unwrap();
        for (board, ..) in &agents {
            assert_eq!(board.post(Section::Problem, "late", &1).await.unwrap_err().kind(), ErrorKind::Revoked);
        }
        Blackboard::open(&store, &TaskId::new("t").unwrap(), &other).post(Section::Problem, "q", &1).await.unwrap();
        let state = store.state(store.keys().pipeline(&pipe("pipe"))).await.unwrap().unwrap();
        assert_eq!((state.field("status"), state.field("reason")), (PipelineStatus::Stopped.as_str(), "enough"));
        assert_eq!(engine.stop_pipeline(&pipe("none"), "?").await.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

fn revoking_again_at_once_or_later_changes_nothing(on: Backend) {
    on.property(1..6_usize, async |world, engines| {
        let agents = tree(&world, &[None]).await;
        let mut revoking = Vec::new();
        for number in 0..engines {
            let engine = engine(&world).await;
            let reason = format!("reason {number}");
            revoking.push(tokio::spawn(async move { engine.revoke(&id("a0"), RevocationType::Policy, &reason).await.unwrap() }));
        }
        let mut receipts = Vec::new();
        for revocation in revoking {
            receipts.push(revocation.await.unwrap());
        }
        let engine = engine(&world).await;
        let first = engine.revocation_of(&id("a0")).await.unwrap().unwrap();
        receipts.push(engine.revoke(&id("a0"), RevocationType::Manual, "again").await.unwrap());
        assert!(receipts.iter().all(|receipt| receipt == &receipts[0]), "{receipts:?}");
        assert_eq!(engine.revocation_of(&id("a0")).await.unwrap(), Some(first.clone()), "the first one stands");
        assert_eq!(engine.revocations(10).await.unwrap(), [first], "and is listed once");
        assert_eq!(agents[0].0.post(Section::Problem, "late", &1).await.unwrap_err().kind(), ErrorKind::Revoked);
    });
}

fn of_two_revocations_on_their_way_the_first_stands(on: Backend) {
    on.story(async |world| {
        tree(&world, &[None]).await;
        let (store, held_up) = world.slow(1).await;
        let late =
            tokio::spawn(async move { RevocationEngine::open(&store).revoke(&id("a0"), RevocationType::Policy, "late").await.unwrap() });
        let engine = engine(&world).await;
        held_up.meanwhile(async { _ = engine.revoke(&id("a0"), RevocationType::Manual, "first").await.unwrap() }).await;
        let receipt = late.await.unwrap();
        assert_eq!(receipt, engine.revoke(&id("a0"), RevocationType::Manual, "again").await.unwrap());
        let listed = engine.revocations(10).await.unwrap();
        assert_eq!(listed.iter().map(|revocation| revocation.reason.as_str()).collect::<Vec<_>>(), ["first"]);
    });
}

fn a_revocation_writes_what_existing_readers_read(on: Backend) {
    on.story(async |world| {
        tree(&world, &[None]).await;
        let engine = engine(&world).await;
        let store = world.store().await;
        let mut heard = store.signals(&store.keys().ws_broadcast()).await.unwrap();
        engine.revoke(&id("a0"), RevocationType::Lock, "lost its lock").await.unwrap();
        let keys = store.keys();
        let (_, signal): (u64, Value) = store.json(keys.agent_revoke_signal(&id("a0"))).await.unwrap().unwrap();
        assert_eq!((&signal["agent_id"], &signal["type"], &signal["reason"]), (&"a0".into(), &"lock".into(), &"lost its lock".into()));
        let listed: Value = serde_json::from_slice(&store.list(keys.revocations_ledger(), 1).await.unwrap()[0]).unwrap();
        assert_eq!(listed, signal);
        let alert: Value = serde_json::from_slice(&store.list(keys.alerts_queue(), 1).await.unwrap()[0]).unwrap();
        assert_eq!((&alert["type"], &alert["data"]["agent_id"]), (&"agent_revoked".into(), &"a0".into()));
        let told: Value = serde_json::from_slice(&heard.next().await.unwrap()).unwrap();
        assert_eq!(told["type"], "agent_revoked");
        let state = store.state(keys.agent_state(&id("a0"))).await.unwrap().unwrap();
        assert_eq!((state.field("status"), state.field("phase")), (AgentStatus::Revoked.as_str(), AgentPhase::Revoked.as_str()));
        let handoff = async || store.json::<Handoff>(keys.agent_handoff(&id("a0"))).await.unwrap().unwrap().1;
        let first = handoff().await;
        assert_eq!((first.from_agent.as_str(), first.phase, first.reason.as_str()), ("a0", AgentPhase::Bootstrap, "lost its lock"));
        engine.revoke(&id("a0"), RevocationType::Manual, "again").await.unwrap();
        assert_eq!(handoff().await, first, "what it was doing is not forgotten by a second revocation");
    });
}

fn a_revocation_is_recorded_and_witnessed(on: Backend) {
    on.story(async |world| {
        tree(&world, &[None]).await;
        let (ledger, recorder) = world.ledger().await;
        let engine = engine(&world).await.recorded(&recorder);
        let receipt = engine.revoke(&id("a0"), RevocationType::Manual, "a test").await.unwrap();
        assert_eq!(ledger.witness(STORE_URL).generation().await.unwrap(), receipt.generation);
        ledger.sequence(1).await.unwrap();
        let revokes = ledger.list(&Filter { action: Some(Action::Revoke), ..Filter::default() }).await.unwrap().actions;
        let told: Vec<_> = revokes.iter().map(|a| (a.kind, a.result)).collect();
        assert!(told.contains(&(EntryKind::Intent, None)) && told.contains(&(EntryKind::Outcome, Some(OutcomeResult::Ok))), "{told:?}");
    });
}

fn a_revocation_whose_engine_died_holds_or_does_not_and_the_next_one_finishes_it(on: Backend) {
    on.story(async |world| {
        let agents = tree(&world, &[None]).await;
        let (ledger, recorder) = world.ledger().await;
        for after in [false, true] {
            let (store, crash) = world.mortal(1, after).await;
            let engine = RevocationEngine::open(&store).recorded(&recorder);
            assert!(crash.during(engine.revoke(&id("a0"), RevocationType::Manual, "a test")).await.is_none());
            let written = agents[0].0.post(Section::Problem, &format!("late-{after}"), &1).await;
            assert_eq!(written.is_err(), after);
        }
        assert_eq!(ledger.witness(STORE_URL).generation().await.unwrap(), 0, "it was never acknowledged");
        let receipt = engine(&world).await.recorded(&recorder).revoke(&id("a0"), RevocationType::Manual, "again").await.unwrap();
        assert_eq!(ledger.witness(STORE_URL).generation().await.unwrap(), receipt.generation, "now it is");
    });
}

fn a_revocation_lands_when_the_memory_is_full(on: Backend) {
    on.story(async |world| {
        let agents = tree(&world, &[None]).await;
        let engine = engine(&world).await;
        if world.rig().fill().await.unwrap() {
            assert!(agents[0].0.post(Section::Problem, "q", &"x".repeat(1000)).await.is_err(), "the memory is full");
        }
        engine.revoke(&id("a0"), RevocationType::Manual, "a test").await.unwrap();
        engine.stop_all("everything").await.unwrap();
        engine.lift().await.unwrap();
        world.rig().relieve().await.unwrap();
        assert_eq!(agents[0].0.post(Section::Problem, "q", &1).await.unwrap_err().kind(), ErrorKind::Revoked);
    });
}

fn after_a_loss_everything_is_denied_until_recovery_and_what_was_admitted_before_stays_refused(on: Backend) {
    on.story(async |world| {
        let agents = tree(&world, &[None, None]).await;
        let engine = engine(&world).await;
        world.rig().dump().await.unwrap();
        engine.revoke(&id("a0"), RevocationType::Manual, "a test").await.unwrap();
        // Each handle has seen the revocation, or is told by the ledger.
        for (board, ..) in &agents {
            let _ = board.post(Section::Problem, "seen", &1).await;
        }
        world.rig().restore().await.unwrap();
        assert_eq!(agents[1].0.post(Section::Problem, "q", &1).await.unwrap_err().code(), "rolled_back");
        let store = world.store().await;
        store.recover().await.unwrap();
        for (board, ..) in &agents {
            let refused = board.post(Section::Problem, "q", &1).await.unwrap_err();
            assert!(matches!(refused.code(), "revoked" | "rolled_back"), "{refused}");
        }
        let later = PipelineId::new("later").unwrap();
        world.agent(&world.pipeline(&later).await, &later, "fresh").await;
    });
}

fn who_is_not_known_cannot_be_revoked(on: Backend) {
    on.story(async |world| {
        let missing = engine(&world).await.revoke(&id("nobody"), RevocationType::Manual, "?").await.unwrap_err();
        assert_eq!((missing.kind(), missing.code()), (ErrorKind::NotFound, "no_such_agent"));
    });
}
