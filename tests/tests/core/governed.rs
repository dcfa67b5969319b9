//! A call that is begun and ended by whoever runs the tool; tools that answer piece by piece; services of tower.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use governance::guard::policy::{Policy, Request, Verdict};
use governance::guard::{Admissions, Arguments, Asked, BoxError, GovernLayer, Guard, Role};
use governance::ledger::{Action, EntryKind, Filter, OutcomeResult};
use governance::vocabulary::{AgentId, AgentRole, PipelineId, RevocationType, Tier};
use governance::{Error, ErrorKind, Result, RevocationEngine};
use governance_tests::world::{Backend, World};
use serde_json::{Value, json};
use tower_layer::Layer;
use tower_service::Service;

governance_tests::on_every_backend! {
    a_call_begins_without_waiting_only_where_nothing_has_to_be_asked
    what_has_risks_is_asked_for_anew_each_time_and_recorded
    a_call_ends_as_whoever_ran_it_says_and_unknown_where_nobody_does
    what_is_answered_once_its_agent_is_known_to_be_revoked_is_withheld
    a_stop_is_confirmed_once_the_last_tool_has_really_ended
    what_is_left_behind_holds_every_receipt_up_however_much_it_is
    failures_are_counted_before_the_next_call_begins
    a_store_that_lost_what_it_held_is_told_as_that_and_so_is_its_recovery
    pieces_are_one_call_until_the_last
    pieces_end_with_the_admission_of_their_agent
    a_service_answers_only_what_its_guard_allows
}

const D: Duration = Duration::from_millis(40);
const LONG: Duration = Duration::from_secs(3_600);

async fn guard(world: &World) -> Guard {
    let pipe = PipelineId::new("pipe").unwrap();
    let (store, actor) = world.agent(&world.pipeline(&pipe).await, &pipe, "alpha-1").await;
    Guard::open(&store, &actor, &world.ledger().await.1, Policy::shipped(Tier::T1).unwrap())
}

async fn revoke(world: &World) {
    let engine = RevocationEngine::open(&world.store().await);
    engine.revoke(&"alpha-1".parse().unwrap(), RevocationType::Manual, "a drill").await.unwrap();
}

/// How the calls of the agent's tools ended, in order.
async fn ends(world: &World) -> Vec<(OutcomeResult, Option<String>)> {
    let (ledger, _) = world.ledger().await;
    ledger.sequence(1).await.unwrap();
    let filter = Filter { action: Some(Action::ToolCall), limit: 1_000, ..Filter::default() };
    let listed = ledger.list(&filter).await.unwrap().actions;
    let said = |payload: &Option<String>| {
        serde_json::from_str::<Value>(payload.as_deref().unwrap_or("{}")).unwrap()["code"].as_str().map(str::to_owned)
    };
    listed.iter().filter(|entry| entry.kind == EntryKind::Outcome).map(|entry| (entry.result.unwrap(), said(&entry.payload))).collect()
}

fn write() -> Request<'static> {
    Request::new("write_file").on("sandbox-1")
}

fn none() -> Arguments {
    Arguments::of(&json!({}))
}

fn a_call_begins_without_waiting_only_where_nothing_has_to_be_asked(on: Backend) {
    on.story(async |world| {
        let guard = guard(&world).await.believing(LONG);
        assert!(guard.try_begin(&write(), &none()).unwrap().is_none(), "nobody has asked yet");
        guard.begin(&write(), &none()).await.unwrap().done().unwrap();
        let call = guard.try_begin(&write(), &none()).unwrap().expect("the answer is a moment old");
        assert_eq!((call.granted().decision.verdict(), call.is_admitted().unwrap()), (Verdict::Allow, true));
        call.done().unwrap();
        assert!(guard.try_begin(&write().on("prod-db"), &none()).unwrap().is_none(), "a denial has its consequence, which takes a while");
        assert!(guard.clone().believing(Duration::ZERO).try_begin(&write(), &none()).unwrap().is_none());
        let guard = guard.believing(D);
        tokio::time::sleep(D).await;
        assert!(guard.try_begin(&write(), &none()).unwrap().is_none(), "the answer is too old");
        revoke(&world).await;
        assert_eq!(guard.begin(&write(), &none()).await.unwrap_err().kind(), ErrorKind::Revoked);
        assert_eq!(guard.try_begin(&write(), &none()).unwrap_err().kind(), ErrorKind::Revoked);
        assert_eq!(ends(&world).await, [(OutcomeResult::Ok, None), (OutcomeResult::Ok, None)]);
    });
}

fn what_has_risks_is_asked_for_anew_each_time_and_recorded(on: Backend) {
    on.story(async |world| {
        let guard = guard(&world).await.believing(Duration::from_secs(60));
        guard.begin(&write(), &none()).await.unwrap().done().unwrap();
        let risky = write().risking(&["irreversible", "costly"]);
        assert!(guard.try_begin(&write(), &none()).unwrap().is_some_and(|call| call.is_admitted().unwrap()), "the answer is a moment old");
        assert!(guard.try_begin(&risky, &none()).unwrap().is_none(), "as if it were none");
        let call = guard.begin(&risky, &none()).await.unwrap();
        assert!(!call.is_admitted().unwrap(), "nor is it believed while it runs");
        call.check().await.unwrap();
        call.done().unwrap();
        let denied = guard.begin(&risky.on("prod-db"), &none()).await.unwrap_err();
        assert_eq!(denied.code(), "not_allowed");
        let (ledger, _) = world.ledger().await;
        ledger.sequence(1).await.unwrap();
        let listed = ledger.list(&Filter { action: Some(Action::ToolCall), limit: 100, ..Filter::default() }).await.unwrap().actions;
        let said = |payload: &Option<String>| serde_json::from_str::<Value>(payload.as_deref().unwrap_or("{}")).unwrap()["risks"].clone();
        let told: Vec<_> = listed.iter().filter(|entry| entry.kind != EntryKind::Outcome).map(|entry| said(&entry.payload)).collect();
        let both = json!(["irreversible", "costly"]);
        assert_eq!(told, [json!(null), json!(null), both.clone(), both]);
    });
}

fn a_call_ends_as_whoever_ran_it_says_and_unknown_where_nobody_does(on: Backend) {
    on.story(async |world| {
        let guard = guard(&world).await;
        let begin = async || guard.begin(&write(), &none()).await.unwrap();
        begin().await.done().unwrap();
        begin().await.failed("ValueError").unwrap();
        begin().await.lost("interrupted").unwrap();
        drop(begin().await);
        let begin_within = async |span| guard.clone().within(span).begin(&write(), &none()).await.unwrap();
        let late = begin_within(D).await;
        let why = late.until_over(Duration::ZERO).await;
        late.dropped(&why).unwrap();
        let gone = begin_within(Duration::from_secs(60)).await;
        let why = tokio::time::timeout(Duration::from_secs(10), gone.until_over(Duration::from_secs(60))).await.unwrap();
        gone.ended(&why).unwrap();
        let (ok, failed, unknown) = (OutcomeResult::Ok, OutcomeResult::Error, OutcomeResult::Unknown);
        let told = ends(&world).await;
        let told: Vec<_> = told.iter().map(|(result, code)| (*result, code.as_deref())).collect();
        let late = (unknown, Some("tool_timed_out"));
        assert_eq!(
            told,
            [(ok, None), (failed, Some("ValueError")), (unknown, Some("interrupted")), (unknown, Some("cancelled")), late, late]
        );
    });
}

fn what_is_answered_once_its_agent_is_known_to_be_revoked_is_withheld(on: Backend) {
    on.story(async |world| {
        let guard = guard(&world).await;
        let begin = async || guard.begin(&write(), &none()).await.unwrap();
        let (done, settled, failed) = (begin().await, begin().await, begin().await);
        revoke(&world).await;
        governance_tests::world::until("this process knows", async || done.is_admitted().is_err()).await;
        assert_eq!(done.done().unwrap_err().kind(), ErrorKind::Revoked);
        assert_eq!(settled.settled(Ok("a secret")).await.unwrap_err().kind(), ErrorKind::Revoked);
        failed.failed("ValueError").unwrap();
        let (unknown, revoked) = (OutcomeResult::Unknown, Some("revoked".to_owned()));
        assert_eq!(
            ends(&world).await,
            [(unknown, revoked.clone()), (unknown, revoked), (OutcomeResult::Error, Some("ValueError".to_owned()))]
        );
    });
}

fn a_stop_is_confirmed_once_the_last_tool_has_really_ended(on: Backend) {
    on.story(async |world| {
        let guard = guard(&world).await;
        let call = guard.begin(&write(), &none()).await.unwrap();
        // As a thread is left behind that does not listen.
        let left = call.running();
        let engine = RevocationEngine::open(&world.store().await);
        let roll = engine.roll().await.unwrap();
        let revoked = engine.revoke(&"alpha-1".parse().unwrap(), RevocationType::Manual, "a drill").await.unwrap();
        let gather = async |within| engine.confirmed(&roll, revoked.generation, within, |_| {}).await.unwrap();
        assert!(!gather(D * 10).await.is_confirmed(), "its call is under way");
        call.lost("cancelled").unwrap();
        governance_tests::world::until("it is said that its tool runs", async || {
            let told = gather(D * 10).await;
            assert!(!told.is_confirmed(), "{told:?}");
            told.receipts.first().and_then(|receipt| receipt.unfinished.first()).is_some_and(|left| left.what.contains("tool"))
        })
        .await;
        let store = world.store().await;
        let ended = store.now().await.unwrap();
        drop(left);
        let told = gather(Duration::from_secs(10)).await;
        assert!(told.is_confirmed() && told.receipts.len() == 1, "{told:?}");
        let confirmed = told.receipts[0].confirmed_at.unwrap();
        assert!(confirmed >= ended && confirmed <= store.now().await.unwrap(), "not before its tool had ended, at {ended:?}: {told:?}");
    });
}

fn what_is_left_behind_holds_every_receipt_up_however_much_it_is(on: Backend) {
    on.costly().story(async |world| {
        let pipe = PipelineId::new("pipe").unwrap();
        let (admission, store, recorder) = (world.pipeline(&pipe).await, world.store().await, world.ledger().await.1);
        let (admissions, engine) = (Admissions::new(&store, &recorder), RevocationEngine::open(&store));
        let (mut left, mut last) = (Vec::new(), 0);
        // More than a process names in its word.
        for number in 0..34 {
            let id = AgentId::new(format!("alpha-{number}")).unwrap();
            let role = Role { role: AgentRole::Alpha, tier: Tier::T1 };
            let actor = admissions.admit(&admission, &pipe, &id, role).await.unwrap();
            let call = Guard::open(&store, &actor, &recorder, Policy::shipped(Tier::T1).unwrap()).begin(&write(), &none()).await.unwrap();
            left.push(call.running());
            call.lost("left behind").unwrap();
            last = engine.revoke(&id, RevocationType::Manual, "a drill").await.unwrap().generation;
        }
        let has_seen = async || engine.processes().await.unwrap().iter().all(|process| process.seen >= last);
        governance_tests::world::until("this process has seen the last one", has_seen).await;
        assert!(!engine.receipts(last, D).await.unwrap().is_confirmed(), "its tool runs on");
        drop(left);
        governance_tests::world::until("it confirms", async || engine.receipts(last, D).await.unwrap().is_confirmed()).await;
    });
}

fn failures_are_counted_before_the_next_call_begins(on: Backend) {
    on.story(async |world| {
        let pipe = PipelineId::new("pipe").unwrap();
        let store = world.pipeline(&pipe).await;
        // As a program that waits for nothing calls its tools, one after the other; all alike, and each in its own way.
        for (name, alike, allowed) in [("alpha-1", true, 3), ("beta-1", false, 6)] {
            let (store, actor) = world.agent(&store, &pipe, name).await;
            let guard = Guard::open(&store, &actor, &world.ledger().await.1, Policy::shipped(Tier::T1).unwrap());
            guard.begin(&write(), &none()).await.unwrap().done().unwrap();
            let mut ran = 0;
            let refused = loop {
                match guard.begin(&write(), &none()).await {
                    Ok(call) => {
                        ran += 1;
                        let code =
                            if alike { "ValueError".to_owned() } else { format!("Error{}", ["A", "B", "C", "D", "E", "F", "G"][ran - 1]) };
                        call.failed(&code).unwrap();
                    }
                    Err(refused) => break refused,
                }
            };
            assert_eq!((ran, refused.code()), (allowed, "revoked"), "{name}: {refused}");
        }
    });
}

fn a_store_that_lost_what_it_held_is_told_as_that_and_so_is_its_recovery(on: Backend) {
    on.story(async |world| {
        let guard = guard(&world).await.believing(Duration::ZERO);
        let store = world.store().await;
        let runs = guard.begin(&write(), &none()).await.unwrap();
        let mut over = std::pin::pin!(runs.until_over(Duration::ZERO));
        world.rig().flush().await.unwrap();
        // Also once this process has looked.
        for _ in 0..3 {
            let refused = guard.begin(&write(), &none()).await.unwrap_err();
            assert_eq!((refused.kind(), refused.code()), (ErrorKind::Unavailable, "rolled_back"), "{refused}");
            let told = tokio::time::timeout(D * 5, &mut over).await;
            assert!(told.is_err(), "nobody knows that its agent was revoked: {told:?}");
        }
        store.recover().await.unwrap();
        let told = tokio::time::timeout(Duration::from_secs(10), over).await.unwrap();
        assert!(told.code() == "revoked" && !told.to_string().contains("another process"), "{told}");
        let refused = guard.begin(&write(), &none()).await.unwrap_err();
        assert!(refused.code() == "revoked" && !refused.to_string().contains("another process"), "{refused}");
    });
}

fn pieces_are_one_call_until_the_last(on: Backend) {
    on.story(async |world| {
        let guard = guard(&world).await.counting_failures(false);
        // With nothing believed each piece asks.
        for guard in [guard.clone(), guard.believing(Duration::ZERO)] {
            let (request, arguments) = (write(), json!({"query": "cats"}));
            let pages = async |pages: Vec<Result<u32>>| {
                let governed = guard.govern_stream(&request, &arguments, async |_| Ok(stream::iter(pages))).await.unwrap();
                governed.map(|page| page.map_err(|error| error.code())).collect::<Vec<_>>().await
            };
            assert_eq!(pages(vec![Ok(1), Ok(2), Ok(3)]).await, [Ok(1), Ok(2), Ok(3)]);
            let failed = Err(Error::invalid("no_such_thing", "there is none"));
            assert_eq!(pages(vec![Ok(1), failed, Ok(3)]).await, [Ok(1), Err("no_such_thing")]);
            let hangs = stream::iter([Ok(1)]).chain(stream::pending::<Result<u32>>());
            // Long enough for the piece that comes.
            let mut late = guard.clone().within(D * 50).govern_stream(&request, &arguments, async |_| Ok(hangs)).await.unwrap();
            assert_eq!(late.next().await.unwrap().unwrap(), 1);
            assert_eq!(late.next().await.unwrap().unwrap_err().code(), "tool_timed_out");
            assert!(late.next().await.is_none());
            let defect = stream::iter([1, 0]).map(|by| if by == 0 { panic!("a defect of the tool") } else { Ok(by) });
            let mut defect = guard.govern_stream(&request, &arguments, async |_| Ok(defect)).await.unwrap();
            assert_eq!(defect.next().await.unwrap().unwrap(), 1);
            assert_eq!(defect.next().await.unwrap().unwrap_err().code(), "tool_panicked");
            let mut dropped = guard.govern_stream(&request, &arguments, async |_| Ok(stream::iter([Ok(1), Ok(2)]))).await.unwrap();
            assert_eq!(dropped.next().await.unwrap().unwrap(), 1);
            drop(dropped);
        }
        let (failed, unknown) = (OutcomeResult::Error, OutcomeResult::Unknown);
        let one = [
            (OutcomeResult::Ok, None),
            (failed, Some("no_such_thing")),
            (unknown, Some("tool_timed_out")),
            (unknown, Some("tool_panicked")),
            (unknown, Some("cancelled")),
        ];
        let told = ends(&world).await;
        let told: Vec<_> = told.iter().map(|(result, code)| (*result, code.as_deref())).collect();
        assert_eq!(told, [one, one].concat());
    });
}

fn pieces_end_with_the_admission_of_their_agent(on: Backend) {
    on.story(async |world| {
        let guard = guard(&world).await.believing(Duration::ZERO);
        let endless = stream::iter(0..).map(Ok::<u32, Error>);
        let mut pages = guard.govern_stream(&write(), &json!({}), async |_| Ok(endless)).await.unwrap();
        assert_eq!(pages.next().await.unwrap().unwrap(), 0);
        revoke(&world).await;
        assert_eq!(pages.next().await.unwrap().unwrap_err().kind(), ErrorKind::Revoked, "not one more");
        assert!(pages.next().await.is_none());
        assert_eq!(ends(&world).await, [(OutcomeResult::Unknown, Some("revoked".to_owned()))]);
    });
}

/// Doubles what is even, and fails otherwise.
#[derive(Clone)]
struct Doubles(Arc<AtomicU32>);

#[derive(Debug, thiserror::Error)]
#[error("{0} is odd")]
struct Odd(u32);

impl Service<u32> for Doubles {
    type Response = u32;
    type Error = Odd;
    type Future = std::future::Ready<Result<u32, Odd>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Odd>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, number: u32) -> Self::Future {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::future::ready(if number.is_multiple_of(2) { Ok(2 * number) } else { Err(Odd(number)) })
    }
}

fn a_service_answers_only_what_its_guard_allows(on: Backend) {
    on.story(async |world| {
        let called = Arc::new(AtomicU32::new(0));
        let reads = |number: &u32| {
            let target = if *number > 100 { "prod-db" } else { "sandbox-1" };
            Asked {
                action: "write_file".to_owned(),
                target: Some(target.to_owned()),
                arguments: json!({"number": number}),
                risks: Vec::new(),
            }
        };
        let mut service = GovernLayer::new(&guard(&world).await, reads).layer(Doubles(called.clone()));
        let mut ask = async |number: u32| {
            std::future::poll_fn(|context| service.poll_ready(context)).await.unwrap();
            service.call(number).await
        };
        assert_eq!(ask(2).await.unwrap(), 4);
        let own: BoxError = ask(3).await.unwrap_err();
        assert_eq!(own.downcast::<Odd>().unwrap().0, 3, "the service's own error, unchanged");
        let denied = ask(102).await.unwrap_err().downcast::<Error>().unwrap();
        assert_eq!((denied.code(), called.load(Ordering::SeqCst)), ("not_allowed", 2));
        assert_eq!(ask(2).await.unwrap_err().downcast::<Error>().unwrap().kind(), ErrorKind::Revoked);
        assert_eq!(ends(&world).await, [(OutcomeResult::Ok, None), (OutcomeResult::Error, Some("tool_failed".to_owned()))]);
    });
}
