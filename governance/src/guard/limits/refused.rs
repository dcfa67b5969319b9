//! A refusal by a limit, as an error.

use super::terms::Refusal;
use crate::error::{Error, ErrorKind};
use crate::guard::budget::Unit;

impl Refusal {
    /// The error's code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.unit {
            Unit::CallsPerMinute => "rate_limited",
            Unit::Concurrency => "too_many_at_once",
            Unit::WallTime => "time_used_up",
            _ => "budget_exhausted",
        }
    }

    /// Which limit of whom stands in the way, how much of it is left, and when it may go on.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { scope, limit, remaining, .. } = self;
        let again = self.retry_after_ms.map_or(String::new(), |ms| format!(": again in {}.{} s", ms / 1_000, ms % 1_000 / 100));
        match self.unit {
            Unit::CallsPerMinute => format!("the {scope} may make {limit} calls a minute, and has made them{again}"),
            Unit::Concurrency => format!("the {scope} may make {limit} calls at the same time, and all are under way: again when one ends"),
            Unit::WallTime => format!("the {scope} had {limit} s, and they are over: see `governance budget show`"),
            unit if self.closed => {
                format!("the {scope} used more {unit} than it had, so nothing more is taken: see `governance budget show`")
            }
            unit => format!("the {scope} has {remaining} of {limit} {unit} left, which is too little: see `governance budget show`"),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let error = Self::new(ErrorKind::Exhausted, refusal.code(), refusal.sentence())
            .with("scope", refusal.scope.name())
            .with("unit", refusal.unit.as_str())
            .with("limit", refusal.limit)
            .with("remaining", refusal.remaining);
        let error = match refusal.scope.id() {
            Some(id) => error.with("of", id),
            None => error,
        };
        match refusal.retry_after_ms {
            Some(ms) => error.with("retry_after_ms", ms),
            None => error,
        }
    }
}
