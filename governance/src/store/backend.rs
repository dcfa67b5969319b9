//! The port: what a backend supplies. Atomic primitives, not features.

use std::path::Path;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Answer, Commit, Form, Outcome, Query, Scan, Signals, Watch};
use crate::error::Result;
use crate::vocabulary::{Key, Millis, named};

/// Shared state behind one small door. An implementation is done when the contract suite (feature `testing`) is green on it.
///
/// Cancellation: a dropped `commit` future may or may not have taken effect; asking again with the same token tells.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Does one commit, all or nothing. An error means that its outcome is not known.
    async fn commit(&self, commit: &Commit) -> Result<Outcome>;

    /// Answers questions, in order. Each answer is consistent in itself.
    async fn read(&self, queries: &[Query]) -> Result<Vec<Answer>>;

    /// Lists keys that begin with a prefix, a piece at a time.
    async fn scan(&self, prefix: &str, from: Option<&str>, limit: usize) -> Result<Scan>;

    /// Wakes when one of these keys may have changed, also by another process. May wake for nothing; never sleeps through a change.
    async fn watch(&self, keys: &[Key]) -> Result<Watch>;

    /// Hears what is said on a channel from now on. May lose what comes too fast.
    async fn signals(&self, channel: &Key) -> Result<Signals>;

    /// The store's time.
    async fn now(&self) -> Result<Millis>;

    /// What it is and what it can promise.
    async fn describe(&self) -> Result<Description>;

    /// Rises with every new connection: whoever sees it change must ask its witness again. ADR 2.
    fn connection(&self) -> u64 {
        0
    }

    /// The file that holds it, where it is one.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// Whether a reply can be lost on the way, so that every commit needs a token.
    fn remote(&self) -> bool {
        false
    }
}

named! {
    /// What survives the store's own death.
    pub enum Durability {
        /// Nothing.
        None = "none",
        /// Everything up to the last snapshot.
        Snapshot = "snapshot",
        /// Everything but the last second.
        Everysec = "everysec",
        /// Everything that was acknowledged.
        Always = "always",
    }
}

/// What a store is and what it can promise; shown by `store check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Which adapter, and which server.
    pub name: String,
    /// Whether several processes can use it.
    pub shared: bool,
    /// What survives its own death.
    pub durable: Durability,
    /// How its servers stand together; none where there is no server.
    pub form: Option<Form>,
    /// Whether it is reached over TLS.
    pub tls: bool,
    /// What the server drops when its memory is full, if it says so.
    pub eviction: Option<String>,
    /// The language of the server's scripts, if it says so.
    pub lua: Option<String>,
    /// What its operator should know.
    pub warnings: Vec<String>,
}

impl Description {
    /// A store without a server.
    pub(super) fn embedded(name: String, shared: bool, durable: Durability, warnings: Vec<String>) -> Self {
        Self { name, shared, durable, form: None, tls: false, eviction: None, lua: None, warnings }
    }
}
