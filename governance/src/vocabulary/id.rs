//! Ids as newtypes: a text that could break out of a key never becomes one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{Chance, Millis};
use crate::error::{Error, Result};

/// The longest id, in characters.
pub const MAX_ID: usize = 128;

fn check(what: &str, text: &str) -> Result<()> {
    let bad = |why: String| {
        let shown: String = text.chars().take(40).collect();
        Err(Error::invalid("invalid_id", format!("{what} `{}` {why}", shown.escape_default())))
    };
    if text.is_empty() {
        return bad("is empty".into());
    }
    if text.len() > MAX_ID {
        return bad(format!("has {} bytes: at most {MAX_ID}", text.len()));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        Some(c) => bad(format!("holds `{}`: only letters, digits, `.`, `_` and `-`", c.escape_default())),
        None => Ok(()),
    }
}

macro_rules! id {
    ($($(#[$meta:meta])* $name:ident: $what:literal;)+) => { $(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a text: 1 to 128 letters, digits, `.`, `_`, `-`.
            pub fn new(text: impl AsRef<str>) -> Result<Self> {
                check($what, text.as_ref())?;
                Ok(Self(text.as_ref().into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    )+ };
}

id! {
    /// An instance of a profile in one pipeline, as `alpha-7f3k2q`.
    AgentId: "agent id";
    /// A pipeline, as `pipeline-mksufe23`.
    PipelineId: "pipeline id";
    /// What a blackboard and a bus belong to; a pipeline's task bears its id.
    TaskId: "task id";
    /// A project.
    ProjectId: "project id";
    /// A tenant.
    TenantId: "tenant id";
    /// A proposal under vote.
    ProposalId: "proposal id";
    /// A handoff.
    HandoffId: "handoff id";
    /// A ledger.
    LedgerId: "ledger id";
    /// A process's segment of the ledger.
    SegmentId: "segment id";
    /// The name of an entry of a blackboard section.
    EntryName: "entry name";
    /// Something that people are asked to approve, as `approval-7f3k2q9x`.
    ApprovalId: "approval id";
    /// Somebody who may approve.
    ApproverName: "approver";
    /// Makes a commit safe to repeat: the id of its intent in the ledger, or any id of the caller's that is used once.
    Token: "token";
}

impl Default for TenantId {
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

impl AgentId {
    /// A fresh instance of a profile.
    pub fn instance(profile: &str, chance: &dyn Chance) -> Result<Self> {
        Self::new(format!("{profile}-{}", letters(chance, 6)))
    }

    /// The profile that this is an instance of: `alpha` of `alpha-7f3k2q`, and of `alpha-mksufe23` or `alpha-mksufe23-2` in `pipeline-mksufe23`. A
    /// name without such an end is its own profile.
    #[must_use]
    pub fn profile(&self, pipeline: Option<&PipelineId>) -> Self {
        let without = |end: &str| self.0.strip_suffix(end)?.strip_suffix('-').filter(|profile| !profile.is_empty());
        let of = pipeline.map(|pipeline| pipeline.as_str().trim_start_matches("pipeline-"));
        let of_run = of.and_then(|of| {
            let (before, tries) = self.0.rsplit_once('-')?;
            let again = tries.bytes().all(|byte| byte.is_ascii_digit()).then(|| before.strip_suffix(of)?.strip_suffix('-')).flatten();
            without(of).or(again).filter(|profile| !profile.is_empty())
        });
        let instance = || {
            let (profile, end) = self.0.rsplit_once('-')?;
            (!profile.is_empty() && end.len() == 6 && end.bytes().all(|byte| LETTERS.contains(&byte))).then_some(profile)
        };
        of_run.or_else(instance).map_or_else(|| self.clone(), |profile| Self(profile.into()))
    }
}

impl PipelineId {
    /// A fresh pipeline id: its time in base 36, as existing ones have.
    #[must_use]
    pub fn fresh(now: Millis) -> Self {
        Self(format!("pipeline-{}", base36(now.0)).into())
    }

    /// The task that bears this pipeline's id.
    #[must_use]
    pub fn task(&self) -> TaskId {
        TaskId(self.0.clone())
    }
}

impl TaskId {
    /// The pipeline that this task belongs to.
    #[must_use]
    pub fn pipeline(&self) -> PipelineId {
        PipelineId(self.0.clone())
    }
}

impl Token {
    /// A token that no one else has: 20 random letters.
    pub fn fresh(chance: &dyn Chance) -> Self {
        Self(letters(chance, 20).into())
    }

    /// The token of an intent: `segment.number`.
    #[must_use]
    pub fn of_intent(segment: &SegmentId, number: u64) -> Self {
        // Made in each governed call, so without the machinery of `format!`.
        let (mut digits, mut text) = (itoa::Buffer::new(), SmallVec::<[u8; 64]>::new());
        for part in [segment.as_str(), ".", digits.format(number)] {
            text.extend_from_slice(part.as_bytes());
        }
        // What is put together of texts is a text.
        Self(str::from_utf8(&text).unwrap_or_default().into())
    }
}

impl SegmentId {
    /// A fresh segment id, sortable by time.
    pub fn fresh(now: Millis, chance: &dyn Chance) -> Self {
        Self(format!("{}-{}", base36(now.0), letters(chance, 8)).into())
    }
}

impl ApprovalId {
    /// A fresh id.
    #[must_use]
    pub fn fresh(chance: &dyn Chance) -> Self {
        Self(format!("approval-{}", letters(chance, 10)).into())
    }

    /// Whether it is named as an approval is.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.0.starts_with("approval-")
    }
}

impl LedgerId {
    /// A fresh ledger id.
    pub fn fresh(chance: &dyn Chance) -> Self {
        Self(format!("ledger-{}", letters(chance, 16)).into())
    }
}

/// What the ends of instances are made of.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

fn letters(chance: &dyn Chance, count: usize) -> String {
    let mut bytes = [0_u8; 32];
    let bytes = &mut bytes[..count.min(32)];
    chance.fill(bytes);
    bytes.iter().map(|b| char::from(LETTERS[usize::from(b % 32)])).collect()
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_break_out_of_its_key() {
        let long = "a".repeat(10_000);
        for bad in ["", "a b", "a{b}", "a:b", "a\0b", "é", "a/b", "a*", long.as_str()] {
            assert!(AgentId::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(AgentId::new("alpha-7f3k2q").is_ok());
        assert!(serde_json::from_str::<AgentId>("\"a:b\"").is_err());
    }

    #[test]
    fn an_instance_knows_its_profile() {
        let profile = |id: &str, pipeline: Option<&str>| {
            let pipeline = pipeline.map(|id| PipelineId::new(id).unwrap());
            AgentId::new(id).unwrap().profile(pipeline.as_ref()).to_string()
        };
        let run = Some("pipeline-mksufe23");
        assert_eq!(profile("alpha-7f3k2q", run), "alpha");
        assert_eq!(profile("alpha-mksufe23", run), "alpha");
        assert_eq!(profile("alpha-mksufe23-2", run), "alpha");
        assert_eq!(profile("alpha-mksufe23", None), "alpha-mksufe23");
        assert_eq!(profile("tier0-agent-7f3k2q", run), "tier0-agent");
        assert_eq!(profile("tier0-agent", run), "tier0-agent");
        assert_eq!(profile("my-worker", None), "my-worker");
        assert_eq!(profile("alpha", None), "alpha");
        for chance in 0..20_u8 {
            let id = AgentId::instance("alpha", &crate::vocabulary::System).unwrap();
            assert_eq!(id.profile(None).as_str(), "alpha", "{id} {chance}");
        }
    }

    #[test]
    fn a_pipeline_id_is_its_time_in_base_36() {
        assert_eq!(PipelineId::fresh(Millis(1_768_940_967_531)).as_str(), "pipeline-mkn1s223");
    }
}
