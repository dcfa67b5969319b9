//! Alerts: what a person should hear of, newest last.

use serde_json::{Value, json};

use crate::error::Result;
use crate::store::{Store, Write, to_json};

/// How many alerts are kept.
const KEPT: u64 = 10_000;

/// The write that raises an alert, to be made in the commit of what it tells of.
pub(crate) fn alert(store: &Store, kind: &str, data: &Value) -> Result<Write> {
    let at = store.ports().clock.now();
    let value = to_json(&json!({"type": kind, "at": at, "data": data}))?;
    Ok(Write::Push { list: store.keys().alerts_queue(), value, bound: KEPT })
}
