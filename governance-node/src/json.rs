//! What crosses the boundary: one JSON text in, one JSON text out. Twice as fast as walking objects, and every number is judged in one place.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use ::governance::Error as Core;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::ser::Formatter;
use serde_json::value::RawValue;

use crate::error::Result;

/// The largest whole number that JavaScript tells from its neighbours.
const EXACT: u64 = (1 << 53) - 1;
/// The longest span, about 285 years: what adds it to a time stays within a store's numbers.
const LONGEST: f64 = 9e12;

/// Takes a call's arguments by name from its text: `given!(text => section: String, content: Value)`.
macro_rules! given {
    ($text:expr => $($name:ident: $kind:ty),+) => {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Given { $($name: $kind),+ }
        let Given { $($name),+ } = $crate::json::read(&$text)?;
    };
}
pub(crate) use given;

/// Reads what was given.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        if error.is_data() {
            let told = error.to_string();
            let why = told.split(" at line ").next().unwrap_or(&told);
            return Core::invalid("wrong_shape", format!("the value does not fit: {why}")).into();
        }
        Core::invalid("not_json", "the value cannot be read as JSON").because(error).into()
    })
}

/// A value of the core's own shape.
pub fn shaped<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Core::invalid("wrong_shape", format!("the value does not fit: {error}")).into())
}

/// A content that JavaScript could say exactly.
pub fn exact(content: Value) -> Result<Value> {
    match inexact(&content) {
        Some(number) => Err(too_large(&number.to_string()).into()),
        None => Ok(content),
    }
}

/// The same, as it came: what is written as it stands need not be read.
pub fn content(raw: Box<RawValue>) -> Result<Box<RawValue>> {
    if !is_plain(raw.get()) {
        exact(read::<Value>(raw.get())?)?;
    }
    Ok(raw)
}

/// Whether JSON has nothing in it that must be looked at: a number of many digits, half of a surrogate pair, or much in each other.
fn is_plain(text: &str) -> bool {
    let (mut depth, mut digits, mut is_text, mut bytes) = (0_u8, 0_u8, false, text.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_text = !is_text,
            b'\\' if bytes.next() == Some(b'u') => return false,
            _ if is_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'0'..=b'9' => digits += 1,
            b'e' | b'E' if digits > 0 => return false,
            _ => digits = 0,
        }
        if depth > 100 || digits > 15 {
            return false;
        }
    }
    true
}

/// Whether a text of `JSON.stringify` is in the core's one spelling already: no names to be sorted, no number that is spelled otherwise.
pub fn is_canonical(text: &str) -> bool {
    is_plain(text) && !text.contains(['{', '\\']) && !text.contains("0.000")
}

fn inexact(value: &Value) -> Option<&Value> {
    match value {
        Value::Number(number) if number.as_u64().is_some_and(|n| n > EXACT) => Some(value),
        Value::Number(number) if number.as_i64().is_some_and(|n| n.unsigned_abs() > EXACT) => Some(value),
        Value::Array(items) => items.iter().find_map(inexact),
        Value::Object(fields) => fields.values().find_map(inexact),
        _ => None,
    }
}

/// A version, an amount, a count.
pub fn whole(number: &Value) -> Result<u64> {
    // JavaScript writes 2.0 as `2`: what is no integer here is none there.
    Ok(number.as_u64().filter(|n| *n <= EXACT).ok_or_else(|| not_whole(number, "2^53"))?)
}

/// The same, where it crosses as a number because it must be fast.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "checked: it is exact")]
pub fn counted(number: f64) -> Result<u64> {
    let exact = (0.0..=EXACT as f64).contains(&number) && number.fract() == 0.0;
    if exact { Ok(number as u64) } else { Err(not_whole(number, "2^53").into()) }
}

/// And back.
#[allow(clippy::cast_precision_loss, reason = "checked: it is exact")]
pub fn counts(number: u64) -> Result<f64> {
    if number > EXACT { Err(too_large(&number.to_string()).into()) } else { Ok(number as f64) }
}

/// The same, where the core counts in 32 bits.
pub fn small(number: &Value) -> Result<u32> {
    Ok(u32::try_from(whole(number)?).map_err(|_| not_whole(number, "2^32"))?)
}

/// A span of milliseconds.
pub fn span(number: &Value) -> Result<Duration> {
    let milliseconds = number.as_f64().filter(|ms| (0.0..=LONGEST).contains(ms));
    let span = milliseconds.map(|ms| Duration::from_secs_f64(ms / 1000.0));
    span.ok_or_else(|| Core::invalid("invalid_span", format!("`{number}` is no span: milliseconds, from 0 to {LONGEST}")).into())
}

/// Writes an answer. A number that JavaScript would change is an error, not another number.
pub fn text(answer: &impl Serialize) -> Result<String> {
    let mut written = Vec::with_capacity(128);
    answer.serialize(&mut serde_json::Serializer::with_formatter(&mut written, Exactly)).map_err(|error| {
        if error.io_error_kind() == Some(io::ErrorKind::InvalidData) {
            return too_large(&io::Error::from(error).to_string());
        }
        Core::internal("the answer cannot be written as JSON").because(error)
    })?;
    String::from_utf8(written).map_err(|error| Core::internal("the answer is not text").because(error).into())
}

fn not_whole(number: impl Display, end: &str) -> Core {
    Core::invalid("not_whole", format!("`{number}` is not a whole number from 0 to {end} - 1"))
}

fn too_large(number: &str) -> Core {
    let why = format!("`{number}` is a whole number beyond 2^53 - 1, which JavaScript would change: keep it as a text");
    Core::invalid("number_too_large", why)
}

/// JSON without whole numbers that JavaScript cannot hold.
struct Exactly;

fn held(exact: bool, value: impl Display) -> io::Result<()> {
    if exact { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, value.to_string())) }
}

impl Formatter for Exactly {
    fn write_u64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        held(value <= EXACT, value)?;
        write!(writer, "{value}")
    }

    fn write_i64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        held(value.unsigned_abs() <= EXACT, value)?;
        write!(writer, "{value}")
    }
}
