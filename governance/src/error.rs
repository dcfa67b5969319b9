//! The one error type. Its kind tells the caller what to do next; refusals that belong to normal work are values instead.

use std::error::Error as StdError;

use serde_json::{Map, Value};

use crate::vocabulary::named;

named! {
    /// What the caller can do about an error.
    pub enum ErrorKind {
        /// The input is wrong: mend it.
        Invalid = "invalid",
        /// The thing named does not exist.
        NotFound = "not_found",
        /// Somebody else was first: read again and decide again.
        Conflict = "conflict",
        /// A rule forbids it.
        Denied = "denied",
        /// The actor's admission has ended; it must stop.
        Revoked = "revoked",
        /// A budget, a quota or a mailbox is full: wait or ask for more.
        Exhausted = "exhausted",
        /// A part cannot be reached now: try again later.
        Unavailable = "unavailable",
        /// Time ran out; the outcome may be unknown.
        Deadline = "deadline",
        /// Stored data is not what was written: a person must look.
        Corrupt = "corrupt",
        /// A defect of this library.
        Internal = "internal",
    }
}

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Kind, stable code, a sentence for people, and details for programs.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Inner>);

// Boxed: a `Result` stays as small as its value.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Inner {
    kind: ErrorKind,
    code: &'static str,
    message: String,
    details: Map<String, Value>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with a stable `code` and a sentence: lower case, no full stop, what the user gave in backticks.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, code, message: message.into(), details: Map::new(), source: None }))
    }

    /// Wrong input.
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, code, message)
    }

    /// A part that cannot be reached.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, code, message)
    }

    /// Stored data that is not what was written.
    pub fn corrupt(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, code, message)
    }

    /// A defect of this library.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, "internal", message)
    }

    /// The same error with a detail for programs.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.details.insert(name.to_owned(), value.into());
        self
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error once more, for whoever else waited for the same. What caused it is with the first.
    pub(crate) fn again(&self) -> Self {
        let Inner { kind, code, message, details, .. } = &*self.0;
        Self(Box::new(Inner { kind: *kind, code, message: message.clone(), details: details.clone(), source: None }))
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// A stable name for this error, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Numbers and names behind the sentence.
    #[must_use]
    pub fn details(&self) -> &Map<String, Value> {
        &self.0.details
    }

    /// Whether the same call may succeed later without a change by the caller.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unavailable | ErrorKind::Deadline)
    }
}
