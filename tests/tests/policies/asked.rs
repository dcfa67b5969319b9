//! What is explained, checked and looked up is what is in force, and what could not be used is not accepted.

use governance_tests::program::User;

use super::story::{profile, written};

const NARROW: &str = "agent_id: t1-operator\nagent_version: '2'\ntier: T1\nconstraints: {allowed_actions: [read_file]}\n";

#[test]
fn what_is_in_force_is_explained_before_what_is_shipped() {
    let user = User::default();
    let ask = |name: &str, rest: &[&str]| {
        let asked = ["policy", "explain", "--profile", name, "--action", "write_file", "--target", "sandbox-1"];
        user.does(&[&asked, rest].concat())
    };
    assert!(ask("t1", &[]).calm().out.contains("t1-operator, shipped"));
    assert!(!user.home().exists(), "who only looks makes nothing");
    user.object(&["policy", "apply", &written(&user, "narrow.yaml", NARROW)]);
    for name in ["t1", "t1-operator"] {
        let denied = ask(name, &[]);
        assert!(denied.code == Some(1) && denied.out.contains("t1-operator, version 1, in force"), "{denied:?}");
        assert_eq!(ask(name, &["--json"]).last_object()["from"]["version"], 1);
        let shipped = ask(name, &["--shipped", "--json"]);
        assert_eq!((shipped.code, &shipped.last_object()["from"]["kind"]), (Some(0), &"shipped".into()));
    }
    user.object(&["policy", "apply", &written(&user, "alpha.yaml", &profile("1", "sandbox-*"))]);
    let allowed = ask("alpha", &[]);
    assert!(allowed.code == Some(0) && allowed.out.contains("alpha, version 1, in force"), "{allowed:?}");
    // A file is what it holds, whatever is in force under its name.
    let file = ask("alpha.yaml", &["--json"]).last_object();
    assert_eq!(file["from"]["kind"], "file");
    user.object(&["policy", "withdraw", "t1-operator"]);
    assert!(ask("t1", &[]).out.contains("shipped, which version 2 made way for"));
    user.object(&["policy", "withdraw", "alpha"]);
    let gone = ask("alpha", &[]);
    assert!(gone.code == Some(1) && gone.out.contains("withdrawn in version 2"), "{gone:?}");
    ask("nobody", &[]).explains("`nobody`");
    ask("alpha", &["--shipped"]).explains("no profile `alpha` is shipped");
}

#[test]
fn a_history_of_nothing_is_an_error() {
    let user = User::default();
    user.object(&["policy", "apply", &written(&user, "alpha.yaml", &profile("1", "a-*"))]);
    assert_eq!(user.objects(&["policy", "history", "alpha"]).len(), 1);
    user.does(&["policy", "history", "nosuch"]).explains("nothing was ever in force as `nosuch`");
}

#[test]
fn what_nobody_could_go_by_is_neither_good_nor_in_force() {
    let user = User::default();
    user.object(&["policy", "apply", &written(&user, "alpha.yaml", &profile("1", "a-*"))]);
    for (rules, says) in [
        ("approval: {quorum: 65}", "`governance.approval.quorum` is 65: it takes 1 to 64 people"),
        ("approval: {deadline: 999999999}", "`governance.approval.deadline` is 999999999: it takes 1 to 604800 seconds"),
        ("breaker: {by: action, failures: 0}", "`governance.breaker.failures` is 0"),
        ("breaker: {by: action, successes: 0}", "`governance.breaker.successes` is 0"),
        ("breaker: {by: action, pause: 0}", "`governance.breaker.pause` is 0"),
        ("limits: {calls: 9007199254740993}", "`governance.limits.calls` is 9007199254740993"),
    ] {
        let file = written(&user, "alpha.yaml", &format!("{}governance:\n  {rules}\n", profile("2", "b-*")));
        for done in ["check", "apply"] {
            user.does(&["policy", done, &file]).explains(says);
        }
    }
    assert_eq!(user.object(&["policy", "show", "alpha"])["version"], 1);
}
