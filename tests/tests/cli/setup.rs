//! `config`, `completions`, `man` and every `--help`: the program about itself.

use std::path::Path;
use std::process::Command;

use governance_tests::program::{Living, User};
use serde_json::Value;

use super::begun;

fn setting(objects: &[Value], name: &str) -> (Value, Value, Value) {
    let found = objects.iter().find(|object| object["name"] == name).unwrap_or_else(|| panic!("no `{name}`"));
    (found["value"].clone(), found["source"].clone(), found["from"].clone())
}

#[test]
fn the_configuration_says_where_each_value_came_from_and_nothing_secret() {
    let user = begun();
    std::fs::write(user.home().join("config.toml"), "timeout_seconds = 33\nmodel = 'from the file'\n").unwrap();
    let mut command = user.command(["config", "show", "--json", "--store", "redis://:hunter2@127.0.0.1:1"]);
    command.env("OPENROUTER_MODEL", "from-the-environment").env("OPENROUTER_API_KEY", "hunter2");
    let answer = Living::spawn(command).end();
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(!answer.out.contains("hunter2") && !answer.err.contains("hunter2"), "{answer:?}");
    let shown: Vec<Value> = answer.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(setting(&shown, "timeout_seconds"), (33.0.into(), "file".into(), "config.toml".into()));
    assert_eq!(setting(&shown, "model"), ("from-the-environment".into(), "environment".into(), "OPENROUTER_MODEL".into()));
    assert_eq!(setting(&shown, "mode"), ("local".into(), "default".into(), "default".into()));
    assert_eq!(setting(&shown, "home").2, "GOVERNANCE_HOME");
    let store = setting(&shown, "store");
    assert_eq!((&store.1, &store.2), (&"flag".into(), &"--store".into()));
    assert!(store.0.as_str().unwrap().contains("127.0.0.1:1"), "{store:?}");
    assert!(user.does(&["config", "show"]).out.contains("33.0  config.toml"));
    user.does(&["config", "show", "--store", "mysql://x"]).explains("redis://HOST:PORT");
    std::fs::write(user.home().join("config.toml"), "timeout_secs = 33").unwrap();
    user.does(&["config", "show"]).explains("timeout_secs");
    let nobody = User::default();
    assert_eq!(nobody.does(&["config", "show"]).code, Some(0));
    assert!(!nobody.home().exists(), "who only looks makes nothing");
}

#[test]
fn every_shell_gets_completions_that_know_every_command() {
    let user = User::default();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let answer = user.does(&["completions", shell]);
        assert_eq!(answer.code, Some(0), "{shell}");
        for word in ["blackboard", "consensus", "export", "pipeline", "completions"] {
            assert!(answer.out.contains(word), "{shell} does not know `{word}`");
        }
    }
    user.does(&["completions", "cmd"]).explains("");
    assert!(!user.home().exists());
}

#[test]
fn bash_completes_with_what_it_was_given() {
    let user = User::default();
    let script = user.path("governance.bash");
    std::fs::write(&script, user.does(&["completions", "bash"]).out).unwrap();
    let ask = "source \"$0\"; COMP_WORDS=(governance pipeline cons); COMP_CWORD=2; _governance governance cons pipeline; echo \"${COMPREPLY[@]}\"";
    let told = Command::new("bash").args(["--norc", "-c", ask]).arg(&script).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), "consensus", "{told:?}");
}

#[test]
fn every_command_has_a_manual_page() {
    let user = User::default();
    let pages = user.path("man/man1");
    user.object(&["man", "--out", pages.to_str().unwrap()]);
    let names: Vec<_> = std::fs::read_dir(&pages).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    for name in ["governance.1", "governance-run.1", "governance-pipeline-logs.1", "governance-ledger-export.1"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
    assert!(!names.iter().any(|name| name == "governance-agent.1"), "what is hidden has none");
    let page = std::fs::read_to_string(pages.join("governance.1")).unwrap();
    assert!(page.starts_with(".ie") && page.contains("Exit codes:"), "{page}");
    user.does(&["man", "--out", "/proc/man"]).explains("directory that you may write to");
    user.does(&["man"]).explains("");
    user.does(&["man", "--out", "x", "--markdown"]).explains("");
}

#[test]
fn the_reference_in_docs_is_what_the_program_says_of_itself() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let kept = std::fs::read_to_string(path).unwrap();
    let now = User::default().does(&["man", "--markdown"]).out;
    let differs = kept.lines().zip(now.lines()).find(|(kept, now)| kept != now);
    assert!(kept == now, "docs/cli.md is not current: `cargo governance man --markdown > docs/cli.md`; first difference: {differs:?}");
}

#[test]
fn every_command_that_does_something_helps_with_examples() {
    let user = User::default();
    let (mut commands, mut asked): (Vec<Vec<String>>, _) = (vec![vec![]], 0);
    while let Some(command) = commands.pop() {
        let args: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = user.does(&args).out;
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        let names: Vec<_> =
            listed.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '))?.split(' ').next()).collect();
        if names.is_empty() {
            let full = format!("governance {}", command.join(" "));
            assert!(help.contains("Examples:\n") && help.matches(&full).count() > 0, "`{full}` has no example: {help}");
            asked += 1;
        }
        commands.extend(names.into_iter().filter(|name| *name != "help").map(|name| [command.as_slice(), &[name.to_owned()]].concat()));
    }
    assert!(asked > 22, "only {asked} commands");
    let top = user.does(&["--help"]).out;
    for code in ["0  success", "1  an error", "2  the votes closed", "3  the run was"] {
        assert!(top.contains(code), "{top}");
    }
}

#[test]
fn wrong_use_is_an_object_for_who_asked_for_objects() {
    let user = User::default();
    for wrong in [["frobnicate", "--json"].as_slice(), &["stop", "--json"], &["budget", "set", "a", "hours", "1", "--json"]] {
        let answer = user.does(wrong);
        assert_eq!((answer.code, answer.err.as_str()), (Some(1), ""), "{answer:?}");
        let error = &answer.last_object()["error"];
        assert_eq!((&error["kind"], &error["code"]), (&"invalid".into(), &"usage".into()));
        assert!(error["message"].as_str().unwrap().ends_with("see `governance --help`"), "{error}");
    }
}

#[test]
fn a_note_is_an_object_for_who_asked_for_objects() {
    let user = super::begun();
    let key = ["approvers", "key", "ann", "--key", "ann.key", "--no-passphrase", "--json"];
    for (words, says) in [
        (&["pipeline", "list", "--json"][..], "no run yet"),
        (&["alerts", "--type", "limit_low", "--json"], "no such alert"),
        (&key, "not encrypted"),
    ] {
        let answer = user.does(words);
        let note: Value = serde_json::from_str(&answer.err).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
        assert!(answer.code == Some(0) && note["note"].as_str().unwrap().contains(says), "{note}");
    }
    // What is logged is a note as well.
    let script = user.path("scenario.yaml");
    std::fs::write(&script, "version: 1\nsteps:\n  - {agent: alpha, on: propose, do: {answer: half_json}}\n").unwrap();
    let answer = user.does(&["run", "Design a caching strategy", "--json", "--script", script.to_str().unwrap()]);
    assert!(answer.err.contains("answer_not_json"), "{answer:?}");
    for line in answer.err.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|note| note["note"].is_string()), "{line}");
    }
}

#[test]
fn what_cannot_be_meant_is_an_error_that_names_what_can() {
    let user = super::begun();
    user.does(&["alerts", "--type", "nonsense"]).explains("nonsense");
    assert!(user.does(&["alerts", "--type", "nonsense"]).err.contains("limit_low"));
    for words in [["agents", "demote", "nobody"], ["agents", "promotion", "nobody"], ["agents", "promote", "nobody"]] {
        user.does(&words).explains("`nobody`");
        assert_eq!(user.does(&[words.as_slice(), &["--json"]].concat()).last_object()["error"]["code"], "no_such_profile");
    }
    user.object(&["agents", "register", "nobody", "--tier", "T0"]);
    user.object(&["agents", "promotion", "nobody"]);
    for (name, value, wanted) in [
        ("GAMMA_STUCK_THRESHOLD", "0", "from 0.1 to 86400"),
        ("GAMMA_CONFLICT_THRESHOLD", "0", "at least 1"),
        ("ORCHESTRATION_TIMEOUT", "0", "at least 1"),
        ("GOVERNANCE_CALL_TIMEOUT", "0", "1 to 3600"),
    ] {
        let mut command = user.command(["config", "show"]);
        command.env(name, value);
        Living::spawn(command).end().explains(wanted);
    }
    std::fs::write(user.home().join("config.toml"), "gamma_stuck_threshold = 0.0\n").unwrap();
    user.does(&["config", "show"]).explains("gamma_stuck_threshold is `0`");
}
