//! What each form of a server's URL promises: docs/stores.md.

use std::sync::Arc;

use governance::Governance;
use governance::error::{ErrorKind, Result};
use governance::store::{Backend, Commit, Form, Redis, RedisOptions, Store, StoreUrl};
use governance::vocabulary::{Key, Keys, Kind, Ports, TenantId};
use governance_tests::certificates::Certificates;
use governance_tests::clusters::Cluster;
use governance_tests::lua54::Lua54;
use governance_tests::program::User;
use governance_tests::proxy::Proxy;
use governance_tests::rigs::SentinelRig;
use governance_tests::servers::{Product, Server, free_port};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("gov").tempdir().unwrap()
}

async fn open(url: &str) -> Result<Arc<Redis>> {
    let url = StoreUrl::parse(url)?;
    Redis::open(&url, &url.keys(&TenantId::default()), Ports::default(), RedisOptions::default()).await
}

/// A server that also speaks TLS, with a certificate for these names.
struct Secured {
    server: Server,
    certificates: Certificates,
    port: u16,
    _folder: TempDir,
}

impl Secured {
    fn of(names: &[&str]) -> Self {
        let folder = folder();
        let (certificates, port) = (Certificates::of(&folder.path().join("certificates"), names), free_port());
        let options = certificates.options(port);
        let server = Server::start(Product::Redis, folder.path(), "server", &options.iter().map(String::as_str).collect::<Vec<_>>());
        Self { server, certificates, port, _folder: folder }
    }

    fn url(&self, host: &str) -> String {
        format!("rediss://{host}:{}?ca={}", self.port, self.certificates.authority().display())
    }
}

#[tokio::test]
async fn a_server_over_tls_is_used_when_its_authority_is_named() {
    let secured = Secured::of(&["localhost", "127.0.0.1"]);
    for host in ["localhost", "127.0.0.1"] {
        let backend = open(&secured.url(host)).await.unwrap();
        let described = backend.describe().await.unwrap();
        assert_eq!((described.tls, described.form), (true, Some(Form::Single)));
        let store = Store::new(backend, Keys::default(), Ports::default()).await.unwrap();
        let plan = Key::new("plan", Kind::Record);
        let mut watch = store.watch(std::slice::from_ref(&plan)).await.unwrap();
        store.apply(Commit::default().put(plan.clone(), "x".repeat(100_000))).await.unwrap();
        watch.changed().await;
        assert_eq!(store.cell(plan).await.unwrap().unwrap().value.len(), 100_000);
    }
}

#[tokio::test]
async fn a_server_that_cannot_prove_who_it_is_is_refused() {
    let secured = Secured::of(&["somewhere.else"]);
    let stranger = Certificates::of(&secured.server.folder().join("stranger"), &["127.0.0.1"]);
    let unproven = [
        // Of another name, of an authority that the machine does not know, of one that was not named.
        secured.url("127.0.0.1"),
        format!("rediss://127.0.0.1:{}", secured.port),
        format!("rediss://127.0.0.1:{}?ca={}", secured.port, stranger.authority().display()),
    ];
    for url in unproven {
        let error = open(&url).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Denied, "store_not_trusted"), "{url}: {error}");
        assert!(error.to_string().contains("?ca=FILE"), "{error}");
    }
    let plain = open(&format!("rediss://127.0.0.1:{}?ca={}", secured.server.port, secured.certificates.authority().display())).await;
    let plain = plain.unwrap_err();
    assert!(plain.may_retry() && plain.to_string().contains("speaks TLS"), "{plain}");
    for ca in ["/nowhere/ca.pem", "/etc/hostname"] {
        assert_eq!(open(&format!("rediss://127.0.0.1:{}?ca={ca}", secured.port)).await.unwrap_err().code(), "bad_ca");
    }
}

#[test]
fn store_check_shows_what_a_server_is() {
    let secured = Secured::of(&["127.0.0.1"]);
    let user = User::of(secured.url("127.0.0.1"));
    let store = user.object(&["store", "check"])["store"].clone();
    assert_eq!((&store["form"], &store["tls"]), (&"single".into(), &true.into()), "{store}");
    assert_eq!((&store["eviction"], &store["lua"]), (&"noeviction".into(), &"Lua 5.1".into()), "{store}");
    let told = user.does(&["store", "check"]).out;
    assert!(told.contains("tls: yes") && told.contains("noeviction") && told.contains("caretaker"), "{told}");

    // The machine's own certificates, as the environment names them.
    let native = format!("rediss://127.0.0.1:{}", secured.port);
    user.does(&["--store", &native, "store", "check"]).explains("by its certificate");
    let trusting = user.command(["--store", &native, "store", "check"]).env("SSL_CERT_FILE", secured.certificates.authority()).output();
    assert!(trusting.as_ref().unwrap().status.success(), "{trusting:?}");

    secured.server.ask(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let plain = format!("redis://127.0.0.1:{}", secured.server.port);
    let told = user.does(&["--store", &plain, "store", "check"]).out;
    assert!(told.contains("warning") && told.contains("`noeviction`"), "{told}");
    user.does(&["--store", &format!("{plain}?strict=yes"), "store", "check"]).explains("`noeviction`");

    let told = User::default().does(&["store", "check"]).out;
    assert!(told.contains("sqlite") && !told.contains("tls"), "{told}");
}

#[tokio::test]
async fn sentinels_that_do_not_know_the_master_are_told_apart_from_those_that_are_down() {
    let rig = SentinelRig::new(1);
    let described = open(&rig.url().to_string()).await.unwrap().describe().await.unwrap();
    assert_eq!((described.form, described.tls), (Some(Form::Sentinel), false));
    let unknown = rig.url().to_string().replace("/pair", "/other");
    let error = open(&unknown).await.unwrap_err();
    assert_eq!((error.code(), error.may_retry()), ("unknown_master", false), "{error}");
    let down = open("redis-sentinel://127.0.0.1:1/pair").await.unwrap_err();
    assert_eq!(down.code(), "store_unreachable", "{down}");
    // One that answers is enough, wherever it stands.
    let one_down = rig.url().to_string().replace("://", "://127.0.0.1:1,");
    open(&one_down).await.unwrap();
}

#[tokio::test]
async fn a_tenant_of_a_cluster_lives_on_one_slot_and_a_single_node_is_not_mistaken_for_it() {
    let folder = folder();
    let mut cluster = Cluster::start(folder.path());
    let url = cluster.url();
    assert_eq!(open(&url).await.unwrap().describe().await.unwrap().form, Some(Form::Cluster));
    for tenant in ["default", "acme", "umbrella", "initech"] {
        let store = Store::open_as(&url, &TenantId::new(tenant).unwrap(), Ports::default()).await.unwrap();
        let plan = Key::new(format!("{}plan", store.keys().prefix()), Kind::Record);
        store.apply(Commit::default().put(plan.clone(), tenant.to_owned())).await.unwrap();
        let held = cluster.owner(plan.as_str()).ask(&["GET", plan.as_str()]);
        assert!(held.contains(&format!("0000000000000001{tenant}")), "{held}");
        let foreign = Commit::default().put(plan, "x").put(Key::new("{somebody}:plan", Kind::Record), "x");
        assert_eq!(store.apply(foreign).await.unwrap_err().code(), "several_tenants");
    }
    for address in cluster.addresses() {
        // A node may or may not hold the slot of an unprefixed key: the first commit tells.
        let single = Store::open(&format!("redis://{address}")).await;
        assert_eq!(single.unwrap_err().code(), "store_is_cluster");
    }
}

#[tokio::test]
async fn a_server_with_lua_5_4_is_one_and_says_so() {
    let folder = folder();
    let server = Server::start(Product::Redis, folder.path(), "server", &[]);
    let proxy = Lua54::before(server.port);
    let backend = open(&format!("redis://127.0.0.1:{}", proxy.port)).await.unwrap();
    let described = backend.describe().await.unwrap();
    assert_eq!((&*described.name, described.lua.as_deref()), ("redis (dragonfly 1.0.0)", Some("Lua 5.4")));
    backend
        .run_guarded("assert(tostring(10/2) == '5.0' and 10//2 == 5 and math.type(redis.call('INCRBY', KEYS[1], 1)) == 'integer')", &["n"])
        .await
        .unwrap();
    let error = backend.run_guarded("return redis.call('INCRBY', KEYS[1], 10/2)", &["n"]).await.unwrap_err();
    assert!(error.to_string().contains("not an integer"), "{error}");
    let error = backend.run_guarded("return redis.call('GET', 'other')", &["n"]).await.unwrap_err();
    assert!(error.to_string().contains("undeclared key"), "{error}");
}

/// One home, one server, and whatever it is called.
#[tokio::test]
async fn a_store_is_the_same_by_every_name_and_an_emptied_one_is_noticed_by_every_name() {
    let folder = folder();
    let mut server = Server::start(Product::Redis, folder.path(), "server", &[]);
    let user = User::default();
    let names = [
        format!("redis://127.0.0.1:{}", server.port),
        format!("redis://localhost:{}", server.port),
        format!("redis+unix://{}", server.socket.display()),
    ];
    let open = |name: &str| Governance::open(governance::Config { store: Some(name.to_owned()), ..user.config() });
    let first = open(&names[0]).await.unwrap();
    let stop = first.revocations().stop_all("a drill").await.unwrap();
    first.revocations().lift().await.unwrap();
    first.close().await.unwrap();
    for name in &names {
        let other = open(name).await.unwrap();
        assert!(other.store().seen() >= stop.generation);
        other.close().await.unwrap();
    }
    // An older dump is noticed even under a name that is new: it bears the identity of what was stopped since.
    let kept = folder.path().join("kept.rdb");
    server.dump_to(&kept);
    let again = open(&names[1]).await.unwrap();
    again.revocations().stop_all("another drill").await.unwrap();
    again.close().await.unwrap();
    server.restore_from(&kept);
    let new_name = format!("redis://127.0.0.1:{}", Proxy::before(server.port).port);
    for name in names.iter().chain([&new_name]) {
        assert_eq!(open(name).await.unwrap_err().code(), "rolled_back", "{name}");
    }
    let recover = |name: &str| Governance::recover(governance::Config { store: Some(name.to_owned()), ..user.config() });
    recover(&names[2]).await.unwrap().close().await.unwrap();
    open(&names[0]).await.unwrap().close().await.unwrap();

    server.ask(&["FLUSHALL"]);
    for name in &names {
        assert_eq!(open(name).await.unwrap_err().code(), "rolled_back", "{name}");
    }
    recover(&names[1]).await.unwrap().close().await.unwrap();
    for name in &names {
        open(name).await.unwrap().close().await.unwrap();
    }
}

#[tokio::test]
async fn tenants_on_one_server_are_stores_of_their_own_for_the_ledger() {
    let folder = folder();
    let server = Server::start(Product::Redis, folder.path(), "server", &[]);
    let user = User::of(format!("redis://127.0.0.1:{}", server.port));
    let open = |tenant: &str| Governance::open(governance::Config { tenant: TenantId::new(tenant).unwrap(), ..user.config() });
    let (acme, umbrella) = (open("acme").await.unwrap(), open("umbrella").await.unwrap());
    acme.revocations().stop_all("acme only").await.unwrap();
    acme.close().await.unwrap();
    umbrella.close().await.unwrap();
    // A stop of one is not missed in the other.
    open("umbrella").await.unwrap().close().await.unwrap();
    assert_eq!(open("acme").await.unwrap().revocations().stop_in_force().await.unwrap().unwrap().reason, "acme only");
}
