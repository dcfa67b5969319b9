use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::{Durability, Entry, Export, ExportEnd, Fault, Filter, Finding, OutcomeResult, Segment, verify, verify_export};
use super::*;
use crate::error::ErrorKind;
use crate::vocabulary::{Clock, Ports, System};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SECRET: &str = "the name of the patient is";

/// A clock that tests move on.
struct Days(AtomicU64);

impl Clock for Days {
    fn now(&self) -> Millis {
        Millis(1_800_000_000_000 + self.0.load(Ordering::SeqCst) * 86_400_000)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

struct Made {
    home: tempfile::TempDir,
    ledger: Ledger,
    days: Arc<Days>,
}

async fn made() -> Made {
    let home = tempfile::tempdir().unwrap();
    let days = Arc::new(Days(AtomicU64::new(0)));
    let ports = Ports { clock: days.clone(), chance: Arc::new(System) };
    let ledger = Ledger::open(home.path(), ports, Durability::Process).await.unwrap();
    Made { home, ledger, days }
}

impl Made {
    /// Some entries with content, one stop and one violation, in the record.
    async fn works(&self, calls: usize) {
        let segment = self.ledger.segment().unwrap();
        for call in 0..calls {
            let says = format!("{{\"tool\":\"write\",\"text\":\"{SECRET} {call}\"}}");
            let intent = segment.intent(Action::ToolCall, None, None, &says).unwrap();
            segment.outcome(&intent, OutcomeResult::Ok, "{}").unwrap();
        }
        let now = self.days.now();
        segment.append(&Entry::note(now, Action::Stop).payload("{\"reason\":\"a drill\"}")).unwrap();
        let violation = format!("{{\"type\":\"procedure\",\"severity\":\"LOW\",\"detail\":\"{SECRET}\"}}");
        segment.append(&Entry::note(now, Action::Violation).payload(violation)).unwrap();
        self.ledger.sequence(1).await.unwrap();
    }

    fn passes(&self, days: u64) {
        self.days.0.fetch_add(days, Ordering::SeqCst);
    }

    /// Drops what is older, as whoever keeps house does.
    async fn retains(&self, age: Duration) -> Option<Droppable> {
        let old = self.ledger.droppable(age).await.unwrap()?;
        let intent = self.ledger.ask_to_drop(&old, "a test").unwrap();
        assert!(self.ledger.sequence(1).await.unwrap().retention);
        let mut dropped = 0;
        loop {
            let piece = self.ledger.drop_payloads(1).await.unwrap();
            dropped += piece.entries;
            if !piece.more {
                break;
            }
        }
        assert_eq!(dropped, old.entries);
        self.ledger.segment().unwrap().outcome(&intent, OutcomeResult::Ok, "{}").unwrap();
        self.ledger.sequence(1).await.unwrap();
        Some(old)
    }

    fn database(&self) -> PathBuf {
        self.home.path().join("governance.db")
    }

    fn first(&self) -> Option<Finding> {
        verify(&self.database(), None).unwrap().first
    }

    /// A copy of the closed ledger, changed by SQL.
    fn changed(&self, sql: &str) -> (tempfile::TempDir, Option<Finding>) {
        let copy = tempfile::tempdir().unwrap();
        for part in ["governance.db", "heads", "keys/ledger.pub"] {
            let to = copy.path().join(part);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(self.home.path().join(part), to).unwrap();
        }
        let database = copy.path().join("governance.db");
        let connection = Connection::open(&database).unwrap();
        connection.pragma_update(None, "foreign_keys", "OFF").unwrap();
        connection.execute_batch(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        drop(connection);
        let first = verify(&database, None).unwrap().first;
        (copy, first)
    }

    async fn exported(&self) -> Vec<String> {
        lines(self.ledger.export(1, None).await.unwrap()).await.unwrap()
    }
}

async fn lines(mut export: Export) -> Result<Vec<String>> {
    let mut lines = vec![serde_json::to_string(export.start()).unwrap()];
    while let Some(line) = export.next().await? {
        lines.push(serde_json::to_string(&line).unwrap());
    }
    lines.push(serde_json::to_string(&ExportEnd { head: export.head().clone() }).unwrap());
    Ok(lines)
}

/// Whether a text stands in any file of a directory.
fn found_in(directory: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(found_in(&path, text));
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes()) {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn old_payloads_go_from_every_file_and_the_rest_is_still_what_was_written() {
    let made = made().await;
    made.works(20).await;
    let head = made.ledger.head().await.unwrap().unwrap();
    made.passes(31);
    made.works(3).await;
    assert!(found_in(made.home.path(), &format!("{SECRET} 19")).len() >= 2, "the database and the segment");
    let old = made.retains(30 * DAY).await.unwrap();
    assert_eq!((old.through, old.entries), (head.size, 41));
    assert_eq!(found_in(made.home.path(), &format!("{SECRET} 19")), [] as [PathBuf; 0]);
    assert!(!found_in(made.home.path(), &format!("{SECRET} 2")).is_empty(), "what is young stays");

    let report = verify(&made.database(), Some(&head)).unwrap();
    assert!(report.is_intact(), "{report:?}");
    assert_eq!(report.dropped, 41);
    let all = made.ledger.list(&Filter::default()).await.unwrap().actions;
    for entry in &all {
        let gone = entry.seq <= old.through && !entry.action.is_kept();
        assert_eq!((entry.payload.is_none(), entry.payload_hash.is_some()), (gone, gone), "{entry:?}");
    }
    assert!(all.iter().any(|entry| entry.action == Action::Stop && entry.seq <= old.through && entry.payload.is_some()));
    assert_eq!(made.ledger.droppable(30 * DAY).await.unwrap(), None, "once is enough");
    let segment = made.ledger.segment().unwrap();
    let entries = made.ledger.entries_of(segment.id()).await.unwrap();
    assert_eq!(entries.len(), all.len());
    assert_eq!(entries[2].1.payload, "null");
    // It goes on as before.
    made.works(2).await;
    assert_eq!(made.first(), None);
}

#[tokio::test]
async fn a_payload_that_is_missing_without_a_word_in_the_record_is_found() {
    let made = made().await;
    made.works(20).await;
    made.passes(31);
    made.works(20).await;
    let old = made.retains(30 * DAY).await.unwrap();
    let says: i64 = {
        let asked = made.ledger.list(&Filter { action: Some(Action::Retention), ..Filter::default() }).await.unwrap().actions;
        asked[0].seq.cast_signed()
    };
    made.ledger.close().await.unwrap();
    let first = |sql: &str| made.changed(sql).1;
    let hash = |seq: u64| {
        let connection = Connection::open(made.database()).unwrap();
        let payload: String =
            connection.query_row("SELECT payload FROM agent_actions WHERE seq = ?", [seq.cast_signed()], |row| row.get(0)).unwrap();
        super::super::hex::encode(&sealed::hash(payload.as_bytes()))
    };
    let dropped = |seq: u64| format!("UPDATE agent_actions SET payload = NULL, payload_hash = x'{}' WHERE seq = {seq}", hash(seq));
    let found = |seq, fault| Some(Finding { seq, fault });
    assert_eq!(first("SELECT 1"), None);
    // Beyond what was asked for, and what is never dropped.
    let young = old.through + 3;
    assert_eq!(first(&dropped(young)), found(young, Fault::Dropped));
    let stop = old.through - 1;
    assert_eq!(first(&dropped(stop)), found(stop, Fault::Dropped));
    // What explains cannot go, nor be written anew, nor be read as more.
    let says_seq = says.cast_unsigned();
    assert_eq!(first(&dropped(says_seq)), found(2, Fault::Dropped));
    assert_eq!(
        first(&format!("UPDATE agent_actions SET payload = replace(payload, '{}', '{}') WHERE seq = {says}", old.through, young)),
        found(says_seq, Fault::Edited)
    );
    assert_eq!(first(&format!("DELETE FROM agent_actions WHERE seq = {says}")), found(says_seq, Fault::Missing));
    // A dropped payload's row is checked like any other.
    for change in
        ["at = at + 1", "action = 'message'", "payload_hash = zeroblob(32)", "payload = '{}', payload_hash = NULL", "result = 'ok'"]
    {
        let seq = 4;
        assert_eq!(first(&format!("UPDATE agent_actions SET {change} WHERE seq = {seq}")), found(seq, Fault::Edited), "{change}");
    }
    assert_eq!(first("DELETE FROM agent_actions WHERE seq = 4"), found(4, Fault::Missing));
    // Who brings one back changes nothing.
    let back =
        format!("UPDATE agent_actions SET payload_hash = NULL, payload = '{{\"tool\":\"write\",\"text\":\"{SECRET} 0\"}}' WHERE seq = 2");
    assert_eq!(first(&back), None);
    // A projection that still shows what was dropped.
    let shows =
        "INSERT INTO violations (seq, at, detail) SELECT seq, at, 'still here' FROM agent_actions WHERE action = 'violation' LIMIT 1";
    assert!(matches!(first(shows).unwrap().fault, Fault::Projection { .. }));
    let cut = format!("DELETE FROM agent_actions WHERE seq > {young}; DELETE FROM violations WHERE seq > {young}");
    assert!(matches!(first(&cut).unwrap().fault, Fault::Truncated { .. }));
}

#[tokio::test]
async fn nothing_is_dropped_that_the_record_does_not_ask_for_nor_by_who_was_overtaken() {
    let made = made().await;
    made.works(20).await;
    made.passes(100);
    assert_eq!(made.ledger.drop_payloads(1).await.unwrap(), DroppedPiece::default());
    let old = made.ledger.droppable(90 * DAY).await.unwrap().unwrap();
    let intent = made.ledger.ask_to_drop(&old, "a test").unwrap();
    assert_eq!(made.ledger.drop_payloads(1).await.unwrap(), DroppedPiece::default(), "it is not in the record yet");
    made.ledger.sequence(5).await.unwrap();
    let refused = made.ledger.drop_payloads(4).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Conflict, "fenced"));
    let state = made.ledger.retention().await.unwrap();
    assert_eq!((state.asked, state.done), (old.through, 0));
    assert_eq!(made.ledger.drop_payloads(5).await.unwrap(), DroppedPiece { entries: old.entries, more: false });
    made.ledger.segment().unwrap().outcome(&intent, OutcomeResult::Ok, "{}").unwrap();
    made.ledger.sequence(5).await.unwrap();
    assert_eq!(made.first(), None);
}

#[tokio::test]
async fn who_dies_on_the_way_leaves_a_record_that_is_whole_and_the_next_one_goes_on() {
    let made = made().await;
    made.works(PIECE).await;
    made.passes(31);
    let old = made.ledger.droppable(30 * DAY).await.unwrap().unwrap();
    drop(made.ledger.ask_to_drop(&old, "a test").unwrap());
    made.ledger.sequence(1).await.unwrap();
    assert_eq!(made.ledger.drop_payloads(1).await.unwrap(), DroppedPiece { entries: PIECE as u64, more: true });
    assert_eq!(made.first(), None);
    let ports = Ports { clock: made.days.clone(), chance: Arc::new(System) };
    let next = Ledger::open(made.home.path(), ports, Durability::Process).await.unwrap();
    let mut dropped = PIECE as u64;
    while next.retention().await.unwrap().done < old.through {
        dropped += next.drop_payloads(2).await.unwrap().entries;
    }
    assert_eq!(dropped, old.entries);
    assert_eq!(made.first(), None);
}

#[tokio::test]
async fn an_entrys_age_is_the_records_and_not_its_writers() {
    let made = made().await;
    let segment = made.ledger.segment().unwrap();
    segment.append(&Entry::note(Millis(5), Action::Message).payload("{\"long\":\"ago\"}")).unwrap();
    made.ledger.sequence(1).await.unwrap();
    assert_eq!(made.ledger.droppable(DAY).await.unwrap(), None);
    assert_eq!(made.ledger.ages(DAY).await.unwrap(), Some(made.days.now().after(DAY)));
    made.passes(2);
    assert_eq!(made.ledger.droppable(DAY).await.unwrap().unwrap().entries, 1);
    let empty = self::made().await;
    assert_eq!((empty.ledger.ages(DAY).await.unwrap(), empty.ledger.droppable(DAY).await.unwrap()), (None, None));
}

#[tokio::test]
async fn an_export_with_dropped_payloads_is_checked_and_one_with_more_of_them_is_not() {
    let made = made().await;
    made.works(20).await;
    made.passes(31);
    made.works(3).await;
    let early = made.ledger.export(1, None).await.unwrap();
    let old = made.retains(30 * DAY).await.unwrap();
    let lines_now = made.exported().await;
    let check = |lines: &[String]| {
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        verify_export(text.as_bytes(), made.home.path(), None).unwrap()
    };
    let report = check(&lines_now);
    assert_eq!((report.first, report.dropped), (None, old.entries));
    // Somebody takes one more out, and puts its true hash there.
    let at = lines_now.iter().rposition(|line| line.contains(SECRET)).unwrap();
    let mut entry: serde_json::Value = serde_json::from_str(&lines_now[at]).unwrap();
    let hash = super::super::hex::encode(&sealed::hash(entry["payload"].as_str().unwrap().as_bytes()));
    (entry["payload"], entry["payload_hash"]) = (serde_json::Value::Null, hash.into());
    let mut redacted = lines_now.clone();
    redacted[at] = entry.to_string();
    assert_eq!(check(&redacted).first, Some(Finding { seq: entry["seq"].as_u64().unwrap(), fault: Fault::Dropped }));
    // One that had begun before would lack the entry that explains.
    assert_eq!(lines(early).await.unwrap_err().code(), "dropped_meanwhile");
}

#[tokio::test]
async fn of_a_living_segment_and_of_a_damaged_one_nothing_old_is_left() {
    let made = made().await;
    let directory = made.home.path().join("segments");
    let dying = Segment::open(&directory, made.ledger.id(), &Ports::default(), Durability::Process).unwrap();
    for _ in 0..3 {
        dying.append(&Entry::note(made.days.now(), Action::Message).payload(format!("{{\"text\":\"{SECRET} dead\"}}"))).unwrap();
    }
    dying.abandon();
    let path = directory.join(format!("{}.segment", dying.id()));
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    made.works(4).await;
    let damaged = path.with_extension("damaged");
    assert!(damaged.exists());
    std::fs::File::options().write(true).open(&damaged).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    made.passes(31);
    made.retains(30 * DAY).await.unwrap();
    assert!(!damaged.exists());
    assert_eq!(found_in(made.home.path(), SECRET), [] as [PathBuf; 0]);
    made.ledger.segment().unwrap().append(&Entry::note(made.days.now(), Action::Message)).unwrap();
    made.ledger.sequence(1).await.unwrap();
    assert_eq!(made.first(), None);
}

#[tokio::test]
async fn a_ledger_of_before_the_first_release_is_refused_untouched() {
    let made = made().await;
    made.ledger.close().await.unwrap();
    Connection::open(made.database()).unwrap().execute_batch("PRAGMA user_version = 1").unwrap();
    let before = std::fs::read(made.database()).unwrap();
    let refused = Ledger::open(made.home.path(), Ports::default(), Durability::Process).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Invalid, "older_format"));
    assert_eq!(verify(&made.database(), None).unwrap_err().code(), "older_format");
    assert_eq!(std::fs::read(made.database()).unwrap(), before);
}
