//! A step's arguments, by name.

use std::str::FromStr;
use std::time::Duration;

use governance::Error;
use governance::coordination::Cursor;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What a step gives, with what was saved before filled in.
#[derive(Debug, Clone, Default)]
pub struct With {
    pub named: Map<String, Value>,
    pub take: usize,
}

impl With {
    fn optional(&self, name: &str) -> Option<&Value> {
        self.named.get(name)
    }

    pub fn json(&self, name: &str) -> &Value {
        self.optional(name).unwrap_or_else(|| panic!("`{name}` is not given"))
    }

    pub fn text(&self, name: &str) -> &str {
        self.json(name).as_str().unwrap_or_else(|| panic!("`{name}` is no text"))
    }

    pub fn number(&self, name: &str) -> u64 {
        self.json(name).as_u64().unwrap_or_else(|| panic!("`{name}` is no number"))
    }

    pub fn span(&self, name: &str) -> Duration {
        Duration::from_millis(self.number(name))
    }

    /// An id or a name of the vocabulary.
    pub fn named<T: FromStr<Err = Error>>(&self, name: &str) -> governance::Result<T> {
        self.text(name).parse()
    }

    /// A value in the core's own shape.
    pub fn shaped<T: DeserializeOwned>(&self, name: &str) -> T {
        serde_json::from_value(self.json(name).clone()).unwrap_or_else(|error| panic!("`{name}`: {error}"))
    }

    /// The same, if it is given.
    pub fn maybe<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.optional(name).map(|_| self.shaped(name))
    }

    pub fn maybe_named<T: FromStr<Err = Error>>(&self, name: &str) -> governance::Result<Option<T>> {
        self.optional(name).map(|_| self.named(name)).transpose()
    }

    pub fn maybe_span(&self, name: &str) -> Option<Duration> {
        self.optional(name).map(|_| self.span(name))
    }

    pub fn after(&self) -> Cursor {
        self.maybe("after").unwrap_or_default()
    }
}
