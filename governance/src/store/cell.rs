//! Where something is kept, and who may write it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::vocabulary::Key;

/// A key, or one field of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// The key.
    pub key: Key,
    /// The field, where the key is a table.
    pub field: Option<Arc<str>>,
}

impl Cell {
    /// A field of a table.
    pub fn field(key: Key, field: impl AsRef<str>) -> Self {
        Self { key, field: Some(field.as_ref().into()) }
    }
}

impl From<Key> for Cell {
    fn from(key: Key) -> Self {
        Self { key, field: None }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{}[{field}]", self.key),
            None => write!(f, "{}", self.key),
        }
    }
}

/// The epochs that an actor was admitted with, outermost first: tenant, pipeline, ancestors, instance. Everything that an agent writes through carries
/// them, and shares them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission(pub Arc<[(Key, u64)]>);

impl Admission {
    /// This admission and one more epoch below it.
    #[must_use]
    pub fn and(&self, key: Key, epoch: u64) -> Self {
        Self(self.0.iter().cloned().chain([(key, epoch)]).collect())
    }

    /// Where its epochs are kept.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        self.0.iter().map(|(key, _)| key.clone()).collect()
    }
}
