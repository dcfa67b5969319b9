//! What is seen of an agent, and what it leads to: the triggers, acted on.

use std::time::Duration;

use serde_json::json;

use super::{Receipt, RevocationEngine};
use crate::error::{Error, Result};
use crate::guard::triggers::{Observation, Response, Triggers};
use crate::ledger::Action;
use crate::store::{Actor, Answer, Commit, Query, Write};
use crate::vocabulary::{AgentId, Key, ViolationType};

/// Windows are counted in buckets of this many milliseconds of the store's clock …
const BUCKET_MS: u64 = 5_000;
/// … and a minute has so many of them.
const BUCKETS: u64 = 12;

impl RevocationEngine {
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
    pub(in crate::guard) async fn held_back(&self, agent: &AgentId, limit: u64) -> Result<Response> {
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
    pub async fn idle(&self, agent: &AgentId, span: Duration) -> Result<Response> {
        let seen = Observation::Idle(span);
        let response = self.triggers.respond(seen);
        self.act(agent, (seen, response), &format!("no progress for {} s", span.as_secs()), None).await
    }

    /// Revokes an agent whose sign of life has lapsed, if it is still missing and `by` still keeps house.
    pub(in crate::guard) async fn lapsed(&self, agent: &AgentId, violation: ViolationType, sign: Key, by: &Actor) -> Result<Receipt> {
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

    /// The alert that tells of a violation, with how grave it is.
    pub(in crate::guard) fn detected(&self, agent: &AgentId, violation: ViolationType, detail: &str) -> Result<Write> {
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
        let ttl = Some(Duration::from_millis(BUCKET_MS * (BUCKETS + 1)));
        self.store.apply(Commit::default().write(Write::Add { counter: keys.agent_window(agent, what, &bucket), delta: 1, ttl })).await?;
        let queries: Vec<_> =
            (0..BUCKETS).map(|back| Query::Number(keys.agent_window(agent, what, &bucket.saturating_sub(back)))).collect();
        let answers = self.store.read(&queries).await?;
        Ok(answers.iter().map(|answer| if let Answer::Number(Some(n)) = answer { *n } else { 0 }).sum())
    }
}
