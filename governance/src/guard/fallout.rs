//! What a failing tool or model costs its agent: a fault of its budget, and an error of its last minute.

use super::budget::ErrorBudget;
use super::faults::{Fault, FaultCount};
use super::revocation::RevocationEngine;
use super::triggers::Response;
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::AgentId;

/// So much of an action's name tells one tool's failures from another's.
const NAMED: usize = 60;

/// Whether an error is the agent's: a refusal and the end of its admission are not.
pub(crate) fn is_fault(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Revoked | ErrorKind::Denied | ErrorKind::Exhausted) && !matches!(error.code(), "cancelled")
}

/// Counts a tool's failure. Answers why the agent is admitted to nothing more, if this was one too many.
pub(crate) async fn tool_failed(engine: &RevocationEngine, budget: &ErrorBudget, action: &str, error: &Error) -> Result<Option<String>> {
    if !is_fault(error) {
        return Ok(None);
    }
    let message = error.to_string();
    let kind = format!("{} {}", action.chars().take(NAMED).collect::<String>(), error.code());
    if let FaultCount::Exceeded(_) = budget.fault(&Fault::Error { kind, message: message.clone() }).await? {
        return Ok(Some(format!("error budget exceeded, at last by this: {message}")));
    }
    failed_within_a_minute(engine, &budget.actor.id, &message).await
}

/// Counts an error in the agent's last minute.
pub(crate) async fn failed_within_a_minute(engine: &RevocationEngine, agent: &AgentId, message: &str) -> Result<Option<String>> {
    let response = engine.error(agent, message).await?;
    Ok(matches!(response, Response::Revoke { .. }).then(|| format!("too many errors within a minute, the last: {message}")))
}
