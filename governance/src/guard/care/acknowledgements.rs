//! Revocations and stops that the store holds and the ledger was not told of: whoever made them died in between.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::coordination::{Alarm, Charge, ChargeKind, Chore, Keeper, Look};
use crate::error::Result;
use crate::guard::Recorder;
use crate::store::Store;
use crate::vocabulary::Millis;

/// How long whoever revokes may take to tell the ledger by itself.
const GRACE: Duration = Duration::from_secs(2);

/// Tells the ledger of generations that nobody acknowledged. ADR 2.
pub struct Acknowledgements {
    store: Store,
    recorder: Recorder,
    // A generation that is waited for, and since when.
    missing: Mutex<Option<(u64, Millis)>>,
}

impl Acknowledgements {
    /// For a store and the ledger that remembers its generation.
    #[must_use]
    pub fn new(store: &Store, recorder: &Recorder) -> Self {
        Self { store: store.clone(), recorder: recorder.clone(), missing: Mutex::default() }
    }
}

#[async_trait]
impl Chore for Acknowledgements {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Acknowledgements
    }

    fn is_standing(&self) -> bool {
        true
    }

    fn alarm(&self, _charge: &Charge) -> Alarm {
        Alarm::Keys(vec![self.store.keys().generation()])
    }

    fn rest(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn look(&self, _charge: &Charge, now: Millis) -> Result<Look> {
        let held = self.store.number(self.store.keys().generation()).await?;
        let known = self.recorder.acknowledged().await?.is_none_or(|known| known >= held);
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if known {
            *missing = None;
            return Ok(Look::Due(None));
        }
        let since = missing.filter(|(generation, _)| *generation == held).map_or(now, |(_, since)| since);
        *missing = Some((held, since));
        Ok(Look::Due(Some(since.after(GRACE))))
    }

    async fn act(&self, _charge: &Charge, _keeper: &Keeper) -> Result<()> {
        let held = self.store.number(self.store.keys().generation()).await?;
        tracing::info!(generation = held, "a revocation was not acknowledged by who made it, and is now");
        self.recorder.acknowledge(held).await
    }
}
