//! The ledger between processes: death at any moment, several at once, full disks, foreign and locked files.
#![allow(clippy::unwrap_used, reason = "helpers of tests outside `#[test]` functions")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use governance::error::ErrorKind;
use governance::ledger::{Action, Durability, Entry, EntryKind, Filter, Ledger, MAX_LISTING, OutcomeResult};
use governance::vocabulary::{Chance, Ports, System};

async fn open(home: &Path) -> Ledger {
    Ledger::open(home, Ports::default(), Durability::Process).await.unwrap()
}

async fn everything(ledger: &Ledger) -> Vec<governance::ledger::AgentAction> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(0, |action: &governance::ledger::AgentAction| action.seq);
        let part = ledger.list(&Filter { after, ..Filter::default() }).await.unwrap().actions;
        all.extend_from_slice(&part);
        if part.len() < MAX_LISTING as usize {
            return all;
        }
    }
}

/// This test binary again, as another process with a job.
fn other_process(job: &str, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["the_other_process", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("LEDGER_JOB", job).env("LEDGER_HOME", home).stdout(Stdio::piped());
    command
}

#[tokio::test]
#[ignore = "the other process of the tests here, started by them"]
async fn the_other_process() {
    let (Ok(job), Ok(home)) = (std::env::var("LEDGER_JOB"), std::env::var("LEDGER_HOME")) else { return };
    let ledger = open(Path::new(&home)).await;
    match job.as_str() {
        "append" => {
            let (segment, mut out) = (ledger.segment().unwrap(), std::io::stdout());
            for n in 0_u64.. {
                let intent = segment.intent(Action::ToolCall, None, None, &format!("{{\"n\":{n}}}")).unwrap();
                writeln!(out, "\nintent {}", intent.token).unwrap();
                if n % 3 != 0 {
                    segment.outcome(&intent, OutcomeResult::Ok, "{}").unwrap();
                    writeln!(out, "\noutcome {}", intent.token).unwrap();
                }
            }
        }
        "append and sequence" => {
            let segment = ledger.segment().unwrap();
            for n in 0..2_000 {
                drop(segment.intent(Action::Message, None, None, &format!("{{\"n\":{n}}}")).map(|intent| {
                    segment.outcome(&intent, OutcomeResult::Ok, "{}").unwrap();
                }));
                if n % 100 == 0 {
                    ledger.sequence(1).await.unwrap();
                }
            }
            ledger.close().await.unwrap();
        }
        "fill the disk" => {
            let segment = ledger.segment().unwrap();
            let payload = format!("\"{}\"", "x".repeat(1_000));
            let mut written = 1;
            let refused = loop {
                match segment.append(&Entry::note(governance::vocabulary::Millis(1), Action::Message).payload(payload.clone())) {
                    Ok(_) => written += 1,
                    Err(error) => break error,
                }
            };
            println!("\nwritten {written} {} {}", refused.kind(), refused.code());
            let refused = ledger.sequence(1).await.unwrap_err();
            println!("\nsequence {} {} {refused}", refused.kind(), refused.code());
            // Ends without closing: there is no room for a last word.
            std::process::exit(0);
        }
        other => panic!("no such job: {other}"),
    }
}

fn lines(child: &mut Child) -> impl Iterator<Item = Vec<String>> + use<> {
    let out = BufReader::new(child.stdout.take().unwrap());
    // A line without its end was cut by the kill: it acknowledges nothing.
    out.split(b'\n').map_while(Result::ok).map(|line| String::from_utf8_lossy(&line).split(' ').map(str::to_owned).collect())
}

#[tokio::test]
async fn what_was_acknowledged_survives_sigkill_and_open_intents_end_unknown() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path()).await;
    let mut acknowledged: HashMap<String, bool> = HashMap::new();
    for round in 0..24 {
        let mut child = other_process("append", home.path()).spawn().unwrap();
        let mut random = [0; 2];
        System.fill(&mut random);
        let moment = usize::from(u16::from_le_bytes(random)) % 2_000;
        let (mut seen, mut killed) = (0, false);
        for line in lines(&mut child) {
            let [what, token] = line.as_slice() else { continue };
            match what.as_str() {
                "intent" => drop(acknowledged.insert(token.clone(), false)),
                "outcome" => drop(acknowledged.insert(token.clone(), true)),
                _ => continue,
            }
            seen += 1;
            if seen > moment && !killed {
                child.kill().unwrap();
                killed = true;
            } else if round % 4 == 0 && seen == moment / 2 {
                ledger.sequence(1).await.unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
    }
    let done = ledger.sequence(1).await.unwrap();
    assert!(done.problems.is_empty() && done.vanished.is_empty(), "{done:?}");

    let all = everything(&ledger).await;
    assert!(all.iter().map(|action| action.seq).eq(1..=all.len() as u64), "there are holes in the numbers");
    assert_eq!(all.iter().filter(|action| action.action == Action::Adopt).count(), 24);
    let mut outcomes: HashMap<String, Vec<OutcomeResult>> = HashMap::new();
    for action in all.iter().filter(|action| action.kind == EntryKind::Outcome) {
        outcomes.entry(action.intent.as_ref().unwrap().to_string()).or_default().push(action.result.unwrap());
    }
    let intents: Vec<_> =
        all.iter().filter(|action| action.kind == EntryKind::Intent).map(|i| format!("{}.{}", i.segment, i.number)).collect();
    for token in &intents {
        assert_eq!(outcomes.get(token).map_or(0, Vec::len), 1, "{token} has not one outcome");
    }
    for (token, ended) in &acknowledged {
        assert!(intents.contains(token), "{token} was acknowledged and is gone");
        if *ended {
            assert_eq!(outcomes[token], [OutcomeResult::Ok], "{token}");
        }
    }
    assert!(outcomes.values().flatten().any(|result| *result == OutcomeResult::Unknown));
    let report = ledger.verify(ledger.head().await.unwrap()).await.unwrap();
    assert!(report.is_intact(), "{report:?}");
}

#[tokio::test]
async fn several_processes_make_open_write_and_sequence_one_ledger_at_once() {
    let home = tempfile::tempdir().unwrap();
    let run = || other_process("append and sequence", home.path()).spawn().unwrap();
    let children: Vec<_> = (0..4).map(|_| run()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let ledger = open(home.path()).await;
    ledger.sequence(1).await.unwrap();
    let report = ledger.verify(None).await.unwrap();
    assert!(report.is_intact() && report.vanished.is_empty(), "{report:?}");
    let all = everything(&ledger).await;
    assert_eq!(all.iter().filter(|action| action.action == Action::Message).count(), 4 * 2 * 2_000);
    assert_eq!(std::fs::read_dir(home.path().join("segments")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_acknowledged_is_lost() {
    let home = tempfile::tempdir().unwrap();
    open(home.path()).await.close().await.unwrap();
    // A file-size limit ends a write in the middle, as a full disk does.
    let mut limited = Command::new("sh");
    let job = other_process("fill the disk", home.path());
    limited.args(["-c", "trap '' XFSZ; ulimit -f 400; exec \"$@\"", "sh"]).arg(job.get_program()).args(job.get_args());
    limited.envs(job.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = limited.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |what: &str| said.lines().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("{what}: {said}")).to_owned();
    let written = line("written ");
    let [_, written, kind, code] = written.split(' ').collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert_eq!((kind, code), ("exhausted", "disk_full"));
    assert!(line("sequence ").starts_with("sequence unavailable ledger_io"), "{said}");
    assert!(line("sequence ").contains("free space"), "{said}");

    let ledger = open(home.path()).await;
    ledger.sequence(1).await.unwrap();
    let count = everything(&ledger).await.iter().filter(|action| action.action == Action::Message).count();
    assert_eq!(count + 1, written.parse::<usize>().unwrap());
    assert!(ledger.verify(None).await.unwrap().is_intact());
}

#[tokio::test]
async fn files_that_are_no_ledger_are_refused_untouched() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("governance.db");
    let refused = async || Ledger::open(home.path(), Ports::default(), Durability::Process).await.unwrap_err();

    std::fs::write(&path, "dear diary, this is no database at all, but it is long enough to look like one").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = refused().await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "foreign_file"));
    assert_eq!(std::fs::read(&path).unwrap(), before);

    std::fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE mine (a)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert_eq!(refused().await.code(), "foreign_file");
    assert_eq!(governance::ledger::verify(&path, None).unwrap_err().code(), "foreign_file");
    assert_eq!(std::fs::read(&path).unwrap(), before);

    std::fs::remove_file(&path).unwrap();
    open(home.path()).await.close().await.unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = refused().await;
    assert_eq!(error.code(), "newer_format");
    assert!(error.to_string().contains("upgrade"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_home_that_cannot_be_one_is_a_clear_error() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Ledger::open(&file, Ports::default(), Durability::Process).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "not_a_directory"));
    assert!(error.to_string().contains("GOVERNANCE_HOME"), "{error}");
    std::fs::create_dir_all(home.path().join("home/governance.db")).unwrap();
    let error = Ledger::open(home.path().join("home"), Ports::default(), Durability::Process).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let error = governance::ledger::verify(&home.path().join("nowhere/governance.db"), None).unwrap_err();
    assert_eq!(error.code(), "no_ledger");
}

#[tokio::test]
async fn a_locked_ledger_says_so_and_goes_on_when_it_is_free() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path()).await;
    ledger.segment().unwrap().append(&Entry::note(governance::vocabulary::Millis(1), Action::Message)).unwrap();
    let other = rusqlite::Connection::open(ledger.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = ledger.sequence(1).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "ledger_locked"));
    assert!(error.may_retry() && error.to_string().contains("fuser"), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(ledger.sequence(1).await.unwrap().entries, 2);
}

#[tokio::test]
async fn the_witness_never_falls_and_every_process_sees_it_at_once() {
    let home = tempfile::tempdir().unwrap();
    let (one, two) = (open(home.path()).await, open(home.path()).await);
    assert_eq!(one.id(), two.id());
    let witness = one.witness("redis://user:secret@localhost:6379");
    assert_eq!(witness.generation().await.unwrap(), 0);
    two.acknowledge("redis://localhost:6379", 7).await.unwrap();
    two.acknowledge("redis://localhost:6379", 3).await.unwrap();
    assert_eq!(witness.generation().await.unwrap(), 7);
    assert_eq!(one.witness("sqlite:other").generation().await.unwrap(), 0);
}
