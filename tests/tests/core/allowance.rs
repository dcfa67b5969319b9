//! A local share of a budget: drawn without a round trip, and what a crashed or frozen holder did not start comes back, exactly.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use governance::ErrorBudget;
use governance::guard::{Spend, Unit};
use governance::ledger::{Action, EntryKind, Filter, Ledger, OutcomeResult};
use governance::vocabulary::{Clock, Millis, Ports};
use governance_tests::world::{Backend, until_after};
use proptest::prelude::*;

use crate::budget::granted;

governance_tests::on_every_backend! {
    what_dead_holders_did_not_start_comes_back_exactly
    a_holder_frozen_at_any_moment_starts_nothing_that_was_given_back
    a_frozen_holder_that_wakes_up_reserves_anew
    who_stops_waiting_while_a_share_is_given_back_draws_nothing_more_from_it
    the_last_of_a_budget_is_drawn_although_it_is_less_than_a_piece
    a_share_of_which_the_record_is_gone_counts_as_spent
    without_a_ledger_every_draw_is_spent_at_once
}

fn what_dead_holders_did_not_start_comes_back_exactly(on: Backend) {
    let holder = (1..20_u64, 0..25_u64, 1..4_u64, any::<bool>());
    on.costly().property((1..150_u64, prop::collection::vec(holder, 1..5)), async |world, (limit, holders)| {
        let (budget, governor) = granted(&world, "alpha", limit).await;
        let ttl = Duration::from_millis(80);
        let mut holding = Vec::new();
        for (piece, draws, amount, dies) in holders {
            let (store, agent) = world.actor("alpha").await;
            let (_, recorder) = world.ledger().await;
            let allowance = ErrorBudget::open(&store, &agent).recorded(&recorder).allowance(Unit::Calls, piece, ttl);
            holding.push(tokio::spawn(async move {
                let mut started = 0;
                for _ in 0..draws {
                    match allowance.draw(amount).await.unwrap() {
                        Spend::Admitted { .. } => started += amount,
                        Spend::Exhausted { remaining, .. } => assert!(remaining < amount),
                    }
                }
                if !dies {
                    allowance.close().await.unwrap();
                }
                started
            }));
        }
        let mut started = 0;
        for holder in holding {
            started += holder.await.unwrap();
        }
        assert!(started <= limit, "started {started} of {limit}");
        let store = world.store().await;
        until_after(&store, store.now().await.unwrap().after(ttl)).await;
        budget.recorded(&world.ledger().await.1).lapse(&governor).await.unwrap();
        assert_eq!(ErrorBudget::open(&store, &governor).remaining(Unit::Calls).await.unwrap(), 0, "another agent's");
        let (store, agent) = world.actor("alpha").await;
        let used = limit - ErrorBudget::open(&store, &agent).remaining(Unit::Calls).await.unwrap();
        // A draw that stood still between its intent and its admission counts, and its holder says that it was given up.
        let given_up = given_up(&world.ledger().await.0).await;
        assert!(started <= used && used <= started + given_up, "started {started}, counted {used}, given up {given_up}");
    });
}

/// A clock that stands still until, at its n-th look, its process is frozen for an hour; what happens meanwhile is done then.
struct Freezing {
    looks_left: AtomicU64,
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Freezing {
    fn is_frozen_before(&self) -> bool {
        let left = self.looks_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(1)));
        if left != Ok(0) {
            return false;
        }
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        true
    }
}

impl Clock for Freezing {
    /// What is written down of the time matters to nobody here; that it is asked between two looks at the deadline does.
    fn now(&self) -> Millis {
        self.is_frozen_before();
        Ports::default().clock.now()
    }

    fn elapsed(&self) -> Duration {
        if self.is_frozen_before() { Duration::from_secs(3601) } else { Duration::from_secs(1) }
    }
}

/// How many draws ended with the word that the share had lapsed.
async fn given_up(ledger: &Ledger) -> u64 {
    ledger.sequence(1).await.unwrap();
    let spends = ledger.list(&Filter { action: Some(Action::Spend), ..Filter::default() }).await.unwrap().actions;
    spends.iter().filter(|a| a.kind == EntryKind::Outcome && a.result == Some(OutcomeResult::Error)).count() as u64
}

fn a_holder_frozen_at_any_moment_starts_nothing_that_was_given_back(on: Backend) {
    on.costly().property((0..60_u64, 1..5_u64), async |world, (at, piece)| {
        let (limit, ttl) = (20, Duration::from_millis(1));
        let (budget, governor) = granted(&world, "alpha", limit).await;
        let lapsing = budget.clone().recorded(&world.ledger().await.1);
        let (store, _) = world.actor("alpha").await;
        let meanwhile = move || {
            let lapse = async {
                until_after(&store, store.now().await.unwrap().after(ttl)).await;
                lapsing.lapse(&governor).await.unwrap();
            };
            std::thread::scope(|scope| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                scope.spawn(move || runtime.block_on(lapse)).join().unwrap();
            });
        };
        let clock = Arc::new(Freezing { looks_left: AtomicU64::new(u64::MAX), meanwhile: Mutex::new(Some(Box::new(meanwhile))) });
        let store = world.store_with(clock.clone()).await;
        let (ledger, recorder) = world.ledger_with(Ports { clock: clock.clone(), ..Ports::default() }).await;
        clock.looks_left.store(at, Ordering::SeqCst);
        let (_, agent) = world.actor("alpha").await;
        let allowance = ErrorBudget::open(&store, &agent).recorded(&recorder).allowance(Unit::Calls, piece, ttl);
        let drawing = tokio::spawn(async move {
            let mut started = 0;
            for _ in 0..8 {
                // A call that was cut by the freeze is an error, and nothing was started.
                if let Ok(Spend::Admitted { .. }) = allowance.draw(1).await {
                    started += 1;
                }
            }
            drop(allowance);
            started
        });
        let started: u64 = drawing.await.unwrap();
        let store = world.store().await;
        until_after(&store, store.now().await.unwrap().after(ttl)).await;
        let (_, governor) = world.actor("governor").await;
        budget.clone().recorded(&world.ledger().await.1).lapse(&governor).await.unwrap();
        let used = limit - budget.remaining(Unit::Calls).await.unwrap();
        let given_up = given_up(&ledger).await;
        assert!(started <= used && used <= started + given_up, "started {started}, counted {used}, given up {given_up}");
    });
}

fn a_frozen_holder_that_wakes_up_reserves_anew(on: Backend) {
    on.story(async |world| {
        // Longer than a draw takes on a busy machine.
        let ttl = Duration::from_secs(1);
        let (budget, governor) = granted(&world, "alpha", 12).await;
        let budget = budget.recorded(&world.ledger().await.1);
        let allowance = budget.allowance(Unit::Calls, 10, ttl);
        allowance.draw(1).await.unwrap();
        let store = world.store().await;
        until_after(&store, store.now().await.unwrap().after(ttl)).await;
        assert_eq!(budget.lapse(&governor).await.unwrap(), 1);
        assert_eq!(budget.remaining(Unit::Calls).await.unwrap(), 11);
        // Others take what was given back.
        assert_eq!(budget.spend(Unit::Calls, 10).await.unwrap(), Spend::Admitted { low: true });
        assert_eq!(allowance.draw(1).await.unwrap(), Spend::Admitted { low: true });
        assert!(matches!(allowance.draw(1).await.unwrap(), Spend::Exhausted { remaining: 0, .. }));
    });
}

fn who_stops_waiting_while_a_share_is_given_back_draws_nothing_more_from_it(on: Backend) {
    on.story(async |world| {
        for (name, after) in [("alpha", false), ("beta", true)] {
            let limit = 20;
            let (budget, _) = granted(&world, name, limit).await;
            let (_, agent) = world.actor(name).await;
            // One commit sets a share of ten aside, the next gives back what is left of it.
            let (store, crash) = world.mortal(2, after).await;
            let recorder = world.ledger().await.1;
            let allowance = ErrorBudget::open(&store, &agent).recorded(&recorder).allowance(Unit::Calls, 10, Duration::from_secs(3600));
            allowance.draw(5).await.unwrap();
            assert!(crash.during(allowance.draw(8)).await.is_none(), "the five that are left are not enough");
            let others = budget.remaining(Unit::Calls).await.unwrap();
            assert_eq!(others, if after { 15 } else { 10 });
            assert!(matches!(budget.spend(Unit::Calls, others).await.unwrap(), Spend::Admitted { .. }));
            let mut started = 5;
            while allowance.try_draw(1).unwrap() || matches!(allowance.draw(1).await.unwrap(), Spend::Admitted { .. }) {
                started += 1;
            }
            assert_eq!(started + others, limit, "as much was started as there was");
        }
    });
}

fn the_last_of_a_budget_is_drawn_although_it_is_less_than_a_piece(on: Backend) {
    on.costly().property((0..40_u64, 1..9_u64, 1..20_u64), async |world, (limit, amount, piece)| {
        let (budget, _) = granted(&world, "alpha", limit).await;
        let allowance = budget.clone().recorded(&world.ledger().await.1).allowance(Unit::Calls, piece, Duration::from_secs(3600));
        let mut started = 0;
        while allowance.draw(amount).await.unwrap() != (Spend::Exhausted { remaining: limit - started, closed: false }) {
            started += amount;
        }
        assert_eq!(started, limit / amount * amount);
        allowance.close().await.unwrap();
        assert_eq!(budget.remaining(Unit::Calls).await.unwrap(), limit - started);
    });
}

fn a_share_of_which_the_record_is_gone_counts_as_spent(on: Backend) {
    on.story(async |world| {
        let ttl = Duration::from_millis(1);
        let (budget, governor) = granted(&world, "alpha", 100).await;
        let (ledger, recorder) = world.ledger().await;
        let allowance = budget.clone().recorded(&recorder).allowance(Unit::Calls, 10, ttl);
        let _ = allowance.draw(1).await.unwrap();
        let store = world.store().await;
        until_after(&store, store.now().await.unwrap().after(ttl)).await;
        std::fs::remove_dir_all(ledger.home().join("segments")).unwrap();
        let held_before = budget.remaining(Unit::Calls).await.unwrap();
        budget.clone().recorded(&world.ledger().await.1).lapse(&governor).await.unwrap();
        assert_eq!(budget.remaining(Unit::Calls).await.unwrap(), held_before, "nothing comes back that nothing proves");
    });
}

fn without_a_ledger_every_draw_is_spent_at_once(on: Backend) {
    on.story(async |world| {
        let (budget, _) = granted(&world, "alpha", 10).await;
        let allowance = budget.allowance(Unit::Calls, 10, Duration::from_secs(60));
        allowance.draw(3).await.unwrap();
        assert_eq!(budget.remaining(Unit::Calls).await.unwrap(), 7);
    });
}
