use std::collections::BTreeSet;

use super::super::{Action, Entry, EntryKind, Filter, Ledger, OutcomeResult};
use super::*;
use crate::vocabulary::{AgentId, Millis};

async fn open(home: &std::path::Path) -> Ledger {
    Ledger::open(home, Ports::default(), Durability::Process).await.unwrap()
}

fn note(n: u64) -> Entry {
    Entry::note(Millis(n), Action::Message).payload(format!("{{\"n\":{n}}}"))
}

/// A segment's file whose owner has died without a last word.
fn orphan(ledger: &Ledger, entries: u64) -> (SegmentId, PathBuf) {
    let directory = ledger.home().join("segments");
    let segment = Segment::open(&directory, ledger.id(), &Ports::default(), Durability::Process).unwrap();
    for n in 0..entries {
        segment.append(&note(n)).unwrap();
    }
    segment.abandon();
    (segment.id().clone(), directory.join(format!("{}.segment", segment.id())))
}

async fn actions(ledger: &Ledger, action: Action) -> Vec<super::super::AgentAction> {
    ledger.list(&Filter { action: Some(action), ..Filter::default() }).await.unwrap().actions
}

#[tokio::test]
async fn numbers_have_no_holes_and_what_is_not_yet_numbered_is_said() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path()).await;
    let segment = ledger.segment().unwrap();
    (0..10_000).for_each(|n| drop(segment.append(&note(n)).unwrap()));
    assert_eq!(ledger.list(&Filter::default()).await.unwrap().unsequenced, 10_001);
    let done = ledger.sequence(7).await.unwrap();
    assert_eq!((done.entries, done.heads.len(), done.more), (10_001, 2, false));
    segment.append(&note(1)).unwrap();
    ledger.sequence(7).await.unwrap();
    let listing = ledger.list(&Filter { after: 9_998, ..Filter::default() }).await.unwrap();
    assert_eq!(listing.unsequenced, 0);
    assert_eq!(listing.actions.iter().map(|action| action.seq).collect::<Vec<_>>(), [9_999, 10_000, 10_001, 10_002]);
    assert_eq!(ledger.head().await.unwrap().unwrap().size, 10_002);
    assert_eq!(ledger.sequence(7).await.unwrap(), Sequenced::default());
    assert!(ledger.verify(None).await.unwrap().is_intact());
}

#[tokio::test]
async fn a_lower_fence_writes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (old, new) = (open(home.path()).await, open(home.path()).await);
    old.segment().unwrap().append(&note(1)).unwrap();
    old.sequence(5).await.unwrap();
    new.sequence(6).await.unwrap();
    old.segment().unwrap().append(&note(2)).unwrap();
    let refused = old.sequence(5).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Conflict, "fenced"));
    assert_eq!(new.list(&Filter::default()).await.unwrap().unsequenced, 1);
    assert_eq!(new.sequence(6).await.unwrap().entries, 1);
    assert!(new.verify(None).await.unwrap().is_intact());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sequencers_at_once_lose_and_double_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (one, two) = (open(home.path()).await, open(home.path()).await);
    let writers = [one.segment().unwrap(), two.segment().unwrap()]
        .map(|segment| tokio::task::spawn_blocking(move || (0..5_000).for_each(|n| drop(segment.append(&note(n)).unwrap()))));
    let run = |ledger: Ledger| async move {
        for _ in 0..30 {
            ledger.sequence(1).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(run(one.clone()), run(two.clone()));
    for writer in writers {
        writer.await.unwrap();
    }
    one.sequence(1).await.unwrap();
    let report = two.verify(None).await.unwrap();
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.entries, report.unsequenced), (10_002, 0));
}

#[tokio::test]
async fn a_dead_process_is_adopted_and_its_open_intents_end_unknown_once() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path()).await;
    let dead = open(home.path()).await;
    let segment = dead.segment().unwrap();
    let agent = AgentId::new("alpha-1").unwrap();
    let ended = segment.intent(Action::ToolCall, Some(&agent), None, "{}").unwrap();
    segment.outcome(&ended, OutcomeResult::Ok, "{}").unwrap();
    let open_intent = segment.intent(Action::ModelCall, Some(&agent), None, "{}").unwrap();
    // Somebody else has already found out what came of this one.
    let known = segment.intent(Action::Vote, Some(&agent), None, "{}").unwrap();
    ledger.segment().unwrap().outcome(&known, OutcomeResult::Ok, "{}").unwrap();
    let path = home.path().join("segments").join(format!("{}.segment", segment.id()));
    ledger.sequence(1).await.unwrap();
    assert!(path.exists(), "a living segment was put away");
    segment.abandon();
    // Its last words were cut short.
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, &[9, 0, 0, 0]).unwrap();
    drop(file);

    let done = ledger.sequence(1).await.unwrap();
    assert_eq!(done.adopted, [segment.id().clone()]);
    assert!(!path.exists());
    assert_eq!(ledger.sequence(1).await.unwrap(), Sequenced::default());
    let outcomes: Vec<_> =
        ledger.list(&Filter::default()).await.unwrap().actions.into_iter().filter(|a| a.kind == EntryKind::Outcome).collect();
    let of = |token: &crate::vocabulary::Token| {
        outcomes.iter().filter(|o| o.intent.as_ref() == Some(token)).map(|o| o.result).collect::<Vec<_>>()
    };
    assert_eq!(of(&ended.token), [Some(OutcomeResult::Ok)]);
    assert_eq!(of(&known.token), [Some(OutcomeResult::Ok)]);
    assert_eq!(of(&open_intent.token), [Some(OutcomeResult::Unknown)]);
    let unknown = outcomes.iter().find(|o| o.intent.as_ref() == Some(&open_intent.token)).unwrap();
    assert_eq!((unknown.action, &unknown.agent_id), (Action::ModelCall, &Some(agent)));
    let adopt = &actions(&ledger, Action::Adopt).await[0].payload;
    let adopt: serde_json::Value = serde_json::from_str(adopt.as_deref().unwrap()).unwrap();
    assert_eq!((&adopt["torn_bytes"], &adopt["open_intents"]), (&4.into(), &1.into()));
    assert_eq!(ledger.entries_of(segment.id()).await.unwrap().len(), 5);
    assert!(ledger.verify(None).await.unwrap().is_intact());
}

#[tokio::test]
async fn a_segment_that_was_closed_needs_no_adoption() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path()).await;
    let other = open(home.path()).await;
    other.segment().unwrap().append(&note(1)).unwrap();
    other.close().await.unwrap();
    let done = ledger.sequence(1).await.unwrap();
    assert_eq!((done.entries, done.adopted.len()), (3, 0));
    assert_eq!(fs::read_dir(home.path().join("segments")).unwrap().count(), 0);
}

#[tokio::test]
async fn damage_in_a_segment_is_located_recorded_and_stops_nobody_else() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path()).await;
    let (sick, path) = orphan(&ledger, 10);
    let (garbage, garbage_path) = orphan(&ledger, 10);
    let (well, _) = orphan(&ledger, 10);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(7).position(|window| window == b"{\"n\":4}").unwrap();
    bytes[at + 5] = b'5';
    fs::write(&path, bytes).unwrap();
    fs::write(&garbage_path, b"this was never a segment").unwrap();
    fs::write(home.path().join("segments/not a name.segment"), b"").unwrap();

    let before = ledger.verify(None).await.unwrap();
    assert_eq!(before.segments.iter().filter(|p| p.segment == sick.as_str() && p.number == 6).count(), 1, "{before:?}");
    assert!(!before.is_intact());

    let done = ledger.sequence(1).await.unwrap();
    let problems: BTreeSet<_> = done.problems.iter().map(|p| (p.segment.as_str(), p.number)).collect();
    assert_eq!(problems, BTreeSet::from([(sick.as_str(), 6), (garbage.as_str(), 1), ("not a name", 1)]));
    assert_eq!((done.adopted, actions(&ledger, Action::Damaged).await.len()), (vec![well], 2));
    assert!(path.with_extension("damaged").exists() && garbage_path.with_extension("damaged").exists());
    fs::remove_file(home.path().join("segments/not a name.segment")).unwrap();
    let after = ledger.verify(None).await.unwrap();
    assert!(after.is_intact(), "{after:?}");
    assert_eq!(after.damaged.len(), 2);
    assert_eq!(ledger.sequence(1).await.unwrap().problems, []);
}

#[tokio::test]
async fn a_segment_that_vanishes_shows() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path()).await;
    let other = open(home.path()).await;
    let segment = other.segment().unwrap();
    let intent = segment.intent(Action::ToolCall, None, None, "{}").unwrap();
    ledger.sequence(1).await.unwrap();
    fs::remove_file(home.path().join("segments").join(format!("{}.segment", segment.id()))).unwrap();
    let done = ledger.sequence(1).await.unwrap();
    assert_eq!(done.vanished, [segment.id().clone()]);
    assert_eq!(actions(&ledger, Action::Vanished).await.len(), 1);
    let calls = actions(&ledger, Action::ToolCall).await;
    assert_eq!((calls[1].result, &calls[1].intent), (Some(OutcomeResult::Unknown), &Some(intent.token)));
    let report = ledger.verify(None).await.unwrap();
    assert_eq!((report.is_intact(), report.vanished), (true, vec![segment.id().clone()]));
    assert_eq!(ledger.sequence(1).await.unwrap(), Sequenced::default());
}

#[tokio::test]
async fn a_segment_of_another_ledger_is_reported_and_left_alone() {
    let (home, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ledger, other) = (open(home.path()).await, open(elsewhere.path()).await);
    let (id, path) = orphan(&other, 3);
    let here = home.path().join("segments").join(path.file_name().unwrap());
    fs::copy(&path, &here).unwrap();
    let done = ledger.sequence(1).await.unwrap();
    assert_eq!((done.entries, done.problems[0].segment.as_str()), (0, id.as_str()));
    assert!(here.exists());
}

#[tokio::test]
async fn a_clock_that_jumps_changes_neither_order_nor_integrity() {
    struct Jumping(std::sync::atomic::AtomicUsize);
    impl crate::vocabulary::Clock for Jumping {
        fn now(&self) -> Millis {
            const TIMES: [u64; 4] = [1_700_000_000_000, 0, u64::MAX, 5];
            Millis(TIMES[self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % TIMES.len()])
        }
        fn elapsed(&self) -> std::time::Duration {
            std::time::Duration::ZERO
        }
    }
    let home = tempfile::tempdir().unwrap();
    let ports = Ports { clock: Arc::new(Jumping(0.into())), ..Ports::default() };
    let ledger = Ledger::open(home.path(), ports, Durability::Process).await.unwrap();
    for _ in 0..9 {
        let intent = ledger.segment().unwrap().intent(Action::ToolCall, None, None, "{}").unwrap();
        ledger.segment().unwrap().outcome(&intent, OutcomeResult::Ok, "{}").unwrap();
        ledger.sequence(1).await.unwrap();
    }
    let numbers: Vec<_> = ledger.list(&Filter::default()).await.unwrap().actions.into_iter().map(|a| a.number).collect();
    assert_eq!(numbers, (1..=19).collect::<Vec<_>>());
    let head = ledger.head().await.unwrap();
    assert!(ledger.verify(head).await.unwrap().is_intact());
}

#[tokio::test]
async fn a_record_that_was_changed_is_not_built_upon() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path()).await;
    ledger.segment().unwrap().append(&note(1)).unwrap();
    ledger.sequence(1).await.unwrap();
    ledger.segment().unwrap().append(&note(2)).unwrap();
    for (change, back) in [
        ("UPDATE sequencer SET peaks = zeroblob(32)", "UPDATE sequencer SET peaks = (SELECT value FROM kept)"),
        ("UPDATE agent_actions SET seq = 9 WHERE seq = 2", "UPDATE agent_actions SET seq = 2 WHERE seq = 9"),
    ] {
        let connection = Connection::open(ledger.database()).unwrap();
        connection.execute_batch("CREATE TABLE IF NOT EXISTS kept AS SELECT peaks AS value FROM sequencer").unwrap();
        connection.execute_batch(change).unwrap();
        assert_eq!(ledger.sequence(1).await.unwrap_err().code(), "ledger_damaged");
        connection.execute_batch(back).unwrap();
    }
    assert_eq!(ledger.sequence(1).await.unwrap().entries, 1, "what waited was lost");
}

#[tokio::test]
async fn a_full_database_writes_nothing_and_goes_on_when_there_is_room() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path()).await;
    ledger.segment().unwrap().append(&note(0)).unwrap();
    ledger.sequence(1).await.unwrap();
    (0..5_000).for_each(|n| drop(ledger.segment().unwrap().append(&note(n)).unwrap()));
    let limit = |pages: u32| {
        let held = ledger.inner.sequencer.lock().unwrap();
        let connection = &held.as_ref().unwrap().connection;
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    };
    limit(1);
    let full = ledger.sequence(1).await.unwrap_err();
    assert_eq!((full.kind(), full.code()), (ErrorKind::Exhausted, "disk_full"));
    assert_eq!(ledger.list(&Filter::default()).await.unwrap().unsequenced, 5_000);
    limit(u32::MAX - 1);
    assert_eq!(ledger.sequence(1).await.unwrap().entries, 5_000);
    assert!(ledger.verify(None).await.unwrap().is_intact());
}

#[tokio::test]
async fn a_long_lived_segment_does_not_fill_the_disk_and_can_still_be_read() {
    use std::os::unix::fs::MetadataExt;
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path()).await;
    let segment = ledger.segment().unwrap();
    let large = Entry::note(Millis(1), Action::Message).payload(format!("\"{}\"", "x".repeat(1_000_000)));
    for _ in 0..70 {
        segment.append(&large).unwrap();
    }
    ledger.sequence(1).await.unwrap();
    let path = home.path().join("segments").join(format!("{}.segment", segment.id()));
    let held = fs::metadata(&path).unwrap().blocks() * 512;
    assert!(held < 1_000_000, "{held} bytes are still held");
    segment.append(&note(1)).unwrap();
    assert_eq!(ledger.entries_of(segment.id()).await.unwrap().len(), 72);
    assert_eq!(ledger.sequence(1).await.unwrap().entries, 1);
    segment.abandon();
    let other = open(home.path()).await;
    assert_eq!(other.sequence(1).await.unwrap().adopted.len(), 1);
    assert!(other.verify(None).await.unwrap().is_intact());
}

#[tokio::test]
async fn where_heads_cannot_be_kept_beside_it_everything_else_is_done_and_the_newest_is_kept_later() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path()).await;
    let (id, path) = orphan(&ledger, 3);
    let heads = home.path().join("heads");
    fs::create_dir(&heads).unwrap();
    for _ in 0..2 {
        assert!(ledger.sequence(1).await.is_err(), "nobody is told that all is well");
    }
    assert!(!path.exists(), "a dead segment was taken over: {id}");
    assert_eq!(actions(&ledger, Action::Adopt).await.len(), 1);
    fs::remove_dir(&heads).unwrap();
    assert_eq!(ledger.sequence(1).await.unwrap(), Sequenced::default());
    let (kept, last) = (fs::read_to_string(&heads).unwrap(), ledger.head().await.unwrap().unwrap());
    assert_eq!(kept, format!("{}\n", last.to_line().unwrap()));
    assert!(ledger.verify(None).await.unwrap().is_intact());
}

#[tokio::test]
async fn a_head_that_a_full_disk_left_unfinished_takes_no_other_with_it() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path()).await;
    let segment = ledger.segment().unwrap();
    let heads = home.path().join("heads");
    for unfinished in ["", "{\"size\":", "{"] {
        let kept = fs::read_to_string(&heads).unwrap_or_default();
        fs::write(&heads, format!("{kept}{unfinished}")).unwrap();
        segment.append(&note(1)).unwrap();
        let made = ledger.sequence(1).await.unwrap().heads.pop().unwrap();
        assert_eq!(fs::read_to_string(&heads).unwrap(), format!("{kept}{}\n", made.to_line().unwrap()));
    }
    assert!(ledger.verify(None).await.unwrap().is_intact());
}
