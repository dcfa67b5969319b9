//! Whether the agents that should give signs of life do.

use super::{Finding, HealthState};
use crate::error::Result;
use crate::guard::runs::runs;
use crate::store::{Answer, Query, Store};
use crate::vocabulary::{AgentId, AgentStatus, PipelineStatus};

/// How many are named.
const NAMED: usize = 5;

/// Looks for the heartbeat of every agent that lives in a run that goes on.
pub async fn agents(store: &Store) -> Result<Finding> {
    let keys = store.keys();
    let mut open = runs(store, keys.pipelines_open()).await?;
    open.retain(|(_, state)| {
        let over = state.field("status").parse::<PipelineStatus>().is_ok_and(PipelineStatus::is_final);
        !over && state.field("awaiting_user") != "true"
    });
    let asked: Vec<_> = open.iter().map(|(id, _)| Query::Set(keys.pipeline_agents(id))).collect();
    let members = store.read_all(&asked).await?.into_iter().flat_map(|answer| if let Answer::Set(ids) = answer { ids } else { Vec::new() });
    let members = members.map(AgentId::new).collect::<Result<Vec<_>>>()?;
    let asked: Vec<_> = members.iter().map(|id| Query::State(keys.agent_state(id))).collect();
    let states = store.read_all(&asked).await?;
    let lives = |answer: &Answer| {
        let status = if let Answer::State(Some(state)) = answer { state.field("status").parse().ok() } else { None };
        matches!(status, Some(AgentStatus::Running | AgentStatus::Waiting))
    };
    let living: Vec<_> = members.into_iter().zip(&states).filter(|(_, state)| lives(state)).map(|(id, _)| id).collect();
    let asked: Vec<_> = living.iter().map(|id| Query::Cell(keys.agent_heartbeat(id).into())).collect();
    let beats = store.read_all(&asked).await?;
    let mut silent: Vec<_> =
        living.iter().zip(&beats).filter(|(_, beat)| matches!(beat, Answer::Cell(None))).map(|(id, _)| id.to_string()).collect();
    if silent.is_empty() {
        return Ok(Finding::healthy(format!("{} live, and none is silent", living.len())));
    }
    let state = if silent.len() == living.len() { HealthState::Unhealthy } else { HealthState::Degraded };
    let more = if silent.len() > NAMED { format!(" and {} more", silent.len() - NAMED) } else { String::new() };
    silent.truncate(NAMED);
    let reason = format!("no sign of life of {}{more}", silent.join(", "));
    Ok(Finding::of(state, reason, "whoever keeps house revokes them; `governance pipeline continue` takes their run up"))
}
