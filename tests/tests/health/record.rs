//! A record that nothing comes into any more.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use governance::{Config, Governance};
use governance_tests::program::User;

use super::{at_work, health, ill, part, worker};

/// What a run says of its end, for people and for programs.
fn runs_unrecorded(user: &User) {
    let told = user.does(&["run", "Design a caching strategy"]);
    assert!(told.code == Some(0) && told.out.contains("the end of this run is not in the record"), "{told:?}");
    let told = user.does(&["run", "Design a caching strategy", "--json"]).last_object();
    assert!(told["unrecorded"].as_u64().unwrap() > 100, "{told}");
}

#[test]
fn a_signing_key_that_cannot_be_used_is_told_by_health_by_runs_and_where_the_record_is_read() {
    let user = at_work(User::default());
    let (key, aside) = (user.home().join("keys/ledger.key"), user.path("aside"));
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    runs_unrecorded(&user);
    let told = ill(&user, "ledger", "unhealthy", "(key_exposed)");
    assert!(told.out.contains("chmod 600") && told.out.contains("entries wait for the record"), "{told:?}");
    let house = user.object(&["store", "check"]);
    assert!(house["housekeeping"]["overdue"].to_string().contains("key_exposed"), "{house}");
    for look in [&["ledger", "list"] as &[_], &["ledger", "head"], &["ledger", "export"]] {
        let told = user.does(look);
        assert!(told.code == Some(0) && told.err.contains("not in the record yet: "), "{look:?}: {told:?}");
    }
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(health(&user).0, Some(0));
    fs::rename(&key, &aside).unwrap();
    ill(&user, "ledger", "unhealthy", "(signing_key_lost)");
    assert!(!key.exists(), "who looks makes none");
    fs::rename(&aside, &key).unwrap();
    let told = user.does(&["run", "Design a caching strategy", "--json"]).calm().last_object();
    assert_eq!((told["unrecorded"].as_u64(), health(&user).0), (Some(0), Some(0)), "{told}");
}

#[test]
fn what_whoever_keeps_house_fails_at_again_and_again_is_told_and_an_idle_record_is_well() {
    let user = at_work(User::default());
    let running = tokio::runtime::Runtime::new().unwrap();
    let governance = running.block_on(Governance::open(Config { home: user.home().into(), ..Config::default() })).unwrap();
    running.block_on(async {
        governance.begin("something").await.unwrap();
        assert!(governance.catch_up(Duration::from_secs(10)).await.unwrap());
    });
    assert_eq!(health(&user).0, Some(0));
    // What is in the record by then cannot be told beside it.
    let heads = user.home().join("heads");
    fs::remove_file(&heads).unwrap();
    fs::create_dir(&heads).unwrap();
    let writes = running.spawn({
        let governance = governance.clone();
        async move {
            loop {
                governance.begin("something").await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    worker::until("it is told", || {
        let ledger = part(&health(&user).1, "ledger");
        ledger["state"] == "unhealthy" && ledger["reason"].as_str().unwrap().contains("(file_trouble)")
    });
    writes.abort();
    fs::remove_dir(&heads).unwrap();
    assert!(running.block_on(governance.catch_up(Duration::from_secs(30))).unwrap());
    worker::until("it is well again", || health(&user).0 == Some(0));
    running.block_on(governance.close()).unwrap();
}
