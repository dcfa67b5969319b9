//! Limits of agents, pipelines and the tenant: the strictest wins, none is overshot, and what is not used comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governance::guard::limits::{Asked, Limits, Scope, ScopeLimits};
use governance::guard::policy::{Policy, Request};
use governance::guard::{Guard, Recorder, Triggers, Unit};
use governance::ledger::{Action, OutcomeResult};
use governance::store::{Actor, Commit, Fields, Store, Write};
use governance::vocabulary::{BreakerBy, BreakerRules, Millis, PipelineId, Tier, UseLimits};
use governance::{Error, ErrorKind, RevocationEngine};
use governance_tests::world::{Backend, World};
use proptest::prelude::*;
use serde_json::json;

governance_tests::on_every_backend! {
    promise_7_no_limit_of_any_scope_is_overshot_whoever_draws
    the_strictest_limit_refuses_and_says_whose_it_is
    a_small_limit_is_not_hogged_by_one_process
    calls_a_minute_never_overshoot_and_say_when_to_go_on
    who_goes_on_although_it_is_held_back_is_revoked
    places_are_taken_and_given_back_with_each_call
    the_place_of_a_dead_holder_comes_back
    a_dead_holder_whose_run_was_retired_holds_nobody_up
    tokens_are_set_aside_in_every_scope_at_once_and_an_overrun_closes_them
    errors_of_a_pipeline_are_counted_where_calls_fail
    wall_time_runs_from_the_beginning_but_not_while_a_person_is_waited_for
    wall_time_of_a_pipeline_stands_still_while_its_user_is_waited_for
    four_fifths_raise_one_alert_a_limit
    an_agent_sets_no_limit
    a_limit_that_is_set_holds_for_shares_taken_after_it
    a_tool_that_keeps_failing_is_called_by_nobody_and_its_refusals_are_no_failures
}

const CALL: Asked = Asked { tokens: 0, cost: 0 };
const SHORT: Duration = Duration::from_secs(1);

fn pipe() -> PipelineId {
    PipelineId::new("pipe").unwrap()
}

fn pipeline() -> Scope {
    Scope::Pipeline(pipe())
}

fn free() -> UseLimits {
    UseLimits { calls_per_minute: Some(1 << 40), ..UseLimits::default() }
}

/// An agent in the pipeline, as a process of its own has it.
struct Process {
    store: Store,
    actor: Actor,
    recorder: Recorder,
    limits: Limits,
}

async fn process(world: &World, name: &str, own: UseLimits) -> Process {
    let store = world.store().await;
    let epoch = store.keys().pipeline_epoch(&pipe());
    if store.number(epoch.clone()).await.unwrap() == 0 {
        world.pipeline(&pipe()).await;
    }
    let admission = store.admission().await.unwrap().and(epoch.clone(), store.number(epoch).await.unwrap());
    let (store, actor) = world.agent(&admission, &pipe(), name).await;
    let recorder = world.ledger().await.1;
    let limits = Limits::open(&store, &actor, &recorder, own, &Triggers::default());
    Process { store, actor, recorder, limits }
}

impl Process {
    async fn state(&self) -> Fields {
        self.store.state(self.store.keys().agent_state(&self.actor.id)).await.unwrap().unwrap()
    }

    /// One call as the guard makes it, without a tool: again where this process stood still for so long that its share was over.
    /// Answers how much it used: such a call counts too.
    async fn call(&self) -> Result<u64, Error> {
        let mut used = 0;
        loop {
            used += 1;
            let taken = self.limits.take(CALL, SHORT).await?;
            let (agent, pipeline) = (Some(&self.actor.id), self.actor.pipeline.as_ref());
            let intent = self.recorder.intent(&self.store, Action::ToolCall, agent, pipeline, &"a call").unwrap();
            match taken.confirm() {
                Ok(()) => {
                    self.recorder.outcome(&intent, OutcomeResult::Ok, &"done").unwrap();
                    return taken.end(CALL, false).await.map(|()| used);
                }
                Err(lapsed) => {
                    assert_eq!(lapsed.code(), "share_lapsed");
                    self.recorder.outcome(&intent, OutcomeResult::Error, &"not made").unwrap();
                    taken.end(Asked::default(), false).await?;
                }
            }
        }
    }
}

/// Waits for a window of calls that has just begun: what is counted by the minute is counted in pieces of five seconds, and a share ends with its own.
async fn early_in_a_window(world: &World) {
    let store = world.store().await;
    let early = async || store.now().await.unwrap().0 % 5_000 < 2_500;
    governance_tests::world::until("a window has just begun", early).await;
}

async fn set(world: &World, scope: Scope, unit: Unit, limit: u64) {
    let (store, operator) = world.actor("operator").await;
    ScopeLimits::new(&store, &Recorder::default()).set(&operator, &scope, unit, limit).await.unwrap();
}

async fn used(world: &World, scope: Scope, unit: Unit) -> u64 {
    let limits = ScopeLimits::new(&world.store().await, &Recorder::default());
    let all = limits.usage(&[scope]).await.unwrap();
    all.iter().find(|one| one.usage.unit == unit).map_or(0, |one| one.usage.used)
}

fn promise_7_no_limit_of_any_scope_is_overshot_whoever_draws(on: Backend) {
    let drawers = prop::collection::vec((1..60_u64, any::<bool>()), 1..5);
    on.costly().property((0..120_u64, 0..120_u64, drawers), async |world, (tenant, shared, drawers)| {
        set(&world, Scope::Tenant, Unit::Calls, tenant).await;
        let mut drawing = Vec::new();
        for (number, (calls, closes)) in drawers.iter().copied().enumerate() {
            let process = process(&world, &format!("alpha-{number}"), free()).await;
            set(&world, pipeline(), Unit::Calls, shared).await;
            drawing.push(tokio::spawn(async move {
                let mut made = 0;
                for _ in 0..calls {
                    match process.call().await {
                        Ok(used) => made += used,
                        Err(error) => assert_eq!(error.code(), "budget_exhausted"),
                    }
                }
                if closes {
                    process.limits.close().await.unwrap();
                }
                (made, process)
            }));
        }
        let (mut made, mut processes) = (0, Vec::new());
        for drawing in drawing {
            let (calls, process) = drawing.await.unwrap();
            made += calls;
            processes.push(process);
        }
        let limit = tenant.min(shared);
        let wanted: u64 = drawers.iter().map(|(calls, _)| calls).sum();
        assert!(made <= limit, "{made} of {limit}");
        for process in processes {
            process.limits.close().await.unwrap();
        }
        for scope in [Scope::Tenant, pipeline()] {
            assert_eq!(used(&world, scope, Unit::Calls).await, made);
        }
        // What others gave back can be had: nothing is lost.
        let last = process(&world, "last", free()).await;
        for _ in 0..limit.saturating_sub(made).min(wanted) {
            last.call().await.unwrap();
        }
    });
}

fn the_strictest_limit_refuses_and_says_whose_it_is(on: Backend) {
    on.story(async |world| {
        let alpha = process(&world, "alpha", free()).await;
        set(&world, Scope::Tenant, Unit::Calls, 100).await;
        set(&world, pipeline(), Unit::Calls, 2).await;
        alpha.call().await.unwrap();
        alpha.call().await.unwrap();
        let error = alpha.call().await.unwrap_err();
        let details = error.details();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Exhausted, "budget_exhausted"));
        assert_eq!((&details["scope"], &details["of"], &details["unit"]), (&json!("pipeline"), &json!("pipe"), &json!("calls")));
        assert_eq!((&details["limit"], &details["remaining"]), (&json!(2), &json!(0)));
        assert!(error.to_string().contains("the pipeline `pipe` has 0 of 2 calls left"), "{error}");
        assert_eq!(used(&world, Scope::Tenant, Unit::Calls).await, 2, "what is refused by one scope is counted by none");
    });
}

fn a_small_limit_is_not_hogged_by_one_process(on: Backend) {
    on.story(async |world| {
        set(&world, Scope::Tenant, Unit::Calls, 10).await;
        let mut processes = Vec::new();
        for number in 0..8 {
            processes.push(process(&world, &format!("alpha-{number}"), free()).await);
        }
        for process in &processes {
            process.call().await.unwrap();
        }
        // Two are left, and whoever asks has them, whatever the others held.
        processes[7].call().await.unwrap();
        processes[7].call().await.unwrap();
        assert_eq!(processes[0].call().await.unwrap_err().code(), "budget_exhausted");
    });
}

fn calls_a_minute_never_overshoot_and_say_when_to_go_on(on: Backend) {
    on.story(async |world| {
        set(&world, pipeline(), Unit::CallsPerMinute, 40).await;
        let (one, two) = (process(&world, "alpha", free()).await, process(&world, "beta", free()).await);
        early_in_a_window(&world).await;
        let mut made = 0;
        let refused = loop {
            let both = [one.call().await, two.call().await];
            made += both.iter().filter(|done| done.is_ok()).count();
            if both.iter().all(Result::is_err) {
                break both.into_iter().find_map(Result::err).unwrap();
            }
        };
        // What is left of a share when its five seconds end is not drawn any more in this minute.
        assert!((32..=40).contains(&made), "{made}: all of it but for a share's rest, and no more");
        let wait = refused.details()["retry_after_ms"].as_u64().unwrap();
        assert_eq!(refused.code(), "rate_limited");
        assert!((30_000..=65_000).contains(&wait), "{refused}");
        assert_eq!(used(&world, pipeline(), Unit::CallsPerMinute).await, 40);
    });
}

fn who_goes_on_although_it_is_held_back_is_revoked(on: Backend) {
    on.story(async |world| {
        let alpha = process(&world, "alpha", UseLimits { calls_per_minute: Some(20), ..UseLimits::default() }).await;
        early_in_a_window(&world).await;
        for _ in 0..20 {
            alpha.call().await.unwrap();
        }
        let engine = RevocationEngine::open(&alpha.store);
        for _ in 0..2 {
            assert_eq!(alpha.call().await.unwrap_err().code(), "rate_limited", "it is held back first");
            assert!(engine.revocation_of(&alpha.actor.id).await.unwrap().is_none());
        }
        assert_eq!(alpha.call().await.unwrap_err().kind(), ErrorKind::Revoked);
        let why = engine.revocation_of(&alpha.actor.id).await.unwrap().unwrap();
        assert!(why.reason.contains("API calls within a minute"), "{}", why.reason);
        assert_eq!(alpha.call().await.unwrap_err().kind(), ErrorKind::Revoked);
    });
}

fn places_are_taken_and_given_back_with_each_call(on: Backend) {
    on.story(async |world| {
        set(&world, Scope::Tenant, Unit::Concurrency, 2).await;
        let (one, two) = (process(&world, "alpha", free()).await, process(&world, "beta", free()).await);
        let first = one.limits.take(CALL, SHORT).await.unwrap();
        let second = two.limits.take(CALL, SHORT).await.unwrap();
        let refused = two.limits.take(CALL, SHORT).await.map(drop).unwrap_err();
        assert_eq!((refused.code(), &refused.details()["scope"]), ("too_many_at_once", &json!("tenant")));
        first.end(CALL, false).await.unwrap();
        let third = two.limits.take(CALL, SHORT).await.unwrap();
        assert_eq!(one.call().await.unwrap_err().code(), "too_many_at_once");
        // Who stops waiting for a call gives its place back too.
        drop(third);
        governance_tests::world::until("it came back", async || used(&world, Scope::Tenant, Unit::Concurrency).await == 1).await;
        second.end(CALL, true).await.unwrap();
        assert_eq!(used(&world, Scope::Tenant, Unit::Concurrency).await, 0);
    });
}

fn the_place_of_a_dead_holder_comes_back(on: Backend) {
    on.story(async |world| {
        set(&world, pipeline(), Unit::Concurrency, 1).await;
        set(&world, pipeline(), Unit::Calls, 1_000).await;
        let (ledger, recorder) = world.ledger().await;
        let dead = Process { recorder: recorder.clone(), ..process(&world, "alpha", free()).await };
        let limits = Limits::open(&dead.store, &dead.actor, &recorder, free(), &Triggers::default());
        let taken = limits.take(CALL, Duration::from_secs(3_600)).await.unwrap();
        let _ = recorder.intent(&dead.store, Action::ToolCall, Some(&dead.actor.id), dead.actor.pipeline.as_ref(), &1).unwrap();
        let beta = process(&world, "beta", free()).await;
        assert_eq!(beta.call().await.unwrap_err().code(), "too_many_at_once");
        // It dies without a word: the lock of its segment goes with it.
        std::mem::forget(taken);
        ledger.segment().unwrap().close().unwrap();
        beta.call().await.unwrap();
        assert_eq!(used(&world, pipeline(), Unit::Calls).await, 2, "what it had started counts");
    });
}

fn a_dead_holder_whose_run_was_retired_holds_nobody_up(on: Backend) {
    on.story(async |world| {
        set(&world, Scope::Tenant, Unit::Concurrency, 1).await;
        set(&world, pipeline(), Unit::Concurrency, 5).await;
        let (ledger, recorder) = world.ledger().await;
        let dead = Process { recorder: recorder.clone(), ..process(&world, "alpha", free()).await };
        let limits = Limits::open(&dead.store, &dead.actor, &recorder, free(), &Triggers::default());
        std::mem::forget(limits.take(CALL, Duration::from_secs(3_600)).await.unwrap());
        ledger.segment().unwrap().close().unwrap();
        // What was counted of its run left the shared state with the run.
        let store = world.store().await;
        let gone = store.keys().pipeline_spend(&pipe(), Unit::Concurrency.as_str());
        store.apply(Commit::default().write(Write::Delete(gone.into()))).await.unwrap();
        process(&world, "beta", free()).await.call().await.unwrap();
        assert_eq!(used(&world, Scope::Tenant, Unit::Concurrency).await, 0);
    });
}

fn tokens_are_set_aside_in_every_scope_at_once_and_an_overrun_closes_them(on: Backend) {
    on.story(async |world| {
        let alpha = process(&world, "alpha", free()).await;
        let own = Scope::Agent(alpha.actor.id.clone());
        for (scope, limit) in [(own.clone(), 1_000), (pipeline(), 10_000), (Scope::Tenant, 500)] {
            set(&world, scope, Unit::Tokens, limit).await;
        }
        let asked = Asked { tokens: 800, cost: 0 };
        let taken = alpha.limits.take(asked, SHORT).await.unwrap();
        assert_eq!(taken.set_aside().tokens, 500, "what the tenant has left");
        taken.end(Asked { tokens: 120, cost: 0 }, false).await.unwrap();
        for scope in [own, pipeline(), Scope::Tenant] {
            assert_eq!(used(&world, scope, Unit::Tokens).await, 120);
        }
        alpha.limits.take(asked, SHORT).await.unwrap().end(Asked { tokens: 381, cost: 0 }, false).await.unwrap();
        let refused = alpha.limits.take(asked, SHORT).await.map(drop).unwrap_err();
        assert_eq!((refused.code(), &refused.details()["scope"]), ("budget_exhausted", &json!("tenant")));
        assert!(refused.to_string().contains("used more tokens than it had"), "{refused}");
    });
}

fn errors_of_a_pipeline_are_counted_where_calls_fail(on: Backend) {
    on.story(async |world| {
        set(&world, pipeline(), Unit::Errors, 3).await;
        let (alpha, beta) = (process(&world, "alpha", free()).await, process(&world, "beta", free()).await);
        let guard = |process: &Process| {
            let policy = Policy::shipped(Tier::T1).unwrap();
            Guard::open(&process.store, &process.actor, &process.recorder, policy).limited(process.limits.clone())
        };
        let (one, two) = (guard(&alpha), guard(&beta));
        let request = Request::new("write_file").on("localhost");
        let broken = async |guard: &Guard| {
            let tool = async |_| Err::<(), _>(Error::invalid("broken", "it is broken"));
            guard.govern(&request, &json!({}), tool).await.unwrap_err().code()
        };
        assert_eq!((broken(&one).await, broken(&two).await, broken(&one).await), ("broken", "broken", "broken"));
        let ran = AtomicU64::new(0);
        let tool = async |_| Ok(ran.fetch_add(1, Ordering::Relaxed));
        let refused = one.govern(&request, &json!({}), tool).await.unwrap_err();
        assert_eq!((refused.code(), &refused.details()["unit"]), ("budget_exhausted", &json!("errors")));
        assert_eq!(ran.load(Ordering::Relaxed), 0);
    });
}

fn wall_time_runs_from_the_beginning_but_not_while_a_person_is_waited_for(on: Backend) {
    on.story(async |world| {
        let alpha = process(&world, "alpha", UseLimits { wall_time: Some(4), ..free() }).await;
        // Its call needs a person, and nobody answers.
        let policy = Policy::new(Policy::shipped(Tier::T2).unwrap().profile().clone()).unwrap();
        let guard = Guard::open(&alpha.store, &alpha.actor, &alpha.recorder, policy).waiting(Duration::from_millis(4_200));
        let (request, arguments) = (Request::new("terraform_apply").on("prod-db"), json!({}));
        let call = guard.govern(&request, &arguments, async |_| Ok(()));
        let used = async {
            let waits = async || alpha.state().await.field("status") == "waiting";
            governance_tests::world::until("it waits", waits).await;
            let since = Millis(alpha.state().await.field("waits_since").parse().unwrap());
            governance_tests::world::until_after(&alpha.store, since.after(Duration::from_millis(4_000))).await;
            alpha.limits.usage().await.unwrap().iter().find(|found| found.usage.unit == Unit::WallTime).unwrap().usage.used
        };
        let (refused, used) = tokio::join!(call, used);
        assert_eq!(refused.unwrap_err().code(), "approval_required");
        assert!(used < 4, "{used} s count while it waits");
        alpha.call().await.unwrap();
        let refused = async || alpha.call().await.err().is_some_and(|error| error.code() == "time_used_up");
        governance_tests::world::until("its time is over", refused).await;
        process(&world, "beta", free()).await.call().await.unwrap();
    });
}

fn wall_time_of_a_pipeline_stands_still_while_its_user_is_waited_for(on: Backend) {
    on.story(async |world| {
        let alpha = process(&world, "alpha", free()).await;
        set(&world, pipeline(), Unit::WallTime, 600).await;
        let used = async || {
            let usage = alpha.limits.usage().await.unwrap();
            usage.iter().find(|found| found.usage.unit == Unit::WallTime).unwrap().usage.used
        };
        let tell = async |fields: &[(&'static str, String)]| {
            let commit = Commit::default().merge(alpha.store.keys().pipeline(&pipe()), fields.iter().cloned());
            alpha.store.apply(commit).await.unwrap();
        };
        let ago = |now: Millis, seconds: u64| (now.0 - seconds * 1_000).to_string();
        let now = alpha.store.now().await.unwrap();
        // Begun an hour ago, of which its user was waited for all but a minute, and is still.
        tell(&[("created_at", ago(now, 3_600)), ("waits_since", ago(now, 3_540))]).await;
        assert!((60..120).contains(&used().await), "{} s", used().await);
        alpha.call().await.unwrap();
        // Nobody waited: its time is over.
        tell(&[("waits_since", String::new())]).await;
        assert!(used().await >= 3_600);
        let other = process(&world, "beta", free()).await;
        assert_eq!(other.call().await.unwrap_err().code(), "time_used_up");
    });
}

fn four_fifths_raise_one_alert_a_limit(on: Backend) {
    on.story(async |world| {
        set(&world, pipeline(), Unit::Calls, 20).await;
        let (alpha, beta) = (process(&world, "alpha", free()).await, process(&world, "beta", free()).await);
        let alerts = async || {
            let queue = world.store().await.list(alpha.store.keys().alerts_queue(), 100).await.unwrap();
            queue.iter().filter(|alert| String::from_utf8_lossy(alert).contains("limit_low")).count()
        };
        for _ in 0..7 {
            alpha.call().await.unwrap();
            beta.call().await.unwrap();
        }
        assert_eq!(alerts().await, 0);
        for _ in 0..3 {
            alpha.call().await.unwrap();
            beta.call().await.unwrap();
        }
        assert_eq!(alerts().await, 1);
        // Set anew it warns anew.
        set(&world, pipeline(), Unit::Calls, 22).await;
        alpha.call().await.unwrap();
        assert_eq!(alerts().await, 2);
    });
}

fn an_agent_sets_no_limit(on: Backend) {
    on.story(async |world| {
        let alpha = process(&world, "alpha", free()).await;
        let limits = ScopeLimits::new(&alpha.store, &Recorder::default());
        for scope in [Scope::Agent(alpha.actor.id.clone()), pipeline(), Scope::Tenant] {
            let refused = limits.set(&alpha.actor, &scope, Unit::Calls, 1 << 40).await.unwrap_err();
            assert_eq!(refused.code(), "self_granted");
        }
        let (store, operator) = world.actor("operator").await;
        let huge = ScopeLimits::new(&store, &Recorder::default()).set(&operator, &Scope::Tenant, Unit::Calls, u64::MAX).await;
        assert_eq!(huge.unwrap_err().code(), "amount_too_large");
    });
}

fn a_limit_that_is_set_holds_for_shares_taken_after_it(on: Backend) {
    on.story(async |world| {
        let alpha = Arc::new(process(&world, "alpha", free()).await);
        alpha.call().await.unwrap();
        set(&world, Scope::Tenant, Unit::Calls, 0).await;
        alpha.limits.close().await.unwrap();
        assert_eq!(alpha.call().await.unwrap_err().code(), "budget_exhausted");
        let (store, operator) = world.actor("operator").await;
        ScopeLimits::new(&store, &Recorder::default()).unset(&operator, &Scope::Tenant, Unit::Calls).await.unwrap();
        alpha.call().await.unwrap();
    });
}

fn a_tool_that_keeps_failing_is_called_by_nobody_and_its_refusals_are_no_failures(on: Backend) {
    on.story(async |world| {
        let (alpha, beta) = (process(&world, "alpha", free()).await, process(&world, "beta", free()).await);
        let rules = BreakerRules { by: BreakerBy::Target, failures: 3, pause: 5, successes: 1 };
        let guard = |process: &Process| {
            let policy = Policy::shipped(Tier::T1).unwrap();
            Guard::open(&process.store, &process.actor, &process.recorder, policy)
                .limited(process.limits.clone())
                .breaking(rules)
                .counting_failures(false)
        };
        let (one, two) = (guard(&alpha), guard(&beta));
        let call = async |guard: &Guard, target: &str, ends: Option<Error>| {
            let tool = async |_| ends.map_or(Ok(()), Err);
            guard.govern(&Request::new("write_file").on(target), &json!({}), tool).await.err().map(|error| error.code())
        };
        // Wrong arguments, and what is not there, are answers; so is what the policy denies.
        for _ in 0..4 {
            for kind in [ErrorKind::Invalid, ErrorKind::NotFound, ErrorKind::Denied, ErrorKind::Exhausted] {
                assert_eq!(call(&one, "sandbox-1", Some(Error::new(kind, "answered", "no"))).await, Some("answered"));
            }
        }
        let ill = || Some(Error::unavailable("away", "it does not answer"));
        for guard in [&one, &two, &one] {
            assert_eq!(call(guard, "sandbox-1", ill()).await, Some("away"));
        }
        governance_tests::world::until("all know it", async || call(&two, "sandbox-1", None).await == Some("breaker_open")).await;
        assert_eq!(call(&one, "sandbox-1", None).await, Some("breaker_open"));
        assert_eq!(call(&one, "sandbox-2", None).await, None, "another target works");
        governance_tests::world::until("it is tried, and works", async || call(&two, "sandbox-1", None).await.is_none()).await;
        governance_tests::world::until("for all", async || call(&one, "sandbox-1", None).await.is_none()).await;
    });
}
