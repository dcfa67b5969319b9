//! Ending a pipeline: stopped with everything that it began, or revoked with each of its agents by name.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::admission::Admissions;
use super::revocation::{Receipt, RevocationEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Action;
use crate::vocabulary::{AgentId, PipelineId, PipelineStatus, RevocationType};

/// How often a stop makes sure that its pipeline has not ended meanwhile.
const CAREFUL: u32 = 8;

/// A pipeline whose admission was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedPipeline {
    /// The end of what its agents were begun under: nothing more begins in it.
    pub pipeline: Receipt,
    /// The agents that were revoked now, or before.
    pub revoked: Vec<AgentId>,
    /// The agents that had ended by themselves.
    pub ended: Vec<AgentId>,
}

impl RevocationEngine {
    /// Stops a pipeline with all of its agents. How one that has ended ended stays what it was; nothing that it admitted lands any more either way.
    pub async fn stop_pipeline(&self, id: &PipelineId, reason: &str) -> Result<Receipt> {
        let keys = self.store.keys();
        for attempt in 0.. {
            let Some(state) = self.store.state(keys.pipeline(id)).await? else {
                let message = format!("there is no pipeline `{id}`: see `governance pipeline list`");
                return Err(Error::new(ErrorKind::NotFound, "no_such_pipeline", message));
            };
            let ended = state.field("status").parse().ok().filter(|status: &PipelineStatus| status.is_final());
            let data = json!({"pipeline_id": id, "status": ended.unwrap_or(PipelineStatus::Stopped), "reason": reason});
            let mut commit = self
                .raising(keys.pipeline_epoch(id))
                .write(self.alert("pipeline_stopped", &data)?)
                .write(self.broadcast("pipeline_stopped", &data)?);
            if ended.is_none() {
                let stopped = [("status", PipelineStatus::Stopped.as_str()), ("reason", reason), ("awaiting_user", "false")];
                commit = commit.merge(keys.pipeline(id), stopped);
            }
            // INVARIANT: a stop lands, however fast its pipeline goes from state to state.
            if attempt < CAREFUL {
                commit = commit.version(keys.pipeline(id), state.version);
            }
            match self.carry_out(Action::Stop, (None, Some(id)), &data, commit).await {
                // It went on to another state in between.
                Err(error) if error.code() == "version_conflict" => {}
                other => return other,
            }
        }
        Err(Error::internal("a stop was tried without end"))
    }

    /// Revokes a pipeline: what its agents were begun under, then each agent that has not ended, so that each has its signal, its line in
    /// `revocations:ledger` and its handoff.
    pub async fn revoke_pipeline(&self, id: &PipelineId, kind: RevocationType, reason: &str) -> Result<RevokedPipeline> {
        // INVARIANT: first the pipeline: no agent begins while its agents are gone through.
        let pipeline = self.stop_pipeline(id, reason).await?;
        let (mut revoked, mut ended) = (Vec::new(), Vec::new());
        for agent in Admissions::new(&self.store, &self.recorder).agents(id).await? {
            if agent.status.is_final() && self.revocation_of(&agent.id).await?.is_none() {
                ended.push(agent.id);
            } else {
                self.revoke(&agent.id, kind, reason).await?;
                revoked.push(agent.id);
            }
        }
        Ok(RevokedPipeline { pipeline, revoked, ended })
    }
}
