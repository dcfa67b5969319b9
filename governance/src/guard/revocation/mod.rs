//! Ending an admission: one write, after which nothing admitted before is accepted.
//!
//! ```text
//!   intent in the segment ▶ commit: epoch and generation raised, signal, list, alert, state, handoff ▶ outcome, witness ▶ acknowledged
//! ```
//!
//! The commit is urgent, so it lands on a store that is out of memory, and carries no admission: stopping must always be possible.

mod observed;
mod stop;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use stop::{Lifted, Stop};

use super::admission::{Admissions, Agent};
use super::alerts::alert;
use super::recorder::Recorder;
use super::triggers::Triggers;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Action;
use crate::store::{Commit, Store, Write, to_json};
use crate::vocabulary::{AgentId, AgentPhase, AgentStatus, Extent, Handoff, HandoffId, Key, Millis, PipelineId, RevocationType};

/// How many items `revocations:ledger` keeps.
pub(super) const LISTED: u64 = 10_000;

/// Ends the admission of agents, of pipelines, of everything.
#[derive(Debug, Clone)]
pub struct RevocationEngine {
    pub(super) store: Store,
    pub(super) recorder: Recorder,
    triggers: Triggers,
}

/// Why an agent was revoked; what `agent:{id}:revoke_signal` and `revocations:ledger` hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Who.
    pub agent_id: AgentId,
    /// Its pipeline.
    pub pipeline_id: Option<PipelineId>,
    /// As what.
    #[serde(rename = "type")]
    pub kind: RevocationType,
    /// How far.
    #[serde(default = "all_of_it")]
    pub extent: Extent,
    /// Why, for people.
    pub reason: String,
    /// When.
    pub at: Millis,
}

impl std::fmt::Display for Revocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "revoked ({}): {}", self.kind, self.reason)
    }
}

/// What earlier versions did not say.
fn all_of_it() -> Extent {
    Extent::Full
}

/// A revocation that store and ledger both hold. Nothing admitted before lands any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The epoch now.
    pub epoch: u64,
    /// The store's generation now.
    pub generation: u64,
}

impl RevocationEngine {
    /// Revocations on a store, without a ledger.
    #[must_use]
    pub fn open(store: &Store) -> Self {
        Self { store: store.clone(), recorder: Recorder::default(), triggers: Triggers::default() }
    }

    /// The same, recorded.
    #[must_use]
    pub fn recorded(mut self, recorder: &Recorder) -> Self {
        self.recorder = recorder.clone();
        self
    }

    /// The same, with other triggers.
    #[must_use]
    pub fn with_triggers(mut self, triggers: Triggers) -> Self {
        self.triggers = triggers;
        self
    }

    /// Revokes an agent and every agent that it began. Once this returns no write that they were admitted to lands. The first revocation
    /// stands: revoking again changes nothing and answers where things are now.
    pub async fn revoke(&self, agent: &AgentId, kind: RevocationType, reason: &str) -> Result<Receipt> {
        self.end_admission(agent, kind, Extent::Full, reason, None).await
    }

    /// Revokes an agent's token only, with those of the agents that it began: their admissions end, and nothing else is taken from them. See
    /// [`Extent::Token`].
    pub async fn revoke_token(&self, agent: &AgentId, kind: RevocationType, reason: &str) -> Result<Receipt> {
        self.end_admission(agent, kind, Extent::Token, reason, None).await
    }

    /// Ends an admission, and tells of the violation that it ends for.
    async fn end_admission(
        &self,
        agent: &AgentId,
        kind: RevocationType,
        extent: Extent,
        reason: &str,
        mut violation: Option<Write>,
    ) -> Result<Receipt> {
        let keys = self.store.keys();
        let known = self.known(agent).await?;
        let mut receipt = None;
        if self.revocation_of(agent).await?.is_none() {
            let mut commit = self.revocation(&known, kind, extent, reason)?;
            commit.writes.extend(violation.clone());
            let payload = json!({"type": kind, "reason": reason, "extent": extent});
            match self.carry_out(Action::Revoke, (Some(agent), known.pipeline.as_ref()), &payload, commit).await {
                // Somebody else was first.
                Err(error) if error.code() == "version_conflict" => {}
                other => {
                    receipt = Some(other?);
                    violation = None;
                }
            }
        }
        // What an agent does that is revoked already is told all the same.
        if let Some(violation) = violation {
            self.store.apply(Commit::default().write(violation)).await?;
        }
        self.with_descendants(agent, kind, extent, reason).await?;
        match receipt {
            Some(receipt) => Ok(receipt),
            None => self.standing(keys.agent_epoch(agent)).await,
        }
    }

    /// Why an agent was revoked, if it was.
    pub async fn revocation_of(&self, agent: &AgentId) -> Result<Option<Revocation>> {
        Ok(self.store.json(self.store.keys().agent_revoke_signal(agent)).await?.map(|(_, revocation)| revocation))
    }

    /// The newest revocations, oldest first.
    pub async fn revocations(&self, last: u64) -> Result<Vec<Revocation>> {
        let items = self.store.list(self.store.keys().revocations_ledger(), last).await?;
        items.iter().map(|item| crate::store::from_json("revocations:ledger", item)).collect()
    }

    /// The commit that revokes an agent, to be extended by who knows more.
    pub(super) fn revocation(&self, agent: &Agent, kind: RevocationType, extent: Extent, reason: &str) -> Result<Commit> {
        let keys = self.store.keys();
        let at = self.store.ports().clock.now();
        let revocation =
            Revocation { agent_id: agent.id.clone(), pipeline_id: agent.pipeline.clone(), kind, extent, reason: reason.to_owned(), at };
        let item = to_json(&revocation)?;
        let data = json!({"agent_id": agent.id, "pipeline_id": agent.pipeline, "type": kind, "extent": extent, "reason": reason});
        let mut commit = self
            .raising(keys.agent_epoch(&agent.id))
            .absent(keys.agent_revoke_signal(&agent.id))
            .put(keys.agent_revoke_signal(&agent.id), item.clone())
            .merge(keys.agent_state(&agent.id), [("status", AgentStatus::Revoked.as_str()), ("phase", AgentPhase::Revoked.as_str())])
            .write(Write::Push { list: keys.revocations_ledger(), value: item, bound: LISTED })
            .write(self.alert("agent_revoked", &data)?)
            .write(self.broadcast("agent_revoked", &data)?);
        if let Some(pipeline) = &agent.pipeline {
            let handoff = Handoff {
                handoff_id: HandoffId::new(format!("handoff-{}", agent.id))?,
                from_agent: agent.id.clone(),
                pipeline_id: pipeline.clone(),
                phase: agent.phase,
                reason: reason.to_owned(),
                error_summary: vec![reason.to_owned()],
                completed: Vec::new(),
                pending: vec![format!("what `{}` was doing in {}", agent.id, agent.phase)],
                blackboard_ref: Some(format!("blackboard:{pipeline}")),
                evidence_refs: agent.evidence.clone(),
                created_at: at,
            };
            commit = commit.put(keys.agent_handoff(&agent.id), to_json(&handoff)?);
        }
        Ok(match extent {
            Extent::Token => commit,
            Extent::Full => self.taking_all(agent, commit, &data)?,
        })
    }

    pub(super) async fn known(&self, agent: &AgentId) -> Result<Agent> {
        let known = Admissions::new(&self.store, &self.recorder).agent(agent).await?;
        known.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "no_such_agent", format!("there is no agent `{agent}`: see `governance pipeline list`"))
        })
    }

    /// INVARIANT: acknowledged only when both the store and the ledger hold it.
    pub(super) async fn carry_out(
        &self,
        action: Action,
        subject: (Option<&AgentId>, Option<&PipelineId>),
        payload: &Value,
        commit: Commit,
    ) -> Result<Receipt> {
        let receipt = self
            .recorder
            .record_saying(
                &self.store,
                action,
                subject,
                payload,
                |receipt| json!(receipt),
                async |token| {
                    let accepted = self.store.apply(commit.token(token)).await?;
                    let [epoch, generation, ..] = accepted.results[..] else {
                        return Err(Error::internal("a revocation without an epoch"));
                    };
                    self.recorder.acknowledge(generation).await.map_err(not_acknowledged)?;
                    Ok(Receipt { epoch, generation })
                },
            )
            .await?;
        tracing::info!(action = %action, epoch = receipt.epoch, generation = receipt.generation, "admission ended");
        Ok(receipt)
    }

    /// What holds already. Whoever brought it about may have died before the ledger knew, so it is told again.
    async fn standing(&self, epoch: Key) -> Result<Receipt> {
        let generation = self.store.number(self.store.keys().generation()).await?;
        self.recorder.acknowledge(generation).await.map_err(not_acknowledged)?;
        Ok(Receipt { epoch: self.store.number(epoch).await?, generation })
    }

    pub(super) fn raising(&self, epoch: Key) -> Commit {
        Commit::default().urgent().raise(epoch).raise(self.store.keys().generation())
    }

    pub(super) fn alert(&self, kind: &str, data: &Value) -> Result<Write> {
        alert(&self.store, kind, data)
    }

    pub(super) fn broadcast(&self, kind: &str, data: &Value) -> Result<Write> {
        let payload = to_json(&json!({"type": kind, "data": data}))?;
        Ok(Write::Signal { channel: self.store.keys().ws_broadcast(), payload })
    }
}

/// Said where the store has taken a stop or a revocation, and the ledger could not remember that it was acknowledged.
fn not_acknowledged(error: Error) -> Error {
    let message = "it is in force, nothing that was admitted writes any more; but the ledger could not remember it, so a store that is emptied or \
                   restored later would forget it: mend the ledger's trouble, then do it again";
    Error::unavailable("not_acknowledged", message).because(error)
}
