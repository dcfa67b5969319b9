//! A call that needs an approval: asks for one, waits for it as long as it may, and uses it right before the tool runs.

use std::time::Duration;

use super::{Arguments, Guard};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::approval::{Approval, ApprovalKind, ApprovalState, Approvals, Asked, refusal, told};
use crate::guard::path::Place;
use crate::guard::policy::{Decision, Request, Verdict};
use crate::vocabulary::{ApprovalId, Token, ViolationType};

/// How a guard goes about approvals.
#[derive(Debug, Clone, Default)]
pub(super) struct Approving {
    waiting: Duration,
    presented: Option<ApprovalId>,
}

/// An approval that a call rests on. It is not used yet.
pub(super) struct Approved {
    pub id: ApprovalId,
    asked: Asked,
}

impl Guard {
    /// The same, waiting so long for a person where a call needs an approval. Without this a call that needs one is refused at once, with the
    /// request's id in its details, and succeeds when it is made again after it was approved. While it waits the agent's clocks stand still.
    #[must_use]
    pub fn waiting(self, span: Duration) -> Self {
        self.with(|own| own.approving.waiting = span)
    }

    /// The same, for calls that rest on this approval: one of anything else, by a single byte, is an `approval_bypass`.
    #[must_use]
    pub fn presenting(self, approval: &ApprovalId) -> Self {
        self.with(|own| own.approving.presented = Some(approval.clone()))
    }

    /// How long it waits for a person.
    #[must_use]
    pub fn waits(&self) -> Duration {
        self.own.approving.waiting
    }

    /// The requests for approval of this guard's state.
    #[must_use]
    pub fn approvals(&self) -> Approvals {
        Approvals::open(&self.own.store, &self.own.recorder)
    }

    /// What was judged, with the approval that it rests on where it needs one. The refusal where there is none.
    pub(super) async fn approved(
        &self,
        request: &Request<'_>,
        arguments: &Arguments,
        judged: (Decision, Option<Place>),
    ) -> Result<(Decision, Option<Place>, Option<Approved>)> {
        let (mut decision, mut place) = judged;
        let hash = arguments.digest();
        if decision.verdict() != Verdict::StepUp || self.own.recorder.ledger().is_none() {
            return Ok((decision, place, None));
        }
        let approvals = self.approvals();
        let mut waited = false;
        loop {
            let asked = self.asked(request, arguments, &decision, place.as_ref())?;
            let approval = match &self.own.approving.presented {
                Some(id) => approvals.approval(id).await?,
                None => approvals.ask(&self.own.actor, &asked).await?,
            };
            if approval.state == ApprovalState::Void {
                return Err(refusal(&approval, approval.state));
            }
            if let Some(what) = approval.request.differs_from(&self.own.actor, &asked) {
                return Err(self.bypassed(request, hash, &decision, &approval, what).await);
            }
            let approval = if approval.state == ApprovalState::Pending && !waited && !self.own.approving.waiting.is_zero() {
                waited = true;
                let approval = approvals.wait_as(&self.own.actor, &approval.request.id, self.own.approving.waiting).await?;
                // What was decided, and where the path leads, may have changed meanwhile.
                (decision, place) = self.judge(request, arguments).await?;
                if decision.verdict() != Verdict::StepUp {
                    return Ok((decision, place, None));
                }
                let now = self.asked(request, arguments, &decision, place.as_ref())?;
                // Where in its life it is is told to people, and no part of what they approve.
                if (Asked { phase: asked.phase, ..now }) != asked {
                    continue;
                }
                approval
            } else {
                approval
            };
            if approval.state != ApprovalState::Approved {
                let refused = self.refuse(request, hash, &decision).await;
                return Err(match approval.state {
                    ApprovalState::Pending => refused.with("approval", told(&approval)),
                    state => refusal(&approval, state).with("decision", serde_json::to_value(&decision).unwrap_or_default()),
                });
            }
            return Ok((decision, place, Some(Approved { id: approval.request.id, asked })));
        }
    }

    /// Uses the approval: everything is verified, and the store takes it once.
    pub(super) async fn redeem(&self, approved: Option<&Approved>, token: &Token) -> Result<()> {
        let Some(Approved { id, asked }) = approved else { return Ok(()) };
        self.approvals().redeem(&self.own.actor, id, asked, token).await.map(drop)
    }

    fn asked(&self, request: &Request<'_>, arguments: &Arguments, decision: &Decision, place: Option<&Place>) -> Result<Asked> {
        Ok(Asked {
            kind: ApprovalKind::Action,
            action: request.action.to_owned(),
            target: request.target.map(str::to_owned),
            path: place.map(|place| place.relative().to_owned()),
            arguments: arguments.value()?,
            risks: request.risks.iter().map(|risk| (*risk).to_owned()).collect(),
            phase: self.own.gate.as_ref().and_then(|gate| gate.phase()),
            reason: decision.reason(),
            policy: Some(decision.policy_hash().to_owned()),
            rules: self.policy().profile().governance.approval,
        })
    }

    /// An approval of something else was presented: recorded, and held against the agent.
    async fn bypassed(&self, request: &Request<'_>, hash: &str, decision: &Decision, approval: &Approval, what: &str) -> Error {
        let id = &approval.request.id;
        let reason = format!("`{id}` was presented as an approval of another call: what differs is its {what}");
        self.hold_against(request, hash, decision, Some(ViolationType::ApprovalBypass), &reason).await;
        Error::new(ErrorKind::Denied, "approval_bypass", reason).with("approval", id.as_str())
    }
}
