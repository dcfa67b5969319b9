//! Beginning and stopping: nothing escapes a stop, and nothing begins until it is lifted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governance::coordination::Blackboard;
use governance::guard::{Admissions, Recorder, Response, Role};
use governance::store::{Actor, Admission, Memory, Store};
use governance::vocabulary::{
    AgentId, AgentPhase, AgentRole, AgentStatus, Clock, Keys, Millis, PipelineId, Ports, RevocationType, Section, Tier, ViolationType,
};
use governance::{ErrorKind, RevocationEngine};
use governance_tests::world::{Backend, World};

governance_tests::on_every_backend! {
    nothing_begins_while_a_stop_is_in_force_and_what_was_stopped_stays_so
    of_agents_begun_while_everything_is_stopped_none_escapes
    a_child_begun_while_its_parent_is_revoked_ends_with_it
    an_id_is_admitted_once
    an_agent_begins_only_where_a_stop_of_its_pipeline_reaches_it
    an_admitted_agent_is_known_with_its_role
    who_was_revoked_is_not_admitted_again_where_its_run_is_taken_up
    lifting_without_a_stop_ends_nobody
    errors_within_a_minute_above_the_threshold_revoke
    api_calls_above_the_threshold_are_held_back_and_then_revoke
    a_violation_leads_to_what_its_severity_says
}

const ROLE: Role = Role { role: AgentRole::Alpha, tier: Tier::T1 };

fn id(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn pipe() -> PipelineId {
    PipelineId::new("pipe").unwrap()
}

async fn admissions(world: &World) -> Admissions {
    Admissions::new(&world.store().await, &Recorder::default())
}

async fn engine(world: &World) -> RevocationEngine {
    RevocationEngine::open(&world.store().await)
}

async fn writes(world: &World, actor: &Actor) -> bool {
    let board = Blackboard::open(&world.store().await, &pipe().task(), actor);
    match board.update(Section::Progress, actor.id.as_str(), |_| 1.into()).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Revoked);
            false
        }
    }
}

fn nothing_begins_while_a_stop_is_in_force_and_what_was_stopped_stays_so(on: Backend) {
    on.story(async |world| {
        let admission = world.pipeline(&pipe()).await;
        let (_, alpha) = world.agent(&admission, &pipe(), "alpha").await;
        let (engine, admissions) = (engine(&world).await, admissions(&world).await);
        engine.stop_all("fire").await.unwrap();
        assert_eq!(engine.stop_in_force().await.unwrap().unwrap().reason, "fire");
        assert!(!writes(&world, &alpha).await);
        let denied = admissions.begin_pipeline(&PipelineId::new("later").unwrap(), "?").await.unwrap_err();
        assert_eq!((denied.kind(), denied.code()), (ErrorKind::Denied, "stopped"));
        assert_eq!(admissions.admit(&admission, &pipe(), &id("beta"), ROLE).await.unwrap_err().kind(), ErrorKind::Revoked);
        engine.lift().await.unwrap();
        assert_eq!(engine.stop_in_force().await.unwrap(), None);
        assert!(!writes(&world, &alpha).await, "what was stopped stays so");
        assert_eq!(admissions.admit(&admission, &pipe(), &id("beta"), ROLE).await.unwrap_err().kind(), ErrorKind::Revoked);
        let later = PipelineId::new("later").unwrap();
        let (_, fresh) = world.agent(&world.pipeline(&later).await, &later, "fresh").await;
        assert!(writes(&world, &fresh).await);
    });
}

fn of_agents_begun_while_everything_is_stopped_none_escapes(on: Backend) {
    on.property((2..5_usize, 0..20_u32), async |world, (spawners, head_start)| {
        let mut spawning = Vec::new();
        let admission = world.pipeline(&pipe()).await;
        for number in 0..spawners {
            let (admissions, mut parent) = (admissions(&world).await, admission.clone());
            spawning.push(tokio::spawn(async move {
                let mut begun: Vec<Actor> = Vec::new();
                for child in 0..60 {
                    match admissions.admit(&parent, &pipe(), &id(&format!("a{number}-{child}")), ROLE).await {
                        // Every other one is the parent of the next.
                        Ok(actor) if child % 2 == 0 && child < 4 => {
                            parent = actor.admission.clone();
                            begun.push(actor);
                        }
                        Ok(actor) => begun.push(actor),
                        Err(error) => {
                            assert!(matches!(error.kind(), ErrorKind::Revoked | ErrorKind::Denied), "{error}");
                            break;
                        }
                    }
                }
                begun
            }));
        }
        for _ in 0..head_start {
            tokio::task::yield_now().await;
        }
        engine(&world).await.stop_all("fire").await.unwrap();
        let known = admissions(&world).await.agents(&pipe()).await.unwrap().len();
        let mut begun = Vec::new();
        for spawner in spawning {
            begun.extend(spawner.await.unwrap());
        }
        for actor in &begun {
            assert!(!writes(&world, actor).await, "`{}` escaped the stop", actor.id);
        }
        assert_eq!(admissions(&world).await.agents(&pipe()).await.unwrap().len(), known, "something began after the stop returned");
    });
}

fn a_child_begun_while_its_parent_is_revoked_ends_with_it(on: Backend) {
    on.story(async |world| {
        let admission = world.pipeline(&pipe()).await;
        let (_, parent) = world.agent(&admission, &pipe(), "parent").await;
        let (store, held_up) = world.slow(1).await;
        let above = parent.admission.clone();
        let late = tokio::spawn(async move {
            Admissions::new(&store, &Recorder::default()).admit(&above, &pipe(), &id("child"), ROLE).await.map_err(|e| e.kind())
        });
        let engine = engine(&world).await;
        held_up.meanwhile(async { _ = engine.revoke(&parent.id, RevocationType::Manual, "a test").await.unwrap() }).await;
        assert_eq!(late.await.unwrap(), Err(ErrorKind::Revoked));
        assert_eq!(admissions(&world).await.agent(&id("child")).await.unwrap(), None, "a refused admission leaves nothing");
    });
}

fn an_id_is_admitted_once(on: Backend) {
    on.property(2..6_usize, async |world, rivals| {
        let admission = world.pipeline(&pipe()).await;
        let mut admitting = Vec::new();
        for _ in 0..rivals {
            let (admissions, admission) = (admissions(&world).await, admission.clone());
            admitting.push(tokio::spawn(async move { admissions.admit(&admission, &pipe(), &id("alpha"), ROLE).await }));
        }
        let mut admitted = 0;
        for rival in admitting {
            match rival.await.unwrap() {
                Ok(_) => admitted += 1,
                Err(error) => assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "taken")),
            }
        }
        assert_eq!(admitted, 1);
        assert_eq!(admissions(&world).await.begin_pipeline(&pipe(), "?").await.unwrap_err().code(), "taken");
        // Not even once it was revoked.
        engine(&world).await.revoke(&id("alpha"), RevocationType::Manual, "a test").await.unwrap();
        assert_eq!(admissions(&world).await.admit(&admission, &pipe(), &id("alpha"), ROLE).await.unwrap_err().code(), "taken");
    });
}

fn an_agent_begins_only_where_a_stop_of_its_pipeline_reaches_it(on: Backend) {
    on.story(async |world| {
        let admission = world.pipeline(&pipe()).await;
        let other = PipelineId::new("other").unwrap();
        world.pipeline(&other).await;
        let (admissions, tenant) = (admissions(&world).await, world.store().await.admission().await.unwrap());
        for (parent, pipeline) in [(&Admission::default(), &pipe()), (&tenant, &pipe()), (&admission, &other)] {
            let denied = admissions.admit(parent, pipeline, &id("stray"), ROLE).await.unwrap_err();
            assert_eq!((denied.kind(), denied.code()), (ErrorKind::Denied, "foreign_parent"));
        }
        assert!(admissions.agents(&other).await.unwrap().is_empty());
    });
}

fn an_admitted_agent_is_known_with_its_role(on: Backend) {
    on.story(async |world| {
        let (_, alpha) = world.agent(&world.pipeline(&pipe()).await, &pipe(), "alpha").await;
        let known = admissions(&world).await.agent(&alpha.id).await.unwrap().unwrap();
        assert_eq!((known.role, known.tier, known.pipeline), (ROLE.role, ROLE.tier, Some(pipe())));
        assert_eq!((known.status, known.phase), (AgentStatus::Pending, AgentPhase::Bootstrap));
        assert_eq!(admissions(&world).await.agents(&pipe()).await.unwrap().len(), 1);
        assert_eq!(admissions(&world).await.agent(&id("nobody")).await.unwrap(), None);
    });
}

fn lifting_without_a_stop_ends_nobody(on: Backend) {
    on.story(async |world| {
        let (_, alpha) = world.agent(&world.pipeline(&pipe()).await, &pipe(), "alpha").await;
        engine(&world).await.lift().await.unwrap();
        assert!(writes(&world, &alpha).await);
    });
}

fn errors_within_a_minute_above_the_threshold_revoke(on: Backend) {
    on.story(async |world| {
        let (_, alpha) = world.agent(&world.pipeline(&pipe()).await, &pipe(), "alpha").await;
        let engine = engine(&world).await;
        for _ in 0..5 {
            assert_eq!(engine.error(&alpha.id, "timeout").await.unwrap(), Response::Nothing);
        }
        let revoke = Response::Revoke { kind: RevocationType::ErrorBudget, diagnose: true };
        assert_eq!(engine.error(&alpha.id, "timeout").await.unwrap(), revoke);
        assert!(!writes(&world, &alpha).await);
        assert_eq!(engine.revocation_of(&alpha.id).await.unwrap().unwrap().kind, RevocationType::ErrorBudget);
    });
}

fn api_calls_above_the_threshold_are_held_back_and_then_revoke(on: Backend) {
    on.story(async |world| {
        let (_, alpha) = world.agent(&world.pipeline(&pipe()).await, &pipe(), "alpha").await;
        let engine = engine(&world).await;
        let mut responses = Vec::new();
        for _ in 0..111 {
            responses.push(engine.api_call(&alpha.id).await.unwrap());
        }
        assert!(responses[..100].iter().all(|response| *response == Response::Nothing));
        assert!(responses[100..110].iter().all(|response| *response == Response::RateLimit), "{:?}", &responses[100..]);
        assert_eq!(responses[110], Response::Revoke { kind: RevocationType::Policy, diagnose: false });
        assert!(!writes(&world, &alpha).await);
    });
}

fn a_violation_leads_to_what_its_severity_says(on: Backend) {
    on.story(async |world| {
        let admission = world.pipeline(&pipe()).await;
        let engine = engine(&world).await;
        let store = world.store().await;
        for (number, violation) in ViolationType::ALL.iter().enumerate() {
            let (_, agent) = world.agent(&admission, &pipe(), &format!("a{number}")).await;
            let alerts = store.list(store.keys().alerts_queue(), 1_000).await.unwrap().len();
            let response = engine.violation(&agent.id, *violation, "seen").await.unwrap();
            let revoked = matches!(response, Response::Revoke { .. });
            assert_eq!(writes(&world, &agent).await, !revoked, "{violation}");
            let told = store.list(store.keys().alerts_queue(), 1_000).await.unwrap();
            // Of the violation, and of what it led to.
            assert_eq!(told.len(), alerts + 1 + usize::from(revoked), "{violation} alerts once");
            let of = |kind: &str| told.iter().filter(|alert| String::from_utf8_lossy(alert).contains(kind)).count();
            assert_eq!(of("violation_detected"), number + 1, "{violation}");
        }
    });
}

/// A clock that is moved by hand.
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn errors_spread_over_more_than_a_minute_do_not_add_up() {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let hand = Arc::new(Hand(AtomicU64::new(1_700_000_000_000)));
        let (keys, ports) = (Keys::default(), Ports { clock: hand.clone(), ..Ports::default() });
        let store = Store::new(Arc::new(Memory::new(&keys, ports.clone())), keys, ports).await.unwrap();
        let admissions = Admissions::new(&store, &Recorder::default());
        let admission = admissions.begin_pipeline(&pipe(), "try it").await.unwrap();
        let alpha = admissions.admit(&admission, &pipe(), &id("alpha"), ROLE).await.unwrap();
        let engine = RevocationEngine::open(&store);
        for _ in 0..40 {
            assert_eq!(engine.error(&alpha.id, "slow").await.unwrap(), Response::Nothing);
            hand.0.fetch_add(12_500, Ordering::SeqCst);
        }
        for _ in 0..5 {
            hand.0.fetch_add(1_000, Ordering::SeqCst);
            assert_ne!(engine.error(&alpha.id, "fast").await.unwrap(), Response::RateLimit);
        }
        assert!(engine.revocation_of(&alpha.id).await.unwrap().is_some(), "within a minute they do");
    });
}

fn who_was_revoked_is_not_admitted_again_where_its_run_is_taken_up(on: Backend) {
    on.story(async |world| {
        let admission = world.pipeline(&pipe()).await;
        let (_, alpha) = world.agent(&admission, &pipe(), "alpha-1").await;
        let (_, beta) = world.agent(&admission, &pipe(), "beta-1").await;
        engine(&world).await.revoke(&alpha.id, RevocationType::Policy, "left its paths").await.unwrap();
        let admissions = admissions(&world).await;
        let again = async |agent: &Actor| admissions.readmit(&admission, &pipe(), &agent.id).await;
        assert!(writes(&world, &again(&beta).await.unwrap().unwrap()).await);
        let refused = again(&alpha).await.unwrap_err();
        assert!(refused.kind() == ErrorKind::Revoked && refused.to_string().contains("left its paths"), "{refused}");
    });
}
