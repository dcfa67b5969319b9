//! Payloads of the ledger that have become too old.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use crate::coordination::{Alarm, Charge, ChargeKind, Chore, Keeper, Look};
use crate::error::{Error, Result};
use crate::ledger::{Droppable, Ledger, OutcomeResult};
use crate::store::Store;
use crate::vocabulary::{Clock, Millis};

/// The pause between two rounds: so many of them come into the age at which payloads go …
const ROUNDS: u32 = 90;
/// … but no more than this often, and one a day at least.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(24 * 60 * 60));
/// How often the sequencer is asked to bring an entry into the record.
const TRIES: usize = 1_000;

/// Asks for old payloads to be dropped, and drops what the record asks for, whoever asked.
pub struct Retention {
    store: Store,
    ledger: Ledger,
    age: Option<Duration>,
    // When it looked for old payloads last, by this machine's clock.
    looked: Mutex<Option<Duration>>,
}

impl Retention {
    /// For a ledger whose payloads are kept for so long; for ever where no age is given.
    #[must_use]
    pub fn new(store: &Store, ledger: &Ledger, age: Option<Duration>) -> Self {
        Self { store: store.clone(), ledger: ledger.clone(), age, looked: Mutex::default() }
    }

    fn clock(&self) -> &dyn Clock {
        &*self.store.ports().clock
    }

    /// How long until old payloads are looked for; none where nothing will be old.
    async fn wait(&self) -> Result<Option<Duration>> {
        let Some(age) = self.age else { return Ok(None) };
        // What comes into the record from now on is young for that long.
        let ripe = self.ledger.ages(age).await?.map_or(age, |at| at.since(self.clock().now()));
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let rest =
            looked.map_or(Duration::ZERO, |at| (at + (age / ROUNDS).clamp(PAUSES.0, PAUSES.1)).saturating_sub(self.clock().elapsed()));
        Ok(Some(ripe.max(rest)))
    }

    /// Has the record ask for what is old.
    async fn ask(&self, age: Duration, keeper: &Keeper) -> Result<()> {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock().elapsed());
        let Some(old) = self.ledger.droppable(age).await? else { return Ok(()) };
        let Droppable { through, entries, .. } = old;
        let intent = self.ledger.ask_to_drop(&old, keeper.actor.id.as_str())?;
        let dropped = match self.recorded(through, keeper).await {
            Ok(()) => self.carry_out(keeper).await,
            Err(error) => Err(error),
        };
        let (result, says) = match &dropped {
            Ok(count) => (OutcomeResult::Ok, json!({"dropped": count})),
            Err(error) => (OutcomeResult::Unknown, json!({"code": error.code(), "message": error.to_string()})),
        };
        self.ledger.segment()?.outcome(&intent, result, &says.to_string())?;
        tracing::info!(through, entries, "old payloads of the ledger were dropped");
        dropped.map(drop)
    }

    /// Returns once the record asks for it.
    async fn recorded(&self, through: u64, keeper: &Keeper) -> Result<()> {
        for _ in 0..TRIES {
            self.ledger.sequence(keeper.fence).await?;
            if self.ledger.retention().await?.asked >= through {
                return Ok(());
            }
        }
        Err(Error::unavailable("retention_waits", "what asks for payloads to be dropped does not come into the record: see its problems"))
    }

    /// Drops what the record asks for, piece by piece, so that others come to their turn in between.
    async fn carry_out(&self, keeper: &Keeper) -> Result<u64> {
        let mut count = 0;
        loop {
            let piece = self.ledger.drop_payloads(keeper.fence).await?;
            count += piece.entries;
            if !piece.more {
                return Ok(count);
            }
        }
    }
}

#[async_trait]
impl Chore for Retention {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Retention
    }

    fn is_standing(&self) -> bool {
        true
    }

    fn alarm(&self, _charge: &Charge) -> Alarm {
        Alarm::Bell(self.ledger.asked_to_drop())
    }

    fn rest(&self) -> Duration {
        PAUSES.0
    }

    async fn look(&self, _charge: &Charge, now: Millis) -> Result<Look> {
        let state = self.ledger.retention().await?;
        if state.asked > state.done {
            return Ok(Look::Due(Some(now)));
        }
        Ok(Look::Due(self.wait().await?.map(|wait| now.after(wait))))
    }

    async fn act(&self, _charge: &Charge, keeper: &Keeper) -> Result<()> {
        self.carry_out(keeper).await?;
        match self.age {
            Some(age) if self.wait().await?.is_some_and(|wait| wait.is_zero()) => self.ask(age, keeper).await,
            _ => Ok(()),
        }
    }
}
