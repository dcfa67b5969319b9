//! One story: opened, told step by step, compared.

use std::collections::{BTreeMap, BTreeSet};

use governance::{Config, Governance};
use serde::Deserialize;
use serde_json::{Value, json};

use super::calls::{Answer, Handle};
use super::with::With;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    #[serde(rename = "about")]
    _about: String,
    #[serde(default)]
    open: BTreeMap<String, Vec<Value>>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    call: String,
    #[serde(default)]
    with: Value,
    #[serde(default)]
    take: usize,
    #[serde(default, deserialize_with = "given")]
    gives: Option<Value>,
    fails: Option<Value>,
    save: Option<String>,
    save_as_handle: Option<String>,
}

/// `null` is something that is given, too.
fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl Story {
    pub async fn tell(self, name: &str, told: &mut BTreeSet<String>) {
        let home = tempfile::tempdir().unwrap();
        let governance = Governance::open(Config { home: home.path().join("home"), ..Config::default() }).await.unwrap();
        told.extend(["Governance.open".to_owned(), "Governance.close".to_owned()]);
        let mut handles = BTreeMap::from([("gov".to_owned(), Handle::Governance(governance.clone()))]);
        for (handle, opened) in self.open {
            let call = opened[0].as_str().unwrap();
            let named = opened.get(1).and_then(Value::as_object).cloned().unwrap_or_default();
            let method = call.strip_prefix("Governance.").unwrap_or_else(|| panic!("{name}: `{call}` opens nothing"));
            told.insert(call.to_owned());
            let opened = Handle::Governance(governance.clone()).call(method, &With { named, take: 0 }).await;
            let Ok(Answer::Handle(opened)) = opened else { panic!("{name}: `{call}` gives no handle") };
            handles.insert(handle, *opened);
        }
        let mut saved = json!({});
        for (number, step) in self.steps.into_iter().enumerate() {
            let at = format!("{name}, step {}, {}", number + 1, step.call);
            let (handle, method) = step.call.split_once('.').unwrap();
            let asked = handles.get_mut(handle).unwrap_or_else(|| panic!("{at}: no such handle"));
            told.insert(format!("{}.{method}", asked.class()));
            let named = filled(&step.with, &saved).as_object().cloned().unwrap_or_default();
            let answer = match (asked.call(method, &With { named, take: step.take }).await, &step.fails) {
                (Ok(answer), None) => answer,
                (Err(error), Some(expected)) => {
                    compare(&json!({"kind": error.kind(), "code": error.code()}), expected, &format!("{at}: {error}"));
                    continue;
                }
                (Ok(answer), Some(_)) => panic!("{at}: it gave {answer:?}"),
                (Err(error), None) => panic!("{at}: {} {error}", error.code()),
            };
            match (answer, step.save_as_handle) {
                (Answer::Handle(opened), Some(name)) => _ = handles.insert(name, *opened),
                (Answer::Handle(_), None) | (Answer::Value(_), Some(_)) => panic!("{at}: a handle is saved as a handle, a value is not"),
                (Answer::Value(found), None) => {
                    if let Some(expected) = &step.gives {
                        compare(&found, expected, &at);
                    }
                    if let Some(name) = step.save {
                        saved[name] = found;
                    }
                }
            }
        }
        drop(handles);
        governance.close().await.unwrap();
    }
}

fn filled(value: &Value, saved: &Value) -> Value {
    match value {
        Value::Object(fields) if fields.contains_key("$saved") => {
            let step = |from: &Value, name: &str| name.parse::<usize>().map_or_else(|_| from[name].clone(), |at| from[at].clone());
            fields["$saved"].as_str().unwrap().split('.').fold(saved.clone(), |from, name| step(&from, name))
        }
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), filled(value, saved))).collect(),
        Value::Array(items) => items.iter().map(|item| filled(item, saved)).collect(),
        plain => plain.clone(),
    }
}

/// Plain values exactly, lists item by item, objects by the fields that are named.
fn compare(found: &Value, expected: &Value, at: &str) {
    match (found, expected) {
        (Value::Object(_), Value::Object(fields)) => {
            for (name, value) in fields {
                compare(found.get(name).unwrap_or(&Value::Null), value, &format!("{at}.{name}"));
            }
        }
        (Value::Array(items), Value::Array(wanted)) => {
            assert_eq!(items.len(), wanted.len(), "{at}: {found}");
            for (index, (item, value)) in items.iter().zip(wanted).enumerate() {
                compare(item, value, &format!("{at}.{index}"));
            }
        }
        _ => assert_eq!(found, expected, "{at}"),
    }
}
