//! Writers that go on while something happens to the store, and what must hold whatever it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governance::store::{Commit, Outcome, Refused, Store, Write};
use governance::vocabulary::{Key, Kind};
use tokio::task::JoinHandle;

/// How long a writer's call waits for the store: longer than any failover here.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Writers, each with a counter, a record and a log of its own that one commit writes together.
pub struct Load {
    writers: Vec<Arc<Writer>>,
    tasks: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

struct Writer {
    store: Store,
    name: String,
    // How many commits were acknowledged, and how many were denied because the store lost writes.
    acknowledged: AtomicU64,
    denied: AtomicU64,
}

impl Load {
    /// Begins to write with each of these handles.
    pub fn begin(name: &str, stores: Vec<Store>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writer = |(number, store): (usize, Store)| {
            let name = format!("{name}:{number}");
            Arc::new(Writer { store: store.within(PATIENCE), name, acknowledged: AtomicU64::new(0), denied: AtomicU64::new(0) })
        };
        let writers: Vec<_> = stores.into_iter().enumerate().map(writer).collect();
        let tasks = writers.iter().map(|writer| tokio::spawn(write(writer.clone(), stop.clone()))).collect();
        Self { writers, tasks, stop }
    }

    /// Waits until every writer has had so many more answers than now.
    pub async fn goes_on(&self, more: u64) {
        let answered = |writer: &Writer| writer.acknowledged.load(Ordering::SeqCst) + writer.denied.load(Ordering::SeqCst);
        let wanted: Vec<_> = self.writers.iter().map(|writer| answered(writer) + more).collect();
        let until = Instant::now() + PATIENCE;
        while self.writers.iter().zip(&wanted).any(|(writer, wanted)| answered(writer) < *wanted) {
            assert!(Instant::now() < until, "the writers do not go on");
            assert!(self.tasks.iter().all(|task| !task.is_finished()), "a writer has failed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends the load.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
    }

    /// Ends the load, and looks at what the store holds. Answers how many commits were denied.
    pub async fn end(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
        let (mut denials, mut lost) = (0, 0);
        for writer in self.writers {
            let (store, keys) = (&writer.store, Mine::of(&writer));
            let (acknowledged, denied) = (writer.acknowledged.load(Ordering::SeqCst), writer.denied.load(Ordering::SeqCst));
            let held = store.number(keys.counter).await.unwrap();
            let record = store.cell(keys.record).await.unwrap().map_or(0, |record| record.version);
            let log = store.log(keys.log, 0, 0).await.unwrap().last;
            assert_eq!((record, log), (held, held), "writer {}: a commit is half there", writer.name);
            if denied == 0 {
                assert_eq!(held, acknowledged, "writer {}: acknowledged, held and not denied", writer.name);
            } else {
                assert!(held <= acknowledged, "writer {}: {held} held of {acknowledged}", writer.name);
            }
            denials += denied;
            lost += acknowledged - held;
        }
        assert_eq!(denials > 0, lost > 0, "{denials} denials, {lost} lost");
        denials
    }
}

struct Mine {
    counter: Key,
    record: Key,
    log: Key,
}

impl Mine {
    fn of(writer: &Writer) -> Self {
        let key = |what: &str, kind| Key::new(format!("{}load:{}:{what}", writer.store.keys().prefix(), writer.name), kind);
        Self { counter: key("count", Kind::Counter), record: key("record", Kind::Record), log: key("log", Kind::Log) }
    }
}

async fn write(writer: Arc<Writer>, stop: Arc<AtomicBool>) {
    let keys = Mine::of(&writer);
    while !stop.load(Ordering::SeqCst) {
        let commit = Commit::default()
            .write(Write::Add { counter: keys.counter.clone(), delta: 1, ttl: None })
            .put(keys.record.clone(), "x".repeat(200))
            .write(Write::Append { log: keys.log.clone(), value: "x".into(), bound: 0 });
        match writer.store.commit(commit).await.unwrap() {
            Outcome::Accepted(_) => writer.acknowledged.fetch_add(1, Ordering::SeqCst),
            Outcome::Refused(Refused::RolledBack { .. }) => {
                // Nothing can be done until somebody recovers the store.
                tokio::time::sleep(Duration::from_millis(10)).await;
                writer.denied.fetch_add(1, Ordering::SeqCst)
            }
            Outcome::Refused(refused) => panic!("writer {}: {refused:?}", writer.name),
        };
    }
}
