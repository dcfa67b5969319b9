//! JSON in one spelling only, and its hash: what says the same has the same hash, in every process and language.

use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// SHA-256 of a value's canonical form, in hexadecimal.
pub(crate) fn digest(value: &Value) -> String {
    sha256(canonical(value).as_bytes())
}

/// A value's canonical form: no spaces, names sorted by their bytes.
pub(super) fn canonical(value: &Value) -> String {
    let mut text = String::with_capacity(128);
    write(value, &mut text);
    text
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    // By hand: this is a good part of what a governed call costs.
    let digits = |byte: u8| [byte >> 4, byte & 15].map(|half| char::from(b"0123456789abcdef"[usize::from(half)]));
    Sha256::digest(bytes).into_iter().flat_map(digits).collect()
}

/// Sorted here, because whether a map keeps its names sorted is a choice of the whole build.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| name.as_bytes());
            text.push('{');
            for (at, (name, field)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                let _ = write!(text, "{}:", Value::from(name.as_str()));
                write(field, text);
            }
            text.push('}');
        }
        scalar => drop(write!(text, "{scalar}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_says_the_same_has_the_same_hash() {
        let one = json!({"b": [1, {"y": null, "x": "é\n"}], "a": 0.5});
        let other: Value = serde_json::from_str(r#" {"a":0.5, "b":[1,{"x":"\u00e9\n","y":null}]} "#).unwrap();
        let mut text = String::new();
        write(&one, &mut text);
        assert_eq!(text, r#"{"a":0.5,"b":[1,{"x":"é\n","y":null}]}"#);
        assert_eq!(digest(&one), digest(&other));
        assert_ne!(digest(&one), digest(&json!({"b": [1, {"y": null, "x": "é"}], "a": 0.5})));
        assert_eq!(digest(&json!({})), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    }
}
