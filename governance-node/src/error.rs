//! An error of the core on its way to JavaScript: the sentence in `message`, the machine's part as JSON in `cause`.

use napi::Status;
use serde_json::json;

/// What fails in this binding.
pub struct Error(::governance::Error);

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Its sentence and the machine's part, as JSON.
    pub fn told(&self) -> String {
        let Self(error) = self;
        json!({"message": error.to_string(), "kind": error.kind(), "code": error.code(), "details": error.details()}).to_string()
    }
}

impl From<::governance::Error> for Error {
    fn from(error: ::governance::Error) -> Self {
        Self(error)
    }
}

impl From<Error> for napi::Error {
    fn from(Error(error): Error) -> Self {
        let machine = json!({"kind": error.kind(), "code": error.code(), "details": error.details()});
        let mut told = Self::new(Status::GenericFailure, error.to_string());
        told.set_cause(Self::new(Status::GenericFailure, machine.to_string()));
        told
    }
}

// For functions that are not async.
impl From<Error> for napi::JsError {
    fn from(error: Error) -> Self {
        Self::from(napi::Error::from(error))
    }
}
