//! Faults: after the one that exceeds a limit, nothing more is admitted.

use governance::coordination::Blackboard;
use governance::guard::{Exceeded, Fault, FaultCount, Faults, Unit};
use governance::ledger::{Action, EntryKind, Filter, OutcomeResult};
use governance::store::{Actor, Store};
use governance::vocabulary::{FaultLimits, PipelineId, RevocationType, Section};
use governance::{ErrorBudget, ErrorKind, RevocationEngine};
use governance_tests::world::{Backend, World};
use proptest::prelude::*;

governance_tests::on_every_backend! {
    promise_07_the_fault_that_exceeds_a_limit_revokes_and_nothing_afterwards_is_admitted
    the_ninth_error_the_third_repeat_and_the_second_violation_exceed
    of_many_faults_at_once_exactly_one_exceeds_and_none_is_lost
    a_fault_whose_reporter_died_is_counted_with_its_revocation_or_not_at_all
    the_revocation_by_faults_is_recorded
}

async fn agent(world: &World, name: &str) -> (Store, Actor) {
    let pipeline = PipelineId::new(format!("of-{name}")).unwrap();
    world.agent(&world.pipeline(&pipeline).await, &pipeline, name).await
}

fn error(number: u32) -> Fault {
    // Told apart by letters: numbers are no part of a fingerprint.
    Fault::Error { kind: "io".into(), message: format!("file {} is gone", char::from(b'a' + u8::try_from(number % 26).unwrap())) }
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![9 => (0..12_u32).prop_map(error), 1 => Just(Fault::ProcedureViolation)];
    prop::collection::vec(fault, 1..20)
}

/// Everything that the agent could still do is refused.
async fn is_ended(store: &Store, agent: &Actor) {
    let budget = ErrorBudget::open(store, agent);
    assert_eq!(budget.spend(Unit::Calls, 1).await.unwrap_err().kind(), ErrorKind::Revoked);
    let board = Blackboard::open(store, &agent.pipeline.clone().unwrap().task(), agent);
    assert_eq!(board.post(Section::Progress, "late", &1).await.unwrap_err().kind(), ErrorKind::Revoked);
    assert_eq!(budget.fault(&error(0)).await.unwrap_err().kind(), ErrorKind::Revoked);
}

fn promise_07_the_fault_that_exceeds_a_limit_revokes_and_nothing_afterwards_is_admitted(on: Backend) {
    on.property((faults(), 1..6_u32, 1..4_u32, 0..3_u32), async |world, (faults, errors, repeats, violations)| {
        let limits = FaultLimits { max_total_errors: errors, max_same_error_repeats: repeats, max_procedure_violations: violations };
        let (store, agent) = agent(&world, "alpha").await;
        let (_, governor) = world.actor("governor").await;
        let budget = ErrorBudget::open(&store, &agent).with_fault_limits(limits);
        budget.grant(&governor, Unit::Calls, 1_000).await.unwrap();
        let mut model = Faults::default();
        for fault in faults {
            let (next, expected) = model.clone().and(&fault, &limits);
            assert_eq!(budget.fault(&fault).await.unwrap(), expected);
            assert_eq!(budget.faults().await.unwrap(), next, "counted in the same step");
            model = next;
            if matches!(expected, FaultCount::Exceeded(_)) {
                is_ended(&store, &agent).await;
                assert_eq!(budget.faults().await.unwrap(), model, "an ended agent makes no more faults");
                let why = RevocationEngine::open(&store).revocation_of(&agent.id).await.unwrap().unwrap();
                assert_eq!(why.kind, RevocationType::ErrorBudget);
                return;
            }
            assert!(matches!(budget.spend(Unit::Calls, 1).await.unwrap(), governance::guard::Spend::Admitted { .. }));
        }
        assert_eq!(RevocationEngine::open(&store).revocation_of(&agent.id).await.unwrap(), None);
    });
}

fn the_ninth_error_the_third_repeat_and_the_second_violation_exceed(on: Backend) {
    on.story(async |world| {
        let cases: [(&str, Vec<Fault>, Exceeded); 3] = [
            ("errors", (0..9).map(error).collect(), Exceeded::TotalErrors),
            ("repeats", vec![error(0); 3], Exceeded::SameError("io:file a is gone".into())),
            ("violations", vec![Fault::ProcedureViolation; 2], Exceeded::ProcedureViolations),
        ];
        for (name, mut faults, why) in cases {
            let (store, agent) = agent(&world, name).await;
            let budget = ErrorBudget::open(&store, &agent);
            budget.grant(&world.actor("governor").await.1, Unit::Calls, 10).await.unwrap();
            let last = faults.pop().unwrap();
            for fault in &faults {
                assert!(!matches!(budget.fault(fault).await.unwrap(), FaultCount::Exceeded(_)));
            }
            assert_eq!(budget.fault(&last).await.unwrap(), FaultCount::Exceeded(why));
            is_ended(&store, &agent).await;
        }
    });
}

fn of_many_faults_at_once_exactly_one_exceeds_and_none_is_lost(on: Backend) {
    on.property((1..5_u32, 2..5_usize, 1..5_u32), async |world, (limit, reporters, each)| {
        let limits = FaultLimits { max_total_errors: limit, max_same_error_repeats: 100, max_procedure_violations: 100 };
        let (_, agent) = agent(&world, "alpha").await;
        let mut reporting = Vec::new();
        for _ in 0..reporters {
            let budget = ErrorBudget::open(&world.store().await, &agent).with_fault_limits(limits);
            reporting.push(tokio::spawn(async move {
                let mut told = Vec::new();
                for number in 0..each {
                    told.push(budget.fault(&error(number)).await.map_err(|error| error.kind()));
                }
                told
            }));
        }
        let mut told = Vec::new();
        for reporter in reporting {
            told.extend(reporter.await.unwrap());
        }
        let made = u32::try_from(reporters).unwrap() * each;
        let exceeded = told.iter().filter(|t| matches!(t, Ok(FaultCount::Exceeded(_)))).count();
        assert_eq!(exceeded, usize::from(made > limit), "{told:?}");
        assert!(told.iter().all(|told| told.is_ok() || *told == Err(ErrorKind::Revoked)));
        let store = world.store().await;
        let counted = ErrorBudget::open(&store, &agent).faults().await.unwrap().total_errors;
        assert_eq!(counted, made.min(limit + 1));
        let listed = RevocationEngine::open(&store).revocations(10).await.unwrap();
        assert_eq!(listed.len(), exceeded, "revoked once");
    });
}

fn a_fault_whose_reporter_died_is_counted_with_its_revocation_or_not_at_all(on: Backend) {
    on.story(async |world| {
        for after in [false, true] {
            let (_, agent) = agent(&world, &format!("dies-{after}")).await;
            let limits = FaultLimits { max_total_errors: 0, ..FaultLimits::default() };
            let (store, crash) = world.mortal(1, after).await;
            let budget = ErrorBudget::open(&store, &agent).with_fault_limits(limits);
            assert!(crash.during(budget.fault(&error(0))).await.is_none());
            let store = world.store().await;
            let (counted, revoked) = (
                ErrorBudget::open(&store, &agent).faults().await.unwrap().total_errors,
                RevocationEngine::open(&store).revocation_of(&agent.id).await.unwrap(),
            );
            assert_eq!((counted, revoked.is_some()), (u32::from(after), after));
        }
    });
}

fn the_revocation_by_faults_is_recorded(on: Backend) {
    on.story(async |world| {
        let (store, agent) = agent(&world, "alpha").await;
        let (ledger, recorder) = world.ledger().await;
        let budget = ErrorBudget::open(&store, &agent).recorded(&recorder);
        budget.fault(&Fault::ProcedureViolation).await.unwrap();
        budget.fault(&Fault::ProcedureViolation).await.unwrap();
        ledger.sequence(1).await.unwrap();
        let revokes = ledger.list(&Filter { action: Some(Action::Revoke), ..Filter::default() }).await.unwrap().actions;
        assert!(revokes.iter().any(|a| a.kind == EntryKind::Intent && a.agent_id.as_ref() == Some(&agent.id)));
        assert!(revokes.iter().any(|a| a.kind == EntryKind::Outcome && a.result == Some(OutcomeResult::Ok)));
        let generation = store.number(store.keys().generation()).await.unwrap();
        let witness = ledger.witness(governance_tests::world::STORE_URL);
        assert_eq!(witness.generation().await.unwrap(), generation, "the ledger witnesses it");
    });
}
