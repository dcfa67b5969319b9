use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::EntryKind;
use super::super::sink::Flush;
use super::*;
use crate::vocabulary::Millis;

fn ledger() -> LedgerId {
    LedgerId::new("ledger-1").unwrap()
}

fn open(directory: &Path, durability: Durability) -> Segment {
    Segment::open(directory, &ledger(), &Ports::default(), durability).unwrap()
}

fn note(text: &str) -> Entry {
    Entry::note(Millis(1), Action::ToolCall).payload(text)
}

#[test]
fn what_is_acknowledged_is_in_the_file_at_once_and_in_order() {
    for durability in Durability::ALL {
        let home = tempfile::tempdir().unwrap();
        let segment = Arc::new(open(home.path(), *durability));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| drop(segment.append(&note("{}")).unwrap())));
            }
        });
        let written = segment.append(&note("{\"last\":1}")).unwrap();
        assert_eq!(written, Written { number: 202, token: Token::of_intent(segment.id(), 202) });
        let entries = read_all(home.path(), segment.id()).unwrap();
        assert_eq!(entries.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=202).collect::<Vec<_>>());
        assert_eq!((entries[0].1.action, &entries[201].1), (Action::Open, &note("{\"last\":1}")));
    }
}

#[test]
fn an_outcome_bears_its_intents_names() {
    let home = tempfile::tempdir().unwrap();
    let segment = open(home.path(), Durability::Process);
    let agent = AgentId::new("alpha-1").unwrap();
    let intent = segment.intent(Action::ModelCall, Some(&agent), None, "{}").unwrap();
    segment.outcome(&intent, OutcomeResult::Ok, "{}").unwrap();
    let (_, outcome) = read_all(home.path(), segment.id()).unwrap().pop().unwrap();
    assert_eq!((outcome.intent, outcome.result, outcome.agent), (Some(intent.token), Some(OutcomeResult::Ok), Some(agent)));
}

#[test]
fn the_owner_lives_until_it_closes_and_a_closed_segment_takes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let segment = open(home.path(), Durability::Process);
    assert!(is_alive(home.path(), segment.id()).unwrap());
    segment.close().unwrap();
    assert!(!is_alive(home.path(), segment.id()).unwrap());
    assert_eq!(segment.append(&note("{}")).unwrap_err().code(), "segment_closed");
    assert_eq!(read_all(home.path(), segment.id()).unwrap().pop().unwrap().1.action, Action::Close);
    assert!(!is_alive(home.path(), &SegmentId::new("gone").unwrap()).unwrap());
}

#[test]
fn entries_that_cannot_be_recorded_are_refused_before_anything_is_written() {
    let home = tempfile::tempdir().unwrap();
    let segment = open(home.path(), Durability::Process);
    let large = "x".repeat(super::super::MAX_PAYLOAD + 1);
    assert_eq!(segment.append(&note(&large)).unwrap_err().code(), "payload_too_large");
    let orphan = Entry::new(Millis(1), EntryKind::Outcome, Action::Vote);
    assert_eq!(segment.append(&orphan).unwrap_err().code(), "outcome_without_intent");
    assert_eq!(segment.entries(), 1);
}

/// A disk with so many bytes of room; a failing write leaves what still fitted.
struct Small {
    file: File,
    room: Arc<Mutex<usize>>,
    stuck: bool,
}

impl Sink for Small {
    fn put(&mut self, bytes: &[u8], end: u64) -> io::Result<()> {
        let mut room = self.room.lock().unwrap();
        let fits = bytes.len().min(*room);
        *room -= fits;
        self.file.put(&bytes[..fits], end)?;
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut(&mut self, offset: u64) -> io::Result<()> {
        // Even cutting fails the first time.
        if !std::mem::replace(&mut self.stuck, true) {
            return Err(io::ErrorKind::Other.into());
        }
        self.file.cut(offset)
    }

    fn flusher(&self) -> io::Result<Box<dyn Flush>> {
        self.file.flusher()
    }
}

#[test]
fn a_full_disk_refuses_the_entry_and_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let id = SegmentId::new("s-1").unwrap();
    let path = home.path().join("s-1.segment");
    let room = Arc::new(Mutex::new(1000));
    let sink = Small { file: create(&path).unwrap(), room: room.clone(), stuck: false };
    let segment = Segment::over(Box::new(sink), id.clone(), path, &Ports::default(), Durability::Process);
    let mut written = 0;
    let refused = loop {
        match segment.append(&note("{}")) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Exhausted, "disk_full"));
    assert_eq!(read_all(home.path(), &id).unwrap().len(), written);
    *room.lock().unwrap() = 1000;
    segment.append(&note("{}")).unwrap();
    assert_eq!(read_all(home.path(), &id).unwrap().len(), written + 1);
}

/// A disk whose flushes fail, each once somebody else has written too.
struct Failing(File, Arc<std::sync::Barrier>, Arc<AtomicUsize>);

impl Sink for Failing {
    fn put(&mut self, bytes: &[u8], end: u64) -> io::Result<()> {
        self.2.fetch_add(1, Ordering::SeqCst);
        self.0.put(bytes, end)
    }

    fn cut(&mut self, offset: u64) -> io::Result<()> {
        self.0.cut(offset)
    }

    fn flusher(&self) -> io::Result<Box<dyn Flush>> {
        Ok(Box::new(Failed(self.1.clone(), self.2.clone())))
    }
}

struct Failed(Arc<std::sync::Barrier>, Arc<AtomicUsize>);

impl Flush for Failed {
    fn flush(&self) -> io::Result<()> {
        let before = self.1.load(Ordering::SeqCst);
        self.0.wait();
        // The other writes, and comes to its own flush.
        while self.1.load(Ordering::SeqCst) == before {
            std::thread::yield_now();
        }
        Err(io::ErrorKind::Other.into())
    }
}

#[test]
fn whoever_waits_for_a_flush_that_fails_is_not_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("s-1.segment");
    let both = Arc::new(std::sync::Barrier::new(2));
    let sink = Failing(create(&path).unwrap(), both.clone(), Arc::default());
    let id = SegmentId::new("s-1").unwrap();
    let segment = Segment::over(Box::new(sink), id, path, &Ports::default(), Durability::Disk);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| segment.append(&note("{}")).map_err(|error| error.code().to_owned()));
        both.wait();
        let second = segment.append(&note("{}")).map_err(|error| error.code().to_owned());
        assert_eq!((first.join().unwrap(), second), (Err("segment_not_durable".to_owned()), Err("segment_not_durable".to_owned())));
    });
    assert_eq!(segment.append(&note("{}")).unwrap_err().code(), "segment_closed");
}

#[tokio::test]
async fn whoever_writes_holds_nobody_else_up() {
    let home = tempfile::tempdir().unwrap();
    let ledger = super::super::Ledger::open(home.path(), Ports::default(), Durability::Disk).await.unwrap();
    ledger.write(|segment, _| segment.append(&note("{}"))).unwrap();
    let written = ledger.write(|_, _| {
        let (ledger, (done, told)) = (ledger.clone(), std::sync::mpsc::channel());
        std::thread::spawn(move || done.send(ledger.write(|segment, _| segment.append(&note("{}"))).map(|(written, _)| written.number)));
        Ok(told.recv_timeout(std::time::Duration::from_secs(10)).expect("the other has to wait"))
    });
    assert_eq!(written.unwrap().0.unwrap(), 3);
}

#[test]
fn a_directory_that_cannot_be_used_is_a_clear_error() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Segment::open(&file, &ledger(), &Ports::default(), Durability::Process).unwrap_err();
    assert_eq!(error.code(), "not_a_directory");
    let error = Segment::open(&home.path().join("gone"), &ledger(), &Ports::default(), Durability::Process).unwrap_err();
    assert_eq!(error.code(), "file_missing");
}

#[test]
fn every_trouble_with_a_file_says_what_to_do() {
    let said = |kind: io::ErrorKind| trouble(Path::new("x.segment"), &kind.into());
    assert_eq!(said(io::ErrorKind::PermissionDenied).code(), "not_writable");
    assert_eq!(said(io::ErrorKind::ReadOnlyFilesystem).code(), "not_writable");
    assert_eq!(said(io::ErrorKind::QuotaExceeded).code(), "disk_full");
    assert_eq!(said(io::ErrorKind::Other).kind(), ErrorKind::Unavailable);
}
