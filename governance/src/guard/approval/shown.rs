//! What a person is shown of a request: everything, and nothing that could steer a terminal or look like something else.

use std::fmt::Write;

use serde_json::Value;

/// A text with everything made visible that is not: control characters, escapes, what turns the reading direction, what has no width, blanks that are
/// no space. Letters of other scripts stay. A backslash is doubled, so that nothing can pretend to be an escape.
#[must_use]
pub fn shown(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        match c {
            '"' | '\'' => shown.push(c),
            c if is_blank(c) => drop(write!(shown, "\\u{{{:x}}}", u32::from(c))),
            c => shown.extend(c.escape_debug()),
        }
        shown
    })
}

/// What Rust counts as printable and a terminal shows as nothing.
fn is_blank(c: char) -> bool {
    matches!(c, '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}')
}

/// JSON for people, a field a line, every text [`shown`].
#[must_use]
pub fn shown_json(value: &Value) -> String {
    let mut text = String::new();
    write_value(value, 0, &mut text);
    text
}

fn write_value(value: &Value, deep: usize, text: &mut String) {
    let line = |text: &mut String, deep: usize| {
        text.push('\n');
        text.push_str(&"  ".repeat(deep));
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('{');
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| name.as_bytes());
            for (name, field) in sorted {
                line(text, deep + 1);
                let _ = write!(text, "{}: ", quoted(name));
                write_value(field, deep + 1, text);
            }
            line(text, deep);
            text.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for item in items {
                line(text, deep + 1);
                write_value(item, deep + 1, text);
            }
            line(text, deep);
            text.push(']');
        }
        Value::String(said) => text.push_str(&quoted(said)),
        other => drop(write!(text, "{other}")),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text).replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_or_is_not_seen_reaches_it() {
        for (text, seen) in [
            ("rm -rf /\r\x1b[2Kls", "rm -rf /\\r\\u{1b}[2Kls"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("abc\u{202e}txt.exe", "abc\\u{202e}txt.exe"),
            ("a\u{2066}b\u{2069}", "a\\u{2066}b\\u{2069}"),
            ("pay\u{200b}pal\u{feff}", "pay\\u{200b}pal\\u{feff}"),
            ("a\u{a0}b\u{2003}c\u{3164}d", "a\\u{a0}b\\u{2003}c\\u{3164}d"),
            ("line\nline\ttab\0", "line\\nline\\ttab\\0"),
            ("\\u{1b}", "\\\\u{1b}"),
            ("e\u{301}", "e\\u{301}"),
            ("\u{e0041}\u{fe0f}\u{e000}", "\\u{e0041}\\u{fe0f}\\u{e000}"),
            ("Grüße 日本 \"x\"", "Grüße 日本 \"x\""),
        ] {
            assert_eq!(shown(text), seen);
        }
    }

    #[test]
    fn arguments_are_shown_whole_a_field_a_line() {
        let value = json!({"b\x1b": [1, "x\ny", {}], "a": {"path": "/etc", "say \"no\"": null}});
        let seen = "{\n  \"a\": {\n    \"path\": \"/etc\"\n    \"say \\\"no\\\"\": null\n  }\n  \"b\\u{1b}\": [\n    1\n    \"x\\ny\"\n    {}\n  ]\n}";
        assert_eq!(shown_json(&value), seen);
    }

    proptest! {
        /// Whatever the text: only printable characters come out, on one line, and two texts never look the same.
        #[test]
        fn whatever_is_shown_is_printable_and_says_one_thing_only(one in any::<String>(), other in any::<String>()) {
            let seen = shown(&one);
            prop_assert!(!seen.chars().any(|c| c.is_control() || is_blank(c)));
            prop_assert!(one == other || seen != shown(&other));
        }
    }
}
