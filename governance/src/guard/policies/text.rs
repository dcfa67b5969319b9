//! A profile as its author wrote it.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::guard::policy::{Policy, visible};

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
        let size = self.size();
        if size > MAX_LIVE {
            let name = visible(name);
            return Err(Error::invalid("bad_profile", format!("`{name}` has {size} bytes: at most {MAX_LIVE} can be in force")));
        }
        self.policy(name)
    }

    /// The same, also where it is too large to be in force.
    pub fn policy(&self, name: &str) -> Result<Policy> {
        let mut profile = Policy::parse(name, &self.profile)?;
        let bad = |why: &str| Error::invalid("bad_profile", format!("`{}`: {why}", visible(name)));
        match (profile.conditions_file.take(), &self.conditions) {
            (None, None) => {}
            (Some(_), Some(_)) if profile.conditions.is_some() => {
                return Err(bad("it has conditions, and a file of conditions: one of them"));
            }
            (Some(_), Some(text)) => profile.conditions = Some(text.clone()),
            (Some(_), None) => return Err(bad("the file that `conditions_file` names was not read")),
            (None, Some(_)) => return Err(bad("there are conditions that no `conditions_file` names")),
        }
        Policy::new(profile)
    }

    /// How large it is, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.profile.len() + self.conditions.as_ref().map_or(0, String::len)
    }
}
