//! Runs that die at any moment leave a ledger that holds.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

const KILLS: u32 = 50;

/// The command line, which lies beside the tests.
fn program() -> std::path::PathBuf {
    let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("governance");
    assert!(built.exists(), "`{}` is missing: cargo build --workspace --all-features", built.display());
    built
}

fn governance(home: &Path, words: &[&str]) -> Output {
    Command::new(program()).arg("--home").arg(home).args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn rows(home: &Path) -> Vec<Value> {
    let listed = governance(home, &["ledger", "list", "--limit", "1000000", "--json"]);
    assert!(listed.status.success(), "{}", said(&listed));
    String::from_utf8(listed.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Promise 4, and the ledger's side of promise 5.
#[test]
fn promise_04_after_kill_9_at_random_moments_the_ledger_verifies_and_open_intents_end_unknown() {
    let home = tempfile::tempdir().unwrap();
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(u64::from(std::process::id()));
    println!("SEED={seed}");
    let mut random = seed | 1;
    for number in 0..KILLS {
        let mut run = Command::new(program())
            .arg("--home")
            .arg(home.path())
            .args(["run", &format!("Design a caching strategy, take {number}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Not a wait for a condition: the moment of death is the random input of this test.
        random = (random ^ (random << 13)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        std::thread::sleep(Duration::from_micros(random % 130_000));
        run.kill().unwrap();
        run.wait().unwrap();
        let verified = governance(home.path(), &["ledger", "verify"]);
        let nothing_yet = said(&verified).contains("there is no ledger");
        assert!(verified.status.success() || nothing_yet, "after kill {number}: {}", said(&verified));
    }
    // One more run, whole: it must find a state that it can work on.
    let whole = governance(home.path(), &["run", "Design a caching strategy", "--json"]);
    assert!(whole.status.success(), "{}", said(&whole));
    let rows = rows(home.path());
    let numbers: Vec<_> = rows.iter().map(|row| row["seq"].as_u64().unwrap()).collect();
    assert!(numbers.iter().zip(1..).all(|(seq, expected)| *seq == expected), "the numbers have a hole");
    let intent = |row: &Value| format!("{}.{}", row["segment"].as_str().unwrap(), row["number"]);
    let ended: Vec<_> = rows.iter().filter(|row| row["kind"] == "outcome").map(|row| row["intent"].as_str().unwrap().to_owned()).collect();
    let open: Vec<_> = rows.iter().filter(|row| row["kind"] == "intent").map(intent).filter(|id| !ended.contains(id)).collect();
    assert_eq!(open, Vec::<String>::new(), "intents without an outcome");
    let unknown = rows.iter().filter(|row| row["result"] == "unknown").count();
    println!("{KILLS} kills, {} entries, {unknown} intents ended unknown", rows.len());
    let verified = governance(home.path(), &["ledger", "verify"]);
    assert!(verified.status.success(), "{}", said(&verified));
}

/// Promise 5: found, located, and with a head from outside also when the heads were cut along.
#[test]
fn promise_05_a_cut_tail_and_an_edited_row_are_found_and_located() {
    let home = tempfile::tempdir().unwrap();
    assert!(governance(home.path(), &["run", "Design a caching strategy"]).status.success());
    let head = home.path().join("kept.json");
    std::fs::write(&head, governance(home.path(), &["ledger", "head"]).stdout).unwrap();
    let database = home.path().join("governance.db");
    let kept = std::fs::read(&database).unwrap();
    let verify = |more: &[&str]| {
        let verified = governance(home.path(), &[&["ledger", "verify"], more].concat());
        (verified.status.code(), said(&verified))
    };
    let change = |sql: &str| {
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.execute_batch(&format!("{sql}; PRAGMA wal_checkpoint(TRUNCATE);")).unwrap();
    };

    change("UPDATE agent_actions SET payload = '{\"harmless\":true}' WHERE seq = 17");
    let (code, found) = verify(&[]);
    assert!(code == Some(1) && found.contains("entry is 17"), "{found}");

    std::fs::write(&database, &kept).unwrap();
    change("DELETE FROM agent_actions WHERE seq > 40");
    let (code, found) = verify(&[]);
    assert!(code == Some(1) && found.contains("41"), "{found}");

    // Cut together with its heads, and with the file of heads beside it: only a head kept elsewhere tells.
    std::fs::write(&database, &kept).unwrap();
    change("DELETE FROM agent_actions WHERE seq > 40; DELETE FROM heads WHERE size > 40");
    std::fs::write(home.path().join("heads"), "").unwrap();
    let (code, found) = verify(&["--head", head.to_str().unwrap()]);
    assert!(code == Some(1) && found.contains("41"), "{found}");
}
