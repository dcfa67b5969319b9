//! The circuit breaker: one for every process, on every backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governance::ErrorKind;
use governance::guard::{Breaker, Circuit, CircuitLimits, Interrupted, Pass};
use governance::vocabulary::{Clock, Millis, PipelineId, System};
use governance_tests::world::{Backend, World, until};

governance_tests::on_every_backend! {
    five_failures_in_any_processes_open_it_for_all_within_a_second
    a_success_in_any_process_starts_the_count_anew
    after_the_pause_exactly_one_of_all_processes_tries
    two_successful_trials_close_it_for_all
    a_failed_trial_opens_it_again
    a_trial_whose_process_died_lapses
    a_closed_breaker_is_asked_without_the_store_for_a_second
    breakers_of_different_names_are_apart
    a_revoked_agent_moves_no_breaker
}

const CALL: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// The breaker as another process has it.
async fn breaker(world: &World, pause: Duration) -> Breaker {
    let (store, actor) = world.actor("alpha").await;
    Breaker::open(&store, &actor, "some/model").with_limits(CircuitLimits { pause, ..CircuitLimits::default() })
}

async fn fail(breaker: &Breaker, times: u32) {
    for _ in 0..times {
        let pass = breaker.ask(CALL).await.unwrap().unwrap();
        breaker.failed(pass).await.unwrap();
    }
}

/// An open breaker, and one trial that was let through after its pause.
async fn tried(world: &World) -> (Breaker, Pass) {
    let breaker = breaker(world, PAUSE).await;
    fail(&breaker, 5).await;
    let pass = next_trial(&breaker, CALL).await;
    (breaker, pass)
}

async fn next_trial(breaker: &Breaker, within: Duration) -> Pass {
    loop {
        match breaker.ask(within).await.unwrap() {
            Ok(pass) => return pass,
            Err(Interrupted { after }) => tokio::time::sleep(after.min(PAUSE)).await,
        }
    }
}

fn five_failures_in_any_processes_open_it_for_all_within_a_second(on: Backend) {
    on.story(async |world| {
        let (one, other, watching) = (breaker(&world, CALL).await, breaker(&world, CALL).await, breaker(&world, CALL).await);
        fail(&one, 3).await;
        fail(&other, 1).await;
        assert_eq!(watching.ask(CALL).await.unwrap(), Ok(Pass::Free));
        fail(&other, 1).await;
        let opened = Instant::now();
        let refused = one.ask(CALL).await.unwrap();
        assert!(other.ask(CALL).await.unwrap().is_err(), "who opened it knows at once");
        until("the others see it open", async || watching.ask(CALL).await.unwrap().is_err()).await;
        // How long exactly an answer is believed is shown by a clock of our own, below.
        assert!(opened.elapsed() < CALL / 3, "seen after {:?}", opened.elapsed());
        until("all of them", async || one.ask(CALL).await.unwrap().is_err()).await;
        if let Err(interrupted) = refused {
            assert!(interrupted.after <= CALL && interrupted.after > CALL / 2);
            assert_eq!(one.refusal(interrupted).kind(), ErrorKind::Unavailable);
        }
    });
}

fn a_success_in_any_process_starts_the_count_anew(on: Backend) {
    on.story(async |world| {
        let (one, other) = (breaker(&world, CALL).await, breaker(&world, CALL).await);
        fail(&one, 4).await;
        let pass = other.ask(CALL).await.unwrap().unwrap();
        other.succeeded(pass).await.unwrap();
        fail(&one, 4).await;
        assert_eq!(other.circuit().await.unwrap(), Circuit::Closed { failures: 4 });
    });
}

fn after_the_pause_exactly_one_of_all_processes_tries(on: Backend) {
    on.story(async |world| {
        fail(&breaker(&world, PAUSE).await, 5).await;
        for _ in 0..2 {
            tokio::time::sleep(PAUSE * 2).await;
            let mut asking = Vec::new();
            for _ in 0..8 {
                let breaker = breaker(&world, PAUSE).await;
                asking.push(tokio::spawn(async move { (breaker.ask(CALL).await.unwrap().ok(), breaker) }));
            }
            let mut trials = Vec::new();
            for asked in asking {
                if let (Some(pass), breaker) = asked.await.unwrap() {
                    trials.push((pass, breaker));
                }
            }
            assert_eq!(trials.len(), 1, "one trial in all processes");
            let (pass, breaker) = trials.remove(0);
            assert!(matches!(pass, Pass::Trial(_)));
            breaker.failed(pass).await.unwrap();
        }
    });
}

fn two_successful_trials_close_it_for_all(on: Backend) {
    on.story(async |world| {
        let (breaker, pass) = tried(&world).await;
        breaker.succeeded(pass).await.unwrap();
        assert_eq!(breaker.circuit().await.unwrap(), Circuit::HalfOpen { successes: 1, trial: None });
        let other = self::breaker(&world, PAUSE).await;
        let pass = next_trial(&other, CALL).await;
        other.succeeded(pass).await.unwrap();
        for breaker in [breaker, other] {
            assert_eq!(breaker.circuit().await.unwrap(), Circuit::default());
            assert_eq!(breaker.ask(CALL).await.unwrap(), Ok(Pass::Free));
        }
    });
}

fn a_failed_trial_opens_it_again(on: Backend) {
    on.story(async |world| {
        let (breaker, pass) = tried(&world).await;
        breaker.failed(pass.clone()).await.unwrap();
        let open = breaker.circuit().await.unwrap();
        assert!(matches!(open, Circuit::Open { .. }));
        // Reported once more, after its answer was lost.
        breaker.failed(pass).await.unwrap();
        assert_eq!(breaker.circuit().await.unwrap(), open);
    });
}

fn a_trial_whose_process_died_lapses(on: Backend) {
    on.story(async |world| {
        let breaker = breaker(&world, PAUSE).await;
        fail(&breaker, 5).await;
        let dead = next_trial(&breaker, PAUSE).await;
        let other = self::breaker(&world, PAUSE).await;
        let next = next_trial(&other, CALL).await;
        assert_ne!(dead, next);
        breaker.succeeded(dead).await.unwrap();
        assert!(
            matches!(other.circuit().await.unwrap(), Circuit::HalfOpen { successes: 0, trial: Some(_) }),
            "its late result counts no more"
        );
        other.abandoned(next).await.unwrap();
        assert_eq!(other.circuit().await.unwrap(), Circuit::HalfOpen { successes: 0, trial: None });
    });
}

/// A clock that stands still until it is moved.
#[derive(Default)]
struct Still(AtomicU64);

impl Clock for Still {
    fn now(&self) -> Millis {
        System.now()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

fn a_closed_breaker_is_asked_without_the_store_for_a_second(on: Backend) {
    on.story(async |world| {
        let clock = Arc::new(Still::default());
        let store = world.store_with(clock.clone()).await;
        let actor = world.actor("alpha").await.1;
        let breaker = Breaker::open(&store, &actor, "some/model");
        assert_eq!(breaker.ask(CALL).await.unwrap(), Ok(Pass::Free));
        fail(&self::breaker(&world, CALL).await, 5).await;
        for moved in [0, 999] {
            clock.0.store(moved, Ordering::SeqCst);
            assert_eq!(breaker.ask(CALL).await.unwrap(), Ok(Pass::Free), "only the store knows better, and it was not asked");
        }
        clock.0.store(1_000, Ordering::SeqCst);
        assert!(breaker.ask(CALL).await.unwrap().is_err());
    });
}

fn breakers_of_different_names_are_apart(on: Backend) {
    on.story(async |world| {
        fail(&breaker(&world, CALL).await, 5).await;
        let (store, actor) = world.actor("alpha").await;
        let other = Breaker::open(&store, &actor, "another: model [x]");
        assert_eq!(other.ask(CALL).await.unwrap(), Ok(Pass::Free));
    });
}

fn a_revoked_agent_moves_no_breaker(on: Backend) {
    on.story(async |world| {
        let pipeline = PipelineId::new("pipe").unwrap();
        let (store, alpha) = world.agent(&world.pipeline(&pipeline).await, &pipeline, "alpha").await;
        let breaker = Breaker::open(&store, &alpha, "some/model");
        fail(&breaker, 4).await;
        crate::consensus::revoke(&world, "alpha").await;
        assert_eq!(breaker.failed(Pass::Free).await.unwrap_err().kind(), ErrorKind::Revoked);
        assert_eq!(breaker.circuit().await.unwrap(), Circuit::Closed { failures: 4 });
    });
}
