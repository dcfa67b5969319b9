//! A library has no daemon, and silence needs somebody awake: one leased, fenced caretaker a tenant, in any open handle.
//!
//! ```text
//!   begins a vote, an inbox, a budget, a heartbeat ──same commit──▶ caretaker:charges
//!                                                                        │ read at take-over, then watched
//!   every open handle:  standby ──lease lapsed or given back──▶ shift:  Schedule ── look ──▶ act, fenced
//!                          ▲                                      │       ▲  (a timer heap)
//!                          └────────────── lease lost ────────────┘       └── a key changed, a bell rang
//! ```
//!
//! Nothing is polled: who keeps house sleeps until the next thing is due, something stirs, or its lease must be renewed; who does not, until
//! that lease ends. All times are the store's, on a clock that goes on while the machine sleeps.

mod charge;
mod chore;
mod review;
mod schedule;
mod shift;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use self::charge::{Charge, ChargeKind};
pub use self::chore::{Alarm, Chore, Keeper};
pub use self::review::Housekeeping;
pub use self::schedule::Look;
use self::shift::Shift;
pub use self::status::{CaretakerStatus, Overdue};
use crate::error::Result;
use crate::store::{Actor, Store, Write};
use crate::vocabulary::Millis;

/// How long the caretaker's lease lasts: after a crash another takes over within it.
pub const CARETAKER_LEASE: Duration = Duration::from_secs(3);
/// How long who waits for the lease lets it be while it stirs all the time.
const REST: Duration = Duration::from_millis(100);
/// How long a handle waits after it could not even try.
const TROUBLE: Duration = Duration::from_millis(500);

/// The chores, by what they look after.
type Chores = BTreeMap<ChargeKind, Arc<dyn Chore>>;

/// Keeps house, whenever nobody else does, until it is stopped or dropped.
pub struct Caretaker {
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Caretaker {
    /// Begins to keep house as soon as nobody else does. The name must be this handle's own.
    #[must_use]
    pub fn start(store: &Store, name: &str, chores: Vec<Arc<dyn Chore>>) -> Self {
        let stop = CancellationToken::new();
        let (store, name, stopped) = (store.clone(), name.to_owned(), stop.clone());
        let chores = chores.into_iter().map(|chore| (chore.kind(), chore)).collect();
        let task = tokio::spawn(async move {
            let _ = stopped.run_until_cancelled(keep(&store, &name, &chores)).await;
        });
        Self { stop, task: Some(task) }
    }

    /// Stops keeping house and lets the next one take over at once.
    pub async fn stop(mut self, store: &Store, name: &str) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
        // Otherwise whoever is next waits for the lease's end.
        let _ = release(store, name).await;
    }
}

impl Drop for Caretaker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn release(store: &Store, name: &str) -> Result<()> {
    let (lease, keys) = (store.keys().caretaker(), store.keys());
    let held = store.cell(lease.clone()).await?;
    if let Some(held) = held.filter(|held| held.value == name.as_bytes()) {
        let actor = Actor::system(store, name).await?;
        let gone = actor.commit().version(lease.clone(), held.version).write(Write::Delete(lease.into()));
        store.commit(gone.write(Write::Delete(keys.caretaker_status().into()))).await?;
    }
    Ok(())
}

async fn keep(store: &Store, name: &str, chores: &Chores) {
    loop {
        let kept = match Shift::begin(store, name, chores).await {
            Ok(Some(shift)) => shift.keep().await,
            Ok(None) => stand_by(store).await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            // Stopped or unreachable: whoever is admitted again goes on.
            tracing::debug!(%error, "the caretaker pauses");
            tokio::time::sleep(TROUBLE).await;
        }
    }
}

/// Returns when the lease may be free.
async fn stand_by(store: &Store) -> Result<()> {
    let lease = store.keys().caretaker();
    let mut watch = store.watch(std::slice::from_ref(&lease)).await?;
    loop {
        if store.cell(lease.clone()).await?.is_none() {
            return Ok(());
        }
        let until = CaretakerStatus::of(store).await?.map_or(Millis(0), |status| status.until);
        let left = until.since(store.now().await?);
        if left.is_zero() {
            // Renewed a moment ago, or about to lapse: the claim tells.
            tokio::time::sleep(REST).await;
            return Ok(());
        }
        if tokio::time::timeout(left.min(CARETAKER_LEASE), watch.changed()).await.is_ok() {
            tokio::time::sleep(REST).await;
        }
    }
}
