//! What must hold for a commit to be accepted.

use serde::{Deserialize, Serialize};

use super::Cell;
use crate::vocabulary::Key;

/// What must hold for a commit to be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Nothing is there.
    Absent(Cell),
    /// The version is this one; 0 means absent. On an epoch key, the epoch.
    Version {
        /// Where.
        cell: Cell,
        /// Which.
        version: u64,
    },
    /// The lease is held under this fence.
    Fence {
        /// The lease.
        lease: Key,
        /// The fence.
        fence: u64,
    },
    /// The counter stays within its limit when the amount is added.
    Within {
        /// The counter.
        counter: Key,
        /// What is about to be added.
        amount: u64,
        /// The limit.
        limit: u64,
    },
    /// The log holds no more than this many entries when the amount is added.
    Room {
        /// The log.
        log: Key,
        /// How many are about to be added.
        amount: u64,
        /// The limit.
        limit: u64,
    },
}
