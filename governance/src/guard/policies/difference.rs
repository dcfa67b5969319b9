//! What is different between two profiles: what they say, not how it is written.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::Text;
use crate::error::{Error, Result};

/// What changed in one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The field, as `constraints.allowed_targets`.
    pub field: String,
    /// What is no longer there.
    pub removed: Vec<String>,
    /// What was not there before.
    pub added: Vec<String>,
}

/// What is different between two profiles, field by field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// By field, sorted. Empty where both decide the same.
    pub changes: Vec<Change>,
}

impl Difference {
    /// Between two profiles; nothing stands for none, as where one was withdrawn.
    pub fn between(from: Option<&Text>, to: Option<&Text>) -> Result<Self> {
        let (from, to) = (fields(from)?, fields(to)?);
        let names: std::collections::BTreeSet<_> = from.keys().chain(to.keys()).collect();
        let nothing = Vec::new();
        let change = |field: &&String| {
            let (old, new) = (from.get(*field).unwrap_or(&nothing), to.get(*field).unwrap_or(&nothing));
            let change = Change { field: (*field).clone(), removed: less(old, new), added: less(new, old) };
            (!change.removed.is_empty() || !change.added.is_empty()).then_some(change)
        };
        Ok(Self { changes: names.iter().filter_map(change).collect() })
    }
}

/// What stands in one list and not in the other, as often as it stands there more.
fn less(list: &[String], without: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    without.iter().for_each(|text| *counts.entry(text).or_default() += 1);
    let is_more = |text: &&String| match counts.get_mut(text.as_str()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    list.iter().filter(is_more).cloned().collect()
}

/// What a profile says, by field: each entry of a list, each line of a text.
fn fields(text: Option<&Text>) -> Result<BTreeMap<String, Vec<String>>> {
    let mut fields = BTreeMap::new();
    if let Some(text) = text {
        let profile = serde_json::to_value(text.compile()?.profile()).map_err(|e| Error::internal("a profile is not JSON").because(e))?;
        flatten("", &profile, &mut fields);
    }
    Ok(fields)
}

fn flatten(at: &str, value: &Value, fields: &mut BTreeMap<String, Vec<String>>) {
    let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    match value {
        Value::Object(object) => object.iter().for_each(|(name, value)| flatten(&below(name), value, fields)),
        Value::Array(list) => {
            fields
                .entry(at.to_owned())
                .or_default()
                .extend(list.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)));
        }
        Value::String(text) => fields.entry(at.to_owned()).or_default().extend(text.lines().map(str::to_owned)),
        other => fields.entry(at.to_owned()).or_default().push(other.to_string()),
    }
}
