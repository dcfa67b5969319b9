//! A stop is confirmed by each process that works, or it is said which has not: frozen, dead, or gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::process::{Command, Stdio};

use governance_tests::program::{Living, User, signal};
use governance_tests::servers::{Product, Server};
use rustix::process::Signal;
use serde_json::Value;

/// A process with an agent of its own.
struct Toiler {
    living: Living,
    agent: String,
    pipeline: String,
}

impl Toiler {
    fn start(user: &User, how: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_governance-toiler"));
        command.arg(user.home()).arg(user.store().unwrap_or_default()).arg(how).stdin(Stdio::null());
        let mut living = Living::spawn({
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        });
        let line = living.line().unwrap_or_else(|| panic!("it did not begin"));
        let (agent, pipeline) = line.split_once(' ').unwrap();
        Self { agent: agent.to_owned(), pipeline: pipeline.to_owned(), living }
    }
}

/// On the embedded file, and on a server.
fn everywhere(story: impl Fn(User)) {
    story(User::default());
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Product::Redis, folder.path(), "receipts", &[]);
    story(User::of(format!("redis+unix://{}", server.socket.display())));
}

fn of(answer: &Value, pid: u32) -> Value {
    let receipts = answer["receipts"]["receipts"].as_array().unwrap();
    receipts.iter().find(|receipt| receipt["pid"] == pid).unwrap_or_else(|| panic!("no receipt of {pid}: {answer}")).clone()
}

#[test]
fn a_stop_of_everything_lists_a_receipt_from_each_process_and_cancels_what_runs() {
    everywhere(|user| {
        let mut toilers: Vec<_> = ["toils", "idles", "toils"].iter().map(|how| Toiler::start(&user, how)).collect();
        [0, 2].iter().for_each(|n| drop(toilers[*n].living.until("toils")));
        let stopped = user.object(&["stop", "--all", "--reason", "a drill"]);
        for toiler in &mut toilers {
            let receipt = of(&stopped, toiler.living.pid());
            assert_eq!((receipt["state"].as_str(), receipt["ended"][0].as_str()), (Some("confirmed"), Some(&*toiler.agent)), "{stopped}");
            assert!(receipt["confirmed_at"].as_u64().unwrap() >= stopped["receipts"]["issued_at"].as_u64().unwrap(), "{stopped}");
            assert!(receipt["host"].as_str().is_some_and(|host| !host.is_empty()) && receipt["runtime"] == "rust");
        }
        // Nothing of what ran is left, and nothing more is admitted there.
        for n in [0, 2] {
            assert_eq!([0; 3].map(|_| toilers[n].living.line().unwrap()), ["revoked", "revoked", "revoked"]);
        }
        assert!(toilers[1].living.line().unwrap().contains("a drill"));
    });
}

#[test]
fn a_frozen_process_is_overdue_a_dead_one_is_gone_and_the_thawed_one_confirms() {
    everywhere(|user| {
        let (mut frozen, mut dead, well) = (Toiler::start(&user, "toils"), Toiler::start(&user, "toils"), Toiler::start(&user, "idles"));
        for toiler in [&mut frozen, &mut dead] {
            toiler.living.until("toils");
        }
        signal(frozen.living.pid(), Signal::STOP);
        dead.living.kill();
        let stopped = user.does(&["stop", "--all", "--within", "3"]);
        let (pid, told) = (frozen.living.pid(), format!("{}{}", stopped.out, stopped.err));
        assert_eq!(stopped.calm().code, Some(1), "{stopped:?}");
        assert!(stopped.err.contains(&format!("kill -KILL {pid}")), "it says what is still possible: {told}");
        let line =
            |pid: u32| stopped.out.lines().find(|line| line.contains(&format!("process {pid} "))).unwrap_or_else(|| panic!("{told}"));
        assert!(line(pid).contains("overdue"), "{told}");
        assert!(line(well.living.pid()).contains("confirmed"), "{told}");
        assert!(!told.contains(&format!("process {} ", dead.living.pid())), "who was dead before is not asked: {told}");
        signal(pid, Signal::CONT);
        assert_eq!([0; 3].map(|_| frozen.living.line().unwrap()), ["revoked", "revoked", "revoked"]);
    });
}

#[test]
fn who_waits_for_an_agent_sees_each_receipt_as_it_comes_and_who_dies_meanwhile_is_gone() {
    let user = User::default();
    let (mut frozen, well) = (Toiler::start(&user, "toils"), Toiler::start(&user, "idles"));
    frozen.living.until("toils");
    signal(frozen.living.pid(), Signal::STOP);
    let mut watching = user.start(&["revoke", &frozen.agent, "--watch", "--within", "30", "--json"]);
    let mut seen = Vec::new();
    while !(seen.iter().any(|line: &String| line.contains("\"issued\"")) && seen.iter().any(|line| line.contains("\"confirmed\""))) {
        seen.push(watching.line().unwrap_or_else(|| panic!("{seen:?}")));
    }
    // A stopped process dies all the same.
    frozen.living.kill();
    let done = watching.end();
    assert_eq!(done.code, Some(0), "{done:?}");
    let last = done.last_object();
    assert_eq!(of(&last, frozen.living.pid())["state"], "gone");
    let receipt = of(&last, well.living.pid());
    assert_eq!((&receipt["state"], receipt["ended_count"].as_u64()), (&"confirmed".into(), Some(0)), "its own agent goes on: {last}");
    let other = user.object(&["pipeline", "revoke", &well.pipeline, "--no-wait"]);
    assert_eq!((other["revoked"][0].as_str(), &other["receipts"]), (Some(&*well.agent), &Value::Null));
}

#[test]
fn a_process_stopped_before_or_after_its_check_and_revoked_runs_nothing_that_lands_when_it_goes_on() {
    everywhere(|user| {
        for (how, ran) in [("before", false), ("between", false), ("within", true)] {
            let mut toiler = Toiler::start(&user, how);
            toiler.living.until("stopped");
            let revoked = user.does(&["revoke", &toiler.agent, "--within", "1.1", "--json"]);
            assert_eq!(revoked.code, Some(1), "{how}: it cannot confirm: {revoked:?}");
            assert_eq!(revoked.last_object()["error"]["code"], "unconfirmed", "{how}");
            signal(toiler.living.pid(), Signal::CONT);
            let told = toiler.living.end();
            assert_eq!(told.out.contains("ran"), ran, "{how}: {told:?}");
            assert!(told.out.ends_with("revoked\n"), "{how}: {told:?}");
            let board = user.objects(&["blackboard", "show", &toiler.pipeline]);
            assert!(!board.iter().any(|entry| entry.to_string().contains("\"effect\"")), "{how}: {board:?}");
        }
    });
}
