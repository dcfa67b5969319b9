//! `ledger export`, and checking what it wrote.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::Duration;

use governance_tests::program::{Answer, User};
use serde_json::Value;

use super::{CACHE, NOBODY, begun, redis, run, settled};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn exported_and_checked(user: &User) {
    run(user, CACHE);
    let file = user.path("record.jsonl");
    let told = user.object(&["ledger", "export", "--out", file.to_str().unwrap()]);
    let exported = lines(&std::fs::read_to_string(&file).unwrap());
    let entries = &exported[1..exported.len() - 1];
    assert_eq!(told["exported"].as_u64().unwrap(), entries.len() as u64);
    assert_eq!(
        entries.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=entries.len() as u64).collect::<Vec<_>>()
    );
    assert_eq!((&exported[0]["from"], &exported.last().unwrap()["head"]), (&1.into(), &told["head"]));
    assert_eq!(entries[..], user.objects(&["ledger", "list", "--limit", "10000"])[..entries.len()]);
    let checked = user.object(&["ledger", "verify", "--file", file.to_str().unwrap()]);
    assert_eq!((&checked["intact"], &checked["report"]["entries"]), (&true.into(), &told["exported"]));
}

#[test]
fn the_record_of_the_file_is_exported_with_its_head_and_checked() {
    exported_and_checked(&User::default());
}

#[test]
fn the_record_beside_a_redis_is_exported_with_its_head_and_checked() {
    let (_folder, _server, user) = redis();
    exported_and_checked(&user);
}

#[test]
fn an_exported_file_is_checked_anywhere_with_nothing_but_the_public_key() {
    let (user, _) = settled(CACHE);
    let file = user.path("record.jsonl");
    let exported = user.does(&["ledger", "export"]);
    assert_eq!(exported.code, Some(0));
    std::fs::write(&file, &exported.out).unwrap();
    let head = user.path("head.json");
    std::fs::write(&head, user.does(&["ledger", "head"]).out).unwrap();
    let auditor = User::default();
    let check = |more: &[&str]| auditor.does(&[&["ledger", "verify", "--file", file.to_str().unwrap()], more].concat());
    check(&[]).explains("keys/ledger.pub");
    std::fs::create_dir_all(auditor.home().join("keys")).unwrap();
    std::fs::copy(user.home().join("keys/ledger.pub"), auditor.home().join("keys/ledger.pub")).unwrap();
    assert!(check(&[]).out.starts_with("intact: "));
    assert_eq!(check(&["--head", head.to_str().unwrap()]).code, Some(0));
    assert_eq!(std::fs::read_dir(auditor.home()).unwrap().count(), 1, "who checks writes nothing");

    // One word of one entry.
    std::fs::write(&file, exported.out.replacen("\"vote\"", "\"note\"", 1)).unwrap();
    let edited = check(&["--json"]);
    assert_eq!((edited.code, edited.last_object()["intact"].clone()), (Some(1), false.into()), "{edited:?}");
    // Where it still reads as an entry, which one is not the file's to tell.
    std::fs::write(&file, exported.out.replacen("SPAWN", "SPAWM", 1)).unwrap();
    let edited = check(&[]).out;
    assert!(edited.contains("an entry from 1 to") && !edited.contains("first bad entry"), "{edited}");
    // The last entry, and the head over it.
    let cut: Vec<_> = exported.out.lines().collect();
    std::fs::write(&file, cut[..cut.len() - 2].join("\n") + "\n").unwrap();
    let cut = check(&[]);
    assert!(cut.code == Some(1) && cut.out.contains("gone from the end"), "{cut:?}");
    std::fs::write(&file, "not this\n").unwrap();
    check(&[]).explains("ledger export");
    auditor.does(&["ledger", "verify", "--file", "nowhere"]).explains("`nowhere`");
    auditor.does(&["ledger", "verify", "--file", "/proc/self"]).explains("");
}

#[test]
fn a_part_of_the_record_is_exported() {
    let (user, first) = settled(CACHE);
    let second = run(&user, CACHE);
    let file = user.path("part.jsonl");
    let out = file.to_str().unwrap();
    user.object(&["ledger", "export", "--from", "50", "--out", out]);
    let exported = lines(&std::fs::read_to_string(&file).unwrap());
    assert_eq!((&exported[0]["from"], &exported[1]["gap"]["through"], &exported[2]["seq"]), (&50.into(), &49.into(), &50.into()));
    assert_eq!(user.object(&["ledger", "verify", "--file", out])["intact"], true, "what came before is vouched for by its roots");

    let of_second = user.does(&["ledger", "export", "--pipeline", &second]);
    std::fs::write(&file, &of_second.out).unwrap();
    let exported = lines(&of_second.out);
    let (entries, gaps): (Vec<_>, Vec<_>) = exported[1..exported.len() - 1].iter().partition(|line| line["gap"].is_null());
    assert!(entries.len() > 50 && entries.iter().all(|entry| entry["pipeline_id"] == second.as_str()));
    assert!(!gaps.is_empty() && !of_second.out.contains(&first));
    // Each of its entries is proven to be in the record that the head signs.
    let checked = user.object(&["ledger", "verify", "--file", out]);
    assert_eq!((&checked["intact"], &checked["report"]["entries"]), (&true.into(), &entries.len().into()));
    assert!(user.does(&["ledger", "verify", "--file", out]).out.contains("that none is left out is not"));
    std::fs::write(&file, of_second.out.replacen("\"vote\"", "\"note\"", 1)).unwrap();
    assert_eq!(user.does(&["ledger", "verify", "--file", out]).code, Some(1));

    user.does(&["ledger", "export", "--from", "100000"]).explains("the record ends with");
    user.does(&["ledger", "export", "--from", "0"]).explains("");
    user.does(&["ledger", "export", "--pipeline", NOBODY]).explains("pipeline list");
    user.does(&["ledger", "export", "--pipeline", "a:b"]).explains("`:`");
    user.does(&["ledger", "export", "--format", "xml"]).explains("");
    begun().does(&["ledger", "export", "--pipeline", NOBODY]).explains("pipeline list");
    User::default().does(&["ledger", "export"]).explains("governance run");
}

#[test]
fn a_table_for_spreadsheets_has_every_column_and_every_entry() {
    let (user, id) = settled(CACHE);
    let table = user.does(&["ledger", "export", "--pipeline", &id, "--format", "csv"]);
    let rows: Vec<_> = table.out.lines().collect();
    assert_eq!(rows[0], "seq,segment,number,at,kind,action,agent_id,pipeline_id,intent,result,payload,payload_hash");
    let listed = user.objects(&["ledger", "list", "--pipeline", &id, "--limit", "10000"]);
    assert_eq!(rows.len() - 1, listed.len());
    for (row, entry) in rows[1..].iter().zip(&listed) {
        assert!(row.starts_with(&format!("{},", entry["seq"])), "{row}");
        let payload = entry["payload"].as_str().unwrap().replace('"', "\"\"");
        assert!(row.ends_with(&format!(",\"{payload}\",")), "{row}");
    }
    assert!(table.err.contains("cannot be checked"));
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_an_old_one_stays_until_the_new_one_is_whole() {
    let (user, _) = settled(CACHE);
    for out in ["/nowhere/record.jsonl", "/proc/record.jsonl", "/", user.home().to_str().unwrap(), ".."] {
        user.does(&["ledger", "export", "--out", out]).explains("directory that you may write to");
    }
    let old = user.path("old.jsonl");
    std::fs::write(&old, "the old one").unwrap();
    // What fails on the way leaves it as it was, and nothing beside it.
    user.does(&["ledger", "export", "--out", old.to_str().unwrap(), "--from", "100000"]).explains("the record ends with");
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "the old one");
    assert!(!user.path("old.jsonl.part").exists());
    user.object(&["ledger", "export", "--out", old.to_str().unwrap()]);
    assert_eq!(user.object(&["ledger", "verify", "--file", old.to_str().unwrap()])["intact"], true);
    assert!(!user.path("old.jsonl.part").exists());
}

#[test]
fn whoever_reads_slowly_is_told_how_far_it_is_and_whoever_stops_reading_ends_it_quietly() {
    let user = User::default();
    // More than a pipe holds.
    (0..6).for_each(|_| drop(run(&user, CACHE)));
    let mut child = user.command(["ledger", "export"]).spawn().unwrap();
    let (mut out, mut err) = (BufReader::new(child.stdout.take().unwrap()), BufReader::new(child.stderr.take().unwrap()));
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"export\":2"), "{first}");
    // The clock that it counts a second on is the machine's; nothing else can be waited for.
    std::thread::sleep(Duration::from_millis(1_300));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(rest.len() > 100_000 && rest.lines().last().unwrap().starts_with("{\"head\""), "{} bytes", rest.len());
    let mut told = String::new();
    err.read_to_string(&mut told).unwrap();
    assert!(told.contains("entries written, up to"), "{told}");
    assert!(child.wait().unwrap().success());

    for args in [["ledger", "export"].as_slice(), &["pipeline", "logs"], &["completions", "bash"], &["man", "--markdown"]] {
        let mut command = user.command(args);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        Answer { code: None, out: String::new(), err: String::from_utf8_lossy(&output.stderr).into_owned() }.calm();
        assert!(output.status.success(), "{args:?}: {output:?}");
    }
}

/// Whoever closes a file last puts its log into it: also a program that ends a moment after it is done.
#[test]
fn a_program_that_ended_leaves_no_log_beside_its_files() {
    let (user, _) = settled(CACHE);
    for _ in 0..8 {
        for command in [&["stop", "--all", "--no-wait"][..], &["stop", "--lift", "--reason", "a drill"], &["pipeline", "list"]] {
            assert_eq!(user.does(command).code, Some(0));
            for log in ["state.db-wal", "state.db-shm", "governance.db-wal", "governance.db-shm"] {
                assert!(!user.home().join(log).exists(), "{log} after {command:?}");
            }
        }
    }
    user.verified();
}
