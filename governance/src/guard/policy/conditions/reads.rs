//! Which facts a text of conditions reads. Found out once, so that nothing else is given to it, and an answer holds as long as these facts do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The kinds of arguments, by how they are read.
pub(super) const KINDS: [&str; 4] = ["strings", "numbers", "decimals", "booleans"];

/// What is read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    /// Fields of the context.
    pub context: BTreeSet<String>,
    /// Arguments by name, each with the kinds that it is read as.
    pub arguments: BTreeMap<String, BTreeSet<&'static str>>,
}

impl Reads {
    /// Adds what a policy reads, given as Cedar's own JSON form of it. Refuses what would make it unknown which facts are read.
    pub fn add(&mut self, policy: &Value) -> Result<(), String> {
        match policy {
            Value::Array(list) => list.iter().try_for_each(|value| self.add(value)),
            Value::Object(object) => object.iter().try_for_each(|(name, value)| self.operation(name, value)),
            _ => Ok(()),
        }
    }

    /// Whether an answer holds for that very moment only.
    pub fn the_moment(&self) -> bool {
        self.context.contains("now")
    }

    /// Whether the time is read at all.
    pub fn time(&self) -> bool {
        ["now", "hour", "minute", "weekday"].iter().any(|name| self.context.contains(*name))
    }

    fn operation(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match name {
            // A literal holds nothing that is read.
            "Value" => Ok(()),
            "Var" if value == "context" => Err("`context` is read field by field, as `context.hour`".to_owned()),
            "." | "has" => {
                let (left, field) = (&value["left"], value["attr"].as_str());
                match field {
                    Some(field) if is_context(left) => {
                        self.context.insert(field.to_owned());
                        Ok(())
                    }
                    _ => self.add(left),
                }
            }
            "hasTag" | "getTag" => self.argument(&value["left"], &value["right"]),
            _ => self.add(value),
        }
    }

    fn argument(&mut self, of: &Value, name: &Value) -> Result<(), String> {
        let how = "an argument is read by its kind and its name, as `context.numbers.getTag(\"amount\")`";
        let field = of["."]["attr"].as_str().filter(|_| is_context(&of["."]["left"])).ok_or(how)?;
        let kind = KINDS.into_iter().find(|kind| *kind == field).ok_or(how)?;
        let name = name["Value"].as_str().ok_or(how)?;
        self.context.insert(kind.to_owned());
        self.arguments.entry(name.to_owned()).or_default().insert(kind);
        Ok(())
    }
}

fn is_context(value: &Value) -> bool {
    value["Var"] == "context"
}
