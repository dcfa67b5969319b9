//! A server dies in the middle of the load: calls wait, then go on; what was acknowledged is there, or everything is denied until the
//! store is recovered.

use std::sync::Arc;
use std::time::Duration;

use governance::store::{Backend, Commit, Outcome, Redis, RedisOptions, Refused, Store, StoreUrl, Write};
use governance::vocabulary::{Key, Keys, Kind, Ports, TenantId};
use governance_tests::clusters::Cluster;
use governance_tests::load::Load;
use governance_tests::program::User;
use governance_tests::rigs::SentinelRig;
use governance_tests::servers::{Product, Server};

/// How many processes write; each has its own connection.
const HANDLES: usize = 4;

async fn store(url: &StoreUrl) -> Store {
    let keys = url.keys(&TenantId::default());
    let backend = Redis::open(url, &keys, Ports::default(), RedisOptions::default()).await.unwrap();
    Store::new(backend, keys, Ports::default()).await.unwrap()
}

async fn stores(url: &StoreUrl) -> Vec<Store> {
    let mut stores = Vec::new();
    for _ in 0..HANDLES {
        let store = store(url).await;
        // Two writers a handle: their commits can travel together.
        stores.extend([store.clone(), store]);
    }
    stores
}

/// After a loss was noticed: everybody is denied, also who comes new, until the store is recovered. Then everybody goes on.
async fn denied_until_recovered(url: &StoreUrl, load: Load) {
    load.goes_on(5).await;
    let newcomer = store(url).await;
    let denied = newcomer.apply(Commit::default().put(Key::new(format!("{}x", newcomer.keys().prefix()), Kind::Record), "x")).await;
    assert_eq!(denied.unwrap_err().code(), "rolled_back");
    assert!(load.end().await > 0, "acknowledged writes are lost, and nobody was told");
    newcomer.recover().await.unwrap();
    let load = Load::begin("after", vec![newcomer, store(url).await]);
    load.goes_on(5).await;
    load.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_killed_under_load_is_replaced_by_the_sentinels() {
    let rig = Arc::new(SentinelRig::new(3));
    rig.stand_by();
    let load = Load::begin("load", stores(&rig.url()).await);
    load.goes_on(50).await;
    rig.kill();
    // Every call that waits is answered by the promoted replica.
    load.goes_on(50).await;
    rig.wait_for_replica();
    load.goes_on(50).await;
    // About every other time something was lost that had not reached the replica: then it was told.
    let denials = load.end().await;
    eprintln!("{denials} denials after the failover");
}

/// While agents think, the replica has heard everything: nothing is lost, and nobody notices but by the time it takes.
#[test]
fn a_run_whose_master_is_killed_in_its_middle_ends_as_if_nothing_had_been() {
    let rig = SentinelRig::new(3);
    rig.stand_by();
    let user = User::of(rig.url().to_string());
    let script = user.path("scenario.yaml");
    std::fs::write(&script, "version: 1\nsteps:\n  - {agent: alpha, on: evaluate, call: 1, do: {slow: 8s}}\n").unwrap();
    let mut run = user.start(&["run", "Design a caching strategy", "--json", "--script", script.to_str().unwrap()]);
    while run.object().is_some_and(|object| object["data"]["status"] != "ORCHESTRATING") {}
    // BETA has judged by then, and ALPHA thinks.
    std::thread::sleep(Duration::from_secs(2));
    rig.wait_in_step();
    rig.kill();
    let answer = run.end();
    assert_eq!(answer.code, Some(0), "{answer:?}");
    // Whoever comes new asks any sentinel.
    rig.wait_for_replica();
    let (outcome, untroubled) = (answer.last_object(), User::default().object(&["run", "Design a caching strategy"]));
    assert_eq!(outcome["status"], "COMPLETED");
    assert_eq!(outcome["decision"]["solution"], untroubled["decision"]["solution"]);
    for entry in user.objects(&["blackboard", "show"]) {
        assert_eq!(entry["version"], 1, "written twice: {entry}");
    }
    user.verified();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_promoted_replica_never_heard_of_is_told_and_everything_denied() {
    let rig = Arc::new(SentinelRig::new(3));
    rig.stand_by();
    let load = Load::begin("load", stores(&rig.url()).await);
    load.goes_on(20).await;
    rig.cut_off();
    load.goes_on(20).await;
    rig.kill();
    rig.wait_for_replica();
    denied_until_recovered(&rig.url(), load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clusters_master_killed_under_load_is_replaced_by_its_replica() {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path());
    let url = StoreUrl::parse(&cluster.url()).unwrap();
    let anchor = url.keys(&TenantId::default()).generation().to_string();
    let load = Load::begin("load", stores(&url).await);
    let (writer, reader) = (store(&url).await, store(&url).await);
    let log = Key::new("{default}:followed", Kind::Log);
    let mut watch = reader.watch(std::slice::from_ref(&log)).await.unwrap();
    for round in 1..=2_u64 {
        load.goes_on(50).await;
        let (owner, replica) = cluster.pair(&anchor);
        cluster.node(owner).kill();
        load.goes_on(50).await;
        // Who watches is woken by the new master.
        let append = Write::Append { log: log.clone(), value: "x".into(), bound: 0 };
        if let Outcome::Refused(lost) = writer.commit(Commit::default().write(append.clone())).await.unwrap() {
            assert!(matches!(lost, Refused::RolledBack { .. }), "{lost:?}");
            writer.recover().await.unwrap();
            writer.apply(Commit::default().write(append)).await.unwrap();
        }
        while reader.log(log.clone(), 0, 0).await.unwrap().last < round {
            tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.expect("slept through a write");
        }
        assert_eq!(cluster.place_of_owner(&anchor), replica);
        cluster.node(owner).restart();
    }
    let denials = load.end().await;
    eprintln!("{denials} denials after the failovers");

    // The same, with a replica that hears nothing any more.
    let load = Load::begin("cut", stores(&url).await);
    let (owner, _) = cluster.pair(&anchor);
    cluster.node(owner).cut_off_replicas();
    load.goes_on(20).await;
    cluster.node(owner).kill();
    let _ = cluster.place_of_owner(&anchor);
    denied_until_recovered(&url, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_under_load_and_started_again_from_its_file_goes_on() {
    for fsync in ["always", "everysec"] {
        let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
        let mut server = Server::start(Product::Redis, folder.path(), "server", &["--appendonly", "yes", "--appendfsync", fsync]);
        let url = StoreUrl::parse(&format!("redis://127.0.0.1:{}", server.port)).unwrap();
        let load = Load::begin("load", stores(&url).await);
        for _ in 0..3 {
            load.goes_on(30).await;
            server.restart();
        }
        load.goes_on(30).await;
        let denials = load.end().await;
        assert!(fsync == "everysec" || denials == 0, "{denials} denials, though every write was on the disk first");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_empty_is_not_taken_for_a_new_one() {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let mut server = Server::start(Product::Redis, folder.path(), "server", &[]);
    let url = StoreUrl::parse(&format!("redis://127.0.0.1:{}", server.port)).unwrap();
    let load = Load::begin("load", stores(&url).await);
    load.goes_on(20).await;
    server.restart();
    denied_until_recovered(&url, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_started_again_from_an_old_file_is_noticed_by_who_wrote_since() {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let mut server = Server::start(Product::Redis, folder.path(), "server", &[]);
    let url = StoreUrl::parse(&format!("redis://127.0.0.1:{}", server.port)).unwrap();
    let load = Load::begin("load", stores(&url).await);
    load.goes_on(20).await;
    let kept = folder.path().join("kept.rdb");
    server.dump_to(&kept);
    load.goes_on(20).await;
    server.restore_from(&kept);
    denied_until_recovered(&url, load).await;
}

#[tokio::test]
async fn who_slept_through_a_loss_and_its_recovery_is_not_a_reason_to_deny_again() {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let mut server = Server::start(Product::Redis, folder.path(), "server", &[]);
    let url = StoreUrl::parse(&format!("redis://127.0.0.1:{}", server.port)).unwrap();
    let backend = Redis::open(&url, &Keys::default(), Ports::default(), RedisOptions::default()).await.unwrap();
    let sleeper = Store::new(backend.clone(), Keys::default(), Ports::default()).await.unwrap();
    let awake = store(&url).await;
    let kept = folder.path().join("kept.rdb");
    server.dump_to(&kept);
    let put = |text: &'static str| Commit::default().put(Key::new("plan", Kind::Record), text);
    sleeper.apply(put("lost")).await.unwrap();
    awake.apply(put("lost, too")).await.unwrap();
    server.restore_from(&kept);
    assert_eq!(awake.apply(put("denied")).await.unwrap_err().code(), "rolled_back");
    awake.recover().await.unwrap();
    sleeper.apply(put("after")).await.unwrap();
    awake.apply(put("after")).await.unwrap();
    assert!(backend.connection() > 1);
}
