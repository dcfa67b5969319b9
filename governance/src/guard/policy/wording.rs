//! What is wrong with a profile, in words for whoever wrote it: parsers speak of their own types and options.

/// Of parsers' words for what they wanted, ours.
const WANTED: [(&str, &str); 14] = [
    ("a nonzero u32", NUMBER_ABOVE_ZERO),
    ("u64", NUMBER),
    ("u32", NUMBER),
    ("u16", NUMBER),
    ("u8", NUMBER),
    ("f64", "a number"),
    ("a boolean", BOOLEAN),
    ("a string", TEXT),
    ("string scalar", TEXT),
    ("sequence start", LIST),
    ("a sequence", LIST),
    ("mapping start", FIELDS),
    ("a map", FIELDS),
    ("struct ", FIELDS),
];
const NUMBER: &str = "a whole number, not below zero";
const NUMBER_ABOVE_ZERO: &str = "a whole number above zero";
const BOOLEAN: &str = "true or false";
const TEXT: &str = "a text";
const LIST: &str = "a list, as `[one, two]`";
const FIELDS: &str = "fields, each as `name: value`";

/// What a parser told, with the field that it was at: `governance.breaker.failures`. `.` is the whole, and `?` a field that had no name yet.
pub(super) fn plainly(field: &str, told: &str) -> String {
    let (field, why) = (field.trim_end_matches(['.', '?']), reworded(told));
    if field.is_empty() { why } else { format!("`{field}`: {why}") }
}

fn reworded(told: &str) -> String {
    if let Some(rest) = told.strip_prefix("duplicate mapping key") {
        let name = rest.trim_start_matches(": ").split(", set ").next().unwrap_or_default();
        return if name.is_empty() { "it has a field twice".to_owned() } else { format!("it has the field `{name}` twice") };
    }
    if let Some(name) = told.strip_prefix("duplicate field ") {
        return format!("it has the field {name} twice");
    }
    if told.starts_with("multiple YAML documents") {
        return "more than one document, with `---` between them: each profile is a file of its own".to_owned();
    }
    if told.starts_with("alias references unknown anchor") || told.starts_with("while scanning an anchor or alias") {
        return "a text that begins with `*` or `&` is written in quotes".to_owned();
    }
    if told.starts_with("unexpected end") || told.starts_with("EOF while parsing") {
        return "it ends where something is missing".to_owned();
    }
    if told.starts_with("budget breached") {
        return "it is nested too deeply, or repeats itself too often".to_owned();
    }
    if let Some((name, known)) = told.strip_prefix("unknown field ").and_then(|rest| rest.split_once(", expected ")) {
        return format!("unknown field {name}: it takes {}", list(known));
    }
    if let Some((name, known)) = told.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected ")) {
        return format!("it is {name}: it takes {}", list(known));
    }
    if let Some((found, wanted)) = found_and_wanted(told) {
        return match found {
            Some(found) => format!("it is {found}: it takes {wanted}"),
            None => format!("it takes {wanted}"),
        };
    }
    told.to_owned()
}

/// Of `invalid type: string "a", expected u64` and its like, what was found, where that is said, and what it takes.
fn found_and_wanted(told: &str) -> Option<(Option<&str>, &'static str)> {
    let ours = |wanted: &str| WANTED.iter().find(|(theirs, _)| wanted.starts_with(theirs)).map(|(_, ours)| *ours);
    if let Some(kind) = told.strip_prefix("invalid ")
        && let Some((_, rest)) = kind.split_once(": ")
        && let Some((found, wanted)) = rest.rsplit_once(", expected ")
    {
        let found =
            ["string ", "integer ", "floating point ", "boolean "].into_iter().find_map(|kind| found.strip_prefix(kind)).unwrap_or(found);
        return Some((Some(found), ours(wanted)?));
    }
    if told.starts_with("invalid boolean") {
        return Some((None, BOOLEAN));
    }
    let wanted = told.strip_prefix("invalid ").or_else(|| told.strip_prefix("expected "))?;
    Some((None, ours(wanted)?))
}

/// `one of a, b` and `a or b` as they are, without what only a parser says.
fn list(known: &str) -> &str {
    known.strip_prefix("one of ").unwrap_or(known)
}
