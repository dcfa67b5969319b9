//! Floor 0: shared state behind one port. ADR 1 and 2.
//!
//! ```text
//!   coordination, guard, …        say what must hold and what to write
//!          │  Commit, Query
//!          ▼
//!       Store                     fills in the generation, retries with the same token until its deadline
//!          │
//!          ▼
//!       Backend                   memory │ sqlite │ redis: one atomic step
//! ```

mod actor;
mod answers;
mod backend;
mod cell;
mod check;
mod commit;
mod content;
mod crowd;
mod handle;
mod hub;
mod kernel;
mod memory;
mod open;
mod outcome;
mod patience;
mod prehashed;
mod query;
mod recovery;
#[cfg(feature = "redis")]
mod redis;
mod server_url;
mod sqlite;
mod url;
mod validate;
mod write;

use std::time::Duration;

pub use actor::Actor;
pub use backend::{Backend, Description, Durability};
pub use cell::{Admission, Cell};
pub use check::Check;
pub use commit::Commit;
pub use handle::Store;
pub use hub::{Signals, Watch};
#[cfg(any(test, feature = "testing"))]
pub use memory::Dump;
pub use memory::Memory;
pub use outcome::{Accepted, Outcome, Refused};
pub use query::{Answer, Entry, Fields, Page, Put, Query, Scan, Versioned};
pub use recovery::Witness;
#[cfg(feature = "redis")]
pub use redis::{Redis, RedisOptions};
pub use server_url::{Credentials, Form, ServerUrl};
pub use sqlite::Sqlite;
pub use url::StoreUrl;
pub use validate::{MAX_FIELD, MAX_OPERATIONS, MAX_VALUE};
pub use write::{Event, Write};

use crate::error::{Error, Result};
use crate::vocabulary::Key;

/// The format of the shared state that this version writes.
pub const FORMAT: u64 = 1;
/// How long a call waits for a store that does not answer, unless told otherwise.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Reads JSON that was stored under a name.
pub fn from_json<T: serde::de::DeserializeOwned>(name: &str, value: &[u8]) -> Result<T> {
    serde_json::from_slice(value)
        .map_err(|e| Error::corrupt("not_json", format!("`{name}` does not hold what was written there")).because(e))
}

/// Writes a value as JSON to be stored.
pub fn to_json<T: serde::Serialize>(value: &T) -> Result<bytes::Bytes> {
    serde_json::to_vec(value).map(Into::into).map_err(|e| Error::invalid("not_json", "the value cannot be written as JSON").because(e))
}

pub(crate) fn wrong_kind(key: &Key) -> Error {
    Refused::WrongKind { key: key.clone() }.into()
}
