//! Ctrl-C, once and twice.

use governance_tests::program::User;

use super::slow;

#[test]
fn once_stops_the_run_and_it_can_be_continued() {
    let user = User::default();
    let run = slow(&user, &[]);
    run.interrupt();
    let answer = run.end();
    assert_eq!((answer.code, answer.calm().last_object()["status"].clone()), (Some(3), "STOPPED".into()), "{answer:?}");
    user.verified();
    let outcome = user.object(&["pipeline", "continue"]);
    assert_eq!(outcome["status"], "COMPLETED", "{outcome}");
    user.verified();
}

#[test]
fn a_stop_of_everything_holds_the_run_back_until_it_is_lifted() {
    let user = User::default();
    let run = slow(&user, &[]);
    user.object(&["stop", "--all", "--reason", "a drill"]);
    assert_eq!(run.end().code, Some(3));
    let refused = user.does(&["pipeline", "continue"]);
    assert!(refused.code == Some(3) && refused.err.contains("stop --lift"), "{refused:?}");
    user.object(&["stop", "--lift", "--reason", "the drill is over"]);
    assert_eq!(user.object(&["pipeline", "continue"])["status"], "COMPLETED");
    user.verified();
}

#[test]
fn twice_ends_at_once_and_the_run_is_taken_up_again() {
    let user = User::default();
    for more in [[].as_slice(), &["--agents", "process"]] {
        let mut run = slow(&user, more);
        run.interrupt();
        run.interrupt();
        // The two may be one to a process that has not got to the first yet.
        while run.goes() {
            run.interrupt();
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let answer = run.end();
        assert_eq!(answer.calm().code, Some(3), "{answer:?}");
        user.verified();
        let outcome = user.object(&["pipeline", "continue"]);
        assert_eq!(outcome["status"], "COMPLETED", "{outcome}");
        user.verified();
    }
}
