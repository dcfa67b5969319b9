//! What goes with an agent that is revoked: the agents that it began, and what was kept for it.

use serde_json::Value;

use super::Agent;
use super::revocation::RevocationEngine;
use crate::coordination::Charge;
use crate::error::{ErrorKind, Result};
use crate::ledger::Action;
use crate::store::{Commit, Write, to_json};
use crate::vocabulary::{AgentId, Extent, RevocationType};

/// How many lines `pipeline:{id}:errors` keeps.
const ERRORS_KEPT: u64 = 1_000;

impl RevocationEngine {
    /// Names every agent that a revoked one began, each with its signal, its line and its handoff. Their admissions have ended with its own.
    pub(super) async fn with_descendants(&self, of: &AgentId, kind: RevocationType, extent: Extent, reason: &str) -> Result<()> {
        let mut above = vec![of.clone()];
        while let Some(parent) = above.pop() {
            for child in self.store.set(self.store.keys().agent_children(&parent)).await? {
                let child = AgentId::new(child)?;
                let Ok(known) = self.known(&child).await else { continue };
                // An agent that has ended by itself ended well; what it began has not, for all that is known.
                if !known.status.is_final() {
                    self.name_descendant(&known, kind, extent, &format!("with `{parent}`, which began it: {reason}")).await?;
                }
                above.push(child);
            }
        }
        Ok(())
    }

    async fn name_descendant(&self, agent: &Agent, kind: RevocationType, extent: Extent, reason: &str) -> Result<()> {
        if self.revocation_of(&agent.id).await?.is_some() {
            return Ok(());
        }
        let commit = self.revocation(agent, kind, extent, reason)?;
        let payload = serde_json::json!({"type": kind, "reason": reason, "extent": extent});
        match self.carry_out(Action::Revoke, (Some(&agent.id), agent.pipeline.as_ref()), &payload, commit).await {
            // Somebody else was first.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            other => other.map(drop),
        }
    }

    /// What a full revocation takes besides the admission: nobody waits for the agent any more, and its pipeline is told.
    pub(super) fn taking_all(&self, agent: &Agent, commit: Commit, data: &Value) -> Result<Commit> {
        let keys = self.store.keys();
        let mut commit = commit
            .write(Write::Delete(keys.agent_lock(&agent.id).into()))
            .write(Charge::lock(&agent.id).end(keys))
            .write(Write::Delete(keys.agent_heartbeat(&agent.id).into()))
            .write(Charge::heartbeat(&agent.id).end(keys));
        if let Some(pipeline) = &agent.pipeline {
            let line = to_json(&serde_json::json!({"type": "agent_revoked", "at": self.store.ports().clock.now(), "data": data}))?;
            commit = commit.write(Write::Push { list: keys.pipeline_errors(pipeline), value: line, bound: ERRORS_KEPT });
        }
        Ok(commit)
    }
}
