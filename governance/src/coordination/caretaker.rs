//! A library has no daemon, and silence needs somebody awake: one leased, fenced caretaker a tenant, in any open handle.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::Lease;
use crate::error::{ErrorKind, Result};
use crate::store::{Actor, Store};

/// How long the caretaker's lease lasts: after a crash another takes over within it.
const LEASE: Duration = Duration::from_millis(1_500);
/// How long work that nobody announced may lie.
const ROUND: Duration = Duration::from_millis(20);
/// How long a round is put off at most while there is nothing to do.
const IDLE: Duration = Duration::from_millis(100);

/// Something that somebody must do now and then.
#[async_trait]
pub trait Chore: Send + Sync {
    /// Does what is due, under the caretaker's fence. Answers whether there was anything to do.
    async fn tidy(&self, fence: u64) -> Result<bool>;
}

/// Keeps house until it is dropped.
pub struct Caretaker {
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Caretaker {
    /// Begins to keep house as soon as nobody else does.
    #[must_use]
    pub fn start(store: &Store, name: &str, chores: Vec<Arc<dyn Chore>>) -> Self {
        let stop = CancellationToken::new();
        let (store, name) = (store.clone(), name.to_owned());
        let watching = stop.clone();
        let task = tokio::spawn(async move {
            let _ = watching.run_until_cancelled(keep(&store, &name, &chores)).await;
        });
        Self { stop, task: Some(task) }
    }

    /// Stops keeping house and lets the next one take over at once.
    pub async fn stop(mut self, store: &Store, name: &str) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
        let _ = release(store, name).await;
    }
}

impl Drop for Caretaker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn release(store: &Store, name: &str) -> Result<()> {
    let held = store.cell(store.keys().caretaker()).await?;
    if let Some(held) = held.filter(|held| held.value == name.as_bytes()) {
        let actor = Actor::system(store, name).await?;
        let gone = crate::store::Write::Delete(store.keys().caretaker().into());
        store.commit(actor.commit().version(store.keys().caretaker(), held.version).write(gone)).await?;
    }
    Ok(())
}

async fn keep(store: &Store, name: &str, chores: &[Arc<dyn Chore>]) {
    loop {
        if let Err(error) = watch_over(store, name, chores).await {
            // Stopped or unreachable: whoever is admitted again goes on.
            tracing::debug!(%error, "the caretaker pauses");
        }
        tokio::time::sleep(LEASE / 10).await;
    }
}

async fn watch_over(store: &Store, name: &str, chores: &[Arc<dyn Chore>]) -> Result<()> {
    let actor = Actor::system(store, name).await?;
    let keys = store.keys();
    let Some(mut lease) = Lease::claim(store, keys.caretaker(), keys.caretaker_fence(), &actor, LEASE).await? else { return Ok(()) };
    let mut pause = ROUND;
    loop {
        let mut busy = false;
        for chore in chores {
            match chore.tidy(lease.fence()).await {
                Ok(some) => busy |= some,
                Err(error) if error.kind() == ErrorKind::Conflict => return Err(error),
                Err(error) => tracing::warn!(%error, "a chore failed and is tried again"),
            }
        }
        pause = if busy { ROUND } else { (pause * 2).min(IDLE) };
        if lease.left() < LEASE * 2 / 3 && !lease.renew().await? {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
    }
}
