//! Real processes against one store: some are killed, some are frozen, and what is promised holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

#[path = "races/limits.rs"]
mod limits;
#[path = "races/place.rs"]
mod place;
#[path = "races/worker.rs"]
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use governance::coordination::{Blackboard, CARETAKER_LEASE, Consensus, Cursor, DecisionRule, Opening};
use governance::guard::{Admissions, Recorder, Role, Unit};
use governance::ledger::{Action, Durability, EntryKind, Filter, Ledger, OutcomeResult, read_all};
use governance::store::{Actor, Store, Write};
use governance::vocabulary::{AgentId, AgentRole, PipelineId, Ports, ProposalId, RevocationType, SegmentId, TaskId, Tier};
use governance::{Config, ErrorBudget, ErrorKind, Governance, RevocationEngine};
use governance_tests::task::Task;
use governance_tests::world::until_after;

use self::limits::{
    never_more_calls_are_under_way_than_are_allowed_and_the_places_of_the_dead_come_back,
    of_eight_processes_one_tries_whether_a_service_works_again,
    promise_07_processes_of_which_some_die_and_some_freeze_never_overshoot_a_limit_that_they_share,
};
use self::place::Place;
use self::worker::Worker;

macro_rules! on_every_shared_backend {
    ($($promise:ident)+) => {
        on_every_shared_backend!(sqlite: $($promise)+);
        on_every_shared_backend!(redis7: $($promise)+);
        on_every_shared_backend!(valkey9: $($promise)+);
    };
    ($backend:ident: $($promise:ident)+) => {
        mod $backend {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                super::$promise(super::Place::$backend()).await;
            })+
        }
    };
}

on_every_shared_backend! {
    promise_07_eight_processes_of_which_some_die_and_some_freeze_never_overshoot_one_budget
    promise_07_processes_of_which_some_die_and_some_freeze_never_overshoot_a_limit_that_they_share
    never_more_calls_are_under_way_than_are_allowed_and_the_places_of_the_dead_come_back
    of_eight_processes_one_tries_whether_a_service_works_again
    of_processes_that_replace_one_version_exactly_one_wins
    promise_03_after_revoke_returns_no_late_write_of_another_process_lands
    of_agents_spawned_by_many_processes_none_escapes_a_stop_of_everything
    when_the_caretaker_is_killed_another_process_takes_over_within_the_lease
    who_opens_after_the_caretaker_was_killed_waits_for_no_lease
    what_a_killed_agent_leaves_behind_is_tidied_up_by_itself
}

fn pipe() -> PipelineId {
    PipelineId::new("pipe").unwrap()
}

async fn actor(store: &Store, name: &str) -> Actor {
    Actor::system(store, name).await.unwrap()
}

fn task(place: &Place, actor: &Actor, number: u64) -> Task {
    Task { store: place.url.clone(), home: place.home(), actor: actor.clone(), number, ttl_ms: 0 }
}

/// Enough that none is done before it is killed.
const BUDGET: u64 = 1_500;

async fn promise_07_eight_processes_of_which_some_die_and_some_freeze_never_overshoot_one_budget(place: Place) {
    let ttl = Duration::from_millis(150);
    let store = Store::open(&place.url).await.unwrap();
    let ledger = Ledger::open(place.home(), Ports::default(), Durability::Process).await.unwrap();
    let (agent, governor) = (actor(&store, "alpha").await, actor(&store, "governor").await);
    // Not long: who is frozen in the middle of writing to a file holds it up until it goes on.
    let impatient = store.within(Duration::from_millis(500));
    let lapsing = ErrorBudget::open(&impatient, &agent).recorded(&Recorder::new(&ledger, &place.url));
    let budget = ErrorBudget::open(&store, &agent).recorded(&Recorder::new(&ledger, &place.url));
    budget.grant(&governor, Unit::Calls, BUDGET).await.unwrap();
    let mut workers = Vec::new();
    for piece in [40, 20, 12, 7, 20, 7, 3, 1] {
        workers.push(Worker::start("spend", &Task { ttl_ms: 150, ..task(&place, &agent, piece) }));
    }
    let printed = |workers: &[Worker]| -> u64 { workers.iter().map(Worker::lines).map(|lines| lines.started()).sum() };
    let mut killed = 0;
    for (at, kill, freeze) in [(40, 0, 4), (320, 1, 5), (600, 2, 6)] {
        worker::until("so much was started", || printed(&workers) >= at || workers.iter().all(Worker::is_done));
        killed += u64::from(workers[kill].kill());
        workers[freeze].freeze();
        // Longer than its share lasts; and what it did not start is given to the others.
        let frozen = store.now().await.unwrap();
        until_after(&store, frozen.after(ttl * 2)).await;
        if let Err(error) = lapsing.lapse(&governor).await {
            assert!(error.may_retry(), "{error}");
            eprintln!("held up: {error}");
        }
        workers[freeze].thaw();
    }
    for worker in &mut workers {
        worker.end();
    }
    let printed = printed(&workers);
    assert!(printed <= BUDGET, "{printed} lines of {BUDGET}");
    until_after(&store, store.now().await.unwrap().after(ttl)).await;
    budget.lapse(&governor).await.unwrap();
    let used = BUDGET - budget.remaining(Unit::Calls).await.unwrap();
    let Proven { started, given_up } = Proven::by(&ledger);
    eprintln!("printed {printed}, started {started}, given up {given_up}, counted {used}, killed {killed}");
    assert!(printed <= started && started - printed <= killed, "printed {printed}, started {started}, killed {killed}");
    // A draw that was frozen between its intent and its admission counts as started; its holder then says that it was not.
    assert!(started <= used && used <= started + given_up, "started {started}, counted {used}, given up {given_up}");
    assert!(killed == 3 && started > 400, "killed {killed} after {started}: nothing was tried");
}

/// What the ledger's segments prove.
struct Proven {
    started: u64,
    given_up: u64,
}

impl Proven {
    fn by(ledger: &Ledger) -> Self {
        let segments = ledger.home().join("segments");
        let (mut intents, mut given_up) = (0, 0);
        for file in std::fs::read_dir(&segments).unwrap() {
            let path = file.unwrap().path();
            let id = SegmentId::new(path.file_stem().unwrap().to_str().unwrap()).unwrap();
            let entries = read_all(&segments, &id).unwrap();
            let spends = entries.iter().map(|(_, entry)| entry).filter(|entry| entry.action == Action::Spend);
            for entry in spends {
                intents += u64::from(entry.kind == EntryKind::Intent);
                given_up += u64::from(entry.kind == EntryKind::Outcome && entry.result == Some(OutcomeResult::Error));
            }
        }
        Self { started: intents - given_up, given_up }
    }
}

async fn of_processes_that_replace_one_version_exactly_one_wins(place: Place) {
    const ROUNDS: u64 = 1_000;
    let store = Store::open(&place.url).await.unwrap();
    let mut workers = Vec::new();
    for number in 0..4 {
        let racer = actor(&store, &format!("racer-{number}")).await;
        workers.push(Worker::start("replace", &task(&place, &racer, ROUNDS)));
    }
    worker::until("all are ready", || workers.iter().all(|worker| !worker.lines().all().is_empty()));
    workers.iter_mut().for_each(|worker| worker.say("go"));
    let mut winners: BTreeMap<u64, usize> = BTreeMap::new();
    for (number, worker) in workers.iter_mut().enumerate() {
        worker.end();
        for line in worker.lines().all().iter().skip(1) {
            let version = line.strip_prefix("won ").unwrap().parse().unwrap();
            assert_eq!(winners.insert(version, number), None, "two won version {version}");
        }
    }
    assert_eq!(winners.keys().copied().collect::<Vec<_>>(), (0..ROUNDS).collect::<Vec<_>>());
    let board = Blackboard::open(&store, &TaskId::new("t").unwrap(), &actor(&store, "reader").await);
    assert_eq!(events(&board).await.len() as u64, ROUNDS, "one event for each accepted write");
    let several = winners.values().collect::<BTreeSet<_>>().len();
    assert!(several > 1, "there was no race");
}

/// Who wrote, event by event.
async fn events(board: &Blackboard) -> Vec<AgentId> {
    let (mut reading, mut authors) = (board.events(Cursor::default()), Vec::new());
    while let Some(piece) = reading.piece().await.unwrap() {
        authors.extend(piece.into_iter().map(|event| event.unwrap().entry.author));
    }
    authors
}

async fn promise_03_after_revoke_returns_no_late_write_of_another_process_lands(place: Place) {
    const AGENTS: u64 = 40;
    const LATE: u64 = 250;
    let store = Store::open(&place.url).await.unwrap();
    let admissions = Admissions::new(&store, &Recorder::default());
    let engine = RevocationEngine::open(&store);
    let admission = admissions.begin_pipeline(&pipe(), "race").await.unwrap();
    let board = Blackboard::open(&store, &TaskId::new("t").unwrap(), &actor(&store, "reader").await);
    let mut worker = Worker::start("write", &task(&place, &actor(&store, "worker").await, LATE));
    let mut landed = 0;
    for number in 0..AGENTS {
        let id = AgentId::new(format!("a{number}")).unwrap();
        let agent = admissions.admit(&admission, &pipe(), &id, Role { role: AgentRole::Alpha, tier: Tier::T1 }).await.unwrap();
        worker.say(&serde_json::to_string(&agent).unwrap());
        let writing = usize::try_from(number).unwrap() * 2;
        worker::until("it writes", || worker.lines().all().len() > writing);
        engine.revoke(&id, RevocationType::Manual, "a race").await.unwrap();
        let when_it_returned = store.log(store.keys().blackboard_events(&TaskId::new("t").unwrap()), 0, 0).await.unwrap().last;
        worker::until("it has tried", || worker.lines().all().len() > writing + 1);
        let told = worker.lines().all().pop().unwrap();
        let (wrote, refused) = told.strip_prefix("landed ").unwrap().split_once(" refused ").unwrap();
        landed += wrote.parse::<u64>().unwrap();
        assert_eq!((when_it_returned, refused), (landed, LATE.to_string().as_str()), "a late write of `{id}` landed");
        assert_eq!(
            board.entry(governance::vocabulary::Section::Progress, id.as_str()).await.unwrap().unwrap().version,
            wrote.parse::<u64>().unwrap()
        );
    }
    worker.end();
}

async fn of_agents_spawned_by_many_processes_none_escapes_a_stop_of_everything(place: Place) {
    let store = Store::open(&place.url).await.unwrap();
    let admissions = Admissions::new(&store, &Recorder::default());
    let admission = admissions.begin_pipeline(&pipe(), "race").await.unwrap();
    let mut workers = Vec::new();
    for number in 0..4 {
        let spawner = Actor { id: AgentId::new(format!("s{number}")).unwrap(), pipeline: Some(pipe()), admission: admission.clone() };
        workers.push(Worker::start("spawn", &task(&place, &spawner, 0)));
    }
    worker::until("all of them spawn", || workers.iter().all(|worker| worker.lines().all().len() >= 20));
    let engine = RevocationEngine::open(&store);
    engine.stop_all("a race").await.unwrap();
    let known = store.set(store.keys().pipeline_agents(&pipe())).await.unwrap();
    let mut spawned = 0;
    for worker in &mut workers {
        worker.end();
        let lines = worker.lines().all();
        spawned += lines.len() - 1;
        assert_eq!(lines.last(), Some(&format!("escaped 0 of {}", lines.len() - 1)));
    }
    assert_eq!(store.set(store.keys().pipeline_agents(&pipe())).await.unwrap(), known, "something began after the stop returned");
    assert_eq!(known.len(), spawned);
    let later = PipelineId::new("later").unwrap();
    assert_eq!(admissions.begin_pipeline(&later, "?").await.unwrap_err().kind(), ErrorKind::Denied);
    engine.lift().await.unwrap();
    let admission = admissions.begin_pipeline(&later, "on").await.unwrap();
    let agent = Actor { id: AgentId::new("later").unwrap(), pipeline: None, admission };
    let signal = Write::Signal { channel: store.keys().ws_broadcast(), payload: "on".into() };
    store.apply(agent.commit().write(signal)).await.unwrap();
}

/// What `governance store check` says.
fn checked(place: &Place) -> serde_json::Value {
    let mut check = std::process::Command::new(governance_tests::program::binary());
    check.args(["store", "check", "--json"]).env("GOVERNANCE_HOME", place.home()).env("GOVERNANCE_STORE", &place.url);
    let answer = check.output().unwrap();
    assert!(answer.status.success(), "{answer:?}");
    serde_json::from_slice(&answer.stdout).unwrap()
}

async fn when_the_caretaker_is_killed_another_process_takes_over_within_the_lease(place: Place) {
    let store = Store::open(&place.url).await.unwrap();
    let person = actor(&store, "person").await;
    let mut workers: Vec<Worker> = (0..3).map(|_| Worker::start("keep", &task(&place, &person, 0))).collect();
    let keeps = |worker: &Worker| worker.lines().all().len() == 2;
    worker::until("all are open", || workers.iter().all(|worker| !worker.lines().all().is_empty()));
    for round in 0..2 {
        worker::until("one keeps house", || workers.iter().any(keeps));
        assert_eq!(workers.iter().filter(|worker| keeps(worker)).count(), 1, "one at a time");
        let house = &checked(&place)["housekeeping"];
        assert_eq!((&house["awake"], &house["overdue"]), (&true.into(), &serde_json::json!([])), "{house}");
        let at = workers.iter().position(keeps).unwrap();
        let mut caretaker = workers.swap_remove(at);
        assert_eq!(house["caretaker"]["pid"], caretaker.pid());
        assert!(caretaker.kill());
        caretaker.end();
        let killed = store.now().await.unwrap();
        // Somebody must notice that this vote's time is up.
        let votes = Consensus::open(&store, &TaskId::new("t").unwrap(), &person);
        let id = ProposalId::new(format!("p{round}")).unwrap();
        let within = Duration::from_millis(100);
        votes.propose(&id, Opening { within, ..opening() }).await.unwrap();
        until_after(&store, killed.after(within)).await;
        if round == 0 {
            let seen = checked(&place);
            let overdue = seen["housekeeping"]["overdue"][0]["what"].as_str();
            assert!(overdue == Some(&format!("ballot/t/{id}")) || seen["housekeeping"]["awake"] == true, "{seen}");
        }
        worker::until("another keeps house", || workers.iter().any(keeps));
        let took = store.now().await.unwrap().since(killed);
        // Whoever waits sleeps until the lease's end; what a busy machine needs then is less than another lease.
        assert!(took < CARETAKER_LEASE * 2, "took over only after {took:?}");
        governance_tests::world::until("the vote is closed", async || votes.settled(&id).await.unwrap().is_some()).await;
    }
    // The last one leaves in order.
    workers.iter_mut().for_each(Worker::end);
    let house = &checked(&place)["housekeeping"];
    assert_eq!((&house["awake"], &house["caretaker"]), (&false.into(), &serde_json::Value::Null), "{house}");
}

fn opening() -> Opening {
    Opening {
        question: "?".into(),
        options: vec!["yes".into(), "no".into()],
        rule: DecisionRule::Majority,
        quorum: None,
        electorate: vec![(AgentId::new("alpha").unwrap(), 1)],
        within: Duration::from_secs(1),
        sealed: false,
    }
}

async fn what_a_killed_agent_leaves_behind_is_tidied_up_by_itself(place: Place) {
    let config = Config { home: place.home(), store: Some(place.url.clone()), ..Config::default() };
    let governance = Governance::open(config).await.unwrap();
    let governor = governance.actor("governor").await.unwrap();
    let admission = governance.admissions().begin_pipeline(&pipe(), "race").await.unwrap();
    let role = Role { role: AgentRole::Alpha, tier: Tier::T1 };
    let id = AgentId::new("alpha").unwrap();
    let agent = governance.admissions().admit(&admission, &pipe(), &id, role).await.unwrap();
    let budget = governance.budget(&agent);
    budget.grant(&governor, Unit::Calls, 100).await.unwrap();
    let mut worker = Worker::start("agent", &Task { ttl_ms: 800, ..task(&place, &agent, 40) });
    worker::until("it lives", || !worker.lines().all().is_empty());
    assert_eq!(budget.remaining(Unit::Calls).await.unwrap(), 60);
    assert!(worker.kill());
    worker.end();
    let engine = governance.revocations();
    let revoked = async || engine.revocation_of(&id).await.unwrap().is_some_and(|why| why.kind == RevocationType::Heartbeat);
    governance_tests::world::until("it is revoked", revoked).await;
    governance_tests::world::until("its share came back", async || budget.remaining(Unit::Calls).await.unwrap() == 97).await;
    assert!(governance.catch_up(Duration::from_secs(10)).await.unwrap());
    let spends = Filter { agent: Some(id.clone()), action: Some(Action::Violation), ..Filter::default() };
    governance_tests::world::until("it is in the record", async || {
        governance
            .ledger()
            .list(&spends)
            .await
            .unwrap()
            .actions
            .iter()
            .any(|action| action.payload.as_ref().is_some_and(|payload| payload.contains("heartbeat_lost")))
    })
    .await;
    assert!(governance.ledger().verify(None).await.unwrap().is_intact());
    governance.close().await.unwrap();
}

async fn who_opens_after_the_caretaker_was_killed_waits_for_no_lease(place: Place) {
    let store = Store::open(&place.url).await.unwrap();
    let mut caretaker = Worker::start("keep", &task(&place, &actor(&store, "person").await, 0));
    worker::until("it keeps house", || caretaker.lines().all().len() == 2);
    assert!(caretaker.kill());
    caretaker.end();
    let config = Config { home: place.home(), store: Some(place.url.clone()), ..Config::default() };
    let governance = Governance::open(config).await.unwrap();
    let began = std::time::Instant::now();
    let _ = governance.ledger().segment().unwrap().intent(Action::ToolCall, None, None, "{}").unwrap();
    assert!(governance.catch_up(CARETAKER_LEASE / 2).await.unwrap(), "the lease of a dead process was waited for");
    eprintln!("took over and caught up within {:?}", began.elapsed());
    governance.close().await.unwrap();
}
