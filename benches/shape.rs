//! The commit that is measured on every store: three epochs, a token, 1 KB put to a field of a table, with its event.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use governance::store::{Admission, Cell, Commit, Event, Store, Write};
use governance::vocabulary::{Clock, Key, Kind, System, Token};

/// The size of the value.
pub const VALUE: usize = 1024;

/// What every measured commit shares.
#[derive(Clone)]
pub struct Shape {
    admission: Admission,
    table: Key,
    log: Key,
    value: Bytes,
    prefix: String,
    // As the tokens of one process are: those of its handle, or of its segment in the ledger.
    tokens: Arc<AtomicU64>,
}

impl Shape {
    /// Admits an actor: tenant, pipeline and agent.
    pub async fn on(store: &Store, prefix: &str) -> Self {
        let mut admission = store.admission().await.unwrap();
        for name in ["pipeline:p:epoch", "agent:a:epoch"] {
            let key = Key::new(name, Kind::Epoch);
            // Refused if another process was first.
            store.commit(Commit::default().version(key.clone(), 0).raise(key.clone())).await.unwrap();
            let epoch = store.number(key.clone()).await.unwrap();
            admission = admission.and(key, epoch);
        }
        let (table, log) = (Key::new("blackboard:t:solutions", Kind::Table), Key::new("blackboard:t:events", Kind::Log));
        Self { admission, table, log, value: vec![b'x'; VALUE].into(), prefix: prefix.to_owned(), tokens: Arc::default() }
    }

    /// The next commit of a task.
    #[must_use]
    pub fn commit(&self, task: usize) -> Commit {
        let event = Event { log: self.log.clone(), meta: Bytes::from_static(b"{\"by\":\"alpha-1\"}"), bound: 1_000 };
        let token = Token::new(format!("{}.{}", self.prefix, self.tokens.fetch_add(1, Ordering::Relaxed))).unwrap();
        Commit::by(&self.admission).token(token).write(Write::Put {
            cell: Cell::field(self.table.clone(), format!("field-{task}")),
            value: self.value.clone(),
            ttl: None,
            event: Some(event),
        })
    }
}

/// Time since some start.
#[must_use]
pub fn now() -> Duration {
    System.elapsed()
}

/// A share of sorted times, in microseconds.
#[must_use]
pub fn at(share: f64, times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let place = (times.len() as f64 * share) as usize;
    times[place.min(times.len() - 1)].as_nanos() as f64 / 1e3
}
