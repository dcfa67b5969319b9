//! Whatever a name leads to, a pipe that nobody writes to, a device without an end, a folder: nothing waits for it, and what it is is said.

use std::path::Path;
use std::process::Command;

use governance_tests::program::{Answer, Living, User, binary};
use rustix::fs::{CWD, FileType, Mode};

use super::{CACHE, nothing_lost, settled};

fn pipe(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[test]
fn nothing_that_is_named_makes_the_program_wait_or_read_without_an_end() {
    let user = settled();
    user.registers_ann();
    pipe(&user.path("pipe"));
    let other = "00".repeat(32);
    let new = ["approvers", "key", "bob", "--key", "bob.key", "--passphrase-file"];
    // What a person names may be a pipe, and one that nobody writes to is empty; a device or a folder is neither.
    for (command, empty) in [
        (&["run", "--file"][..], "is empty"),
        (&["ledger", "verify", "--head"], "head"),
        (&["ledger", "verify", "--file"], "`pipe`"),
        (&new, "is empty"),
    ] {
        let named = |what| [command, &[what]].concat();
        if command[0] != "ledger" || command[2] != "--file" {
            user.does(&named("pipe")).explains(empty);
        } else {
            assert_eq!(user.does(&named("pipe")).code, Some(1));
        }
        user.does(&named("/dev/zero")).explains("a device");
        user.does(&named("/")).explains("a folder");
    }
    assert!(!user.path("bob.key").exists(), "what led to nothing leaves nothing");
    user.does(&["run", CACHE, "--script", "/dev/zero"]).explains("a device");
    user.does(&["run", CACHE, "--script", "/"]).explains("a folder");
    assert_eq!(user.does(&["run", CACHE, "--script", "pipe"]).code, Some(1), "no scenario at all");
    // A key and a profile are files.
    for what in ["pipe", "/dev/zero", "/"] {
        user.does(&["approvers", "add", "bob", "--public", &other, "--by", what]).explains("not a file");
        if what != "/" {
            user.does(&["policy", "check", what]).explains("not a file");
        }
    }
    assert_eq!(user.objects(&["pipeline", "list"]).len(), 1, "nothing was begun");
    nothing_lost(&user);
}

#[test]
fn no_file_of_the_home_makes_the_program_wait() {
    let user = settled();
    let configuration = user.home().join("config.toml");
    pipe(&configuration);
    for command in [&["config", "show"][..], &["run", CACHE], &["health"], &["stop", "--all"], &["ledger", "verify", "--file", "x"]] {
        user.does(command).explains("config.toml").explains("a pipe, not a file");
    }
    std::fs::remove_file(&configuration).unwrap();
    for name in ["keys/ledger.pub", "keys/ledger.key"] {
        let (file, aside) = (user.home().join(name), user.path("aside"));
        std::fs::rename(&file, &aside).unwrap();
        pipe(&file);
        // Work goes on without a key, what it does waits to be signed, and that is said.
        let ran = user.does(&["run", CACHE]);
        assert!(ran.code == Some(0) && ran.err.contains("a pipe, not a file"), "{ran:?}");
        std::fs::remove_file(&file).unwrap();
        std::fs::rename(&aside, &file).unwrap();
    }
    let checkpoints = user.home().join("checkpoints");
    let id = "ckpt-20260131-235959-0f3a9c21";
    pipe(&checkpoints.join(format!("{id}.json")));
    let told = user.does(&["checkpoint", "load", id]);
    assert!(told.explains("cannot be used").err.contains("a pipe, not a file"), "{told:?}");
    assert!(user.objects(&["checkpoint", "list"]).len() >= 2, "the others are listed");
    nothing_lost(&user);
}

/// By a shell that hands over a pipe in place of a file.
fn shell(user: &User, words: &str) -> Answer {
    let mut command = Command::new("bash");
    let own = user.command(["none"]);
    command.args(["-c", words]).current_dir(own.get_current_dir().unwrap()).env("G", binary()).env("GOVERNANCE_HOME", user.home());
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    Living::spawn(command).end()
}

#[test]
fn what_a_person_hands_over_by_a_pipe_is_read_and_a_key_is_not() {
    let user = settled();
    let ran = shell(&user, r#""$G" run --file <(sleep 0.2; echo 'Design a caching strategy') --json"#);
    assert_eq!((ran.code, ran.last_object()["status"].as_str()), (Some(0), Some("COMPLETED")), "{ran:?}");
    let stdin = shell(&user, r#"echo 'Design a caching strategy' | "$G" run --file /dev/stdin --json"#);
    assert_eq!(stdin.code, Some(0), "{stdin:?}");
    let checked = shell(&user, r#""$G" ledger verify --head <("$G" ledger head --json) --json"#);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let exported = shell(&user, r#""$G" ledger export --out record.jsonl && "$G" ledger verify --file <(cat record.jsonl) --json"#);
    assert_eq!((exported.code, &exported.last_object()["intact"]), (Some(0), &true.into()), "{exported:?}");
    let made = shell(&user, r#""$G" approvers add ann --key ann.key --passphrase-file <(echo correct horse)"#);
    assert_eq!(made.code, Some(0), "{made:?}");
    shell(&user, r#""$G" approvers remove ann --key <(cat ann.key) --passphrase-file <(echo correct horse)"#)
        .explains("a pipe, not a file");
    assert_eq!(user.objects(&["approvers", "list"]).len(), 1);
    // A pipe that never ends is read so far and no further.
    shell(&user, r#""$G" run --file <(yes)"#).explains("more than 1048576 bytes");
    shell(&user, r#""$G" ledger verify --head <(yes)"#).explains("more than");
    user.verified();
}
