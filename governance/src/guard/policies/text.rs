//! A profile as its author wrote it.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::guard::policy::Policy;

/// The largest profile that can be in force, in bytes, conditions included: the ledger keeps each version whole.
pub const MAX_LIVE: usize = 256 << 10;

/// A profile as its author wrote it, with the file of conditions that it names, so that nothing outside decides what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// YAML or JSON.
    pub profile: String,
    /// What the file of conditions held, where the profile names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<String>,
}

impl Text {
    /// A profile alone.
    #[must_use]
    pub fn new(profile: impl Into<String>) -> Self {
        Self { profile: profile.into(), conditions: None }
    }

    /// Reads and compiles it. Larger than what can be in force is refused.
    pub fn compile(&self) -> Result<Policy> {
        self.compile_as("the profile")
    }

    /// The same, with the name that errors say: its file's.
    pub fn compile_as(&self, name: &str) -> Result<Policy> {
        let size = self.profile.len() + self.conditions.as_ref().map_or(0, String::len);
        if size > MAX_LIVE {
            return Err(Error::invalid("bad_profile", format!("`{}` has {size} bytes: at most {MAX_LIVE} can be in force", name.escape_debug())));
        }
        Policy::read(name, &self.profile)
    }
}
