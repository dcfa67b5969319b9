//! What a worker process is told to do.

use std::path::PathBuf;

use governance::store::Actor;
use serde::{Deserialize, Serialize};

/// A worker's task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// The store's URL.
    pub store: String,
    /// The ledger's home.
    pub home: PathBuf,
    /// As whom.
    pub actor: Actor,
    /// How many, where that matters.
    pub number: u64,
    /// For how long, where that matters.
    pub ttl_ms: u64,
}
