//! What a refused call leads to: an entry that says why, and the consequence of the violation that it is.

use serde_json::{Value, json};

use super::Guard;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::fallout::tool_failed;
use crate::guard::faults::{Fault, FaultCount};
use crate::guard::policy::{Decision, Request, Verdict};
use crate::guard::triggers::Response;
use crate::ledger::Action;
use crate::vocabulary::ViolationType;

impl Guard {
    /// Records a refusal and does what it leads to. The error that the caller gets; whatever fails here, the call stays refused.
    pub(super) async fn refuse(&self, request: &Request<'_>, arguments: &str, decision: &Decision) -> Error {
        let reason = decision.reason();
        self.hold_against(request, arguments, decision, decision.violation(), &reason).await;
        let (kind, code, says) = match decision.verdict() {
            Verdict::StepUp => (ErrorKind::Denied, "approval_required", "needs an approval"),
            Verdict::Defer => (ErrorKind::Unavailable, "undecided", "cannot be decided now, so it is not done"),
            _ => (ErrorKind::Denied, "not_allowed", "is denied"),
        };
        let action: String = request.action.chars().take(60).collect();
        let decision = serde_json::to_value(decision).unwrap_or_default();
        Error::new(kind, code, format!("`{}` {says}: {reason}", action.escape_debug())).with("decision", decision)
    }

    /// Holds a tool's failure against the agent. A store that does not answer is not the tool's to answer for.
    pub(super) async fn count_failure(&self, action: &str, failure: &Error) {
        if !self.own.counts_failures {
            return;
        }
        match tool_failed(&self.own.engine, &self.own.budget(), action, failure).await {
            Ok(None) => {}
            Ok(Some(why)) => self.own.live.end(&why),
            Err(error) if error.kind() == ErrorKind::Revoked => self.own.live.end(&error.to_string()),
            Err(error) => tracing::error!(agent = %self.own.actor.id, %error, "a tool's failure could not be counted: {failure}"),
        }
    }

    /// Records why a call is not made, and what that is held to be; then does what it leads to.
    pub(super) async fn hold_against(
        &self,
        request: &Request<'_>,
        arguments: &str,
        decision: &Decision,
        violation: Option<ViolationType>,
        reason: &str,
    ) {
        if let Err(error) = self.tell_refusal(request, arguments, decision, violation, reason) {
            tracing::error!(agent = %self.own.actor.id, %error, "a denied call could not be recorded: {reason}");
        }
        if let Some(violation) = violation
            && let Err(error) = self.answer_for(violation, reason).await
        {
            tracing::error!(agent = %self.own.actor.id, %violation, %error, "a violation could not be acted on: this process admits nothing more of the agent");
            self.own.live.end(&format!("{violation}, which could not be acted on: {error}"));
        }
    }

    fn tell_refusal(
        &self,
        request: &Request<'_>,
        arguments: &str,
        decision: &Decision,
        violation: Option<ViolationType>,
        reason: &str,
    ) -> Result<()> {
        let subject = (Some(&self.own.actor.id), self.own.actor.pipeline.as_ref());
        let shown = |text: Option<&str>| text.map_or(Value::Null, |text| text.chars().take(500).collect::<String>().into());
        let told = json!({
            "action": shown(Some(request.action)), "target": shown(request.target), "path": shown(request.path), "arguments": arguments, "risks": request.risks,
            "verdict": decision.verdict(), "reason": reason, "rule": decision.rule(), "policy": decision.policy_hash(),
        });
        self.own.recorder.note(&self.own.store, Action::ToolCall, subject, &told)?;
        let Some(violation) = violation else { return Ok(()) };
        let broken = json!({
            "type": violation, "severity": violation.severity(), "revocation": violation.revocation(), "detail": reason,
        });
        self.own.recorder.note(&self.own.store, Action::Violation, subject, &broken)
    }

    async fn answer_for(&self, violation: ViolationType, reason: &str) -> Result<()> {
        match self.own.engine.violation(&self.own.actor.id, violation, reason).await? {
            Response::Revoke { .. } => self.own.live.end(&format!("revoked: {reason}")),
            Response::Fault => {
                if let FaultCount::Exceeded(_) = self.own.budget().fault(&Fault::ProcedureViolation).await? {
                    self.own.live.end(&format!("error budget exceeded, at last by this: {reason}"));
                }
            }
            Response::Nothing | Response::Alert | Response::RateLimit => {}
        }
        Ok(())
    }
}
