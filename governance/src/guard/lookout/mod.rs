//! Who works in this process, watched over by one task, which hears of each revocation and confirms it.
//!
//! ```text
//!   hold(actor) ─▶ Watched ◀── ended? ── the watcher ◀── wakes ── generation, epochs of tenant and pipelines
//!                     │                      │
//!                     └ work() while a tool   └▶ `processes`: what this process has seen, what it ended, what still runs
//!                       or a child runs
//! ```
//!
//! One for each store of a process, however many agents: an agent costs an entry, not a task. It is registered in the shared state before
//! anything that it watches over begins, so that whoever stops something knows who must confirm. See [`receipts`](super::receipts).

mod process;
mod watched;
mod watcher;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

pub(super) use self::process::runtime;
pub use self::process::{Act, Process, Unfinished, name_runtime};
pub(crate) use self::watched::{Held, Watched, Work};
use self::watcher::Watcher;
use super::turns::Turns;
use crate::error::Result;
use crate::store::{Actor, Store};
use crate::vocabulary::SegmentId;

/// Why somebody does nothing more that left by itself.
const LEFT: &str = "it has left";

/// Everybody in this process who works on one store.
#[derive(Default)]
pub(crate) struct Lookout {
    watched: Mutex<Vec<Weak<Watched>>>,
    // This process's name there, the same each time that it is registered.
    name: std::sync::OnceLock<SegmentId>,
    // Somebody came, went, or finished.
    bell: Arc<Notify>,
    watching: Turns<Option<tokio::task::JoinHandle<()>>>,
}

impl Lookout {
    /// Watches over an actor until what this answers is dropped. Returns once this process is registered.
    pub async fn hold(store: &Store, actor: &Actor) -> Result<Held> {
        let lookout: Arc<Self> = store.beside();
        let watched = Arc::new(Watched::new(actor.clone(), lookout.bell.clone()));
        {
            let mut all = lookout.watched.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(Arc::downgrade(&watched));
        }
        let held = Held::new(watched);
        let mut watching = lookout.watching.next().await?;
        // One that belonged to a runtime that has ended is begun anew.
        if watching.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
            match Watcher::begin(store, &lookout).await {
                Ok(watcher) => *watching = Some(tokio::spawn(watcher.watch())),
                Err(error) => return watching.ended(Err(error)),
            }
        } else {
            lookout.bell.notify_one();
        }
        Ok(held)
    }

    /// An actor does nothing more, by its own will: here its tools are refused from now on, and what runs for it is dropped.
    pub fn has_left(store: &Store, actor: &Actor) {
        let lookout: Arc<Self> = store.beside();
        for watched in lookout.everybody().iter().filter(|watched| watched.actor == *actor) {
            watched.end(LEFT);
        }
    }

    /// Waits until this process is not registered any more, if nobody is watched over.
    pub async fn settle(store: &Store) {
        let lookout: Arc<Self> = store.beside();
        while lookout.everybody().iter().all(|watched| watched.is_let_go()) {
            let gone = lookout.watching.turn().await.as_ref().is_none_or(tokio::task::JoinHandle::is_finished);
            if gone {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// Who is there.
    fn everybody(&self) -> Vec<Arc<Watched>> {
        let mut all = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let mut here = Vec::with_capacity(all.len());
        all.retain(|watched| watched.upgrade().map(|watched| here.push(watched)).is_some());
        here
    }
}
