//! What only a server can do to its clients.

#[path = "redis/ended.rs"]
mod ended;
#[path = "redis/outage.rs"]
mod outage;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use governance::error::{ErrorKind, Result};
use governance::store::{
    Admission, Backend, Cell, Check, Commit, Durability, Outcome, Redis, RedisOptions, Refused, Store, StoreUrl, Witness, Write,
};
use governance::testing::Rig;
use governance::vocabulary::{Key, Keys, Kind, LedgerId, Ports, Token};
use governance_tests::program::signal;
use governance_tests::proxy::Proxy;
use governance_tests::rigs::RedisRig;
use governance_tests::servers::{Product, Server};
use rustix::process::Signal;

/// Before the usual deadline of a call, with room for a busy machine.
const SOON: Duration = Duration::from_secs(4);
/// The longest that something is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Remembers(AtomicU64);

#[async_trait]
impl Witness for Remembers {
    async fn generation(&self) -> Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

fn redis7() -> Arc<RedisRig> {
    Arc::new(RedisRig::new(Product::Redis, false, RedisOptions::default()))
}

async fn open(url: &StoreUrl, options: RedisOptions) -> Result<Arc<Redis>> {
    Redis::open(url, &Keys::default(), Ports::default(), options).await
}

async fn store_at(url: &StoreUrl) -> Store {
    let backend = open(url, RedisOptions::default()).await.unwrap();
    Store::new(backend, Keys::default(), Ports::default()).await.unwrap()
}

async fn store(rig: &RedisRig) -> Store {
    store_at(&rig.url()).await
}

fn plan() -> Key {
    Key::new("plan", Kind::Record)
}

fn count() -> Key {
    Key::new("count", Kind::Counter)
}

fn add() -> Commit {
    Commit::default().write(Write::Add { counter: count(), delta: 1, ttl: None })
}

/// A governor and a bystander on one ledger, and an agent's admission.
async fn governed(rig: &RedisRig) -> (Store, Store, Arc<Remembers>, Admission, Key) {
    let (governor, bystander, witness) = (store(rig).await, store(rig).await, Arc::new(Remembers::default()));
    for store in [&governor, &bystander] {
        store.bind(&LedgerId::new("ledger").unwrap(), witness.clone()).await.unwrap();
    }
    let agent = Key::new("agent:a:epoch", Kind::Epoch);
    let epoch = governor.apply(Commit::default().raise(agent.clone())).await.unwrap().results[0];
    let admission = governor.admission().await.unwrap().and(agent.clone(), epoch);
    bystander.apply(Commit::by(&admission).put(plan(), "before")).await.unwrap();
    (governor, bystander, witness, admission, agent)
}

async fn revoke(governor: &Store, witness: &Remembers, agent: Key) {
    let revoked = governor.apply(Commit::default().urgent().raise(governor.keys().generation()).raise(agent)).await.unwrap();
    witness.0.fetch_max(revoked.generation, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bystander_that_did_not_see_the_revoke_is_refused_after_a_failover() {
    let rig = redis7();
    for _ in 0..5 {
        rig.flush().await.unwrap();
        let (governor, bystander, witness, admission, agent) = governed(&rig).await;
        rig.mirror().await.unwrap();
        revoke(&governor, &witness, agent).await;
        assert!(bystander.seen() < witness.0.load(Ordering::SeqCst), "the bystander knows already");
        rig.fail_over().await.unwrap();
        let late = bystander.commit(Commit::by(&admission).put(plan(), "late")).await.unwrap();
        assert!(matches!(late, Outcome::Refused(Refused::RolledBack { .. })), "{late:?}");
        // Not even for a moment: nothing of it reached the server that had forgotten the revoke.
        assert_eq!(bystander.cell(plan()).await.unwrap().unwrap().value, "before");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_lands_after_a_revoke_while_the_server_fails_over() {
    let rig = redis7();
    let (governor, bystander, witness, admission, agent) = governed(&rig).await;
    rig.mirror().await.unwrap();
    let revoked = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..20)
        .map(|_| {
            let (store, admission, revoked) = (bystander.clone(), admission.clone(), revoked.clone());
            tokio::spawn(async move {
                loop {
                    let late = revoked.load(Ordering::SeqCst);
                    match store.commit(Commit::by(&admission).write(add().writes[0].clone())).await.unwrap() {
                        Outcome::Accepted(_) => assert!(!late, "a write landed after the revoke"),
                        Outcome::Refused(Refused::Stale { .. }) if !late => {}
                        Outcome::Refused(Refused::RolledBack { .. }) => return,
                        Outcome::Refused(_) => tokio::task::yield_now().await,
                    }
                }
            })
        })
        .collect();
    revoke(&governor, &witness, agent).await;
    revoked.store(true, Ordering::SeqCst);
    rig.fail_over().await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(governor.number(count()).await.unwrap(), 0, "the promoted replica took a write of a revoked agent");
}

#[tokio::test]
async fn a_server_that_is_down_is_named_with_what_to_do() {
    let port = governance_tests::servers::free_port();
    for url in [format!("redis://user:hunter2@127.0.0.1:{port}"), "redis+unix:///nowhere/redis.sock".to_owned()] {
        let begun = Instant::now();
        let error = open(&StoreUrl::parse(&url).unwrap(), RedisOptions::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "store_unreachable"), "{error}");
        let told = format!("{error} {error:?}");
        assert!(told.contains("start the server") && !told.contains("hunter2"), "{told}");
        assert!(told.contains("127.0.0.1") || told.contains("redis.sock"), "{told}");
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_heard_for_ever() {
    let rig = redis7();
    let store = store(&rig).await;
    let stays = store.watch(&[plan()]).await.unwrap();
    for number in 0..500 {
        drop(store.watch(&[Key::new(format!("plan:{number}"), Kind::Record)]).await.unwrap());
    }
    let channels = rig.with_server(|server| server.ask(&["PUBSUB", "CHANNELS"]));
    let heard = channels.matches(":wake").count();
    assert!((1..=150).contains(&heard) && channels.contains("plan:wake"), "{heard} channels are heard");
    drop(stays);
}

#[tokio::test]
async fn a_server_that_goes_down_and_comes_back_is_used_again() {
    let rig = redis7();
    let backend = open(&rig.url(), RedisOptions::default()).await.unwrap();
    let store = Store::new(backend.clone(), Keys::default(), Ports::default()).await.unwrap();
    let before = backend.connection();
    rig.with_server(Server::kill);
    let begun = Instant::now();
    let error = store.within(Duration::from_millis(300)).apply(add()).await.unwrap_err();
    assert_eq!(error.code(), "store_unreachable", "{error}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.apply(Commit::default().put(plan(), "late")).await }
    });
    rig.with_server(Server::restart);
    // It came back empty: whoever has seen more is told so.
    assert_eq!(waiting.await.unwrap().unwrap_err().code(), "rolled_back");
    store.recover().await.unwrap();
    store.apply(add()).await.unwrap();
    assert!(backend.connection() > before);
}

#[tokio::test]
async fn a_server_that_stands_still_holds_a_call_no_longer_than_its_deadline() {
    let rig = redis7();
    let store = store(&rig).await;
    let pid = rig.with_server(|server| server.pid());
    signal(pid, Signal::STOP);
    let begun = Instant::now();
    let error = store.within(Duration::from_millis(200)).apply(add()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadline, "{error}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    signal(pid, Signal::CONT);
    store.apply(add()).await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_denied_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Product::Redis, folder.path(), "closed", &["--requirepass", "hunter2"]);
    let at = |credentials: &str| StoreUrl::parse(&format!("redis://{credentials}127.0.0.1:{}", server.port)).unwrap();
    for wrong in [at(""), at(":hunter3@"), at("nobody:hunter2@")] {
        let error = open(&wrong, RedisOptions::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, "store_denied"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
    }
    let backend = open(&at(":hunter2@"), RedisOptions::default()).await.unwrap();
    backend.watch(&[plan()]).await.unwrap();
    assert!(!format!("{backend:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_server_that_evicts_is_warned_of_and_refused_in_strict_mode() {
    let rig = redis7();
    rig.with_server(|server| server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]));
    let described = open(&rig.url(), RedisOptions::default()).await.unwrap().describe().await.unwrap();
    assert!(described.warnings.iter().any(|w| w.contains("allkeys-lru") && w.contains("noeviction")), "{described:?}");
    let strict = RedisOptions { strict: true, ..RedisOptions::default() };
    assert_eq!(open(&rig.url(), strict).await.unwrap_err().code(), "store_evicts");
    rig.with_server(|server| server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]));
    assert_eq!(open(&rig.url(), strict).await.unwrap().describe().await.unwrap().warnings, Vec::<String>::new());
}

#[tokio::test]
async fn what_survives_the_server_is_read_from_it() {
    for (options, durable) in [
        (["--appendonly", "yes", "--appendfsync", "always"], Durability::Always),
        (["--appendonly", "yes", "--appendfsync", "everysec"], Durability::Everysec),
        (["--appendonly", "no", "--save", "60 1"], Durability::Snapshot),
        (["--appendonly", "no", "--save", ""], Durability::None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Product::Valkey, folder.path(), "server", &options);
        let url = StoreUrl::parse(&format!("redis+unix://{}", server.socket.display())).unwrap();
        let described = open(&url, RedisOptions::default()).await.unwrap().describe().await.unwrap();
        assert_eq!((described.durable, described.shared), (durable, true));
        assert!(described.name.starts_with("redis (valkey 9"), "{}", described.name);
    }
}

#[tokio::test]
async fn a_server_that_hides_its_settings_is_trusted_with_nothing() {
    let rig = redis7();
    rig.with_server(|server| server.ask(&["ACL", "SETUSER", "default", "-config"]));
    let described = open(&rig.url(), RedisOptions::default()).await.unwrap().describe().await.unwrap();
    assert_eq!(described.durable, Durability::None);
    assert!(described.warnings.iter().any(|w| w.contains("unknown")), "{described:?}");
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_taught_again() {
    let rig = redis7();
    let store = store(&rig).await;
    let log = Key::new("log", Kind::Log);
    let append = || Write::Append { log: log.clone(), value: "x".into(), bound: 10 };
    for (commit, entries) in [(add().write(append()), 1), (add().urgent().write(append()), 2)] {
        rig.with_server(|server| server.ask(&["SCRIPT", "FLUSH"]));
        store.apply(commit).await.unwrap();
        rig.with_server(|server| server.ask(&["SCRIPT", "FLUSH"]));
        assert_eq!(store.log(log.clone(), 0, 10).await.unwrap().last, entries);
    }
    rig.with_server(|server| server.ask(&["SCRIPT", "FLUSH"]));
    let many: Vec<_> =
        (0..50).map(|_| (store.clone(), add())).map(|(store, add)| tokio::spawn(async move { store.apply(add).await })).collect();
    for one in many {
        one.await.unwrap().unwrap();
    }
    assert_eq!(store.number(count()).await.unwrap(), 52);
}

#[tokio::test]
async fn the_same_token_after_a_cut_connection_is_carried_out_once() {
    let rig = redis7();
    let proxy = Proxy::before(rig.with_server(|server| server.port));
    let store = store_at(&StoreUrl::parse(&format!("redis://127.0.0.1:{}", proxy.port)).unwrap()).await;
    for round in 1..=5 {
        proxy.cut_next();
        let accepted = store.apply(add().token(Token::new(format!("intent.{round}")).unwrap())).await.unwrap();
        assert_eq!((accepted.results[0], accepted.repeated), (round, true));
        assert_eq!(u64::from(proxy.cuts()), round, "the answer was not lost");
    }
    // Many at once, whose one answer is lost.
    proxy.cut_next();
    let many: Vec<_> = (0..60).map(|_| store.clone()).map(|store| tokio::spawn(async move { store.apply(add()).await.unwrap() })).collect();
    for one in many {
        one.await.unwrap();
    }
    assert_eq!(store.number(count()).await.unwrap(), 65);
}

#[tokio::test]
async fn a_refused_commit_leaves_those_that_travel_with_it_alone() {
    let rig = redis7();
    let store = store(&rig).await;
    let many: Vec<_> = (0..300_u64)
        .map(|number| {
            let commit = if number % 3 == 0 { add().check(Check::Version { cell: plan().into(), version: 7 }) } else { add() };
            let store = store.clone();
            tokio::spawn(async move { (number % 3 == 0, store.commit(commit).await.unwrap()) })
        })
        .collect();
    for one in many {
        let (refused, outcome) = one.await.unwrap();
        assert_eq!(matches!(outcome, Outcome::Refused(Refused::Conflict { .. })), refused, "{outcome:?}");
    }
    assert_eq!(store.number(count()).await.unwrap(), 200);
}

#[tokio::test]
async fn a_watcher_sleeps_through_nothing_while_the_server_restarts() {
    let rig = redis7();
    let (writer, reader) = (store(&rig).await, store(&rig).await);
    let mut watch = reader.watch(&[plan()]).await.unwrap();
    let mut signals = reader.signals(&Key::new("bus:t", Kind::Channel)).await.unwrap();
    for round in 0..3 {
        rig.dump().await.unwrap();
        rig.restore().await.unwrap();
        let value = format!("after {round}");
        writer.apply(Commit::default().put(plan(), value.clone())).await.unwrap();
        while reader.cell(plan()).await.unwrap().is_none_or(|found| found.value != value) {
            tokio::time::timeout(PATIENCE, watch.changed()).await.expect("slept through a write");
        }
    }
    let said = async {
        loop {
            let say = Write::Signal { channel: Key::new("bus:t", Kind::Channel), payload: "heard".into() };
            writer.apply(Commit::default().write(say)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        word = signals.next() => assert_eq!(word.unwrap(), "heard"),
        () = said => {}
        () = tokio::time::sleep(PATIENCE) => panic!("nothing was heard after the restart"),
    }
}

#[tokio::test]
async fn an_undeclared_key_is_refused() {
    let rig = redis7();
    let backend = open(&rig.url(), RedisOptions::default()).await.unwrap();
    backend.run_guarded("return redis.call('GET', KEYS[1])", &["declared"]).await.unwrap();
    for body in
        ["return redis.call('GET', 'other')", "return redis.pcall('MGET', KEYS[1], 'other')", "redis.call('XADD', 'other', '*', 'a', 'b')"]
    {
        let error = backend.run_guarded(body, &["declared"]).await.unwrap_err();
        assert!(error.to_string().contains("undeclared key other"), "{error}");
    }
}

#[tokio::test]
async fn existing_readers_find_what_they_expect() {
    let rig = redis7();
    let store = store(&rig).await;
    let key = Key::new;
    let commit = Commit::default()
        .merge(key("agent:a:state", Kind::State), [("phase", "PLAN")])
        .put(Cell::field(key("blackboard:t:solutions", Kind::Table), "plan"), "text")
        .put(key("agent:a:heartbeat", Kind::Record), "alive")
        .write(Write::Push { list: key("alerts:queue", Kind::List), value: "alert".into(), bound: 10 })
        .write(Write::Join { set: key("pipelines", Kind::Set), member: "p1".into() })
        .write(Write::Append { log: key("blackboard:t:events", Kind::Log), value: "entry".into(), bound: 10 });
    store.apply(commit).await.unwrap();
    rig.with_server(|server| {
        let bulk = |words: &[&str]| server.ask(words).split("\r\n").nth(1).unwrap().to_owned();
        assert_eq!(bulk(&["HGET", "agent:a:state", "phase"]), "PLAN");
        assert_eq!(bulk(&["HGET", "agent:a:state", "version"]), "1");
        assert_eq!(bulk(&["HGET", "blackboard:t:solutions", "plan"]), "text");
        assert_eq!(bulk(&["HGET", "blackboard:t:solutions", "v:plan"]), "0000000000000001");
        assert_eq!(bulk(&["GET", "agent:a:heartbeat"]), "0000000000000001alive");
        assert_eq!(bulk(&["LINDEX", "alerts:queue", "0"]), "alert");
        assert!(server.ask(&["SISMEMBER", "pipelines", "p1"]).starts_with(":1"));
        assert!(server.ask(&["XLEN", "blackboard:t:events"]).starts_with(":1"));
    });
}
