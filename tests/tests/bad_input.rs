//! Whatever is wrong, the program says so in one line that tells what to do, exits with 1, and loses nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

#[path = "bad_input/pipes.rs"]
mod pipes;

use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use governance_tests::program::{Answer, Living, User, binary};
use governance_tests::servers::{Product, Server};
use rusqlite::Connection;

const CACHE: &str = "Design a caching strategy";

/// A user who has run something, which must be there afterwards.
fn settled() -> User {
    let user = User::default();
    assert_eq!(user.does(&["run", CACHE]).code, Some(0));
    user
}

fn nothing_lost(user: &User) {
    let report = user.verified();
    assert!(report["report"]["entries"].as_u64().unwrap() > 100, "{report}");
    assert_eq!(user.objects(&["pipeline", "list"])[0]["status"], "COMPLETED");
}

#[test]
fn an_unknown_store_says_which_are_known_and_makes_nothing() {
    let user = User::default();
    user.does(&["--store", "mysql://x", "run", CACHE]).explains("redis://HOST:PORT");
    assert!(!user.home().exists());
}

#[test]
fn a_store_that_is_down_is_named_at_once() {
    let begun = Instant::now();
    for url in ["redis://127.0.0.1:1", "redis+unix:///nowhere/socket"] {
        let answer = User::of(url).does(&["run", CACHE]);
        answer.explains(url).explains("start the server");
        assert!(!answer.err.contains("Os {"), "{answer:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_store_that_goes_down_during_a_run_ends_it_with_an_error() {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let mut server = Server::start(Product::Redis, folder.path(), "server", &[]);
    let user = User::of(format!("redis://127.0.0.1:{}", server.port));
    let mut run = user.start(&["run", CACHE, "--json", "--agents", "process"]);
    run.until("agent_spawned");
    server.kill();
    let answer = run.end();
    assert_eq!(answer.calm().code, Some(1), "{answer:?}");
    let error = answer.last_object();
    assert_eq!(error["error"]["kind"], "unavailable", "{error}");
    user.verified();
}

#[test]
fn an_objective_must_say_something_and_not_too_much() {
    let user = settled();
    let file = user.path("objective");
    let huge = vec![b'a'; 10 << 20];
    let split = "é".repeat(1 << 20).into_bytes();
    let cases: [(&[u8], &str); 7] = [
        (b"", "is empty"),
        (b" \n\t ", "is empty"),
        (&huge, "more than 1048576 bytes"),
        (&split, "more than 1048576 bytes"),
        (b"a\0b", "NUL"),
        (b"\xff\xfe", "not UTF-8"),
        (b"\0", "NUL"),
    ];
    for (objective, told) in cases {
        std::fs::write(&file, objective).unwrap();
        user.does(&["run", "--file", file.to_str().unwrap()]).explains(told);
        Living::fed(user.command(["run", "-"]), objective.to_vec()).end().explains(told);
    }
    for empty in ["", "   "] {
        user.does(&["run", empty]).explains("is empty");
    }
    user.does(&["run", "--file", "nowhere"]).explains("`nowhere`");
    user.does(&["run", CACHE, "--out", "/nowhere/out.md"]).explains("/nowhere/out.md");
    assert_eq!(user.objects(&["pipeline", "list"]).len(), 1, "nothing was begun");
    nothing_lost(&user);
}

#[test]
fn an_id_that_cannot_be_one_is_refused() {
    let user = settled();
    let long = "x".repeat(10_000);
    let cases = [("{a}", "`{`"), ("a:b", "`:`"), (long.as_str(), "at most"), ("", "is empty"), ("../x", "`/`"), ("*", "`*`")];
    for (id, told) in cases {
        for command in
            [["revoke", id].as_slice(), &["blackboard", "show", id], &["pipeline", "status", id], &["bus", "tail", id], &["stop", id]]
        {
            user.does(command).explains(told);
        }
    }
    user.does(&["revoke", "alpha-nobody"]).explains("pipeline list");
    user.does(&["pipeline", "status", "pipeline-none"]).explains("pipeline list");
    user.does(&["stop", "pipeline-none"]).explains("pipeline list");
    nothing_lost(&user);
}

#[test]
fn a_home_that_cannot_be_one_is_named() {
    let user = settled();
    let file = user.path("file");
    std::fs::write(&file, "").unwrap();
    for command in [["run", CACHE].as_slice(), &["pipeline", "list"], &["ledger", "verify"], &["store", "check"]] {
        user.does(&[command, &["--home", file.to_str().unwrap()]].concat()).explains("name a directory");
    }
    let nowhere = user.path("nowhere");
    user.does(&["pipeline", "list", "--home", nowhere.to_str().unwrap()]).explains("governance run");
    assert!(!nowhere.exists(), "who only looks makes nothing");
    // Whatever a user may not write: also root may not write here.
    user.does(&["run", CACHE, "--home", "/proc/governance"]).explains("/proc/governance");
    nothing_lost(&user);
}

#[test]
fn a_name_that_is_no_text_is_refused_before_anything_is_made() {
    let user = User::default();
    let wrong = std::ffi::OsString::from_vec(b"h\xe9".to_vec());
    let profiles = user.path("profiles");
    std::fs::create_dir(&profiles).unwrap();
    let flags: [&[&str]; 9] = [
        &["run", CACHE, "--home"],
        &["config", "show", "--home"],
        &["health", "--home"],
        &["run", CACHE, "--store"],
        &["run", CACHE, "--policies"],
        &["run", CACHE, "--out"],
        &["run", "--file"],
        &["policy", "check"],
        &["ledger", "verify", "--file"],
    ];
    for words in flags {
        let mut command = user.command(words);
        command.arg(&wrong);
        Living::spawn(command).end().explains(r"`h\xe9` is not UTF-8");
    }
    for name in ["GOVERNANCE_HOME", "GOVERNANCE_STORE", "GOVERNANCE_POLICIES"] {
        for words in [["config", "show"], ["run", CACHE]] {
            let mut command = user.command(words);
            command.env(name, &wrong);
            Living::spawn(command).end().explains(name).explains("is not UTF-8");
        }
    }
    // A home that is named well, in a directory that is not: SQLite would make another one.
    let folder = user.path("below").join(&wrong);
    std::fs::create_dir_all(&folder).unwrap();
    for words in [["config", "show"], ["run", CACHE]] {
        let mut command = user.command(words);
        command.current_dir(&folder).env("GOVERNANCE_HOME", "home");
        Living::spawn(command).end().explains(r"h\xe9/home` is not UTF-8");
    }
    let within = |path: &Path| std::fs::read_dir(path).unwrap().count();
    assert_eq!((within(&folder), within(&user.path("below")), user.home().exists()), (0, 1, false), "nothing was made");
    let mut command = user.command(["config", "show", "--json", "--home"]);
    command.arg(&wrong);
    assert_eq!(Living::spawn(command).end().last_object()["error"]["kind"], "invalid");
}

#[test]
fn policies_that_are_no_directory_are_refused_before_anything_begins() {
    let user = User::default();
    let (file, nowhere) = (user.path("file"), user.path("nowhere"));
    std::fs::write(&file, "").unwrap();
    for (folder, told) in [(nowhere.to_str().unwrap(), "are not there"), (file.to_str().unwrap(), "are no directory")] {
        user.does(&["policy", "watch", folder]).explains(folder).explains(told);
        user.does(&["run", CACHE, "--policies", folder]).explains(folder).explains(told);
        let mut command = user.command(["run", CACHE]);
        command.env("GOVERNANCE_POLICIES", folder);
        Living::spawn(command).end().explains(folder).explains(told);
        assert!(!user.home().exists(), "nothing was begun");
    }
    std::fs::create_dir(user.home()).unwrap();
    std::fs::write(user.home().join("config.toml"), "policies = 'nowhere'").unwrap();
    user.does(&["run", CACHE]).explains("`nowhere` are not there");
    assert_eq!(std::fs::read_dir(user.home()).unwrap().count(), 1, "nothing was begun");
    // Who only passes by leaves the directory to those that stay.
    user.object(&["stop", "--lift", "--reason", "the drill is over"]);
}

#[test]
fn a_wrong_configuration_is_named_with_its_line() {
    let user = settled();
    let file = user.home().join("config.toml");
    let cases: [(&[u8], &str); 4] =
        [(b"\nstore = 7\n", "line 2"), (b"garbage", "line 1"), (b"\xff", "config.toml"), (b"timeout_secs = 3", "timeout_secs")];
    for (text, told) in cases {
        std::fs::write(&file, text).unwrap();
        let answer = user.does(&["run", CACHE]);
        answer.explains("config.toml").explains(told);
    }
    std::fs::remove_file(file).unwrap();
    let mut soon = user.command(["run", CACHE]);
    soon.env("ORCHESTRATION_TIMEOUT", "soon");
    Living::spawn(soon).end().explains("ORCHESTRATION_TIMEOUT");
    nothing_lost(&user);
}

#[test]
fn wrong_usage_is_an_error_and_never_a_vote_without_decision() {
    let user = User::default();
    for wrong in [["run", CACHE, "--nope"].as_slice(), &["frobnicate"], &["stop"], &["stop", "--all", "--lift"], &["run"], &["revoke"]] {
        user.does(wrong).explains("");
    }
    for (seconds, told) in [("0", "more than nothing"), ("soon", "number of seconds"), ("1e9", "a day"), ("NaN", "number of seconds")] {
        user.does(&["run", CACHE, "--timeout", seconds]).explains(told);
    }
    assert_eq!(user.does(&[]).code, Some(1));
    assert!(!user.home().exists());
}

#[test]
fn every_command_helps() {
    let user = User::default();
    let top = user.does(&["--help"]);
    assert_eq!(top.code, Some(0));
    assert!(top.out.contains("Examples:") && top.out.contains("governance run \"Design a caching strategy\""), "{}", top.out);
    let mut asked = 0;
    let mut commands: Vec<Vec<String>> = vec![vec![]];
    while let Some(command) = commands.pop() {
        let args: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let answer = user.does(&args);
        assert_eq!(answer.code, Some(0), "{args:?}: {answer:?}");
        asked += 1;
        let listed = answer.out.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        let names = listed.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '))?.split(' ').next());
        commands.extend(names.filter(|name| *name != "help").map(|name| [command.as_slice(), &[name.to_owned()]].concat()));
    }
    assert!(asked > 18, "only {asked} commands");
}

#[test]
fn an_output_that_is_closed_ends_nothing_but_itself() {
    let user = settled();
    for (args, code) in [
        (["run", CACHE, "--json"].as_slice(), 0),
        (&["run", "migrate the database without downtime", "--json"], 2),
        (&["ledger", "list", "--json"], 0),
        (&["blackboard", "show"], 0),
    ] {
        let mut command = user.command(args);
        command.stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // As `head -1` does once it has read enough.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        Answer { code: None, out: String::new(), err: String::from_utf8_lossy(&output.stderr).into_owned() }.calm();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
    }
    assert_eq!(user.objects(&["pipeline", "list"]).len(), 3, "each run went on to its end");
    nothing_lost(&user);
}

#[test]
fn a_store_that_is_locked_foreign_or_newer_is_left_as_it_is() {
    let user = settled();
    let state = user.home().join("state.db");
    let lock = Connection::open(&state).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    user.does(&["run", CACHE]).explains("locked");
    lock.execute_batch("ROLLBACK").unwrap();

    lock.execute_batch("PRAGMA user_version = 99").unwrap();
    user.does(&["run", CACHE]).explains("upgrade governance");
    lock.execute_batch("PRAGMA user_version = 1").unwrap();
    drop(lock);

    for (name, content) in [("text.db", None), ("other.db", Some("CREATE TABLE mine (x)"))] {
        let path = user.path(name);
        match content {
            None => std::fs::write(&path, "not a database, and long enough to be sure of that").unwrap(),
            Some(statement) => Connection::open(&path).unwrap().execute_batch(statement).unwrap(),
        }
        let before = std::fs::read(&path).unwrap();
        user.does(&["run", CACHE, "--store", &format!("sqlite:{}", path.display())]).explains("not a governance store");
        assert_eq!(std::fs::read(&path).unwrap(), before, "`{name}` was touched");
    }

    let other = user.path("other-home");
    let foreign = format!("sqlite:{}", state.display());
    user.does(&["run", CACHE, "--home", other.to_str().unwrap(), "--store", &foreign]).explains("belongs to the ledger");
    assert_eq!(user.does(&["run", CACHE]).code, Some(0), "its own user works on");
    nothing_lost(&user);
}

/// A program under a limit on the size of each file that it writes, as `ulimit -f` sets it.
fn limited(user: &User, blocks: u32, args: &[&str]) -> Answer {
    let plain = user.command(args);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("ulimit -f {blocks} && exec \"$0\" \"$@\"")).arg(binary()).args(args).env_clear();
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(plain.get_current_dir().unwrap_or(Path::new("/"))).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Living::spawn(shell).end()
}

#[test]
fn promise_04_a_full_disk_loses_nothing_that_was_acknowledged() {
    let user = settled();
    let before = user.verified()["report"]["entries"].as_u64().unwrap();
    for blocks in [1, 8, 64, 200, 400] {
        let answer = limited(&user, blocks, &["run", CACHE]);
        answer.calm();
        assert!(matches!(answer.code, Some(0 | 1)), "ulimit -f {blocks}: {answer:?}");
        if answer.code == Some(1) {
            answer.explains("disk");
        }
        assert!(answer.code == Some(1) || blocks > 64, "{blocks} blocks are enough for nothing");
        assert_eq!(user.verified()["intact"], true);
    }
    // With room again it goes on, and has everything.
    assert_eq!(user.does(&["run", CACHE]).code, Some(0));
    assert!(user.verified()["report"]["entries"].as_u64().unwrap() > before);
    nothing_lost(&user);
}
