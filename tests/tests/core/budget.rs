//! What may still be spent, held against a model that adds up.

use std::sync::Arc;
use std::time::Duration;

use governance::guard::{Reservation, Settled, Spend, Unit, Usage};
use governance::ledger::Filter;
use governance::store::Actor;
use governance::{ErrorBudget, ErrorKind};
use governance_tests::world::{Backend, World};
use proptest::prelude::*;
use proptest::sample::select;

governance_tests::on_every_backend! {
    it_does_what_the_model_does
    however_many_spend_at_once_it_never_overshoots
    a_reservation_that_lapses_unproven_counts_as_spent
    an_overrun_is_recorded_and_closes_the_budget_until_it_is_granted_anew
    an_overrun_of_a_lapsed_reservation_still_counts_and_closes
    a_settlement_whose_holder_died_is_settled_once
    nothing_is_spent_that_was_not_granted
    an_agent_cannot_grant_itself_a_budget
    a_revoked_agent_spends_nothing
    from_80_percent_on_it_warns
}

const HOUR: Duration = Duration::from_secs(3600);

/// An agent that was granted so many calls, and its budget as another process sees it.
pub async fn granted(world: &World, name: &str, calls: u64) -> (ErrorBudget, Actor) {
    let (store, agent) = world.actor(name).await;
    let (_, governor) = world.actor("governor").await;
    let budget = ErrorBudget::open(&store, &agent);
    budget.grant(&governor, Unit::Calls, calls).await.unwrap();
    (budget, governor)
}

#[derive(Debug, Clone)]
enum Op {
    Spend(u64),
    Reserve {
        amount: u64,
        lapses: bool,
    },
    /// Settles the n-th reservation with so much more or less than it holds.
    Settle(prop::sample::Index, i64),
    Lapse,
    Grant(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0..40_u64).prop_map(Op::Spend),
        4 => (0..40_u64, any::<bool>()).prop_map(|(amount, lapses)| Op::Reserve { amount, lapses }),
        4 => (any::<prop::sample::Index>(), select(vec![-50_i64, -3, 0, 0, 0, 2])).prop_map(|(which, off)| Op::Settle(which, off)),
        1 => Just(Op::Lapse),
        1 => (0..150_u64).prop_map(Op::Grant),
    ];
    prop::collection::vec(op, 1..40)
}

struct Model {
    limit: u64,
    used: u64,
    closed: bool,
    reservations: Vec<(Reservation, bool, Option<Settled>)>,
}

impl Model {
    fn take(&mut self, amount: u64) -> Spend {
        let open = if self.closed { 0 } else { self.limit };
        if self.used + amount > open {
            return Spend::Exhausted { remaining: open.saturating_sub(self.used), closed: self.closed };
        }
        self.used += amount;
        Spend::Admitted { low: self.used * 5 >= self.limit * 4 }
    }

    fn settle(&mut self, which: usize, used: u64) -> Settled {
        let (reservation, _, settled) = &mut self.reservations[which];
        let over = used.saturating_sub(reservation.amount);
        let outcome = match (*settled, over) {
            (None, 0) => Settled::Within,
            (Some(Settled::Lapsed), 0) => return Settled::Lapsed,
            (_, over) => Settled::Overrun(over),
        };
        // What had lapsed was counted in full already.
        self.used = self.used + used - reservation.amount;
        self.closed |= over > 0;
        *settled = Some(outcome);
        outcome
    }
}

fn it_does_what_the_model_does(on: Backend) {
    on.property((1..120_u64, ops()), async |world, (limit, ops)| {
        let (budget, governor) = granted(&world, "alpha", limit).await;
        let mut model = Model { limit, used: 0, closed: false, reservations: Vec::new() };
        for op in ops {
            match op {
                Op::Spend(amount) => assert_eq!(budget.spend(Unit::Calls, amount).await.unwrap(), model.take(amount)),
                Op::Reserve { amount, lapses } => {
                    let ttl = if lapses { Duration::ZERO } else { HOUR };
                    match (budget.reserve(Unit::Calls, amount, ttl).await.unwrap(), model.take(amount)) {
                        (Ok(reservation), Spend::Admitted { low }) => {
                            assert_eq!((reservation.amount, reservation.low), (amount, low));
                            model.reservations.push((reservation, lapses, None));
                        }
                        (told, expected) => assert_eq!(told.unwrap_err(), expected),
                    }
                }
                Op::Settle(which, off) if !model.reservations.is_empty() => {
                    let which = which.index(model.reservations.len());
                    let (reservation, _, settled) = model.reservations[which].clone();
                    let used = reservation.amount.saturating_add_signed(off);
                    // A second settlement that says something else is a mistake of the caller's.
                    if settled.is_none_or(|settled| settled == Settled::Lapsed && used <= reservation.amount) {
                        assert_eq!(budget.settle(&reservation, used).await.unwrap(), model.settle(which, used));
                    }
                }
                Op::Settle(..) => {}
                Op::Lapse => {
                    let open = model.reservations.iter_mut().filter(|(_, lapses, settled)| *lapses && settled.is_none());
                    let lapsed = open.map(|(_, _, settled)| *settled = Some(Settled::Lapsed)).count();
                    assert_eq!(budget.lapse(&governor).await.unwrap(), lapsed as u64);
                }
                Op::Grant(limit) => {
                    budget.grant(&governor, Unit::Calls, limit).await.unwrap();
                    (model.limit, model.closed) = (limit, false);
                }
            }
            let expected = Usage { unit: Unit::Calls, limit: model.limit, used: model.used, closed: model.closed };
            assert_eq!(budget.usage(Unit::Calls).await.unwrap(), Some(expected));
        }
    });
}

fn however_many_spend_at_once_it_never_overshoots(on: Backend) {
    on.property(
        (1..200_u64, prop::collection::vec(prop::collection::vec((0..12_u64, any::<bool>()), 1..15), 2..6)),
        async |world, (limit, spenders)| {
            let (budget, _) = granted(&world, "alpha", limit).await;
            let mut spending = Vec::new();
            for attempts in spenders {
                let (store, agent) = world.actor("alpha").await;
                let budget = ErrorBudget::open(&store, &agent);
                spending.push(tokio::spawn(async move {
                    let (mut spent, mut refused) = (0, false);
                    for (amount, reserve) in attempts {
                        if !reserve {
                            match budget.spend(Unit::Calls, amount).await.unwrap() {
                                Spend::Admitted { .. } => spent += amount,
                                Spend::Exhausted { remaining, .. } => refused |= remaining < amount,
                            }
                        } else if let Ok(reservation) = budget.reserve(Unit::Calls, amount, HOUR).await.unwrap() {
                            assert!(budget.usage(Unit::Calls).await.unwrap().unwrap().used <= limit);
                            assert_eq!(budget.settle(&reservation, amount / 2).await.unwrap(), Settled::Within);
                            spent += amount / 2;
                        } else {
                            refused = true;
                        }
                    }
                    (spent, refused)
                }));
            }
            let mut spent = 0;
            for spender in spending {
                spent += spender.await.unwrap().0;
            }
            assert!(spent <= limit, "spent {spent} of {limit}");
            assert_eq!(budget.remaining(Unit::Calls).await.unwrap(), limit - spent);
        },
    );
}

fn a_reservation_that_lapses_unproven_counts_as_spent(on: Backend) {
    on.story(async |world| {
        let (budget, governor) = granted(&world, "alpha", 10).await;
        let (_, recorder) = world.ledger().await;
        // Nobody can tell what became of it, also where there is a ledger.
        let recorded = budget.clone().recorded(&recorder);
        for budget in [&budget, &recorded] {
            let reservation = budget.reserve(Unit::Calls, 4, Duration::ZERO).await.unwrap().unwrap();
            assert_eq!(recorded.lapse(&governor).await.unwrap(), 1);
            assert_eq!(budget.settle(&reservation, 1).await.unwrap(), Settled::Lapsed);
        }
        assert_eq!(budget.remaining(Unit::Calls).await.unwrap(), 2);
        let held = budget.reserve(Unit::Calls, 2, HOUR).await.unwrap().unwrap();
        assert_eq!(budget.lapse(&governor).await.unwrap(), 0, "its time is not over");
        assert_eq!(budget.settle(&held, 0).await.unwrap(), Settled::Within);
        assert_eq!(budget.remaining(Unit::Calls).await.unwrap(), 2);
    });
}

fn an_overrun_is_recorded_and_closes_the_budget_until_it_is_granted_anew(on: Backend) {
    on.story(async |world| {
        let (budget, governor) = granted(&world, "alpha", 100).await;
        let (ledger, recorder) = world.ledger().await;
        let budget = budget.recorded(&recorder);
        let reservation = budget.reserve(Unit::Calls, 10, HOUR).await.unwrap().unwrap();
        for _ in 0..2 {
            assert_eq!(budget.settle(&reservation, 13).await.unwrap(), Settled::Overrun(3), "settling again answers the same");
        }
        let usage = budget.usage(Unit::Calls).await.unwrap().unwrap();
        assert_eq!((usage.used, usage.closed, usage.remaining()), (13, true, 0));
        assert_eq!(budget.spend(Unit::Calls, 1).await.unwrap(), Spend::Exhausted { remaining: 0, closed: true });
        assert!(budget.reserve(Unit::Calls, 1, HOUR).await.unwrap().is_err());
        ledger.sequence(1).await.unwrap();
        let recorded = ledger.list(&Filter::default()).await.unwrap().actions;
        assert!(recorded.iter().any(|action| format!("{action:?}").contains("overrun")), "{recorded:?}");
        budget.grant(&governor, Unit::Calls, 20).await.unwrap();
        assert_eq!(budget.remaining(Unit::Calls).await.unwrap(), 7);
    });
}

fn an_overrun_of_a_lapsed_reservation_still_counts_and_closes(on: Backend) {
    on.story(async |world| {
        let (budget, governor) = granted(&world, "alpha", 100).await;
        let reservation = budget.reserve(Unit::Calls, 10, Duration::ZERO).await.unwrap().unwrap();
        assert_eq!(budget.lapse(&governor).await.unwrap(), 1);
        for _ in 0..2 {
            assert_eq!(budget.settle(&reservation, 25).await.unwrap(), Settled::Overrun(15));
        }
        let usage = budget.usage(Unit::Calls).await.unwrap().unwrap();
        assert_eq!((usage.used, usage.closed), (25, true));
    });
}

fn a_settlement_whose_holder_died_is_settled_once(on: Backend) {
    on.story(async |world| {
        let (budget, _) = granted(&world, "alpha", 100).await;
        let (_, agent) = world.actor("alpha").await;
        for after in [false, true] {
            let before = budget.remaining(Unit::Calls).await.unwrap();
            let reservation = budget.reserve(Unit::Calls, 10, HOUR).await.unwrap().unwrap();
            let (store, crash) = world.mortal(1, after).await;
            assert!(crash.during(ErrorBudget::open(&store, &agent).settle(&reservation, 4)).await.is_none());
            assert_eq!(budget.settle(&reservation, 4).await.unwrap(), Settled::Within);
            assert_eq!(budget.remaining(Unit::Calls).await.unwrap(), before - 4);
        }
    });
}

fn nothing_is_spent_that_was_not_granted(on: Backend) {
    on.story(async |world| {
        let (budget, governor) = granted(&world, "alpha", 10).await;
        assert_eq!(budget.spend(Unit::Tokens, 1).await.unwrap_err().code(), "no_budget");
        assert_eq!(budget.remaining(Unit::Tokens).await.unwrap(), 0);
        for unit in [Unit::Calls, Unit::Tokens] {
            assert_eq!(budget.grant(&governor, unit, u64::MAX).await.unwrap_err().code(), "amount_too_large");
        }
        assert_eq!(budget.spend(Unit::Calls, u64::MAX).await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(budget.remaining(Unit::Calls).await.unwrap(), 10);
    });
}

fn an_agent_cannot_grant_itself_a_budget(on: Backend) {
    on.story(async |world| {
        let (budget, _) = granted(&world, "alpha", 10).await;
        let (_, alpha) = world.actor("alpha").await;
        assert_eq!(budget.grant(&alpha, Unit::Calls, 1_000).await.unwrap_err().code(), "self_granted");
        assert_eq!(budget.remaining(Unit::Calls).await.unwrap(), 10);
    });
}

fn a_revoked_agent_spends_nothing(on: Backend) {
    on.story(async |world| {
        let pipeline = governance::vocabulary::PipelineId::new("pipe").unwrap();
        let (store, alpha) = world.agent(&world.pipeline(&pipeline).await, &pipeline, "alpha").await;
        let (_, governor) = world.actor("governor").await;
        let budget = ErrorBudget::open(&store, &alpha);
        budget.grant(&governor, Unit::Calls, 10).await.unwrap();
        let held = budget.reserve(Unit::Calls, 5, Duration::ZERO).await.unwrap().unwrap();
        crate::consensus::revoke(&world, "alpha").await;
        assert_eq!(budget.spend(Unit::Calls, 1).await.unwrap_err().kind(), ErrorKind::Revoked);
        assert_eq!(budget.reserve(Unit::Calls, 1, HOUR).await.unwrap_err().kind(), ErrorKind::Revoked);
        assert_eq!(budget.settle(&held, 0).await.unwrap_err().kind(), ErrorKind::Revoked);
        assert_eq!(budget.lapse(&governor).await.unwrap(), 1, "what it held is accounted for by others");
    });
}

fn from_80_percent_on_it_warns(on: Backend) {
    on.property((1..50_u64, prop::collection::vec(1..9_u64, 1..12)), async |world, (limit, spends)| {
        let budget = Arc::new(granted(&world, "alpha", limit).await.0);
        let mut used = 0;
        for amount in spends {
            if let Spend::Admitted { low } = budget.spend(Unit::Calls, amount).await.unwrap() {
                used += amount;
                assert_eq!(low, used * 100 >= limit * 80, "{used} of {limit}");
            }
        }
    });
}
