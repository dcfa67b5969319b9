//! Whether the agents that should give signs of life do.

use super::{Finding, HealthState};
use crate::error::Result;
use crate::guard::admission::Admissions;
use crate::guard::recorder::Recorder;
use crate::store::Store;
use crate::vocabulary::{AgentStatus, PipelineId, PipelineStatus};

/// How many are named.
const NAMED: usize = 5;

/// Looks for the heartbeat of every agent that lives in a run that goes on.
pub async fn agents(store: &Store) -> Result<Finding> {
    let (keys, admissions) = (store.keys(), Admissions::new(store, &Recorder::default()));
    let (mut living, mut silent) = (0, Vec::new());
    for id in store.set(keys.pipelines()).await? {
        let id = PipelineId::new(id)?;
        let state = store.state(keys.pipeline(&id)).await?.unwrap_or_default();
        let over = state.field("status").parse::<PipelineStatus>().is_ok_and(PipelineStatus::is_final);
        if over || state.field("awaiting_user") == "true" {
            continue;
        }
        for agent in admissions.agents(&id).await? {
            if !matches!(agent.status, AgentStatus::Running | AgentStatus::Waiting) {
                continue;
            }
            living += 1;
            if store.cell(keys.agent_heartbeat(&agent.id)).await?.is_none() {
                silent.push(agent.id.to_string());
            }
        }
    }
    if silent.is_empty() {
        return Ok(Finding::healthy(format!("{living} live, and none is silent")));
    }
    let state = if silent.len() == living { HealthState::Unhealthy } else { HealthState::Degraded };
    let more = if silent.len() > NAMED { format!(" and {} more", silent.len() - NAMED) } else { String::new() };
    silent.truncate(NAMED);
    let reason = format!("no sign of life of {}{more}", silent.join(", "));
    Ok(Finding::of(state, reason, "whoever keeps house revokes them; `governance pipeline continue` takes their run up"))
}
