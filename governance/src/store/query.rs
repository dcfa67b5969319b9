//! What can be asked of a store without writing, and what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Cell;
use crate::vocabulary::{Key, Millis, Token};

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// One record or field.
    Cell(Cell),
    /// Every field of a table.
    Table(Key),
    /// A state.
    State(Key),
    /// A counter or an epoch.
    Number(Key),
    /// The newest items of a list, oldest first.
    List {
        /// The list.
        list: Key,
        /// How many at most.
        last: u64,
    },
    /// The members of a set, sorted.
    Set(Key),
    /// The entries of a log after a position.
    Log {
        /// The log.
        log: Key,
        /// The position to begin behind.
        after: u64,
        /// How many at most.
        limit: u64,
    },
}

/// The answer to the question of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A record or a field, if it is there.
    Cell(Option<Versioned>),
    /// The fields by name, sorted.
    Table(Vec<(String, Versioned)>),
    /// A state, if it is there.
    State(Option<Fields>),
    /// A number, if it is there.
    Number(Option<u64>),
    /// Items.
    List(Vec<Bytes>),
    /// Members.
    Set(Vec<String>),
    /// Entries.
    Log(Page),
}

/// A value with its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned {
    /// How often it was written; for a lease, its fence.
    pub version: u64,
    /// The value.
    pub value: Bytes,
}

/// The plain fields of a state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fields {
    /// How often it was written.
    pub version: u64,
    /// The fields.
    pub fields: BTreeMap<String, String>,
}

impl Fields {
    /// One field, empty if it is not there.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// A piece of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The entries, in order.
    pub entries: Vec<Entry>,
    /// The position of the oldest entry that is kept; one behind the last if none is.
    pub first: u64,
    /// The position of the newest entry ever appended; 0 if none was.
    pub last: u64,
}

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 1, 2, 3, …
    pub position: u64,
    /// The store's time.
    pub at: Millis,
    /// What was appended; for the event of a put, the value that was put.
    pub value: Bytes,
    /// The put that this is the event of.
    pub put: Option<Put>,
}

/// What an event says of its put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// The key.
    pub key: Arc<str>,
    /// The field, where the key is a table.
    pub field: Option<Arc<str>>,
    /// The version that the put made.
    pub version: u64,
    /// What the writer said about it.
    pub meta: Bytes,
    /// The token of the commit.
    pub token: Option<Token>,
}

/// A piece of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// Key texts. A key may come twice while the store changes.
    pub keys: Vec<String>,
    /// Where to go on; none at the end.
    pub next: Option<String>,
}
