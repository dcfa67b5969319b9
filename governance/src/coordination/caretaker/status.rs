//! What the caretaker says of itself, for whoever asks and for who waits to take over.

use serde::{Deserialize, Serialize};

use super::CARETAKER_LEASE;
use crate::error::Result;
use crate::store::Store;
use crate::vocabulary::Millis;

/// How many overdue things are named.
pub(super) const NAMED: usize = 20;

/// The record `caretaker:status`: written with the lease and each of its renewals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaretakerStatus {
    /// Its name.
    pub name: String,
    /// Its process, on its machine.
    pub pid: u32,
    /// Which file it keeps locked while it lives, in which boot of its machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub den: Option<String>,
    /// Since when it keeps house, on the store's clock.
    pub since: Millis,
    /// Until when it does so at least, unless it dies. Somebody else takes over after that.
    pub until: Millis,
    /// How many things it looks after.
    pub charges: u64,
    /// What is overdue, the oldest first.
    pub overdue: Vec<Overdue>,
}

/// Something that should have been done by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overdue {
    /// What.
    pub what: String,
    /// Since when, on the store's clock; none where it could not even be looked at.
    pub since: Option<Millis>,
    /// How often it was tried in vain.
    pub failures: u32,
    /// What went wrong last.
    pub why: Option<String>,
}

impl CaretakerStatus {
    /// What whoever begins now says.
    pub(super) fn new(name: &str, den: Option<String>, now: Millis) -> Self {
        let until = now.after(CARETAKER_LEASE);
        Self { name: name.to_owned(), pid: std::process::id(), den, since: now, until, charges: 0, overdue: Vec::new() }
    }

    /// What the caretaker of a store's tenant said last; none where nobody keeps house and the last one left in order.
    pub async fn of(store: &Store) -> Result<Option<Self>> {
        Ok(store.json(store.keys().caretaker_status()).await?.map(|(_, status)| status))
    }

    /// Whether it keeps house at a time.
    #[must_use]
    pub fn is_awake(&self, now: Millis) -> bool {
        now < self.until
    }
}
