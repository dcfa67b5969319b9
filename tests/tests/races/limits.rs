//! Limits and breakers that processes share: while some of them are killed and frozen.

use std::time::Duration;

use governance::guard::limits::{Scope, ScopeLimits};
use governance::guard::{Admissions, Breaker, Circuit, CircuitLimits, Recorder, Role, Unit};
use governance::ledger::{Action, Durability, EntryKind, Ledger, read_all};
use governance::store::{Actor, Store};
use governance::vocabulary::{AgentId, AgentRole, Ports, SegmentId, Tier};
use governance_tests::task::Task;
use governance_tests::world::until_after;

use super::place::Place;
use super::worker::{self, Worker};
use super::{actor, pipe};

/// Enough that none is done before it is killed.
const CALLS: u64 = 1_000;

/// So many agents of one pipeline.
async fn agents(store: &Store, number: usize) -> Vec<Actor> {
    let admissions = Admissions::new(store, &Recorder::default());
    let admission = admissions.begin_pipeline(&pipe(), "try it").await.unwrap();
    let role = Role { role: AgentRole::Alpha, tier: Tier::T1 };
    let mut agents = Vec::new();
    for number in 0..number {
        let id = AgentId::new(format!("alpha-{number}")).unwrap();
        agents.push(admissions.admit(&admission, &pipe(), &id, role).await.unwrap());
    }
    agents
}

async fn set(store: &Store, scope: Scope, unit: Unit, limit: u64) {
    let operator = actor(store, "operator").await;
    ScopeLimits::new(store, &Recorder::default()).set(&operator, &scope, unit, limit).await.unwrap();
}

async fn used(store: &Store, scope: Scope, unit: Unit) -> u64 {
    let usage = ScopeLimits::new(store, &Recorder::default()).usage(&[scope]).await.unwrap();
    usage.iter().find(|one| one.usage.unit == unit).unwrap().usage.used
}

pub async fn promise_07_processes_of_which_some_die_and_some_freeze_never_overshoot_a_limit_that_they_share(place: Place) {
    let store = Store::open(&place.url).await.unwrap();
    let (agents, pipeline) = (agents(&store, 9).await, Scope::Pipeline(pipe()));
    set(&store, pipeline.clone(), Unit::Calls, CALLS).await;
    set(&store, Scope::Tenant, Unit::Calls, CALLS * 2).await;
    let task = |actor: &Actor| Task { store: place.url.clone(), home: place.home(), actor: actor.clone(), number: 0, ttl_ms: 12 };
    let mut workers: Vec<_> = agents[..8].iter().map(|actor| Worker::start("call", &task(actor))).collect();
    let printed = |workers: &[Worker]| -> u64 { workers.iter().map(Worker::lines).map(|lines| lines.started()).sum() };
    let mut killed = 0;
    for (at, kill, freeze) in [(40, 0, 4), (160, 1, 5), (300, 2, 6)] {
        worker::until("so much was started", || printed(&workers) >= at || workers.iter().all(Worker::is_done));
        killed += u64::from(workers[kill].kill());
        workers[freeze].freeze();
        let frozen = store.now().await.unwrap();
        until_after(&store, frozen.after(Duration::from_millis(200))).await;
        workers[freeze].thaw();
    }
    for worker in &mut workers {
        worker.end();
    }
    // Whoever comes last has what the dead had left.
    let mut last = Worker::start("call", &task(&agents[8]));
    last.end();
    workers.push(last);
    let (printed, counted) = (printed(&workers), used(&store, pipeline, Unit::Calls).await);
    let begun = begun(&place).await;
    eprintln!("printed {printed}, begun {begun}, counted {counted}, killed {killed}");
    assert!(printed <= CALLS && counted <= CALLS, "printed {printed}, counted {counted}");
    assert!(printed <= begun && begun <= counted, "nothing that was begun comes back: begun {begun}, counted {counted}");
    assert!(killed == 3 && printed + 3 * killed >= CALLS, "the dead kept what they had not begun: {printed} of {CALLS}, killed {killed}");
}

/// How many calls the record knows to have begun.
async fn begun(place: &Place) -> u64 {
    let ledger = Ledger::open(place.home(), Ports::default(), Durability::Process).await.unwrap();
    let mut begun = 0;
    for file in std::fs::read_dir(ledger.home().join("segments")).unwrap() {
        let path = file.unwrap().path();
        let Some(id) = path.file_stem().and_then(|stem| SegmentId::new(stem.to_str().unwrap()).ok()) else { continue };
        let entries = read_all(&ledger.home().join("segments"), &id).unwrap();
        begun += entries.iter().filter(|(_, entry)| entry.action == Action::ToolCall && entry.kind == EntryKind::Intent).count() as u64;
    }
    begun
}

pub async fn never_more_calls_are_under_way_than_are_allowed_and_the_places_of_the_dead_come_back(place: Place) {
    let store = Store::open(&place.url).await.unwrap();
    let agents = agents(&store, 8).await;
    set(&store, Scope::Tenant, Unit::Concurrency, 3).await;
    set(&store, Scope::Tenant, Unit::Calls, 400).await;
    let task = |actor: &Actor| Task { store: place.url.clone(), home: place.home(), actor: actor.clone(), number: 3, ttl_ms: 15 };
    let mut workers: Vec<_> = agents.iter().map(|actor| Worker::start("call", &task(actor))).collect();
    let printed = |workers: &[Worker]| -> u64 { workers.iter().map(Worker::lines).map(|lines| lines.started()).sum() };
    for (at, kill) in [(20, 0), (50, 1), (80, 2), (110, 3)] {
        worker::until("so much was started", || printed(&workers) >= at || workers.iter().all(Worker::is_done));
        assert!(workers[kill].kill());
    }
    // Four places were kept by the dead, one after the other, and there are three.
    for worker in &mut workers {
        worker.end();
    }
    let printed = printed(&workers);
    assert!((360..=400).contains(&printed), "{printed}");
}

pub async fn of_eight_processes_one_tries_whether_a_service_works_again(place: Place) {
    let store = Store::open(&place.url).await.unwrap();
    let operator = actor(&store, "operator").await;
    std::fs::create_dir_all(place.home()).unwrap();
    std::fs::write(place.home().join("ill"), "").unwrap();
    let pause = Duration::from_millis(120);
    let breaker = Breaker::open(&store, &operator, "a-service").with_limits(CircuitLimits { pause, ..CircuitLimits::default() });
    for _ in 0..5 {
        let pass = breaker.ask(pause).await.unwrap().unwrap();
        breaker.failed(pass).await.unwrap();
    }
    let task = Task { store: place.url.clone(), home: place.home(), actor: operator, number: 1, ttl_ms: 120 };
    let mut workers: Vec<_> = (0..8).map(|_| Worker::start("try", &task)).collect();
    let said = |worker: &Worker, word: &str| worker.lines().all().iter().filter(|line| *line == word).count();
    let total = |workers: &[Worker], word: &str| workers.iter().map(|worker| said(worker, word)).sum::<usize>();
    worker::until("it was tried three times", || total(&workers, "tried") >= 3);
    // Whoever tries dies: its trial lapses, and another tries.
    let trying = |workers: &[Worker]| workers.iter().position(|worker| said(worker, "tries") > said(worker, "tried"));
    worker::until("somebody tries", || trying(&workers).is_some());
    let at = trying(&workers).unwrap_or(0);
    assert!(workers[at].kill());
    let tried = total(&workers, "tried");
    worker::until("another tries", || total(&workers, "tried") > tried);
    std::fs::remove_file(place.home().join("ill")).unwrap();
    for worker in &mut workers {
        worker.end();
    }
    assert_eq!(total(&workers, "closed"), 7, "everybody goes on but the dead");
    assert!(matches!(breaker.circuit().await.unwrap(), Circuit::Closed { failures: 0 }));
}
