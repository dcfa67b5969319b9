//! What Python gives: checked while the call is made, before anything is sent.

use std::str::FromStr;
use std::time::Duration;

use ::governance::Error;
use ::governance::coordination::Cursor;
use ::governance::vocabulary::Millis;
use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyDelta, PyInt, PyString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::raise;
use crate::json;

/// Anything that JSON can say, a dataclass or a pydantic model.
pub struct Json(pub Value);

impl<'py> FromPyObject<'_, 'py> for Json {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        json::from_python(&given).map(Self)
    }
}

/// The same, for what is written as it stands.
pub struct Content(pub Box<RawValue>);

impl<'py> FromPyObject<'_, 'py> for Content {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        json::text_of(&given).map(Self)
    }
}

/// A text that is an id or a name.
pub struct Named<T>(pub T);

impl<'py, T: FromStr<Err = Error>> FromPyObject<'_, 'py> for Named<T> {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        json::utf8(&*given.cast::<PyString>()?)?.parse().map(Self).map_err(|error| raise(given.py(), &error))
    }
}

/// A value of the core's own shape, as JSON says it.
pub struct Shaped<T>(pub T);

impl<'py, T: DeserializeOwned> FromPyObject<'_, 'py> for Shaped<T> {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let read = serde_json::from_value(json::from_python(&given)?);
        read.map(Self).map_err(|e| raise(given.py(), &Error::invalid("wrong_shape", format!("the value does not fit: {e}"))))
    }
}

/// The longest span, in seconds: as long as JavaScript takes, and any clock can count.
const LONGEST: u64 = 9_000_000_000;

/// A span: seconds, or a `datetime.timedelta`.
pub struct Span(pub Duration);

impl<'py> FromPyObject<'_, 'py> for Span {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let seconds =
            if given.is_instance_of::<PyDelta>() { given.call_method0("total_seconds")?.extract()? } else { given.extract::<f64>()? };
        let refused = || Error::invalid("invalid_span", format!("`{seconds}` is no span: seconds, from 0 to {LONGEST}"));
        let span = Duration::try_from_secs_f64(seconds).ok().filter(|span| *span <= Duration::from_secs(LONGEST));
        span.map(Self).ok_or_else(|| raise(given.py(), &refused()))
    }
}

/// A time: a `datetime` that says its zone.
pub struct Moment(pub Millis);

impl<'py> FromPyObject<'_, 'py> for Moment {
    type Error = PyErr;

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: milliseconds of the years 1970 to 9999")]
    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let refused = |why: &str| raise(given.py(), &Error::invalid("invalid_time", format!("`{}` is no time: {why}", &*given)));
        if given.cast::<PyDateTime>()?.call_method0("utcoffset")?.is_none() {
            return Err(refused("it says no zone, as `datetime.now(timezone.utc)` does"));
        }
        let milliseconds = given.call_method0("timestamp")?.extract::<f64>()? * 1000.0;
        if milliseconds < 0.0 { Err(refused("it is before 1970")) } else { Ok(Self(Millis(milliseconds.round() as u64))) }
    }
}

/// A version, an amount, a count.
pub struct Whole<T>(pub T);

impl<'py, T: TryFrom<u64>> FromPyObject<'_, 'py> for Whole<T> {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let whole = given.cast::<PyInt>()?.extract::<u64>().ok().and_then(|whole| T::try_from(whole).ok());
        let refused = || Error::invalid("not_whole", format!("the number is not a whole one from 0 to 2^{} - 1", size_of::<T>() * 8));
        whole.map(Self).ok_or_else(|| raise(given.py(), &refused()))
    }
}

/// Where to begin: at the beginning unless said otherwise.
pub fn cursor(after: Option<Shaped<Cursor>>) -> Cursor {
    after.map_or_else(Cursor::default, |after| after.0)
}
