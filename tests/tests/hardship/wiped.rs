//! A run whose store is wiped under it.

use governance_tests::program::{Answer, User};

use super::{CACHE, redis, remove_store, slow};

/// An error that says what to do; the record is whole, and after the recovery a new run ends well.
fn told_and_recovered(user: &User, answer: &Answer, code: &str) {
    answer.calm();
    let error = answer.last_object();
    assert_eq!((answer.code, &error["error"]["code"]), (Some(1), &code.into()), "{answer:?}");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("store recover") || message.contains("restart"), "{message}");
    user.verified();
    user.object(&["store", "recover"]);
    let again = user.does(&["run", CACHE, "--json"]);
    assert_eq!((again.code, again.last_object()["status"].clone()), (Some(0), "COMPLETED".into()), "{again:?}");
    user.object(&["store", "check"]);
    user.verified();
}

#[test]
fn a_run_whose_redis_is_flushed_says_what_to_do_and_loses_no_record() {
    let (_folder, server, user) = redis();
    // A stop that was acknowledged once: so the ledger knows that the store is not new.
    user.object(&["stop", "--all"]);
    user.object(&["stop", "--lift", "--reason", "the drill is over"]);
    let run = slow(&user, &[]);
    server.ask(&["FLUSHALL"]);
    told_and_recovered(&user, &run.end(), "rolled_back");
}

#[test]
fn a_run_in_several_processes_whose_redis_is_flushed_says_what_to_do_and_leaves_nobody_behind() {
    let (_folder, server, user) = redis();
    let run = slow(&user, &["--agents", "process"]);
    server.ask(&["FLUSHALL"]);
    told_and_recovered(&user, &run.end(), "rolled_back");
}

#[test]
fn a_run_whose_file_is_deleted_says_what_to_do_and_loses_no_record() {
    let user = User::default();
    let run = slow(&user, &[]);
    remove_store(&user);
    told_and_recovered(&user, &run.end(), "store_moved");
}

#[test]
fn a_run_whose_file_is_cut_off_says_what_to_do_and_loses_no_record() {
    for kept in [0, 4096, 50_000] {
        let user = User::default();
        // So that the file itself holds something, not only its log.
        while std::fs::metadata(user.home().join("state.db")).map_or(0, |file| file.len()) <= 60_000 {
            assert_eq!(user.does(&["run", CACHE]).code, Some(0));
        }
        let run = slow(&user, &[]);
        let file = std::fs::File::options().write(true).open(user.home().join("state.db")).unwrap();
        assert!(file.metadata().unwrap().len() > kept);
        file.set_len(kept).unwrap();
        drop(file);
        let answer = run.end();
        assert!(answer.last_object()["error"]["message"].as_str().unwrap().contains("cut off"), "{answer:?}");
        // There is no copy of it to put back.
        remove_store(&user);
        told_and_recovered(&user, &answer, "store_damaged");
    }
}
