//! One version of a profile, and what it comes to for an agent.

use serde::{Deserialize, Serialize};

use super::Text;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::policy::Policy;
use crate::vocabulary::{AgentId, Millis, Tier};

/// How many versions of a profile the store keeps. The ledger keeps them all.
pub const KEPT: u64 = 100;
/// The longest note, and the longest name of who changed something, in characters.
const MAX_NOTE: usize = 500;

/// A version of a profile: what was in force from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// The profile's name.
    pub name: AgentId,
    /// 1, 2, 3, …
    pub version: u64,
    /// For which tier it is made; none where it was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The hash that decisions name; none where it was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// What was written; none where it was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// Who says to have done it.
    pub by: String,
    /// When, by the clock of whoever did it.
    pub at: Millis,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The version that was put in force again by this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
}

/// What came of applying a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// What is in force now.
    pub version: PolicyVersion,
    /// Whether that is new.
    pub changed: bool,
}

/// Who wants a change, and under which condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Who.
    pub by: String,
    /// Why.
    pub note: Option<String>,
    /// The version that must be in force now; 0 for none. Not looked at where none is said.
    pub over: Option<u64>,
    /// The version that this one repeats.
    pub of: Option<u64>,
}

impl Wish {
    /// A wish of somebody.
    #[must_use]
    pub fn of(by: impl Into<String>) -> Self {
        Self { by: by.into(), ..Self::default() }
    }

    pub(super) fn meets(&self, name: &AgentId, held: Option<&PolicyVersion>) -> Result<()> {
        let found = held.map_or(0, |held| held.version);
        match self.over {
            Some(over) if over != found => Err(conflict(name, Some(found))),
            _ => Ok(()),
        }
    }

    pub(super) fn version(&self, name: &AgentId, held: Option<&PolicyVersion>, at: Millis) -> PolicyVersion {
        let cut = |text: &str| text.chars().take(MAX_NOTE).collect::<String>();
        PolicyVersion {
            name: name.clone(),
            version: 1 + held.map_or(0, |held| held.version),
            tier: None,
            hash: None,
            text: None,
            by: cut(&self.by),
            at,
            note: self.note.as_deref().map(cut),
            of: self.of,
        }
    }
}

/// Somebody else was first.
pub(super) fn conflict(name: &AgentId, found: Option<u64>) -> Error {
    let now = found.map_or_else(String::new, |found| format!(", version {found} is in force"));
    let message = format!(
        "somebody else changed `{name}` meanwhile{now}: see `governance policy diff {name}`, and apply yours again if it still holds"
    );
    let error = Error::new(ErrorKind::Conflict, "policy_conflict", message);
    found.into_iter().fold(error, |error, found| error.with("found", found))
}

/// What a name in force comes to for an agent of a tier: `known` is the compiled one, where it was compiled already.
///
/// INVARIANT: nothing that cannot be read, was withdrawn or is made for a higher tier allows anything.
pub(super) fn law(held: Option<&PolicyVersion>, known: Option<&Policy>, tier: Tier, shipped: &Policy) -> Policy {
    let Some(held) = held else { return shipped.clone() };
    let closed = |why: String| Policy::closed(&held.name, tier, &why);
    let Some(text) = &held.text else {
        if held.name == shipped.profile().agent_id {
            return shipped.clone();
        }
        return closed(format!("the profile `{}` was withdrawn, in version {}", held.name, held.version));
    };
    let compiled = match known {
        Some(known) => Ok(known.clone()),
        None => text.compile(),
    };
    match compiled {
        Err(error) => closed(format!("version {} of the profile `{}` cannot be read here: {error}", held.version, held.name)),
        Ok(policy) if policy.profile().tier > tier => {
            let made = policy.profile().tier;
            closed(format!("the profile `{}` is made for {made}, which is above the {tier} that the agent was admitted as", held.name))
        }
        Ok(policy) => policy,
    }
}
