//! Agents as processes of any language: what they are given, what becomes of what they say, and that none outlives whoever keeps it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use governance_tests::program::{Answer, Living, PATIENCE, User, binary, signal};
use governance_tests::servers::{Product, Server};
use rustix::process::Signal;
use serde_json::Value;

const CACHE: &str = "Design a caching strategy";
/// An agent that is told to go, and does not, is gone after this.
const GONE: Duration = Duration::from_secs(5);

/// A program of a user, in the shell's language. `$AGENT` is an agent that behaves.
fn shell(user: &User, name: &str, text: &str) -> String {
    let path = user.path(name);
    let notes = user.path("").display().to_string();
    std::fs::write(&path, format!("#!/bin/sh\nAGENT='{} agent'\ncd '{notes}'\n{text}\n", binary().display())).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

fn alpha(program: &str) -> String {
    format!("alpha={program}")
}

fn configured(user: &User, text: &str) {
    std::fs::create_dir_all(user.home()).unwrap();
    std::fs::write(user.home().join("config.toml"), text).unwrap();
}

/// A run in which ALPHA thinks for so many seconds, and BETA too.
fn slow(user: &User, alpha: u64, beta: u64) -> String {
    let path = user.path("slow.yaml");
    let step = |role: &str, seconds| format!("  - {{agent: {role}, on: propose, call: 1, do: {{slow: {seconds}s}}}}\n");
    std::fs::write(&path, format!("version: 1\nsteps:\n{}{}", step("alpha", alpha), step("beta", beta))).unwrap();
    path.display().to_string()
}

fn is_gone(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// Waits for something.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The number that a program has noted.
fn noted(user: &User, name: &str) -> u32 {
    until(name, || std::fs::read_to_string(user.path(name)).ok()?.strip_suffix('\n')?.parse().ok())
}

/// The agent that was spawned for a role, as the run tells it.
fn spawned(run: &mut Living, role: &str) -> Value {
    loop {
        let line: Value = serde_json::from_str(&run.until("agent_spawned")).unwrap();
        if line["data"]["role"] == role {
            return line["data"].clone();
        }
    }
}

fn agent<'a>(outcome: &'a Value, role: &str) -> &'a Value {
    outcome["agents"].as_array().unwrap().iter().find(|agent| agent["role"] == role).unwrap()
}

/// Waits until the agent is at work, whatever runs it.
fn at_work(user: &User, id: &Value) {
    let works = || {
        let status = user.object(&["pipeline", "status"]);
        let agent = status["agents"].as_array().unwrap().iter().find(|agent| agent["id"] == *id)?.clone();
        (agent["status"] == "running").then_some(())
    };
    until("the agent is at work", works);
}

fn ends_failed(answer: &Answer) -> String {
    assert_eq!(answer.calm().code, Some(1), "{answer:?}");
    let outcome = answer.last_object();
    assert_eq!(outcome["status"], "FAILED", "{outcome}");
    outcome["reason"].as_str().unwrap().to_owned()
}

#[test]
fn each_role_has_its_own_program_and_says_what_runs_it() {
    let user = User::default();
    let python = user.path("agent.py");
    let program = binary();
    std::fs::write(&python, format!("import os\nos.execv({0:?}, [{0:?}, 'agent'])\n", program.display().to_string())).unwrap();
    configured(&user, &format!("[agents.beta]\ncommand = ['{}', 'agent']\nname = 'bun'\n", program.display()));
    let outcome = user.object(&["run", CACHE, "--agent", &alpha(&format!("python3 '{}'", python.display()))]);
    assert_eq!(outcome["status"], "COMPLETED");
    assert_eq!((&agent(&outcome, "alpha")["runtime"], &agent(&outcome, "beta")["runtime"]), (&"python".into(), &"bun".into()));
    let status = user.object(&["pipeline", "status"]);
    assert_eq!((&agent(&status, "alpha")["runtime"], &agent(&status, "beta")["runtime"]), (&"python".into(), &"bun".into()));
    // The command line counts before the file.
    let outcome = user.object(&["run", CACHE, "--agents", "built-in"]);
    assert_eq!((&agent(&outcome, "alpha")["runtime"], &agent(&outcome, "beta")["runtime"]), (&"built-in".into(), &"built-in".into()));
}

#[test]
fn a_revoked_process_that_does_not_go_is_killed_in_time_with_what_it_started_and_the_others_go_on() {
    let user = User::default();
    // The agent itself is a child; what was started pays no heed to anything.
    let stubborn = "trap '' TERM INT HUP\necho $$ >leader\nexec 3<&0\n$AGENT <&3 3<&- &\necho $! >child\nwhile :; do sleep 1000; done";
    let program = alpha(&shell(&user, "stubborn", stubborn));
    let mut run = user.start(&["run", CACHE, "--json", "--quorum", "1", "--agent", &program, "--script", &slow(&user, 50, 7)]);
    let id = spawned(&mut run, "alpha")["agent_id"].clone();
    let (leader, child) = (noted(&user, "leader"), noted(&user, "child"));
    at_work(&user, &id);
    user.object(&["revoke", id.as_str().unwrap(), "--reason", "a drill"]);
    let revoked = Instant::now();
    until("the stubborn process is gone", || (is_gone(leader) && is_gone(child)).then_some(()));
    assert!(revoked.elapsed() < GONE * 2, "{:?}", revoked.elapsed());
    assert!(run.goes(), "it is not the run's own end that ended it");
    let answer = run.end();
    assert_eq!(answer.calm().code, Some(0), "{answer:?}");
    assert_eq!(agent(&answer.last_object(), "alpha")["status"], "revoked");
    user.verified();
}

#[test]
fn a_process_takes_what_it_started_with_it() {
    let user = User::default();
    let program = alpha(&shell(&user, "parent", "sleep 1000 &\necho $! >child\nexec $AGENT"));
    let outcome = user.object(&["run", CACHE, "--agent", &program]);
    assert_eq!((&outcome["status"], &agent(&outcome, "alpha")["runtime"]), (&"COMPLETED".into(), &"process".into()));
    let child = noted(&user, "child");
    until("it is gone", || is_gone(child).then_some(()));
}

/// In a session of its own, and by a parent that is gone: neither its group nor its ancestors tell whose it is.
#[test]
fn what_an_agent_started_does_not_outlive_it_in_a_session_of_its_own() {
    let user = User::default();
    let away = "setsid sh -c 'trap \"\" TERM; echo $$ >away; exec sleep 1000' </dev/null >/dev/null 2>&1 &";
    let orphan = "(setsid sh -c 'sh -c \"echo \\$\\$ >orphan; exec sleep 1000\" &' </dev/null >/dev/null 2>&1 &)";
    let waits = "while [ ! -s away ] || [ ! -s orphan ]; do sleep 0.02; done";
    let program = alpha(&shell(&user, "parent", &format!("{away}\n{orphan}\n{waits}\nexec $AGENT")));
    let mut bystander = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let outcome = user.object(&["run", CACHE, "--agent", &program]);
    assert_eq!(outcome["status"], "COMPLETED");
    let (away, orphan) = (noted(&user, "away"), noted(&user, "orphan"));
    until("they are gone", || (is_gone(away) && is_gone(orphan)).then_some(()));
    assert!(bystander.try_wait().unwrap().is_none(), "nobody else is ended");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn an_interrupted_run_ends_the_most_stubborn_process_and_a_second_interrupt_at_once() {
    for twice in [false, true] {
        let user = User::default();
        let program = alpha(&shell(&user, "stubborn", "trap '' TERM INT HUP\necho $$ >leader\nwhile :; do sleep 1000; done"));
        let mut run = user.start(&["run", CACHE, "--json", "--agent", &program]);
        let leader = noted(&user, "leader");
        let interrupted = Instant::now();
        run.interrupt();
        if twice {
            run.until("STOPPED");
            run.interrupt();
        }
        let answer = run.end();
        assert_eq!(answer.calm().code, Some(3), "{answer:?}");
        assert!(interrupted.elapsed() < if twice { GONE } else { GONE * 4 }, "{:?}", interrupted.elapsed());
        until("the process is gone", || is_gone(leader).then_some(()));
    }
}

#[test]
fn the_agents_of_a_run_that_is_killed_end_by_themselves() {
    let user = User::default();
    let program = |role: &str| format!("{role}={}", shell(&user, role, &format!("echo $$ >{role}.pid\nexec $AGENT")));
    let (alpha, beta) = (program("alpha"), program("beta"));
    let mut run = user.start(&["run", CACHE, "--json", "--agent", &alpha, "--agent", &beta, "--script", &slow(&user, 50, 0)]);
    let id = spawned(&mut run, "alpha")["agent_id"].clone();
    at_work(&user, &id);
    let agents = [noted(&user, "alpha.pid"), noted(&user, "beta.pid")];
    assert!(!agents.into_iter().any(is_gone));
    let killed = Instant::now();
    run.kill();
    until("the agents are gone", || agents.into_iter().all(is_gone).then_some(()));
    assert!(killed.elapsed() < GONE * 2, "{:?}", killed.elapsed());
}

#[test]
fn a_process_that_ends_at_once_or_never_sits_down_explains_itself() {
    let user = User::default();
    let fails =
        |program: &str, more: &[&str]| ends_failed(&user.does(&[&["run", CACHE, "--json", "--agent", &alpha(program)], more].concat()));
    let lost = fails(&shell(&user, "lost", "echo working\necho 'no module named crewai' >&2\nexit 3"), &[]);
    for says in ["before it sat down", "exit status: 3", "it last said: no module named crewai"] {
        assert!(lost.contains(says), "{lost}");
    }
    assert!(fails("true", &[]).contains("exit status: 0"));
    let chatty = fails(&shell(&user, "chatty", "yes 'no more of this' | head -c 1000000 >&2\nkill -9 $$"), &[]);
    assert!(chatty.contains("signal: 9") && chatty.contains("no more of this") && chatty.len() < 2_500, "{chatty}");
    let missing = fails("/no/such/agent", &[]);
    assert!(missing.contains("`/no/such/agent` could not be started") && missing.contains("No such file"), "{missing}");
    let nonsense = shell(&user, "nonsense", "echo 'what is a seat?'\nexec sleep 1000");
    let mut command = user.command(["run", CACHE, "--json", "--agent", &alpha(&nonsense)]);
    command.env("GAMMA_STUCK_THRESHOLD", "0.5");
    let silent = ends_failed(&Living::spawn(command).end());
    assert!(silent.contains("never sat down; it last said: what is a seat?"), "{silent}");
}

#[test]
fn memory_and_processor_time_are_limited_and_the_run_says_so() {
    let user = User::default();
    configured(&user, "[agents.alpha]\nmemory_mb = 64\ncpu_seconds = 1\n");
    let (hog, spinner) = (user.path("hog.py"), user.path("spinner.py"));
    std::fs::write(&hog, "kept = []\nwhile True:\n    kept.append(bytearray(1_000_000))\n").unwrap();
    std::fs::write(&spinner, "while True:\n    pass\n").unwrap();
    let python = |file: &Path| alpha(&format!("python3 '{}'", file.display()));
    let hungry = ends_failed(&user.does(&["run", CACHE, "--json", "--agent", &python(&hog)]));
    assert!(hungry.contains("of the 64 MiB of memory that it may use") && hungry.contains("MemoryError"), "{hungry}");
    let busy = ends_failed(&user.does(&["run", CACHE, "--json", "--agent", &python(&spinner)]));
    assert!(busy.contains("it has used the 1 s of processor time that it may use"), "{busy}");
    // An agent that keeps to its limits is not in anybody's way.
    configured(&user, "[agents.alpha]\nmemory_mb = 512\ncpu_seconds = 30\n");
    let outcome = user.object(&["run", CACHE, "--agents", "process"]);
    assert_eq!(outcome["status"], "COMPLETED");
}

#[test]
fn what_a_process_says_is_tagged_and_kept_with_the_run() {
    let user = User::default();
    let talks = shell(&user, "talks", "echo 'hello there'\nprintf 'a warning\\033[31m\\n' >&2\nexec $AGENT");
    let answer = user.does(&["run", CACHE, "--agent", &alpha(&talks)]);
    assert_eq!(answer.calm().code, Some(0), "{answer:?}");
    assert!(answer.err.contains("stdout: hello there"), "the run shows it as it comes: {answer:?}");
    let logs = user.objects(&["pipeline", "logs"]);
    let said: Vec<_> = logs.iter().filter(|line| line["type"] == "agent_log").collect();
    assert_eq!(said.len(), 2, "{said:?}");
    for (line, stream, text) in [("hello", "stdout", "hello there"), ("warning", "stderr", "a warning\u{fffd}[31m")] {
        let found = said.iter().find(|entry| entry["data"]["line"].as_str().unwrap().contains(line)).unwrap();
        assert_eq!((&found["data"]["stream"], &found["data"]["line"]), (&stream.into(), &text.into()));
        assert!(found["data"]["agent_id"].as_str().unwrap().starts_with("alpha-") && found["at"].is_u64(), "{found}");
    }
    let shown = user.does(&["pipeline", "logs"]).out;
    assert!(shown.lines().any(|line| line.contains("alpha-") && line.ends_with("stdout: hello there")), "{shown}");
}

#[test]
fn a_flood_of_lines_is_held_back_counted_and_drowns_nothing() {
    let user = User::default();
    let flood = shell(&user, "flood", "seq 1 200000\nhead -c 100000 /dev/zero | tr '\\0' x\necho\nexec $AGENT");
    let outcome = user.object(&["run", CACHE, "--agent", &alpha(&flood)]);
    assert_eq!(outcome["status"], "COMPLETED");
    let logs = user.objects(&["pipeline", "logs"]);
    let said: Vec<_> = logs.iter().filter(|line| line["type"] == "agent_log").map(|line| &line["data"]).collect();
    let told = said.iter().filter(|line| line["stream"] == "stdout").count() as u64;
    let dropped: u64 = said.iter().map(|line| line["dropped"].as_u64().unwrap()).sum();
    assert!((100..1_000).contains(&told), "{told} lines");
    assert_eq!(told + dropped, 200_001, "whatever was left out is counted");
    assert!(said.iter().all(|line| line["line"].as_str().unwrap().len() < 5_000));
    assert!(logs.iter().any(|line| line["data"]["status"] == "SPAWN"), "the run's own lines are still there");
}

#[test]
fn nothing_secret_is_in_a_process_s_arguments_or_environment() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Product::Redis, folder.path(), "secret", &[]);
    server.ask(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let user = User::of(format!("redis://:hunter2@127.0.0.1:{}", server.port));
    let program = shell(&user, "agent", "echo $$ >alpha.pid\nexec $AGENT");
    configured(&user, &format!("[agents.alpha]\ncommand = ['{program}']\nenv = {{ GIVEN = 'by its user' }}\n"));
    let mut command = user.command(["run", CACHE, "--json", "--script", &slow(&user, 50, 0)]);
    command
        .env("CANARY", "hunter3")
        .env("OPENROUTER_API_KEY", "hunter4")
        .env("LANG", "C.UTF-8")
        .env("PATH", std::env::var("PATH").unwrap());
    let mut run = Living::spawn(command);
    let id = spawned(&mut run, "alpha")["agent_id"].as_str().unwrap().to_owned();
    at_work(&user, &id.as_str().into());
    let pid = noted(&user, "alpha.pid");
    let read = |what: &str| String::from_utf8_lossy(&std::fs::read(PathBuf::from(format!("/proc/{pid}/{what}"))).unwrap()).into_owned();
    let (arguments, environment) = (read("cmdline"), read("environ"));
    assert!(environment.contains("GIVEN=by its user") && environment.contains("LANG=C.UTF-8"), "{environment}");
    for secret in ["hunter", "CANARY", "GOVERNANCE_STORE", "redis:", &id, "admission"] {
        assert!(!arguments.contains(secret) && !environment.contains(secret), "{secret}: {arguments} {environment}");
    }
}

#[test]
fn a_process_that_dies_is_started_again_as_often_as_it_may_be_and_that_is_counted() {
    let user = User::default();
    // Dies before it sits down, the first two times.
    let shaky = shell(&user, "shaky", "echo x >>tries\n[ $(wc -l <tries) -gt 2 ] || { echo 'not yet' >&2; exit 9; }\nexec $AGENT");
    let never = ends_failed(&user.does(&["run", CACHE, "--json", "--agent", &alpha(&shaky)]));
    assert!(never.contains("exit status: 9"), "by default it is not started again: {never}");
    std::fs::remove_file(user.path("tries")).unwrap();
    configured(&user, "[agents.alpha]\nrestarts = 2\n");
    let outcome = user.object(&["run", CACHE, "--agent", &alpha(&shaky)]);
    assert_eq!((&outcome["status"], &agent(&outcome, "alpha")["restarts"]), (&"COMPLETED".into(), &2.into()));
    let status = user.object(&["pipeline", "status"]);
    assert_eq!((&agent(&status, "alpha")["restarts"], &agent(&status, "beta")["restarts"]), (&2.into(), &0.into()));
    assert!(user.does(&["pipeline", "status"]).out.contains("started again 2 times"));
    let logs = user.objects(&["pipeline", "logs"]);
    assert!(logs.iter().any(|line| line["data"]["stream"] == "supervisor" && line["data"]["line"].as_str().unwrap().contains("not yet")));
    user.verified();
}

#[test]
fn an_agent_whose_process_is_killed_at_work_goes_on_in_the_next_one() {
    let user = User::default();
    let program = shell(&user, "agent", "echo $$ >alpha.pid\nexec $AGENT");
    configured(&user, "[agents.alpha]\nrestarts = 1\n");
    let mut run = user.start(&["run", CACHE, "--json", "--agent", &alpha(&program), "--script", &slow(&user, 2, 0)]);
    let id = spawned(&mut run, "alpha")["agent_id"].clone();
    at_work(&user, &id);
    signal(noted(&user, "alpha.pid"), Signal::KILL);
    let answer = run.end();
    assert_eq!(answer.calm().code, Some(0), "{answer:?}");
    let outcome = answer.last_object();
    assert_eq!((&agent(&outcome, "alpha")["restarts"], &agent(&outcome, "alpha")["status"]), (&1.into(), &"completed".into()));
    let proposals = outcome["proposals"].as_array().unwrap();
    assert_eq!(proposals.iter().filter(|proposal| proposal["author"] == id).count(), 1, "the same agent, once: {proposals:?}");
    user.verified();
}

#[test]
fn what_is_wrong_with_an_agent_of_ones_own_is_told_before_anything_begins() {
    let user = User::default();
    user.does(&["run", CACHE, "--agent", "delta=x"]).explains("invalid value");
    configured(&user, "[agents.alpha]\ncommand = []\n");
    user.does(&["run", CACHE]).explains("its command is empty");
    assert!(!user.home().join("state.db").exists());
}
