//! What is done again and again, for many, by one task: a beat, a renewal, a look.
//!
//! ```text
//!   begin(thing, pause) ─▶ a heap of who is due when ─▶ its time came ─▶ looked at: again then │ work of its own: again afterwards │ over
//! ```
//!
//! One task for each store and runtime of a process. Whoever recurs costs an entry, not a task that sleeps.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use crate::store::Store;

/// Something that recurs.
pub(crate) trait Recurring: Send + Sync + 'static {
    /// Its time has come. Called by the one task, so it must not block.
    fn comes(self: Arc<Self>) -> Comes;
}

/// What becomes of something whose time has come.
pub(crate) enum Comes {
    /// Done; again after so long.
    Again(Duration),
    /// To be done in a task of its own, which says after how long again, or that it is over.
    Work(Pin<Box<dyn Future<Output = Option<Duration>> + Send>>),
}

/// Has something recur until this is dropped. What is being done for it then is dropped too.
pub(crate) struct Recurrence(Arc<Entry>);

struct Entry {
    thing: Arc<dyn Recurring>,
    state: Mutex<State>,
}

enum State {
    Waits,
    Works(AbortHandle),
    Over,
}

/// The tasks of a store, by the runtime that they live in: what was begun in one ends with it.
#[derive(Default)]
pub(crate) struct Rounds {
    tasks: Mutex<HashMap<Id, Task>>,
}

struct Task {
    clock: Arc<Clockwork>,
    goes: JoinHandle<()>,
}

#[derive(Default)]
struct Clockwork {
    waiting: Mutex<BinaryHeap<Reverse<Due>>>,
    // Somebody came who is due before everybody else.
    bell: Notify,
}

struct Due {
    at: Instant,
    // Dropped long before its time, it costs no more than this until then.
    who: Weak<Entry>,
}

impl Rounds {
    /// Has something recur, for the first time after a pause.
    pub fn begin(store: &Store, thing: Arc<dyn Recurring>, pause: Duration) -> Recurrence {
        let entry = Arc::new(Entry { thing, state: Mutex::new(State::Waits) });
        let rounds: Arc<Self> = store.beside();
        let mut tasks = lock(&rounds.tasks);
        // One whose runtime has ended takes nobody in any more.
        tasks.retain(|_, task| !task.goes.is_finished());
        let task = tasks.entry(Handle::current().id()).or_insert_with(|| {
            let clock = Arc::<Clockwork>::default();
            Task { goes: tokio::spawn(go_round(clock.clone())), clock }
        });
        task.clock.add(&entry, pause);
        Recurrence(entry)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // Nobody has the store any more, so nobody recurs.
        self.goes.abort();
    }
}

async fn go_round(clock: Arc<Clockwork>) {
    loop {
        match clock.turn() {
            Some(at) => tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = clock.bell.notified() => {}
            },
            None => clock.bell.notified().await,
        }
    }
}

impl Clockwork {
    fn add(&self, entry: &Arc<Entry>, pause: Duration) {
        let at = Instant::now() + pause;
        let mut waiting = lock(&self.waiting);
        let first = waiting.peek().is_none_or(|Reverse(due)| at < due.at);
        waiting.push(Reverse(Due { at, who: Arc::downgrade(entry) }));
        drop(waiting);
        if first {
            self.bell.notify_one();
        }
    }

    /// Sees to everybody whose time has come. Answers when the next one's does.
    fn turn(self: &Arc<Self>) -> Option<Instant> {
        loop {
            let now = Instant::now();
            let who = {
                let mut waiting = lock(&self.waiting);
                // Whoever is gone is not waited for.
                while waiting.peek().is_some_and(|Reverse(due)| due.who.strong_count() == 0) {
                    waiting.pop();
                }
                match waiting.peek() {
                    Some(Reverse(due)) if due.at <= now => waiting.pop(),
                    other => return other.map(|Reverse(due)| due.at),
                }
            };
            if let Some(entry) = who.and_then(|Reverse(due)| due.who.upgrade()) {
                self.see_to(&entry);
            }
        }
    }

    fn see_to(self: &Arc<Self>, entry: &Arc<Entry>) {
        let mut state = lock(&entry.state);
        if matches!(*state, State::Over) {
            return;
        }
        let thing = entry.thing.clone();
        // One that panics ends itself, and nobody else.
        match catch_unwind(AssertUnwindSafe(|| thing.comes())) {
            Err(_) => *state = State::Over,
            Ok(Comes::Again(pause)) => self.add(entry, pause),
            Ok(Comes::Work(work)) => {
                let (of, clock) = (Arc::downgrade(entry), self.clone());
                let works = tokio::spawn(async move {
                    let again = work.await;
                    let Some(entry) = of.upgrade() else { return };
                    let mut state = lock(&entry.state);
                    if let (Some(pause), State::Works(_)) = (again, &*state) {
                        *state = State::Waits;
                        clock.add(&entry, pause);
                    } else {
                        *state = State::Over;
                    }
                });
                *state = State::Works(works.abort_handle());
            }
        }
    }
}

impl Drop for Recurrence {
    fn drop(&mut self) {
        if let State::Works(works) = std::mem::replace(&mut *lock(&self.0.state), State::Over) {
            works.abort();
        }
    }
}

impl std::fmt::Debug for Recurrence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recurrence").finish_non_exhaustive()
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

fn lock<T: ?Sized>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "rounds_tests.rs"]
mod tests;
