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

mod answers;
mod backend;
mod commit;
mod content;
mod handle;
mod hub;
mod kernel;
mod memory;
mod patience;
mod prehashed;
mod query;
mod recovery;
mod sqlite;
mod url;

use std::time::Duration;

pub use backend::{Backend, Description, Durability};
pub use commit::{Accepted, Admission, Cell, Check, Commit, Event, MAX_FIELD, MAX_OPERATIONS, MAX_VALUE, Outcome, Refused, Write};
pub use handle::Store;
pub use hub::{Signals, Watch};
#[cfg(any(test, feature = "testing"))]
pub use memory::Dump;
pub use memory::Memory;
pub use query::{Answer, Entry, Fields, Page, Put, Query, Scan, Versioned};
pub use recovery::Witness;
pub use sqlite::Sqlite;
pub use url::StoreUrl;

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
