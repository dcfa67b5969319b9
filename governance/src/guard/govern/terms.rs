//! How one tool is gone about, beyond what its guard says for all.

use std::time::Duration;

use super::Guard;
use crate::error::{Error, Result};
use crate::vocabulary::ApprovalId;

/// The longest time that a tool may be given.
const LONGEST: Duration = Duration::from_secs(9_000_000_000);

/// What a tool asks for itself. Said before anything is decided, because shares of limits and breakers are taken for a call's time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// How long it may take.
    pub within: Option<Duration>,
    /// How long it waits for an approval.
    pub waiting: Option<Duration>,
    /// The approval that it presents.
    pub approval: Option<ApprovalId>,
    /// Whether its failures are held against the agent; what the guard says, unless said otherwise.
    pub counting_failures: Option<bool>,
}

impl Terms {
    /// Refuses what no call could go by, for who takes a tool's terms long before its first call.
    pub fn check(&self) -> Result<()> {
        if self.within.is_some_and(|span| span.is_zero() || span > LONGEST) {
            let longest = LONGEST.as_secs();
            return Err(Error::invalid(
                "invalid_span",
                format!("the `timeout` of a tool is more than zero, and at most {longest} seconds"),
            ));
        }
        if let Some(id) = self.approval.as_ref().filter(|id| !id.is_one()) {
            return Err(Error::invalid(
                "invalid_id",
                format!("`{id}` is no `approval`: it is named `approval-…`, as `governance approvals list` shows"),
            ));
        }
        Ok(())
    }
}

impl Guard {
    /// The same guard, for a tool of such terms.
    #[must_use]
    pub fn on(&self, terms: &Terms) -> Self {
        let mut guard = self.clone();
        if let Some(span) = terms.within {
            guard = guard.within(span);
        }
        if let Some(span) = terms.waiting {
            guard = guard.waiting(span);
        }
        if let Some(id) = &terms.approval {
            guard = guard.presenting(id);
        }
        if let Some(counts) = terms.counting_failures {
            guard = guard.counting_failures(counts);
        }
        guard
    }
}
