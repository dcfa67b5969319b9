//! Ending an admission: one write, after which nothing admitted before is accepted.
//!
//! ```text
//!   intent in the segment ▶ commit: epoch and generation raised, signal, list, alert, state, handoff ▶ outcome, witness ▶ acknowledged
//! ```
//!
//! The commit is urgent, so it lands on a store that is out of memory, and carries no admission: stopping must always be possible.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::admission::{Admissions, Agent};
use super::alerts::alert;
use super::recorder::Recorder;
use super::runs::{orchestrated, runs};
use super::triggers::{Observation, Response, Triggers};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Action;
use crate::store::{Actor, Commit, Fields, Query, Store, Write, to_json};
use crate::vocabulary::{
    AgentId, AgentPhase, AgentStatus, Extent, Handoff, HandoffId, Key, Millis, PipelineId, PipelineStatus, RevocationType, ViolationType,
};

/// How many items `revocations:ledger` keeps.
pub(super) const LISTED: u64 = 10_000;
/// Windows are counted in buckets of this many milliseconds of the store's clock …
const BUCKET_MS: u64 = 5_000;
/// … and a minute has so many of them.
const BUCKETS: u64 = 12;

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

/// What earlier versions did not say.
fn all_of_it() -> Extent {
    Extent::Full
}

/// A stop that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Why, for people.
    pub reason: String,
    /// When.
    pub at: Millis,
}

/// A stop that was lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifted {
    /// The lift, which store and ledger both hold.
    pub receipt: Receipt,
    /// The stop that was in force; none if none was.
    pub stop: Option<Stop>,
    /// The runs that it does not bring back: those that it ended in the middle of their work, and those that were stopped by themselves. Each must be
    /// continued by itself. A pipeline whose agents join by themselves is none of them: others may join it.
    pub stays_stopped: Vec<PipelineId>,
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

    /// Stops everything of this tenant, also what is being begun at this moment. Nothing begins until [`lift`](Self::lift).
    pub async fn stop_all(&self, reason: &str) -> Result<Receipt> {
        let keys = self.store.keys();
        let stop = Stop { reason: reason.to_owned(), at: self.store.ports().clock.now() };
        let data = json!({"reason": reason});
        let commit = self
            .raising(keys.epoch())
            .put(keys.stop(), to_json(&stop)?)
            .write(self.alert("stop_all", &data)?)
            .write(self.broadcast("stop_all", &data)?);
        self.carry_out(Action::Stop, (None, None), &data, commit).await
    }

    /// Lifts a stop: what was stopped stays so, but new work may begin. Changes nothing where no stop is in force.
    pub async fn lift(&self) -> Result<Receipt> {
        self.lift_because("lifted").await.map(|lifted| lifted.receipt)
    }

    /// Lifts a stop for a reason, which is recorded. Answers what was lifted, and what stays stopped.
    pub async fn lift_because(&self, reason: &str) -> Result<Lifted> {
        let keys = self.store.keys();
        // Again and again, because another stop may come in between.
        while let Some((version, stop)) = self.store.json::<Stop>(keys.stop()).await? {
            let data = json!({"reason": reason, "stop": stop});
            let commit = self
                .raising(keys.epoch())
                .version(keys.stop(), version)
                .write(Write::Delete(keys.stop().into()))
                .write(self.alert("stop_lifted", &data)?)
                .write(self.broadcast("stop_lifted", &data)?);
            match self.carry_out(Action::Lift, (None, None), &data, commit).await {
                Err(error) if error.code() == "version_conflict" => {}
                other => {
                    let (receipt, stays_stopped) = (other?, self.stays_stopped(Some(&stop)).await?);
                    return Ok(Lifted { receipt, stop: Some(stop), stays_stopped });
                }
            }
        }
        Ok(Lifted { receipt: self.standing(keys.epoch()).await?, stop: None, stays_stopped: self.stays_stopped(None).await? })
    }

    /// The runs that were stopped, and those that a stop ended in the middle of their work.
    async fn stays_stopped(&self, stop: Option<&Stop>) -> Result<Vec<PipelineId>> {
        let keys = self.store.keys();
        let mut stopped = runs(&self.store, keys.pipelines_stopped()).await?;
        if let Some(stop) = stop {
            // What waits for its user was not at work, and goes on as it would have.
            let at_work =
                |state: &Fields| state.field("awaiting_user") != "true" && state.field("status") != PipelineStatus::Report.as_str();
            let begun = |state: &Fields| Millis(state.field("created_at").parse().unwrap_or(0));
            let open = runs(&self.store, keys.pipelines_open()).await?;
            stopped.extend(open.into_iter().filter(|(_, state)| at_work(state) && begun(state) <= stop.at));
        }
        let mut stopped: Vec<_> = orchestrated(&self.store, stopped).await?.into_iter().map(|(id, _)| id).collect();
        stopped.sort_unstable();
        stopped.dedup();
        Ok(stopped)
    }

    /// The stop that is in force, if one is.
    pub async fn stop_in_force(&self) -> Result<Option<Stop>> {
        Ok(self.store.json(self.store.keys().stop()).await?.map(|(_, stop)| stop))
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

    /// Takes note of a violation, and does what it leads to. A medium one is the caller's to count against the agent's budget.
    pub async fn violation(&self, agent: &AgentId, violation: ViolationType, detail: &str) -> Result<Response> {
        let seen = Observation::Violation(violation);
        let response = self.triggers.respond(seen);
        let told = self.detected(agent, violation, detail)?;
        if response == Response::Alert || response == Response::Fault {
            self.store.apply(Commit::default().write(told.clone())).await?;
        }
        self.act(agent, (seen, response), &format!("{violation}: {detail}"), Some(told)).await
    }

    /// Counts an error in the agent's last minute, and does what that leads to.
    pub async fn error(&self, agent: &AgentId, message: &str) -> Result<Response> {
        let errors = self.count(agent, "errors").await?;
        let seen = Observation::Errors(errors);
        let response = self.triggers.respond(seen);
        self.act(agent, (seen, response), &format!("{errors} errors within a minute, the last: {message}"), None).await
    }

    /// Counts an API call in the agent's last minute, and does what that leads to.
    pub async fn api_call(&self, agent: &AgentId) -> Result<Response> {
        let calls = self.count(agent, "api_calls").await?;
        let over = calls > self.triggers.api_calls_per_minute;
        let held_back = over && self.count(agent, "held_back").await? > self.triggers.api_calls_per_minute / 10;
        let seen = Observation::ApiCalls { calls, held_back };
        let response = self.triggers.respond(seen);
        let reason = format!("{calls} API calls within a minute");
        let told = self.detected(agent, ViolationType::ResourceAbuse, &reason)?;
        self.act(agent, (seen, response), &reason, Some(told)).await
    }

    /// Counts a call that came although the agent had made `limit` in its minute, and does what that leads to.
    pub(super) async fn held_back(&self, agent: &AgentId, limit: u64) -> Result<Response> {
        let times = self.count(agent, "held_back").await?;
        let calls = limit.saturating_add(times);
        // At least one call too many is only refused.
        let held_back = times > (limit / 10).max(1);
        let triggers = Triggers { api_calls_per_minute: limit, ..self.triggers };
        let seen = Observation::ApiCalls { calls, held_back };
        let response = triggers.respond(seen);
        if times == 1 {
            let data = json!({"agent_id": agent, "calls_per_minute": limit});
            self.store.apply(Commit::default().write(self.alert("rate_limited", &data)?)).await?;
        }
        let reason = format!("{calls} API calls within a minute");
        let told = self.detected(agent, ViolationType::ResourceAbuse, &reason)?;
        self.act(agent, (seen, response), &reason, Some(told)).await
    }

    /// Acts on an agent that has made no progress for so long.
    pub async fn idle(&self, agent: &AgentId, span: std::time::Duration) -> Result<Response> {
        let seen = Observation::Idle(span);
        let response = self.triggers.respond(seen);
        self.act(agent, (seen, response), &format!("no progress for {} s", span.as_secs()), None).await
    }

    /// Revokes an agent whose sign of life has lapsed, if it is still missing and `by` still keeps house.
    pub(super) async fn lapsed(&self, agent: &AgentId, violation: ViolationType, sign: Key, by: &Actor) -> Result<Receipt> {
        let known = self.known(agent).await?;
        let seen = Observation::Lapsed(violation);
        let Response::Revoke { kind, .. } = self.triggers.respond(seen) else {
            return Err(Error::internal(format!("`{violation}` lapses nothing")));
        };
        let reason = format!("{violation}: no sign of life at `{sign}` in time");
        // INVARIANT: an agent that gave its sign of life after all, at any moment before this commit, is not revoked.
        let commit = self.revocation(&known, kind, seen.extent(), &reason)?.absent(sign).write(self.detected(agent, violation, &reason)?);
        let commit = Commit { admission: by.admission.clone(), ..commit };
        let payload = json!({"type": kind, "reason": reason, "extent": seen.extent()});
        let subject = (Some(agent), known.pipeline.as_ref());
        let receipt = self.carry_out(Action::Revoke, subject, &payload, commit).await?;
        let broken = json!({"type": violation, "severity": violation.severity(), "revocation": kind, "detail": reason});
        self.recorder.note(&self.store, Action::Violation, subject, &broken)?;
        self.with_descendants(agent, kind, seen.extent(), &reason).await?;
        Ok(receipt)
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

    /// The alert that tells of a violation, with how grave it is.
    pub(super) fn detected(&self, agent: &AgentId, violation: ViolationType, detail: &str) -> Result<Write> {
        let data = json!({"agent_id": agent, "violation": violation, "severity": violation.severity(), "detail": detail});
        self.alert("violation_detected", &data)
    }

    async fn act(&self, agent: &AgentId, (seen, response): (Observation, Response), reason: &str, told: Option<Write>) -> Result<Response> {
        if let Response::Revoke { kind, diagnose } = response {
            self.end_admission(agent, kind, seen.extent(), reason, told).await?;
            if diagnose {
                self.diagnose(agent).await?;
            }
        }
        Ok(response)
    }

    /// Counts one in the current bucket; answers the sum over the last minute.
    async fn count(&self, agent: &AgentId, what: &str) -> Result<u64> {
        let keys = self.store.keys();
        let bucket = self.store.now().await?.0 / BUCKET_MS;
        let ttl = Some(std::time::Duration::from_millis(BUCKET_MS * (BUCKETS + 1)));
        self.store.apply(Commit::default().write(Write::Add { counter: keys.agent_window(agent, what, &bucket), delta: 1, ttl })).await?;
        let queries: Vec<_> =
            (0..BUCKETS).map(|back| Query::Number(keys.agent_window(agent, what, &bucket.saturating_sub(back)))).collect();
        let answers = self.store.read(&queries).await?;
        Ok(answers.iter().map(|answer| if let crate::store::Answer::Number(Some(n)) = answer { *n } else { 0 }).sum())
    }
}

/// Said where the store has taken a stop or a revocation, and the ledger could not remember that it was acknowledged.
fn not_acknowledged(error: Error) -> Error {
    let message = "it is in force, nothing that was admitted writes any more; but the ledger could not remember it, so a store that is emptied or \
                   restored later would forget it: mend the ledger's trouble, then do it again";
    Error::unavailable("not_acknowledged", message).because(error)
}
