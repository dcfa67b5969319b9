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
mod den;
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
pub use self::den::Den;
pub use self::review::Housekeeping;
pub use self::schedule::Look;
use self::shift::Shift;
pub use self::status::{CaretakerStatus, Overdue};
use crate::error::Result;
use crate::store::{Actor, Check, Commit, Store, Write};
use crate::vocabulary::Millis;

/// How long the caretaker's lease lasts: after a crash another takes over within it.
pub const CARETAKER_LEASE: Duration = Duration::from_secs(4);
/// How long who waits for the lease lets it be at least …
const REST: Duration = Duration::from_millis(100);
/// … and when it should have lapsed by now.
const MOMENT: Duration = Duration::from_millis(20);
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
    /// Begins to keep house as soon as nobody else does. The name must be this handle's own. A den lets handles of one machine notice
    /// at once that another's process died.
    #[must_use]
    pub fn start(store: &Store, name: &str, chores: Vec<Arc<dyn Chore>>, den: Option<Den>) -> Self {
        let stop = CancellationToken::new();
        let (store, name, stopped) = (store.clone(), name.to_owned(), stop.clone());
        let chores = chores.into_iter().map(|chore| (chore.kind(), chore)).collect();
        let task = tokio::spawn(async move {
            let _ = stopped.run_until_cancelled(keep(&store, &name, &chores, den.as_ref())).await;
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

async fn keep(store: &Store, name: &str, chores: &Chores, den: Option<&Den>) {
    loop {
        let kept = match Shift::begin(store, name, chores, den).await {
            Ok(Some(shift)) => shift.keep().await,
            Ok(None) => stand_by(store, chores, den).await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            // Stopped or unreachable: whoever is admitted again goes on.
            tracing::debug!(%error, "the caretaker pauses");
            tokio::time::sleep(TROUBLE).await;
        }
    }
}

/// Returns when the lease may be free. Watches nothing: while others keep house, a handle that waits costs next to nothing.
async fn stand_by(store: &Store, chores: &Chores, den: Option<&Den>) -> Result<()> {
    let bell = chores.values().find_map(|chore| match chore.alarm(&Charge::standing(chore.kind())) {
        Alarm::Bell(bell) if chore.is_standing() => Some(bell),
        _ => None,
    });
    loop {
        let Some(held) = store.cell(store.keys().caretaker()).await? else { return Ok(()) };
        let status = CaretakerStatus::of(store).await?;
        let here = den.filter(|den| status.as_ref().and_then(|status| status.den.as_deref()) == Some(den.place()));
        if here.is_some_and(|den| den.enter().is_some()) {
            tracing::debug!("the caretaker died");
            return inherit(store, held.version).await;
        }
        let until = status.map_or(Millis(0), |status| status.until);
        let left = until.since(store.now().await?).min(CARETAKER_LEASE);
        // Renewed a moment ago, or about to lapse: the claim tells.
        tokio::time::sleep(REST.min(left.max(MOMENT))).await;
        if left.is_zero() {
            return Ok(());
        }
        // Somebody in this process waits for what a caretaker does: perhaps nobody keeps house any more.
        let rings = async {
            match &bell {
                Some(bell) => bell.notified().await,
                None => std::future::pending().await,
            }
        };
        let _ = tokio::time::timeout(left.saturating_sub(REST), rings).await;
    }
}

/// Frees the lease that a dead process of this machine holds under a fence.
async fn inherit(store: &Store, fence: u64) -> Result<()> {
    let lease = store.keys().caretaker();
    let gone = Commit::by(&store.admission().await?).check(Check::Fence { lease: lease.clone(), fence }).write(Write::Delete(lease.into()));
    // Refused where it has lapsed, or somebody else was faster.
    store.commit(gone).await.map(drop)
}
