//! What a tool is called with, in one spelling only.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::guard::canonical::{canonical, sha256};

/// A tool's arguments: their canonical JSON and its hash. The ledger keeps the hash alone, because arguments may be secrets; an approval is bound to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Arguments {
    text: String,
    digest: String,
}

impl Arguments {
    /// Arguments by name.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        Self::canonical(canonical(value))
    }

    /// Arguments whose JSON is canonical already: no spaces, names sorted by their bytes. What is not only has another hash than it could have.
    #[must_use]
    pub fn canonical(text: String) -> Self {
        let digest = sha256(text.as_bytes());
        Self { text, digest }
    }

    /// Canonical JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What they are.
    pub(super) fn value(&self) -> Result<Value> {
        serde_json::from_str(&self.text).map_err(|e| Error::invalid("bad_arguments", "the arguments are not JSON").because(e))
    }

    /// SHA-256 of it, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl From<&Value> for Arguments {
    fn from(value: &Value) -> Self {
        Self::of(value)
    }
}

/// Without what they say.
impl std::fmt::Debug for Arguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Arguments").field(&self.digest).finish()
    }
}
