//! `policy check` and `policy explain`.

use governance_tests::program::User;

const PROFILE: &str = "agent_id: deployer\nagent_version: '1.2'\ntier: T1\nconstraints:\n  allowed_actions: [terraform_*]\n  allowed_targets: [staging-*]\n  \
forbidden_targets: [staging-db-*]\n";

fn with(profile: &str) -> (User, String) {
    let user = User::default();
    let file = user.path("deployer.yaml");
    std::fs::write(&file, profile).unwrap();
    (user, file.to_str().unwrap().to_owned())
}

#[test]
fn a_profile_is_checked_and_a_mistake_is_named_with_its_line() {
    let (user, file) = with(PROFILE);
    let told = user.object(&["policy", "check", &file]);
    assert_eq!((&told["profile"], &told["tier"], &told["patterns"]["allowed_actions"]), (&"deployer".into(), &"T1".into(), &1.into()));
    assert_eq!(told["hash"].as_str().unwrap().len(), 64);
    assert!(user.does(&["policy", "check", &file]).out.contains("1 allowed_targets"));
    let (user, file) = with(&PROFILE.replace("allowed_targets", "alowed_targets"));
    user.does(&["policy", "check", &file]).explains("line 6").explains("alowed_targets");
    let (user, file) = with(&PROFILE.replace("staging-*", "'staging-[ab]'"));
    user.does(&["policy", "check", &file]).explains("`staging-[ab]` in `allowed_targets`");
    user.does(&["policy", "check", "none.yaml"]).explains("none.yaml");
    user.does(&["policy", "check", "/dev/zero"]).explains("most");
    user.does(&["policy", "check"]).explains("");
    assert!(!user.home().exists(), "who only looks makes nothing");
}

#[test]
fn a_decision_is_explained_and_the_exit_code_says_whether_it_may_be_done() {
    let (user, file) = with(PROFILE);
    let ask = |profile: &str, rest: &[&str]| user.does(&[&["policy", "explain", "--profile", profile, "--action"], rest].concat());
    let denied = ask("t1", &["write_file", "--target", "prod-db"]);
    assert_eq!(denied.code, Some(1));
    for says in [
        "`prod-*` in `forbidden_targets` of the profile `t1-operator`",
        "forbidden_target_access, CRITICAL",
        "`write_file` in allowed_actions",
    ] {
        assert!(denied.out.contains(says), "{says}: {denied:?}");
    }
    assert_eq!(ask("t1-operator", &["write_file", "--target", "sandbox-1", "--path", "src/a.rs"]).code, Some(0));
    let step_up = ask("T2", &["write_file", "--target", "prod-db", "--json"]);
    assert_eq!((step_up.code, &step_up.last_object()["decision"]["verdict"]), (Some(1), &"step_up".into()));
    let unclear = ask("t0", &["read_file", "--path", "docs/%2e%2e/x", "--json"]).last_object();
    assert_eq!((&unclear["decision"]["verdict"], &unclear["decision"]["violation"]), (&"deny".into(), &"procedure_violation".into()));
    assert_eq!(unclear["steps"].as_array().unwrap().last().unwrap()["finding"], "malformed");
    let own = user.does(&["policy", "explain", "--profile", &file, "--action", "terraform_apply", "--target", "staging-db-1", "--json"]);
    assert_eq!((own.code, &own.last_object()["decision"]["rule"]["list"]), (Some(1), &"forbidden_targets".into()));
    user.does(&["policy", "explain", "--profile", "t9", "--action", "x"]).explains("t9");
}
