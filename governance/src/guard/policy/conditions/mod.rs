//! Conditions: what a profile says in Cedar beside its patterns. They narrow what the patterns allow, and never widen it.
//!
//! ```text
//!   allowed, or to be approved, by the patterns
//!        │ facts: only those that the text reads
//!        ▼
//!   known? ──yes──▶ as before          everything that an answer was made from is part of its key
//!        │ no
//!        ▼
//!   Cedar: permits and forbids ──error, or not permitted, or forbidden──▶ deny
//!        │ permitted
//!        ▼
//!   Cedar: forbids with @decision("step_up") ──one stands──▶ step_up
//!        │ none
//!        ▼
//!   as the patterns said
//! ```

#[cfg(feature = "cedar")]
mod bounds;
#[cfg(feature = "cedar")]
mod cache;
#[cfg(feature = "cedar")]
mod compile;
#[cfg(feature = "cedar")]
mod given;
#[cfg(feature = "cedar")]
mod reads;
#[cfg(feature = "cedar")]
mod today;
#[cfg(not(feature = "cedar"))]
mod without;

#[cfg(feature = "cedar")]
pub(super) use compile::Conditions;
#[cfg(not(feature = "cedar"))]
pub(super) use without::Conditions;

use serde::Serialize;

use crate::vocabulary::{ViolationType, named};

/// The schema that conditions are checked against, without a profile's own actions.
pub const SCHEMA: &str = include_str!("schema.cedarschema");
/// The largest conditions that are read, in bytes.
pub const MAX_CONDITIONS: usize = 128 << 10;

named! {
    /// What conditions say of a request that the patterns allow.
    pub enum Say {
        /// They have nothing against it.
        Permit = "permit",
        /// A person decides.
        StepUp = "step_up",
        /// They forbid it, or none of them permits it.
        Forbid = "forbid",
    }
}

/// What conditions say of a request that the patterns allow, and which of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// What.
    pub says: Say,
    /// The conditions that determined it, by their `@id` or their place; none where it was not permitted, or could not be judged.
    pub by: Vec<String>,
    /// Why, in the conditions' own words or in ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    #[serde(skip)]
    pub(super) violation: Option<ViolationType>,
}

#[cfg(test)]
#[cfg(feature = "cedar")]
#[path = "conditions_tests.rs"]
mod tests;
