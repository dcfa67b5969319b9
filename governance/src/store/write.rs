//! What a commit writes.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Cell;
use crate::vocabulary::Key;

/// An event that the store completes with the version and the token of the put that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The log it is appended to.
    pub log: Key,
    /// What the writer says about it.
    pub meta: Bytes,
    /// How many entries the log keeps.
    pub bound: u64,
}

/// What a commit writes. Each answers with a number, given in [`Accepted::results`](super::Accepted::results).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// Writes a record or a field. Answers its new version.
    Put {
        /// Where.
        cell: Cell,
        /// What.
        value: Bytes,
        /// How long a record lives from now, for ever if none is given. A table's life is set with `Expire`.
        ttl: Option<Duration>,
        /// The event that tells of it.
        event: Option<Event>,
    },
    /// Deletes a record, a table, a state, a counter, or one field. Answers 1 if it was there.
    Delete(Cell),
    /// Writes plain fields of a state. Answers its new version.
    Merge {
        /// The state.
        state: Key,
        /// The fields.
        fields: Vec<(String, String)>,
    },
    /// Adds to a counter, which never goes below zero. Answers the sum.
    Add {
        /// The counter.
        counter: Key,
        /// What is added.
        delta: i64,
        /// How long it lives from now.
        ttl: Option<Duration>,
    },
    /// Raises an epoch to max(last + 1, store time in ms, floor + 1). Answers it.
    Raise {
        /// The epoch.
        key: Key,
        /// What it must be above in any case: 0, except in recovery.
        floor: u64,
    },
    /// Takes a lease, stamped with a freshly raised fence. Refused while it is held. Answers the fence.
    Claim {
        /// The lease.
        lease: Key,
        /// Where the highest fence is kept.
        fence: Key,
        /// Who holds it.
        holder: Bytes,
        /// How long it is held.
        ttl: Duration,
    },
    /// Appends to a log. Answers the position.
    Append {
        /// The log.
        log: Key,
        /// The entry.
        value: Bytes,
        /// How many entries the log keeps at least; 0 for all.
        bound: u64,
    },
    /// Drops the entries up to a position. Answers 0.
    Trim {
        /// The log.
        log: Key,
        /// The last position to drop.
        through: u64,
    },
    /// Appends to a bounded list. Answers its length.
    Push {
        /// The list.
        list: Key,
        /// The item.
        value: Bytes,
        /// How many items it keeps.
        bound: u64,
    },
    /// Adds a member to a set. Answers 1 if it is new.
    Join {
        /// The set.
        set: Key,
        /// The member.
        member: String,
    },
    /// Takes a member from a set. Answers 1 if it was there.
    Leave {
        /// The set.
        set: Key,
        /// The member.
        member: String,
    },
    /// Sets how long a key lives from now. Answers 1 if it is there.
    Expire {
        /// The key.
        key: Key,
        /// How long.
        ttl: Duration,
    },
    /// Sends a signal, which may be lost. Answers 0.
    Signal {
        /// The channel.
        channel: Key,
        /// What is said.
        payload: Bytes,
    },
}

impl Write {
    /// The key that is written, and the kind that it is used as.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { cell, .. } | Self::Delete(cell) => &cell.key,
            Self::Merge { state: key, .. }
            | Self::Add { counter: key, .. }
            | Self::Raise { key, .. }
            | Self::Claim { lease: key, .. }
            | Self::Append { log: key, .. }
            | Self::Trim { log: key, .. }
            | Self::Push { list: key, .. }
            | Self::Join { set: key, .. }
            | Self::Leave { set: key, .. }
            | Self::Expire { key, .. }
            | Self::Signal { channel: key, .. } => key,
        }
    }
}
