//! An error of the core on its way to JavaScript: the sentence in `message`, the machine's part as JSON in `cause`.

use napi::Status;
use serde_json::json;

/// What fails in this binding.
pub struct Error(::governance::Error);

pub type Result<T> = std::result::Result<T, Error>;

impl From<::governance::Error> for Error {
    fn from(error: ::governance::Error) -> Self {
        Self(error)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self(::governance::Error::invalid("not_json", "the value cannot be read as JSON").because(error))
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

/// A version as JavaScript writes it: exact below 2^53 only.
pub fn whole(number: f64) -> Result<u64> {
    let exact = (0.0..=9_007_199_254_740_991.0).contains(&number) && number.fract() == 0.0;
    let refuse = || ::governance::Error::invalid("not_whole", format!("`{number}` is not a whole number from 0 to 2^53 - 1"));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked one line above")]
    if exact { Ok(number as u64) } else { Err(refuse().into()) }
}
