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

use crate::vocabulary::ViolationType;

/// The schema that conditions are checked against, without a profile's own actions.
pub const SCHEMA: &str = include_str!("schema.cedarschema");
/// The largest conditions that are read, in bytes.
pub const MAX_CONDITIONS: usize = 128 << 10;

/// What conditions say of a request that the patterns allow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "cedar"), expect(dead_code, reason = "said by Cedar"))]
pub(super) enum Judgement {
    /// They have nothing against it: which of them permit it.
    Permit(Box<[Box<str>]>),
    /// A person decides: which of them ask for that.
    StepUp(Box<[Box<str>]>),
    /// They forbid it: which of them, where one does.
    Forbid { by: Box<[Box<str>]>, why: Box<str>, violation: Option<ViolationType> },
}

#[cfg(all(test, feature = "cedar"))]
#[path = "conditions_tests.rs"]
mod tests;
