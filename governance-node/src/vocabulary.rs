//! The vocabulary, as the core's tables.

use ::governance::vocabulary::{
    self as core, AGENT_PHASES_ORDERED, AgentId, AgentPhase, DEFAULT_LEDGER_PATH, DEFAULT_REDIS_HOST, DEFAULT_REDIS_PORT, Keys, ProjectId,
    table,
};
use napi_derive::napi;
use serde_json::json;

use crate::error::Result;

/// Everything that is constant, as JSON.
#[napi]
pub fn vocabulary() -> String {
    let constants = json!({
        "AGENT_PHASE_NAMES": AgentPhase::ALL,
        "AGENT_PHASES_ORDERED": AGENT_PHASES_ORDERED,
        "DEFAULT_REDIS_HOST": DEFAULT_REDIS_HOST,
        "DEFAULT_REDIS_PORT": DEFAULT_REDIS_PORT,
        "DEFAULT_LEDGER_PATH": DEFAULT_LEDGER_PATH,
    });
    json!({"names": table::names(), "maps": table::maps(), "errors": table::error_classes(), "constants": constants}).to_string()
}

/// Says what loads the core: `node`, or `bun`.
#[napi]
pub fn name_runtime(name: String) {
    ::governance::guard::name_runtime(&name);
}

#[napi]
pub fn output_type_for_phase(phase: String) -> Result<Option<String>> {
    Ok(core::get_output_type_for_phase(phase.parse()?).map(|output| output.to_string()))
}

#[napi]
pub fn is_terminal_phase(phase: String) -> Result<bool> {
    Ok(core::is_terminal_phase(phase.parse()?))
}

#[napi]
pub fn next_phase(phase: String) -> Result<Option<String>> {
    Ok(core::next_phase(phase.parse()?).map(|next| next.to_string()))
}

#[napi]
pub fn agent_state_key(id: String) -> Result<String> {
    Ok(Keys::default().agent_state(&AgentId::new(id)?).to_string())
}

#[napi]
pub fn agent_lock_key(id: String) -> Result<String> {
    Ok(Keys::default().agent_lock(&AgentId::new(id)?).to_string())
}

#[napi]
pub fn project_agents_key(id: String) -> Result<String> {
    Ok(Keys::default().project_agents(&ProjectId::new(id)?).to_string())
}
