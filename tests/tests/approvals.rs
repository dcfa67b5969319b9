//! Approvals as people give them, with the real program, and as agents try to give them to themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use governance::store::{Actor, Admission};
use governance_tests::program::{Answer, Living, User, binary};
use governance_tests::servers::{Product, Server};
use governance_tests::task::Task;
use serde_json::{Value, json};

const NOBODY: &str = "approval-none";

/// A user whose first approver is ann.
fn with_ann(user: User) -> User {
    std::fs::write(user.path("pass"), "correct horse\n").unwrap();
    let added = user.object(&["approvers", "add", "ann", "--key", "ann.key", "--passphrase-file", "pass"]);
    assert_eq!((&added["name"], added["key"].as_str().unwrap().len()), (&"ann".into(), 64));
    user
}

fn ann<'a>(verb: &'a str, id: &'a str) -> [&'a str; 7] {
    ["approvals", verb, id, "--key", "ann.key", "--passphrase-file", "pass"]
}

/// An agent in a process of its own.
struct Agent {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Agent {
    fn of(user: &User) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_governance-worker"))
            .arg("govern")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .current_dir(user.path(""))
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut agent = Self { child, input, output };
        let actor = Actor { id: "worker".parse().unwrap(), pipeline: None, admission: Admission::default() };
        let store = user.store().map_or_else(|| format!("sqlite:{}", user.home().join("state.db").display()), str::to_owned);
        let task = Task { store, home: user.home().to_owned(), actor, number: 0, ttl_ms: 0 };
        assert!(agent.does(&json!(task))["agent"].is_string());
        agent
    }

    fn tell(&mut self, what: &Value) {
        self.input.write_all(format!("{what}\n").as_bytes()).unwrap();
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: `{line}`"))
    }

    fn does(&mut self, what: &Value) -> Value {
        self.tell(what);
        self.answer()
    }

    /// A call that is refused for want of an approval; the request's id.
    fn asks(&mut self, arguments: &Value) -> String {
        let refused = self.does(&json!({"arguments": arguments}));
        assert_eq!(refused["refused"], "approval_required", "{refused}");
        refused["details"]["approval"]["id"].as_str().unwrap().to_owned()
    }

    /// Starts something; what came of it.
    fn runs(&mut self, command: &[&str]) -> Answer {
        let done = self.does(&json!({"run": command}));
        let text = |name: &str| done[name].as_str().unwrap().to_owned();
        Answer { code: done["code"].as_i64().map(|code| code as i32), out: text("out"), err: text("err") }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn a_person_approves_and_only_that_call_runs(user: User) {
    let user = with_ann(user);
    let mut agent = Agent::of(&user);
    let arguments = json!({"plan": "a.tfplan", "note": "\u{1b}[2K\u{202e}evil\u{200b}"});
    let risks = json!(["irreversible", "\u{1b}[2Kharmless"]);
    agent.tell(&json!({"arguments": arguments, "risks": risks, "waiting_ms": 50_000}));
    let id = loop {
        if let Some(found) = user.objects(&["approvals", "list"]).pop() {
            break found["request"]["id"].as_str().unwrap().to_owned();
        }
    };
    let shown = user.does(&["approvals", "show", &id]);
    assert!(shown.out.contains(r#""note": "\u{1b}[2K\u{202e}evil\u{200b}""#), "{shown:?}");
    assert!(!shown.out.contains('\u{1b}') && !shown.out.contains('\u{202e}'), "{shown:?}");
    let listed = user.does(&["approvals", "list"]);
    for printed in [&shown, &listed] {
        assert!(printed.out.contains(r"irreversible, \u{1b}[2Kharmless"), "{printed:?}");
    }
    let told = user.object(&["approvals", "show", &id]);
    assert_eq!((&told["arguments"], &told["approval"]["state"]), (&arguments, &"pending".into()));
    assert_eq!(told["approval"]["request"]["risks"], risks);
    let hash = told["approval"]["hash"].as_str().unwrap().to_owned();
    // Nobody said yes on a terminal; the wrong passphrase; another hash than the one that was shown.
    user.does(&ann("approve", &id)).explains("--yes");
    std::fs::write(user.path("wrong"), "battery staple").unwrap();
    user.does(&["approvals", "approve", &id, "--yes", "--key", "ann.key", "--passphrase-file", "wrong"]).explains("passphrase");
    user.does(&["approvals", "approve", &id, "--yes", "--key", "ann.key"]).explains("GOVERNANCE_APPROVER_PASSPHRASE");
    user.does(&[&ann("approve", &id)[..], &["--yes", "--hash", "0000"]].concat()).explains("not what was shown");
    let approved = user.does(&[&ann("approve", &id)[..], &["--yes", "--hash", &hash, "--note", "as agreed"]].concat());
    assert!(approved.code == Some(0) && approved.out.contains(&hash), "{approved:?}");
    assert_eq!(agent.answer(), json!({"ran": arguments}));
    let told = user.object(&["approvals", "show", &id])["approval"].clone();
    assert_eq!(
        (&told["state"], &told["approved"][0]["approver"], &told["approved"][0]["note"]),
        (&"used".into(), &"ann".into(), &"as agreed".into())
    );
    assert_eq!(agent.does(&json!({"arguments": arguments, "risks": risks, "presented": id}))["refused"], "approval_used");
    // Denied, it is refused; an agent that presents an approval for one byte more is revoked.
    let denied = agent.asks(&json!({"n": 1}));
    assert_eq!(user.object(&[&ann("deny", &denied)[..], &["--yes"]].concat())["state"], "denied");
    assert_eq!(agent.does(&json!({"arguments": {"n": 1}}))["refused"], "approval_denied");
    assert_eq!(user.does(&["approvals", "wait", &denied]).code, Some(1));
    let other = agent.asks(&json!({"count": "1"}));
    user.object(&[&ann("approve", &other)[..], &["--yes"]].concat());
    assert_eq!(user.does(&["approvals", "wait", &other, "--timeout", "5"]).code, Some(0));
    assert_eq!(agent.does(&json!({"arguments": {"count": "11"}, "presented": other}))["refused"], "approval_bypass");
    assert_eq!(agent.does(&json!({"arguments": {"count": "1"}, "presented": other}))["refused"], "revoked");
    assert!(user.objects(&["approvals", "list", "--all"]).len() >= 3 && user.objects(&["approvals", "list"]).is_empty());
    let violations = user.objects(&["ledger", "list", "--action", "violation"]);
    assert!(violations.iter().any(|entry| entry.to_string().contains("approval_bypass")), "{violations:?}");
    drop(agent);
    user.verified();
}

#[test]
fn on_the_file_a_person_approves_and_only_that_call_runs() {
    a_person_approves_and_only_that_call_runs(User::default());
}

#[test]
fn on_redis_a_person_approves_and_only_that_call_runs() {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let server = Server::start(Product::Redis, folder.path(), "server", &[]);
    a_person_approves_and_only_that_call_runs(User::of(format!("redis://127.0.0.1:{}", server.port)));
}

/// A profile earns its runs, people are asked, they sign, it rises; then to the highest tier, which takes two and an administrator.
fn a_profile_is_reviewed_by_people_and_rises(user: &User) {
    let by_ann = ["--key", "ann.key", "--passphrase-file", "pass", "--yes"];
    let bob = ["approvers", "add", "bob", "--key", "bob.key", "--no-passphrase", "--by", "ann.key", "--by-passphrase-file", "pass"];
    assert_eq!(user.object(&bob)["administrator"], false);
    let names = user.objects(&["approvers", "list"]);
    assert_eq!((&names[0]["administrator"], &names[1]["administrator"]), (&json!(true), &json!(false)), "the first is one");
    // Who is none makes none.
    let root = ["approvers", "add", "root", "--administrator", "--key", "root.key", "--no-passphrase", "--by", "bob.key"];
    user.does(&root).explains("bob` is no administrator");

    user.object(&["agents", "register", "deployer", "--tier", "T2", "--reason", "known for years"]);
    let mut agent = Agent::of(user);
    let mut live =
        |lives: u32, action: &str, tier: &str| agent.does(&json!({"lives": lives, "profile": "deployer", "action": action, "tier": tier}));
    for (lives, action) in [(20, "read_file"), (3, "ansible_run"), (2, "terraform_apply")] {
        assert_eq!(live(lives, action, "T2")["lived"], lives);
    }
    let asked = user.object(&["agents", "promote", "deployer", "--reason", "a good spring"]);
    assert_eq!((&asked["tier"], &asked["status"]), (&json!("T2"), &json!("pending_review")));
    // What it waits for, and the very command that says yes.
    let shown = user.does(&["agents", "promotion", "deployer"]);
    let id = user.object(&["agents", "promotion", "deployer"])["approval"]["request"]["id"].as_str().unwrap().to_owned();
    assert!(shown.out.contains("0 of 1 approvals") && shown.out.contains(&format!("governance approvals approve {id}")), "{shown:?}");
    let listed = user.objects(&["approvals", "list"]);
    assert_eq!((listed.len(), &listed[0]["request"]["kind"]), (1, &json!("promotion")));
    let shown = user.does(&["approvals", "show", &id]);
    assert!(shown.out.contains("a good spring") && shown.out.contains(r#""to_tier": "T3""#), "{shown:?}");
    assert_eq!(user.object(&["agents", "promote", "deployer"])["standing"]["review"]["approval"], *id, "it is asked once");
    // Denied, it is rejected, and stays denied until it has shown more.
    user.object(&["approvals", "deny", &id, "--note", "show me more", "--yes", "--key", "bob.key"]);
    let rejected = user.object(&["agents", "promotion", "deployer"])["standing"].clone();
    assert_eq!((&rejected["tier"], &rejected["status"]), (&json!("T2"), &json!("rejected")));
    user.does(&["agents", "promote", "deployer"]).explains("denied by bob");
    assert_eq!(live(1, "read_file", "T2")["lived"], 1);
    let waiting = user.start(&["agents", "promote", "deployer", "--wait", "--json"]);
    let id = loop {
        if let Some(found) = user.objects(&["approvals", "list"]).pop() {
            break found["request"]["id"].as_str().unwrap().to_owned();
        }
    };
    let approved = user.does(&[&["approvals", "approve", &id][..], &by_ann].concat());
    assert!(approved.code == Some(0) && approved.out.contains("`deployer` stands at T3"), "{approved:?}");
    let waited = waiting.end();
    assert_eq!((waited.code, &waited.last_object()["tier"]), (Some(0), &json!("T3")), "{waited:?}");

    // To the highest it takes two, and an administrator among them.
    assert_eq!(live(50, "read_file", "T3")["lived"], 50);
    user.object(&["agents", "promote", "deployer", "--to", "T4"]);
    let shown = user.does(&["agents", "promotion", "deployer"]);
    assert!(shown.out.contains("0 of 2 approvals; an administrator must be among them"), "{shown:?}");
    let id = user.objects(&["approvals", "list"])[0]["request"]["id"].as_str().unwrap().to_owned();
    let one = user.object(&["approvals", "approve", &id, "--yes", "--key", "bob.key"]);
    assert_eq!(one["state"], "pending");
    user.object(&[&["approvals", "approve", &id][..], &by_ann].concat());
    let risen = user.object(&["agents", "promotion", "deployer"])["standing"].clone();
    assert_eq!((&risen["tier"], &risen["status"]), (&json!("T4"), &json!("approved")));
    assert_eq!(live(1, "read_file", "T4")["lived"], 1);
    // Who wants more than it stands at is refused, and that is on the record.
    user.object(&["agents", "register", "clerk", "--tier", "T0"]);
    let clerk = agent.does(&json!({"lives": 1, "profile": "clerk", "action": "read_file", "tier": "T1"}));
    assert_eq!(clerk["refused"], "above_standing");
    let told = user.objects(&["ledger", "list", "--action", "promotion"]);
    let told: Vec<Value> = told.iter().map(|entry| serde_json::from_str(entry["payload"].as_str().unwrap()).unwrap()).collect();
    let last = told.iter().rfind(|told| told["profile"] == "deployer").unwrap();
    assert_eq!((&last["to_tier"], &last["approver"], &last["approval"]), (&json!("T4"), &json!("bob, ann"), &json!(id)));
    let violations = user.objects(&["ledger", "list", "--action", "violation"]);
    assert!(violations.iter().any(|entry| entry.to_string().contains("privilege_escalation")), "{violations:?}");
    drop(agent);
    user.verified();
}

#[test]
fn on_the_file_a_profile_is_reviewed_by_people_and_rises() {
    a_profile_is_reviewed_by_people_and_rises(&with_ann(User::default()));
}

#[test]
fn on_redis_a_profile_is_reviewed_by_people_and_rises() {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let server = Server::start(Product::Redis, folder.path(), "server", &[]);
    a_profile_is_reviewed_by_people_and_rises(&with_ann(User::of(format!("redis://127.0.0.1:{}", server.port))));
}

/// Whatever says who may do what, how much, or that a stop is over; ending and stopping is open to all.
#[test]
fn what_only_people_do_is_refused_to_an_agent_s_process_and_stopping_is_not() {
    let user = with_ann(User::default());
    std::fs::write(user.path("deployer.yaml"), "agent_id: deployer\nagent_version: '1'\ntier: T1\n").unwrap();
    user.object(&["agents", "register", "deployer", "--tier", "T1"]);
    user.object(&["policy", "apply", "deployer.yaml"]);
    let mut agent = Agent::of(&user);
    let id = agent.asks(&json!({}));
    let (program, home) = (binary().display().to_string(), user.home().display().to_string());
    let mut tries = |args: &[&str]| agent.runs(&[&["env", "-i", &program, "--home", &home][..], args].concat());
    for refused in [
        &["agents", "register", "mallory", "--tier", "T4"][..],
        &["agents", "promote", "deployer"],
        &["agents", "demote", "deployer"],
        &["budget", "set", "--tenant", "calls_per_minute", "none"],
        &["stop", "--lift", "--reason", "let me"],
        &["policy", "apply", "deployer.yaml"],
        &["policy", "rollback", "deployer"],
        &["policy", "withdraw", "deployer"],
        &["policy", "watch", "."],
        &["approvals", "approve", &id, "--yes", "--key", "ann.key", "--passphrase-file", "pass"],
        &["approvals", "deny", &id, "--yes", "--key", "ann.key", "--passphrase-file", "pass"],
        &["approvers", "add", "mallory", "--key", "m.key", "--no-passphrase"],
        &["approvers", "remove", "ann", "--key", "ann.key", "--passphrase-file", "pass"],
        &["ledger", "retain", "--older-than", "1s", "--yes"],
        &["store", "recover"],
        &["run", "Let me", "--policies", "."],
        &["pipeline", "continue"],
        &["pipeline", "fallback", "pipeline-x", "escalate_tier"],
        &["pipeline", "give-up", "pipeline-x"],
    ] {
        let answer = tries(&[refused, &["--json"]].concat());
        assert_eq!(answer.last_object()["error"]["code"], "governed_process", "{refused:?}: {answer:?}");
    }
    // It may look, and it may end what there is.
    for open in [
        &["agents", "list"][..],
        &["agents", "promotion"],
        &["budget", "list"],
        &["approvals", "show", &id],
        &["policy", "list"],
        &["ledger", "verify"],
        &["store", "check"],
        &["pipeline", "list"],
    ] {
        assert_eq!(tries(open).code, Some(0), "{open:?}");
    }
    assert_eq!(tries(&["stop", "--all", "--no-wait", "--reason", "enough"]).code, Some(0));
    let refused = tries(&["stop", "--lift", "--reason", "let me go on"]);
    refused.explains("no agent approves");
    let alerts = user.objects(&["alerts", "--type", "refused_to_agent"]);
    assert_eq!(alerts.len(), 20, "each of them is an alert: {alerts:?}");
    user.object(&["stop", "--lift", "--reason", "the drill is over"]);
    assert_eq!(user.objects(&["agents", "promotion"])[0]["standing"]["tier"], "T1");
}

#[test]
fn approvers_are_registered_by_approvers() {
    let user = with_ann(User::default());
    let mode = std::fs::metadata(user.path("ann.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Nobody else comes in by themselves; and a key that led to nothing is not left behind.
    user.does(&["approvers", "add", "bob", "--key", "bob.key", "--no-passphrase"]).explains("--by");
    user.does(&["approvers", "add", "ann", "--key", "bob.key", "--no-passphrase", "--by", "ann.key", "--by-passphrase-file", "pass"])
        .explains("ann");
    assert!(!user.path("bob.key").exists());
    user.does(&["approvers", "add", "bob", "--key", "home/bob.key", "--no-passphrase", "--by", "ann.key", "--by-passphrase-file", "pass"])
        .explains("keep the key elsewhere");
    let bob =
        user.does(&["approvers", "add", "bob", "--key", "bob.key", "--no-passphrase", "--by", "ann.key", "--by-passphrase-file", "pass"]);
    assert!(bob.code == Some(0) && bob.err.contains("WARNING"), "{bob:?}");
    // Whose key was made elsewhere.
    let eve = user.object(&["approvers", "key", "eve", "--key", "eve.key", "--no-passphrase"]);
    user.does(&["approvers", "add", "eve", "--public", "3f"]).explains("required");
    user.does(&["approvers", "add", "eve", "--public", "3f", "--by", "bob.key"]).explains("64 hexadecimal digits");
    user.object(&["approvers", "add", "eve", "--public", eve["key"].as_str().unwrap(), "--by", "bob.key"]);
    let names: Vec<_> = user.objects(&["approvers", "list"]).into_iter().map(|approver| approver["name"].clone()).collect();
    assert_eq!(names, ["ann", "bob", "eve"]);
    user.object(&["approvers", "remove", "bob", "--key", "eve.key"]);
    user.does(&["approvers", "remove", "eve", "--key", "bob.key"]).explains("registered");
    user.does(&["approvers", "remove", "bob", "--key", "eve.key"]).explains("approvers list");
    user.does(&["approvals", "show", NOBODY]).explains("approvals list");
    user.does(&["approvals", "approve", NOBODY, "--yes", "--key", "none.key"]).explains("approvals list");
    user.does(&["approvals", "approve", "a:b", "--yes"]).explains("`:`");
    for shown in [user.does(&["approvers", "list"]), user.does(&["ledger", "list", "--action", "approver", "--json"])] {
        let seed: Value = serde_json::from_str(&std::fs::read_to_string(user.path("eve.key")).unwrap()).unwrap();
        assert!(!shown.out.contains(seed["seed"].as_str().unwrap()));
    }
    user.verified();
}

#[test]
fn an_agent_that_joined_and_what_it_starts_cannot_approve() {
    let user = with_ann(User::default());
    let mut agent = Agent::of(&user);
    let id = agent.asks(&json!({}));
    let (program, home) = (binary().display().to_string(), user.home().display().to_string());
    // It even has the key and its passphrase.
    let approve = ["--home", &home, "approvals", "approve", &id, "--yes", "--key", "ann.key", "--passphrase-file", "pass"];
    let clean = [&["env", "-i", &program][..], &approve].concat();
    let away = [&["setsid", "--wait", "env", "-i", &program][..], &approve].concat();
    for command in [[&[&program[..]][..], &approve].concat(), clean, away] {
        agent.runs(&command).explains("no agent approves");
    }
    let add = [
        "--home",
        &home,
        "approvers",
        "add",
        "mallory",
        "--key",
        "m.key",
        "--no-passphrase",
        "--by",
        "ann.key",
        "--by-passphrase-file",
        "pass",
    ];
    agent.runs(&[&[&program[..]][..], &add].concat()).explains("no agent approves");
    agent
        .runs(&[&program, "--home", &home, "approvers", "remove", "ann", "--key", "ann.key", "--passphrase-file", "pass"])
        .explains("no agent approves");
    assert_eq!(user.object(&["approvals", "show", &id])["approval"]["state"], "pending");
    assert_eq!(agent.does(&json!({"arguments": {}}))["refused"], "approval_required");
    // A person who is not below it may.
    user.object(&[&ann("approve", &id)[..], &["--yes"]].concat());
    assert_eq!(agent.does(&json!({"arguments": {}})), json!({"ran": {}}));
}

#[test]
#[cfg(target_os = "linux")]
fn an_agent_that_a_supervisor_started_cannot_approve_whatever_it_does_to_hide() {
    let user = with_ann(User::default());
    let mut waiting = Agent::of(&user);
    let id = waiting.asks(&json!({}));
    let (program, home) = (binary().display().to_string(), user.home().display().to_string());
    let approve = format!("'{program}' --home '{home}' approvals approve {id} --yes --key ann.key --passphrase-file pass");
    // In a session of its own, without an environment, its parents gone: a child of whoever takes in orphans.
    let hidden = format!(
        "setsid sh -c 'sleep 0.3; env -i {} > hidden 2>&1; mv hidden hidden.done' </dev/null >/dev/null 2>&1 &",
        approve.replace('\'', "")
    );
    // What an agent has started does not outlive it.
    let waits = "while [ ! -e hidden.done ]; do sleep 0.05; done";
    let script = format!(
        "#!/bin/sh\ncd '{0}'\n{approve} > plain 2>&1\nenv -i {approve} > clean 2>&1\n{hidden}\n{waits}\nexit 3\n",
        user.path("").display()
    );
    let path = user.path("agent.sh");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = Living::spawn(user.command(["run", "Design a caching strategy", "--agent", &format!("alpha={}", path.display()), "--json"]));
    let answer = run.end();
    assert_eq!(answer.calm().code, Some(1), "such an agent does no work: {answer:?}");
    let end = std::time::Instant::now() + governance_tests::program::PATIENCE;
    while !user.path("hidden.done").exists() {
        assert!(std::time::Instant::now() < end, "the hidden child does not end");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for name in ["plain", "clean", "hidden.done"] {
        let said = std::fs::read_to_string(user.path(name)).unwrap();
        assert!(said.contains("no agent approves"), "{name}: {said}");
    }
    assert_eq!(user.object(&["approvals", "show", &id])["approval"]["state"], "pending");
}

/// In a container the leader of the session is outside, and has no number: nobody there is taken for an agent, and an agent's process still is.
#[test]
#[cfg(target_os = "linux")]
fn in_a_container_a_person_is_told_from_an_agent() {
    let contained = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"];
    let run = |args: &[&str]| Command::new(contained[0]).args(&contained[1..]).args(args).output().unwrap();
    if !run(&["true"]).status.success() {
        eprintln!("this machine lets nobody make a numbering of processes: not tried");
        return;
    }
    let user = User::default();
    let (program, home) = (binary().display().to_string(), user.home().display().to_string());
    let key = user.path("ann.key").display().to_string();
    let add = ["env", "-i", &program, "--home", &home, "approvers", "add", "ann", "--key", &key, "--no-passphrase"];
    let done = run(&add);
    assert!(done.status.success(), "{done:?}");
    let agents = run(&["prlimit", "--locks=1:1", &program, "--home", &home, "approvers", "remove", "ann", "--key", &key]);
    assert!(String::from_utf8_lossy(&agents.stderr).contains("no agent approves"), "{agents:?}");
}
