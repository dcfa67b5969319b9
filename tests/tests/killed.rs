//! Death at any moment, and hands on the files: what was written is there, or its loss is found and located.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use governance::Governance;
use governance::ledger::{AgentAction, EntryKind, Filter, OutcomeResult};
use governance_tests::program::{Living, User};
use rusqlite::Connection;
use serde_json::{Value, json};

const CACHE: &str = "Design a caching strategy";
/// Repeats the same moments.
const SEED: &str = "GOVERNANCE_SEED";

/// Moments of death, the same for the same seed.
struct Moments(u64);

impl Moments {
    fn seeded() -> Self {
        let named = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
        let seed = named.unwrap_or_else(|| u64::from(std::process::id()) ^ Instant::now().elapsed().as_nanos() as u64 ^ 0x9e37_79b9);
        println!("repeat it with {SEED}={seed}");
        Self(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

async fn everything(user: &User) -> Vec<AgentAction> {
    let governance = Governance::open(user.config()).await.unwrap();
    assert!(governance.catch_up(Duration::from_secs(30)).await.unwrap(), "the dead were not caught up with in time");
    let mut all: Vec<AgentAction> = Vec::new();
    loop {
        let after = all.last().map_or(0, |action| action.seq);
        let part = governance.ledger().list(&Filter { after, ..Filter::default() }).await.unwrap().actions;
        if part.is_empty() {
            break;
        }
        all.extend(part);
    }
    governance.close().await.unwrap();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_04_acknowledged_records_survive_sigkill_at_any_moment() {
    let (user, mut moments) = (User::default(), Moments::seeded());
    let mut told = Vec::new();
    for death in 0..50 {
        let agents = if moments.below(3) == 0 { "process" } else { "built-in" };
        let mut run = user.start(&["run", CACHE, "--json", "--agents", agents]);
        // A random moment of its life: after so many of its lines, and a little later.
        let mut seen = None;
        // Killed before there is anything at all, the first one would leave nothing to verify.
        for _ in 0..moments.below(19).max(u64::from(death == 0)) {
            match run.object() {
                Some(object) => seen = Some(object),
                None => break,
            }
        }
        let until = Instant::now() + Duration::from_micros(moments.below(6_000));
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        run.kill();
        told.extend(seen.filter(|object| object["type"] == "pipeline_status"));
        let verified = user.does(&["ledger", "verify", "--json"]);
        assert_eq!(verified.calm().code, Some(0), "after death {death}: {verified:?}");
    }
    let all = everything(&user).await;
    assert!(all.len() > 500, "only {} entries of 50 runs", all.len());
    assert!(all.iter().zip(1..).all(|(action, number)| action.seq == number), "the numbers have no holes");
    // Every intent has its one outcome; of those that were open the outcome is unknown.
    let intents = all.iter().filter(|action| action.kind == EntryKind::Intent).count();
    let outcomes = all.iter().filter(|action| action.kind == EntryKind::Outcome).count();
    let unknown = all.iter().filter(|action| action.result == Some(OutcomeResult::Unknown)).count();
    assert_eq!(intents, outcomes, "what was begun has an end");
    assert!(unknown > 0, "fifty deaths, and none in the middle of anything");
    // What the dead told of was written before it was told.
    for object in told {
        let (id, status) = (&object["data"]["pipeline_id"], object["data"]["status"].as_str().unwrap());
        let written = |action: &&AgentAction| {
            action.pipeline_id.as_ref().is_some_and(|pipeline| pipeline.as_str() == id)
                && action.payload.as_ref().is_some_and(|payload| payload.contains(status))
        };
        assert!(all.iter().any(|action| written(&action)), "`{status}` of {id} was told and is lost");
    }
    user.verified();
    assert_eq!(user.does(&["run", CACHE]).code, Some(0), "life goes on");
}

/// A user with a record that has come to rest, and its head, kept outside.
fn at_rest() -> (User, String) {
    let user = User::default();
    assert_eq!(user.does(&["run", CACHE]).code, Some(0));
    let head = user.path("head.json");
    let answer = user.does(&["ledger", "head"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    std::fs::write(&head, answer.out).unwrap();
    let database = Connection::open(user.home().join("governance.db")).unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    (user, head.to_str().unwrap().to_owned())
}

/// What a verification finds, and where: the first thing that is wrong.
fn found(user: &User, more: &[&str]) -> Value {
    let answer = user.does(&[&["ledger", "verify", "--json"], more].concat());
    assert_eq!(answer.calm().code, Some(1), "{answer:?}");
    answer.last_object()["report"]["first"].take()
}

#[test]
fn promise_05_a_row_that_is_edited_moved_or_cut_out_is_found_and_located() {
    let swap = "UPDATE agent_actions SET seq = -1 WHERE seq = 30; UPDATE agent_actions SET seq = 30 WHERE seq = 31;
        UPDATE agent_actions SET seq = 31 WHERE seq = -1";
    let edits = [
        ("UPDATE agent_actions SET payload = payload || ' ' WHERE seq = 40", "edited", 40),
        ("UPDATE agent_actions SET agent_id = 'alpha-other' WHERE seq = 50", "edited", 50),
        ("DELETE FROM agent_actions WHERE seq = 60", "missing", 60),
        (swap, "reordered", 30),
    ];
    for (edit, problem, seq) in edits {
        let (user, _) = at_rest();
        Connection::open(user.home().join("governance.db")).unwrap().execute_batch(edit).unwrap();
        assert_eq!(found(&user, &[]), json!({"problem": problem, "seq": seq}), "{edit}");
    }
}

#[test]
fn promise_05_a_tail_that_is_cut_is_found_and_located() {
    let (user, _) = at_rest();
    let database = Connection::open(user.home().join("governance.db")).unwrap();
    let last: i64 = database.query_row("SELECT max(seq) FROM agent_actions", [], |row| row.get(0)).unwrap();
    database.execute("DELETE FROM agent_actions WHERE seq > ?1", [last - 5]).unwrap();
    let first = found(&user, &[]);
    assert_eq!((&first["problem"], &first["seq"]), (&"truncated".into(), &(last - 4).into()));
}

#[test]
fn promise_05_a_flipped_byte_in_the_file_is_found_and_located() {
    let (user, _) = at_rest();
    let path = user.home().join("governance.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // In a payload, where SQLite itself does not notice; pages that are no longer used may hold it too.
    let needle = b"objective_bytes";
    let places: Vec<_> = bytes.windows(needle.len()).enumerate().filter(|(_, window)| window == needle).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at] ^= 1);
    std::fs::write(&path, bytes).unwrap();
    // The run's spawn follows the opening of its segment.
    assert_eq!(found(&user, &[]), json!({"problem": "edited", "seq": 2}));
}

#[test]
fn promise_05_rows_that_are_cut_together_with_their_heads_are_found_by_a_head_held_outside() {
    let (user, head) = at_rest();
    assert_eq!(user.does(&["ledger", "verify", "--head", &head]).code, Some(0));
    let earlier = user.path("earlier");
    let copy = |from: &Path, to: &Path| assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
    copy(user.home(), &earlier);
    assert_eq!(user.does(&["run", CACHE]).code, Some(0));
    let newest = user.does(&["ledger", "head"]).out;
    std::fs::write(&head, newest).unwrap();
    // Whoever holds the files puts the whole home back to an earlier day.
    std::fs::remove_dir_all(user.home()).unwrap();
    copy(&earlier, user.home());
    let entries = user.verified()["report"]["entries"].as_u64().unwrap();
    let first = found(&user, &["--head", &head]);
    assert_eq!((&first["problem"], &first["seq"]), (&"truncated".into(), &(entries + 1).into()), "by itself that day looked whole");
    // Also when nothing is left at all.
    std::fs::remove_file(user.home().join("governance.db")).unwrap();
    user.does(&["ledger", "verify", "--head", &head]).explains("there is no ledger");
}

#[test]
fn a_run_is_found_as_it_was_left_by_whoever_looks_next() {
    let user = User::default();
    let mut run: Living = user.start(&["run", CACHE, "--json"]);
    let line = run.until("\"RUNNING\"");
    run.kill();
    let id = serde_json::from_str::<Value>(&line).unwrap()["data"]["pipeline_id"].as_str().unwrap().to_owned();
    let listed = user.objects(&["pipeline", "list"]);
    assert_eq!(listed[0]["pipeline_id"], id.as_str());
    assert!(!user.objects(&["ledger", "list", "--pipeline", &id]).is_empty());
    user.verified();
}
