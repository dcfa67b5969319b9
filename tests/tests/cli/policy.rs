//! `policy check` and `policy explain`.

use governance_tests::program::User;
use serde_json::Value;

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
    user.does(&["policy", "check", "/dev/zero"]).explains("not a file");
    user.does(&["policy", "check"]).explains("");
    assert!(!user.home().exists(), "who only looks makes nothing");
}

#[test]
fn every_profile_of_a_directory_is_checked_also_behind_a_bad_one() {
    let user = User::default();
    let folder = user.path("profiles");
    std::fs::create_dir(&folder).unwrap();
    for (name, text) in [("a.yaml", "agent_id: a\n"), ("b.yaml", PROFILE), ("c.json", "{"), ("d.yaml", PROFILE), ("e.txt", "not one")] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let folder = folder.to_str().unwrap();
    let answer = user.does(&["policy", "check", folder, "none.yaml", "--json"]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    let told: Vec<Value> = answer.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |object: &Value| (object["file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned(), object.get("error").is_none());
    let said: Vec<_> = told.iter().map(said).collect();
    let all = [("a.yaml", false), ("b.yaml", true), ("c.json", false), ("d.yaml", true), ("none.yaml", false)];
    assert_eq!(said, all.map(|(name, good)| (name.to_owned(), good)));
    assert_eq!(told[4]["error"]["code"], "file_missing");
    let answer = user.does(&["policy", "check", folder]);
    assert_eq!((answer.code, answer.out.matches("good  deployer").count(), answer.err.matches("error: ").count()), (Some(1), 2, 2));
}

#[test]
fn who_watches_a_directory_sees_each_file_that_is_refused_and_why() {
    let user = User::default();
    let folder = user.path("profiles");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("bad.yaml"), "agent_id: bad\n").unwrap();
    let words = ["policy", "watch", folder.to_str().unwrap()];
    // Also to whom it was told before: the alert is raised once.
    for words in [words.to_vec(), [words.as_slice(), &["--json"]].concat()] {
        let mut watch = user.start(&words);
        let told = watch.until("bad.yaml");
        assert!(told.contains("agent_version"), "{told}");
        if words.len() > 3 {
            assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["refused"]["code"], "bad_profile");
        }
        std::fs::write(folder.join("worse.yaml"), format!("{words:?}")).unwrap();
        watch.until("worse.yaml");
        std::fs::remove_file(folder.join("worse.yaml")).unwrap();
        watch.interrupt();
        assert_eq!(watch.end().code, Some(0));
    }
    assert_eq!(user.objects(&["alerts", "--type", "policy_refused"]).iter().filter(|alert| alert["data"]["file"] == "bad.yaml").count(), 1);
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

const CONDITIONS: &str = "permit (principal, action, resource);\n@id(\"office-hours\") @reason(\"only in office hours\")\n\
forbid (principal, action, resource) unless { context.hour >= 9 && context.hour < 17 };\n\
@id(\"large\") @decision(\"step_up\")\nforbid (principal, action, resource)\n\
when { context.numbers.hasTag(\"amount\") && context.numbers.getTag(\"amount\") > 100 };\n";

#[test]
fn the_conditions_that_determined_a_decision_are_shown() {
    let (user, file) = with(&PROFILE.replace("tier: T1", "tier: T1\nconditions_file: deployer.cedar"));
    user.does(&["policy", "check", &file]).explains("deployer.cedar");
    std::fs::write(user.path("deployer.cedar"), CONDITIONS).unwrap();
    assert_eq!(user.object(&["policy", "check", &file])["conditions"], true);
    let ask = |rest: &[&str]| {
        let base = ["policy", "explain", "--profile", &file, "--action", "terraform_plan", "--target", "staging-1"];
        user.does(&[&base, rest].concat())
    };
    let allowed = ask(&["--at", "2026-11-23T09:30"]);
    assert!(allowed.code == Some(0) && allowed.out.contains("permitted by `#1`"), "{allowed:?}");
    let denied = ask(&["--at", "2026-11-23T17:00"]);
    assert!(denied.code == Some(1) && denied.out.contains("forbidden by `office-hours`: only in office hours"), "{denied:?}");
    let asked = ask(&["--at", "2026-11-23T09:30", "--argument", "amount=101", "--json"]).last_object();
    assert_eq!((&asked["decision"]["verdict"], &asked["conditions"]["by"][0]), (&"step_up".into(), &"large".into()));
    let unread = ask(&["--at", "2026-11-23T09:30", "--argument", "amount=many"]);
    assert!(unread.code == Some(1) && unread.out.contains("`amount` cannot be read"), "{unread:?}");
    for bad in ["2026-02", "2026-13-01T00:00", "soon"] {
        assert_eq!(ask(&["--at", bad]).code, Some(1), "{bad}");
    }
    std::fs::write(user.path("deployer.cedar"), CONDITIONS.replace("context.hour", "context.hours")).unwrap();
    user.does(&["policy", "check", &file]).explains("hours");
    for name in ["../deployer.cedar", "/etc/passwd", "deployer.txt"] {
        let (user, file) = with(&PROFILE.replace("tier: T1", &format!("tier: T1\nconditions_file: {name}")));
        user.does(&["policy", "check", &file]).explains("beside it");
    }
    assert!(user.does(&["policy", "schema"]).out.contains("entity Agent"));
}

#[test]
fn bad_profiles_are_told_in_time_and_none_comes_into_force() {
    let user = super::begun();
    let laughs: String = (1..12).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 12].join(", "))).collect();
    let bombs = [
        ("empty", String::new()),
        ("blank", "\n# nothing\n---\n".to_owned()),
        ("laughs", format!("agent_id: x\nagent_version: '1'\ntier: T1\na0: &a0 [lol]\n{laughs}")),
        ("deep-yaml", format!("agent_id: {}x{}", "[".repeat(100_000), "]".repeat(100_000))),
        ("deep-json", format!("{{\"agent_id\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000))),
        ("unknown", format!("{PROFILE}alowed: []\n")),
        ("twice", format!("{PROFILE}tier: T4\n")),
        ("twice-json", r#"{"agent_id":"deployer","agent_version":"1","tier":"T1","tier":"T4"}"#.to_owned()),
        ("escapes", "agent_id: \"\\e[31mdeployer\"\nagent_version: '1'\ntier: T1\n".to_owned()),
        ("two-documents", format!("{PROFILE}---\n{PROFILE}")),
        ("half", PROFILE[..PROFILE.len() / 3].to_owned()),
        ("huge", format!("{PROFILE}{}", "# \n".repeat(200_000))),
    ];
    for (name, text) in bombs {
        let file = user.path(&format!("{name}.yaml"));
        std::fs::write(&file, text).unwrap();
        let began = std::time::Instant::now();
        let answer = user.does(&["policy", "apply", file.to_str().unwrap()]);
        answer.explains(name);
        assert!(!answer.err.contains('\u{1b}'), "{name}: {answer:?}");
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{name}");
    }
    assert!(user.objects(&["policy", "list"]).is_empty());
    // Allows everything: accepted, and said.
    let all = user.path("all.yaml");
    std::fs::write(&all, "agent_id: all\nagent_version: '1'\ntier: T4\nconstraints:\n  allowed_actions: ['*']\n  allowed_targets: ['*']\n")
        .unwrap();
    let told = user.object(&["policy", "check", all.to_str().unwrap()]);
    assert!(told["warnings"][0].as_str().unwrap().contains("every action on every target"), "{told}");
    user.verified();
}

#[test]
fn what_is_in_force_is_listed_shown_compared_and_rolled_back() {
    let (user, file) = with(PROFILE);
    user.does(&["policy", "list"]).explains("nothing");
    let first = user.object(&["policy", "apply", &file, "--by", "\u{1b}[31mann", "--note", "\u{1b}]0;x\u{7}first", "--over", "0"]);
    assert_eq!((&first["version"], &first["changed"]), (&1.into(), &true.into()));
    assert_eq!(user.object(&["policy", "apply", &file])["changed"], false);
    std::fs::write(&file, PROFILE.replace("[staging-*]", "[staging-*, prod-1]").replace("'1.2'", "\"1.2\" # \u{1b}[31m"))
        .unwrap_or_default();
    // A comment cannot hold what YAML forbids in a text.
    user.does(&["policy", "apply", &file]).explains("deployer.yaml");
    std::fs::write(&file, PROFILE.replace("[staging-*]", "[staging-*, prod-1]")).unwrap();
    let diff = user.does(&["policy", "diff", "deployer", &file]).out;
    assert!(diff.contains("+ constraints.allowed_targets: prod-1"), "applying it would add that: {diff}");
    let diff = user.object(&["policy", "diff", "deployer", &file]);
    assert_eq!((&diff["from"], &diff["to"]), (&"version 1, in force".into(), &file.as_str().into()));
    user.does(&["policy", "apply", &file, "--over", "0"]).explains("version 1 is in force");
    user.object(&["policy", "apply", &file, "--over", "1"]);
    let diff = user.object(&["policy", "diff", "deployer", "1"]);
    assert_eq!((&diff["from"], &diff["to"]), (&"version 1".into(), &"version 2, in force".into()));
    let diff = user.object(&["policy", "diff", "deployer"]);
    assert_eq!(diff["changes"], serde_json::json!([{"field": "constraints.allowed_targets", "removed": [], "added": ["prod-1"]}]));
    for shown in [
        user.does(&["policy", "list"]),
        user.does(&["policy", "history", "deployer"]),
        user.does(&["policy", "show", "deployer", "--version", "1"]),
    ] {
        assert!(shown.code == Some(0) && !shown.out.contains('\u{1b}') && !shown.out.contains('\u{7}'), "{shown:?}");
    }
    assert!(user.does(&["policy", "show", "deployer"]).out.contains("[staging-*, prod-1]"));
    assert_eq!(user.object(&["policy", "rollback", "deployer"])["of"], 1);
    assert_eq!(user.object(&["policy", "diff", "deployer", "1", "3"])["changes"], serde_json::json!([]));
    user.does(&["policy", "show", "deployer", "--version", "9"]).explains("no version 9");
    user.does(&["policy", "rollback", "nobody"]).explains("no profile `nobody`");
    assert_eq!(user.object(&["policy", "withdraw", "deployer"])["withdrawn"], true);
    user.verified();
}

#[test]
fn what_was_in_force_is_so_again_after_a_store_has_lost_it() {
    let (_folder, server, user) = super::redis();
    let file = user.path("deployer.yaml");
    std::fs::write(&file, PROFILE).unwrap();
    user.object(&["policy", "apply", file.to_str().unwrap()]);
    std::fs::write(&file, PROFILE.replace("staging-*", "test-*")).unwrap();
    let applied = user.object(&["policy", "apply", file.to_str().unwrap()]);
    server.ask(&["FLUSHALL"]);
    user.does(&["policy", "list"]).explains("store recover");
    user.object(&["store", "recover"]);
    let listed = user.objects(&["policy", "list"]);
    assert_eq!((&listed[0]["version"], &listed[0]["hash"]), (&2.into(), &applied["hash"]));
    assert_eq!(user.object(&["policy", "apply", file.to_str().unwrap()])["changed"], false);
    user.verified();
}
