//! After a recovery the store holds again what the ledger knows to be in force.

use governance::Governance;
use governance::guard::{Revocation, Stop};
use governance::vocabulary::AgentId;
use governance_tests::program::User;

use super::{CACHE, redis, remove_store};

fn known(user: &User, agent: &str) -> (Option<Stop>, Option<Revocation>) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let governance = Governance::open(user.config()).await.unwrap();
        let engine = governance.revocations();
        let known = (engine.stop_in_force().await.unwrap(), engine.revocation_of(&AgentId::new(agent).unwrap()).await.unwrap());
        governance.close().await.unwrap();
        known
    })
}

/// A run, and the id of its first agent.
fn ran(user: &User) -> String {
    assert_eq!(user.does(&["run", CACHE]).code, Some(0));
    user.object(&["pipeline", "status"])["agents"][0]["id"].as_str().unwrap().to_owned()
}

/// What was stopped and revoked before the loss stays so after the recovery.
fn loses_and_recovers(user: &User, lose: impl FnOnce()) {
    let agent = ran(user);
    user.object(&["revoke", &agent, "--type", "policy", "--reason", "left its paths"]);
    user.object(&["stop", "--all", "--reason", "a drill"]);
    let before = known(user, &agent);
    assert!(before.0.is_some() && before.1.is_some(), "{before:?}");
    lose();
    user.does(&["run", CACHE]).explains("governance store recover");
    let told = user.object(&["store", "recover"]);
    assert_eq!(told["stop"]["reason"], "a drill", "{told}");
    let (stop, revocation) = known(user, &agent);
    assert_eq!(stop.unwrap().reason, "a drill");
    let revocation = revocation.expect("the revocation is known again");
    assert_eq!((revocation.kind, revocation.reason), (before.1.as_ref().unwrap().kind, before.1.as_ref().unwrap().reason.clone()));

    let refused = user.does(&["run", CACHE]);
    assert!(refused.code == Some(3) && refused.err.contains("governance stop --lift"), "{refused:?}");
    user.object(&["stop", "--lift", "--reason", "the drill is over"]);
    assert_eq!(user.does(&["run", CACHE]).code, Some(0));
    // Once lifted, no recovery brings it back.
    assert_eq!(user.object(&["store", "recover"])["stop"], serde_json::Value::Null);
    assert_eq!(user.does(&["run", CACHE]).code, Some(0));
    user.verified();
}

#[test]
fn promise_03_a_stop_that_a_wiped_redis_forgot_is_in_force_again_after_the_recovery() {
    let (_folder, server, user) = redis();
    loses_and_recovers(&user, || drop(server.ask(&["FLUSHALL"])));
}

#[test]
fn promise_03_a_stop_that_an_older_copy_of_the_file_does_not_know_is_in_force_again_after_the_recovery() {
    let user = User::default();
    let agent = ran(&user);
    let copy = user.path("copy.db");
    std::fs::copy(user.home().join("state.db"), &copy).unwrap();
    assert!(known(&user, &agent).0.is_none());
    loses_and_recovers(&user, || {
        remove_store(&user);
        std::fs::copy(&copy, user.home().join("state.db")).unwrap();
    });
}

#[test]
fn a_stop_that_an_older_copy_still_holds_and_that_was_lifted_is_not_in_force() {
    let user = User::default();
    let agent = ran(&user);
    user.object(&["stop", "--all", "--reason", "over by now"]);
    let copy = user.path("copy.db");
    std::fs::copy(user.home().join("state.db"), &copy).unwrap();
    user.object(&["stop", "--lift", "--reason", "the drill is over"]);
    remove_store(&user);
    std::fs::copy(&copy, user.home().join("state.db")).unwrap();
    user.does(&["run", CACHE]).explains("governance store recover");
    assert_eq!(user.object(&["store", "recover"])["stop"], serde_json::Value::Null);
    assert!(known(&user, &agent).0.is_none());
    assert_eq!(user.does(&["run", CACHE]).code, Some(0));
}

#[test]
fn a_stop_that_only_the_store_knows_stays_in_force() {
    let user = User::default();
    let agent = ran(&user);
    // An older home with a newer store: the ledger does not know of the stop.
    let older = user.path("older");
    let copied = std::process::Command::new("cp").arg("-a").arg(user.home()).arg(&older).status().unwrap();
    assert!(copied.success());
    user.object(&["stop", "--all", "--reason", "newer than the ledger"]);
    for name in ["governance.db", "heads"] {
        std::fs::copy(older.join(name), user.home().join(name)).unwrap();
    }
    for name in ["governance.db-wal", "governance.db-shm"] {
        let _ = std::fs::remove_file(user.home().join(name));
    }
    assert_eq!(user.object(&["store", "recover"])["stop"]["reason"], "newer than the ledger");
    assert_eq!(known(&user, &agent).0.unwrap().reason, "newer than the ledger");
}
