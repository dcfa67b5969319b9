//! JSON in one spelling only, and its hash: what says the same has the same hash, in every process and language.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

/// SHA-256 of a value's canonical form, in hexadecimal.
pub(crate) fn digest(value: &Value) -> String {
    sha256(canonical(value).as_bytes())
}

/// A value's canonical form: no spaces, names sorted by their bytes.
pub(super) fn canonical(value: &Value) -> String {
    let mut text = Vec::with_capacity(128);
    write(value, &mut text);
    // JSON is text.
    String::from_utf8(text).unwrap_or_default()
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    // By hand: this is a good part of what a governed call costs.
    let mut digits = [0_u8; 64];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(Sha256::digest(bytes)) {
        pair.copy_from_slice(&[byte >> 4, byte & 15].map(|half| b"0123456789abcdef"[usize::from(half)]));
    }
    str::from_utf8(&digits).unwrap_or_default().to_owned()
}

/// Sorted here, because whether a map keeps its names sorted is a choice of the whole build.
fn write(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            text.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(b',');
                }
                write(item, text);
            }
            text.push(b']');
        }
        Value::Object(fields) => {
            let mut sorted: SmallVec<[_; 8]> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| name.as_bytes());
            text.push(b'{');
            for (at, (name, field)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    text.push(b',');
                }
                quote(name, text);
                text.push(b':');
                write(field, text);
            }
            text.push(b'}');
        }
        Value::String(value) => quote(value, text),
        Value::Bool(value) => text.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Null => text.extend_from_slice(b"null"),
        Value::Number(number) => plain(number, text),
    }
}

fn plain(scalar: &(impl Serialize + ?Sized), text: &mut Vec<u8>) {
    // A vector takes everything, and a text or a number is always JSON.
    let _ = serde_json::to_writer(text, scalar);
}

/// A text as JSON. Most need no escapes, and are copied whole.
pub(super) fn quote(value: &str, text: &mut Vec<u8>) {
    // Each byte is looked at, because what stops at the first that is found looks at one after the other.
    if value.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\')) {
        return plain(value, text);
    }
    text.push(b'"');
    text.extend_from_slice(value.as_bytes());
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_says_the_same_has_the_same_hash() {
        let one = json!({"b": [1, {"y": null, "x": "é\n"}], "a": 0.5});
        let other: Value = serde_json::from_str(r#" {"a":0.5, "b":[1,{"x":"\u00e9\n","y":null}]} "#).unwrap();
        assert_eq!(canonical(&one), r#"{"a":0.5,"b":[1,{"x":"é\n","y":null}]}"#);
        assert_eq!(digest(&one), digest(&other));
        assert_ne!(digest(&one), digest(&json!({"b": [1, {"y": null, "x": "é"}], "a": 0.5})));
        assert_eq!(digest(&json!({})), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    }
}
