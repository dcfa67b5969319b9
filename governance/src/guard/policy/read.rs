//! Profiles out of files: the shipped ones, one for each tier, and one's own.

use std::sync::OnceLock;

use serde::Deserialize as _;
use serde_path_to_error::Track;

use super::wording::plainly;
use super::{Policy, visible};
use crate::error::{Error, Result};
use crate::vocabulary::{AgentProfile, Tier};

/// The largest profile that is read, in bytes.
pub const MAX_PROFILE: usize = 4 << 20;

/// The shipped profiles, lowest tier first. JSON, because a reader of YAML would be the heaviest part of the embedded library.
const SHIPPED: [&str; 5] = [
    include_str!("tiers/t0-observer.json"),
    include_str!("tiers/t1-operator.json"),
    include_str!("tiers/t2-automator.json"),
    include_str!("tiers/t3-engineer.json"),
    include_str!("tiers/t4-architect.json"),
];

impl Policy {
    /// The shipped profile of a tier.
    pub fn shipped(tier: Tier) -> Result<Self> {
        // Every agent of a tier shares it: compiled, it weighs more than all else that an agent is.
        static COMPILED: [OnceLock<Policy>; SHIPPED.len()] = [const { OnceLock::new() }; SHIPPED.len()];
        let place = &COMPILED[tier as usize];
        if let Some(compiled) = place.get() {
            return Ok(compiled.clone());
        }
        let compiled = Self::read(tier.as_str(), SHIPPED[tier as usize])?;
        Ok(place.get_or_init(|| compiled).clone())
    }

    /// Reads a profile: JSON, or YAML where the feature `llm` is on. `name` is its file's, for errors, which say the line.
    pub fn read(name: &str, text: &str) -> Result<Self> {
        Self::new(Self::parse(name, text)?)
    }

    /// The same, not compiled.
    pub(in crate::guard) fn parse(name: &str, text: &str) -> Result<AgentProfile> {
        if text.len() > MAX_PROFILE {
            return Err(bad(name, 1, &format!("it has more than {MAX_PROFILE} bytes, which is the most")));
        }
        if text.trim_start().starts_with('{') { json(name, text) } else { yaml(name, text) }
    }
}

fn json(name: &str, text: &str) -> Result<AgentProfile> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut field = Track::new();
    let read = AgentProfile::deserialize(serde_path_to_error::Deserializer::new(&mut reader, &mut field));
    read.and_then(|profile| reader.end().map(|()| profile)).map_err(|error| {
        let told = error.to_string();
        // The line is said before it.
        let end = told.rfind(" at line ").unwrap_or(told.len());
        bad(name, error.line().max(1) as u64, &plainly(&field.path().to_string(), &told[..end]))
    })
}

#[cfg(feature = "llm")]
fn yaml(name: &str, text: &str) -> Result<AgentProfile> {
    let mut at = String::from(".");
    let read = serde_saphyr::with_deserializer_from_str(text, |reader| {
        let mut field = Track::new();
        let read = AgentProfile::deserialize(serde_path_to_error::Deserializer::new(reader, &mut field));
        at = field.path().to_string();
        read
    });
    read.map_err(|error| {
        let line = error.location().map_or(1, |at| at.line());
        let told = error.without_snippet().to_string();
        let first = told.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it is not YAML");
        let end = first.rfind(" at line ").unwrap_or(first.len());
        bad(name, line, &plainly(&at, &first[..end]))
    })
}

#[cfg(not(feature = "llm"))]
fn yaml(name: &str, _: &str) -> Result<AgentProfile> {
    Err(bad(name, 1, "this build reads profiles as JSON only: YAML takes the feature `llm`"))
}

fn bad(name: &str, line: u64, why: &str) -> Error {
    let why: String = why.chars().take(300).collect();
    Error::invalid("bad_profile", format!("`{}`, line {line}: {}", visible(name), visible(&why)))
}
