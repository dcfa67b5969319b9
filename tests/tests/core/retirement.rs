//! Runs that ended long ago leave the shared state; what they did stays in the record, and what was admitted to them stays too old for ever.

use std::sync::Arc;
use std::time::Duration;

use governance::agent::Promotions;
use governance::coordination::Caretaker;
use governance::guard::care::Sequencing;
use governance::guard::{Admissions, Unit};
use governance::ledger::{Action, Ledger};
use governance::orchestrator::{Retirement, retired};
use governance::store::{Actor, Commit, Store, Write};
use governance::vocabulary::{AgentId, PipelineId, PipelineStatus, RevocationType, Section, ViolationType};
use governance::{Blackboard, ErrorKind, MessageBus, RevocationEngine};
use governance_tests::world::{Backend, World, until};

use crate::consensus::{opening, proposal};

governance_tests::on_every_backend! {
    a_run_that_ended_long_ago_goes_and_nothing_that_was_admitted_to_it_lands_any_more
    a_run_goes_on_being_kept_while_it_lives_while_it_is_young_and_while_somebody_takes_it_up
    what_agents_of_a_run_that_was_stopped_did_counts_before_it_goes
}

fn named(name: &str) -> PipelineId {
    PipelineId::new(name).unwrap()
}

/// Whoever keeps house here retires runs of this age.
async fn house(world: &World, age: Duration) -> (Store, Ledger, Caretaker) {
    let (store, (ledger, recorder)) = (world.store().await, world.ledger().await);
    let chores: Vec<Arc<dyn governance::coordination::Chore>> =
        vec![Arc::new(Sequencing::new(&store, &ledger)), Arc::new(Retirement::new(&store, &recorder, Some(age)))];
    let caretaker = Caretaker::start(&store, "keeper", chores, None);
    (store, ledger, caretaker)
}

async fn runs(store: &Store) -> Vec<String> {
    store.set(store.keys().pipelines()).await.unwrap()
}

/// What is kept under names that begin so.
async fn kept(store: &Store, start: &str) -> Vec<String> {
    let prefix = store.keys().prefix().to_owned();
    let found = store.scan(&format!("{prefix}{start}")).await.unwrap();
    found.into_iter().map(|key| key.trim_start_matches(&prefix).to_owned()).collect()
}

async fn ends(world: &World, id: &PipelineId) {
    let (store, recorder) = (world.store().await, world.ledger().await.1);
    Admissions::new(&store, &recorder).end_pipeline(id).await.unwrap();
}

async fn leaves(store: &Store, agent: &Actor) {
    store.apply(agent.commit().merge(store.keys().agent_state(&agent.id), [("status", "completed")])).await.unwrap();
}

fn a_run_that_ended_long_ago_goes_and_nothing_that_was_admitted_to_it_lands_any_more(on: Backend) {
    on.story(async |world| {
        let pipe = named("pipe");
        let admission = world.pipeline(&pipe).await;
        let (store, frozen) = world.agent(&admission, &pipe, "frozen").await;
        let (_, revoked) = world.agent(&admission, &pipe, "revoked").await;
        let board = Blackboard::open(&store, &pipe.task(), &frozen);
        board.post(Section::Solutions, "cache", &"a cache").await.unwrap();
        let mut bus = MessageBus::open(&store, &pipe.task(), &revoked);
        bus.join(governance::coordination::MailboxOptions::default()).await.unwrap();
        MessageBus::open(&store, &pipe.task(), &frozen).send(&revoked.id, &"hello").await.unwrap();
        let votes = governance::Consensus::open(&store, &pipe.task(), &frozen);
        votes.propose(&proposal(), opening(governance::coordination::DecisionRule::Majority, &["frozen"])).await.unwrap();
        // As a log does that is full.
        let trimmed = Write::Trim { log: store.keys().proposal_events(&pipe.task()), through: 1 };
        store.apply(Commit::default().write(trimmed)).await.unwrap();
        let governor = Actor { id: AgentId::new("governor").unwrap(), pipeline: Some(pipe.clone()), admission: admission.clone() };
        governance::ErrorBudget::open(&store, &frozen).grant(&governor, Unit::Calls, 7).await.unwrap();
        RevocationEngine::open(&store).revoke(&revoked.id, RevocationType::Policy, "left its paths").await.unwrap();
        leaves(&store, &frozen).await;
        // As an orchestrator ends a run: the admission of whoever was frozen meanwhile is not revoked by that.
        store.apply(Commit::by(&admission).merge(store.keys().pipeline(&pipe), [("status", PipelineStatus::Completed)])).await.unwrap();
        board.post(Section::Solutions, "not-yet", &"a frozen process wakes").await.unwrap();

        let (keeper, ledger, caretaker) = house(&world, Duration::from_millis(30)).await;
        until("it is off the list", async || runs(&store).await.is_empty()).await;
        until("the record says so", async || retired(&ledger, &pipe).await.unwrap().is_some()).await;
        let was = retired(&ledger, &pipe).await.unwrap().unwrap();
        assert_eq!(was.status, PipelineStatus::Completed);
        assert!(was.created_at <= was.ended_at && was.ended_at <= was.retired_at, "{was:?}");
        until("its state has gone", async || kept(&store, "pipeline:pipe").await == ["pipeline:pipe:epoch"]).await;
        for agent in ["frozen", "revoked"] {
            let mut left = kept(&store, &format!("agent:{agent}:")).await;
            left.retain(|key| !key.contains(":window:"));
            assert_eq!(left, [format!("agent:{agent}:epoch")], "what tells old from new stays, and nothing else");
        }
        for start in ["blackboard:pipe", "bus:pipe", "proposal:pipe"] {
            let mut left = kept(&store, start).await;
            // The step of a vote goes when its time is up.
            left.retain(|key| !key.ends_with(":voting"));
            assert_eq!(left, [""; 0], "{start}");
        }

        // INVARIANT of design.md, promise 3: also now nothing that was admitted before is accepted, …
        for actor in [&frozen, &revoked] {
            let board = Blackboard::open(&store, &pipe.task(), actor);
            let late = board.post(Section::Solutions, "late", &"too late").await.unwrap_err();
            assert_eq!(late.kind(), ErrorKind::Revoked, "{late}");
        }
        // … nor where the same names are begun anew.
        let again = world.pipeline(&pipe).await;
        world.agent(&again, &pipe, "revoked").await;
        let state = store.keys().agent_state(&revoked.id);
        let late = store.apply(revoked.commit().merge(state, [("phase", "EXIT")])).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Revoked, "{late}");
        caretaker.stop(&keeper, "keeper").await;
    });
}

fn a_run_goes_on_being_kept_while_it_lives_while_it_is_young_and_while_somebody_takes_it_up(on: Backend) {
    on.story(async |world| {
        let (lives, owned, goes) = (named("lives"), named("owned"), named("goes"));
        for id in [&lives, &owned, &goes] {
            world.pipeline(id).await;
        }
        ends(&world, &owned).await;
        let (store, operator) = world.actor("operator").await;
        let (key, fence) = (store.keys().pipeline_owner(&owned), store.keys().pipeline_owner_fence(&owned));
        let lease = governance::coordination::Lease::claim(&store, key, fence, &operator, Duration::from_secs(60)).await.unwrap().unwrap();
        let (keeper, _, caretaker) = house(&world, Duration::from_secs(4)).await;
        ends(&world, &goes).await;
        // One round has passed in which it was too young.
        let at = async || store.json::<u64>(store.keys().retirement()).await.unwrap().map(|(version, _)| version);
        until("a round has passed", async || at().await.is_some()).await;
        assert!(runs(&store).await.contains(&goes.to_string()), "it was young");
        until("it is old enough", async || !runs(&store).await.contains(&goes.to_string())).await;
        assert_eq!(runs(&store).await, [lives.to_string(), owned.to_string()]);
        assert!(lease.release().await.unwrap());
        until("nobody has it any more", async || runs(&store).await == [lives.to_string()]).await;
        // What lives is written to as before.
        let epoch = store.keys().pipeline_epoch(&lives);
        let admission = store.admission().await.unwrap().and(epoch.clone(), store.number(epoch).await.unwrap());
        store.apply(Commit::by(&admission).merge(store.keys().pipeline(&lives), [("reason", "goes on")])).await.unwrap();
        caretaker.stop(&keeper, "keeper").await;
    });
}

fn what_agents_of_a_run_that_was_stopped_did_counts_before_it_goes(on: Backend) {
    on.story(async |world| {
        let pipe = named("pipe");
        let admission = world.pipeline(&pipe).await;
        let (store, agent) = world.agent(&admission, &pipe, "alpha-7f3k2q").await;
        let (_, recorder) = world.ledger().await;
        let broke = serde_json::json!({"type": ViolationType::ProcedureViolation});
        recorder.note(&store, Action::Violation, (Some(&agent.id), Some(&pipe)), &broke).unwrap();
        RevocationEngine::open(&store).recorded(&recorder).stop_pipeline(&pipe, "a drill").await.unwrap();
        let profile = AgentId::new("alpha").unwrap();
        let violations = async || Promotions::open(&store, &recorder).standing(&profile).await.unwrap().history.violations.len();
        assert_eq!(violations().await, 0, "it may go on");
        let (keeper, _, caretaker) = house(&world, Duration::from_millis(30)).await;
        until("it is off the list", async || runs(&store).await.is_empty()).await;
        assert_eq!(violations().await, 1);
        caretaker.stop(&keeper, "keeper").await;
    });
}
