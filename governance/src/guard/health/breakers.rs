//! What the breakers say of the model and of the tools.

use super::{Finding, HealthState};
use crate::error::Result;
use crate::guard::breaker::Breaker;
use crate::guard::circuit::Circuit;
use crate::store::{Actor, Store, from_json};
use crate::vocabulary::{Key, Kind, Millis};

/// What its breaker says of a model.
pub async fn model(store: &Store, actor: &Actor, name: &str) -> Result<Finding> {
    let advice = "see that the model's server works; calls are refused until a trial succeeds";
    Ok(match Breaker::open(store, actor, name).circuit().await? {
        Circuit::Open { since } => {
            Finding::of(HealthState::Unhealthy, format!("`{name}` failed too often and is not called now"), advice).since(since)
        }
        Circuit::HalfOpen { .. } => Finding::of(HealthState::Degraded, format!("`{name}` failed too often and is tried again"), advice),
        Circuit::Closed { failures: 0 } => Finding::healthy(format!("`{name}` has not failed lately")),
        Circuit::Closed { failures } => Finding::healthy(format!("`{name}` failed {failures} times in a row, and is called")),
    })
}

/// What their breakers say of the tools.
pub async fn tools(store: &Store) -> Result<Finding> {
    let prefix = store.keys().breaker("").as_str().to_owned();
    let (mut ill, mut seen, mut first) = (Vec::new(), 0, None::<Millis>);
    for key in store.scan(&prefix).await? {
        let name = key[prefix.len()..].to_owned();
        if !(name.starts_with("action.") || name.starts_with("target.")) {
            continue;
        }
        seen += 1;
        let Some(found) = store.cell(Key::new(&key, Kind::Record)).await? else { continue };
        match from_json(&key, &found.value)? {
            Circuit::Open { since } => {
                first = Some(first.map_or(since, |first| first.min(since)));
                ill.push(name);
            }
            Circuit::HalfOpen { .. } => ill.push(name),
            Circuit::Closed { .. } => {}
        }
    }
    if ill.is_empty() {
        return Ok(Finding::healthy(format!("no breaker of {seen} is open")));
    }
    let reason = format!("not called now, because they failed too often: {}", ill.join(", "));
    let found = Finding::of(HealthState::Degraded, reason, "see that they work; each is tried again by itself");
    Ok(match first {
        Some(first) => found.since(first),
        None => found,
    })
}
