//! Ending a pipeline: completed once its agents have ended, stopped with everything that it began, or revoked with each of its agents by name.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::admission::Admissions;
use super::revocation::{Receipt, RevocationEngine};
use super::runs::listed;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Action;
use crate::store::{Commit, Fields, Write, to_json};
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

impl Admissions {
    /// Ends a pipeline that no orchestrator carries out, once none of its agents lives: it is COMPLETED, and nobody joins it any more. One that has ended
    /// so already stays so.
    ///
    /// `agents_live`, `owned`, `already_ended` (otherwise, as by a stop): each says what to do instead.
    pub async fn end_pipeline(&self, id: &PipelineId) -> Result<()> {
        for _ in 0..CAREFUL {
            let keys = self.store.keys();
            let state = self.store.state(keys.pipeline(id)).await?.ok_or_else(|| missing(id))?;
            if state.field("status") == PipelineStatus::Completed.as_str() {
                return Ok(());
            }
            self.may_end(id, &state).await?;
            let status = PipelineStatus::Completed;
            let told = json!({"type": "pipeline_status", "data": {"pipeline_id": id, "status": status, "reason": null}});
            // Whoever was about to join begins nothing more under the epoch that it read.
            let mut commit = Commit::default()
                .raise(keys.pipeline_epoch(id))
                .version(keys.pipeline(id), state.version)
                .merge(keys.pipeline(id), [("status", status.to_string()), ("ended_at", self.store.now().await?.0.to_string())])
                .write(Write::Signal { channel: keys.ws_broadcast(), payload: to_json(&told)? });
            commit.writes.extend(listed(keys, id, status));
            let payload = json!({"status": status, "reason": null});
            let ended = self
                .recorder
                .record(&self.store, Action::Phase, (None, Some(id)), &payload, async |token| self.store.apply(commit.token(token)).await);
            match ended.await {
                // It was stopped in between, or ended by somebody else.
                Err(error) if error.code() == "version_conflict" => {}
                other => return other.map(drop),
            }
        }
        Err(Error::internal("an end was tried too often"))
    }

    async fn may_end(&self, id: &PipelineId, state: &Fields) -> Result<()> {
        let refused = |code, message| Err(Error::new(ErrorKind::Conflict, code, message));
        let status: PipelineStatus = state.field("status").parse()?;
        if status.is_final() {
            return refused("already_ended", format!("`{id}` has ended as {status}: begin another"));
        }
        if self.store.number(self.store.keys().pipeline_owner_fence(id)).await? > 0 {
            let message = format!(
                "`{id}` is a run that ends by itself: take it up with `governance pipeline continue {id}`, or stop it with `governance pipeline stop {id}`"
            );
            return refused("owned", message);
        }
        let mut living = self.agents(id).await?;
        living.retain(|agent| !agent.status.is_final());
        let Some(first) = living.first() else { return Ok(()) };
        let others = if living.len() > 1 { format!(" and {} more", living.len() - 1) } else { String::new() };
        let message = format!(
            "`{}`{others} still lives in `{id}`: let each leave first, or end them with it: `governance pipeline stop {id}`",
            first.id
        );
        refused("agents_live", message)
    }
}

pub(super) fn missing(id: &PipelineId) -> Error {
    Error::new(ErrorKind::NotFound, "no_such_pipeline", format!("there is no pipeline `{id}`: see `governance pipeline list`"))
}

impl RevocationEngine {
    /// Stops a pipeline with all of its agents. How one that has ended ended stays what it was; nothing that it admitted lands any more either way.
    pub async fn stop_pipeline(&self, id: &PipelineId, reason: &str) -> Result<Receipt> {
        let keys = self.store.keys();
        for attempt in 0.. {
            let state = self.store.state(keys.pipeline(id)).await?.ok_or_else(|| missing(id))?;
            let ended = state.field("status").parse().ok().filter(|status: &PipelineStatus| status.is_final());
            let data = json!({"pipeline_id": id, "status": ended.unwrap_or(PipelineStatus::Stopped), "reason": reason});
            let mut commit = self
                .raising(keys.pipeline_epoch(id))
                .write(self.alert("pipeline_stopped", &data)?)
                .write(self.broadcast("pipeline_stopped", &data)?);
            if ended.is_none() {
                let now = self.store.now().await?.0.to_string();
                let stopped =
                    [("status", PipelineStatus::Stopped.as_str()), ("reason", reason), ("awaiting_user", "false"), ("ended_at", &now)];
                commit = commit.merge(keys.pipeline(id), stopped);
                commit.writes.extend(listed(keys, id, PipelineStatus::Stopped));
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
