//! Runs that the shared state has let go of: what is said of them.

use std::time::Duration;

use governance::{Config, Governance};
use governance_tests::program::User;
use governance_tests::world::until;

use super::{CACHE, redis, run};

async fn goes_and_is_known_by_the_record(user: User) {
    let (user, id) = tokio::task::spawn_blocking(move || {
        let id = run(&user, CACHE);
        (user, id)
    })
    .await
    .unwrap();
    let age = Some(Duration::from_millis(50));
    let governance = Governance::open(Config { run_retention: age, ..user.config() }).await.unwrap();
    let keys = governance.store().keys().clone();
    until("it is off the list", async || governance.store().set(keys.pipelines()).await.unwrap().is_empty()).await;
    let gone = async || governance.store().state(keys.pipeline(&id.parse().unwrap())).await.unwrap().is_none();
    until("its state has gone", gone).await;
    governance.close().await.unwrap();
    tokio::task::spawn_blocking(move || {
        assert_eq!(user.objects(&["pipeline", "list"]).len(), 0);
        let shown = user.object(&["pipeline", "status", &id]);
        assert_eq!((&shown["retired"], &shown["state"]["status"]), (&true.into(), &"COMPLETED".into()), "{shown}");
        assert!(shown["state"]["ended_at"].as_u64() <= shown["state"]["retired_at"].as_u64(), "{shown}");
        let told = user.does(&["pipeline", "status", &id]);
        assert!(told.code == Some(0) && told.out.contains("COMPLETED") && told.out.contains("retired"), "{told:?}");
        assert!(told.out.contains(&format!("governance ledger list --pipeline {id}")), "{told:?}");
        // What it did can still be read, and the record is whole.
        assert!(user.objects(&["ledger", "list", "--pipeline", &id]).iter().any(|entry| entry["action"] == "vote"));
        for command in [["pipeline", "logs"], ["pipeline", "consensus"]] {
            user.does(&[&command[..], &[&id]].concat()).explains("retired");
        }
        user.does(&["pipeline", "status", "pipeline-none"]).explains("there is no run");
        user.verified();
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ended_long_ago_leaves_the_file_and_is_known_by_the_record() {
    goes_and_is_known_by_the_record(User::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ended_long_ago_leaves_a_redis_and_is_known_by_the_record() {
    let (_folder, _server, user) = redis();
    goes_and_is_known_by_the_record(user).await;
}
