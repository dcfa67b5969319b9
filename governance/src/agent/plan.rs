//! The plan that an agent is held to where its profile wants it approved: EXECUTE is entered by an approval of exactly that plan, once.
//!
//! ```text
//!   PLAN: output ─▶ enter EXECUTE ─▶ asked ──not approved yet──▶ waits as long as it may, or refused with the request's id: again, later
//!                                      │ approved by people whose signatures this process verifies
//!                                      ▼
//!                         one commit: the approval is used, and the agent is in EXECUTE
//! ```

use std::time::Duration;

use serde_json::Value;

use super::Desk;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::approval::{Approval, ApprovalState, Asked, refusal, told};
use crate::vocabulary::{AgentOutput, AgentPhase, ApprovalId};

/// A plan that people approved, and that was not begun yet.
pub(super) struct ApprovedPlan {
    pub approval: ApprovalId,
    pub asked: Asked,
    pub hash: String,
}

impl Desk {
    /// The agent's plan: what it put out last in PLAN. None if it put nothing out there.
    pub async fn plan(&self) -> Result<Option<AgentOutput>> {
        Ok(self.outputs().await?.into_iter().rfind(|output| output.phase == AgentPhase::Plan))
    }

    /// Whether people must approve its plan before it is carried out.
    #[must_use]
    pub fn wants_its_plan_approved(&self) -> bool {
        self.guard().policy().profile().governance.plan_approval_required
    }

    /// Puts a plan out where one is wanted. Who was started again keeps to the one that people may have approved already.
    pub(super) async fn plan_once(&self, plan: Value) -> Result<()> {
        if self.wants_its_plan_approved() && self.phase().await? == AgentPhase::Plan && self.plan().await?.is_none() {
            self.output(plan).await?;
        }
        Ok(())
    }

    /// The approval that EXECUTE is entered by. Asks for it where nobody was asked yet, and waits as long as the agent's guard waits, or `waiting`.
    ///
    /// `plan_missing` where there is no plan, `approval_required` with the request in its details while people have not approved it, and
    /// `approval_denied`, `approval_expired`, `approval_void` as the queue says.
    pub(super) async fn approved_plan(&self, waiting: Duration) -> Result<ApprovedPlan> {
        let (id, clock) = (&self.actor().id, &self.store().ports().clock);
        let until = clock.elapsed().saturating_add(waiting);
        let approvals = self.guard().approvals();
        loop {
            let policy = self.guard().policy();
            let profile = policy.profile();
            let unplanned = || {
                let message = format!(
                    "`{id}` enters EXECUTE without a plan, and its profile `{}` wants one that people approved: put it out in PLAN first",
                    profile.agent_id
                );
                Error::new(ErrorKind::Denied, "plan_missing", message)
            };
            let plan = self.plan().await?.ok_or_else(unplanned)?;
            let asked = Asked::plan(plan.content, profile.governance.approval);
            let asked = Asked { policy: Some(policy.hash().to_owned()), phase: self.gate.phase(), ..asked };
            let mut approval = approvals.ask(self.actor(), &asked).await?;
            let left = until.saturating_sub(clock.elapsed());
            if approval.state == ApprovalState::Pending && !left.is_zero() {
                approval = approvals.wait_as(self.actor(), &approval.request.id, left).await?;
                // What people were shown may be the plan no longer.
                if self.plan().await?.is_none_or(|now| now.content_hash != plan.content_hash) {
                    continue;
                }
            }
            return match approval.state {
                ApprovalState::Approved => Ok(ApprovedPlan { approval: approval.request.id, asked, hash: plan.content_hash }),
                state => Err(self.unapproved(&approval, state)),
            };
        }
    }

    /// What is said of a plan that may not be carried out, and what can be done about it.
    fn unapproved(&self, approval: &Approval, state: ApprovalState) -> Error {
        let (agent, id) = (&self.actor().id, &approval.request.id);
        let (code, says) = match state {
            ApprovalState::Pending => {
                let (has, needs) = (approval.approved.len(), approval.request.quorum);
                let says = format!(
                    "the plan of `{agent}` has {has} of {needs} approvals: `governance approvals show {id}`; enter EXECUTE again once it is approved"
                );
                ("approval_required", says)
            }
            ApprovalState::Denied => {
                let by = approval.denied.as_ref().map_or("somebody", |given| given.approver.as_str());
                ("approval_denied", format!("the plan of `{agent}` was denied by {by} (`{id}`): put another plan out in PLAN, or leave"))
            }
            other => return refusal(approval, other),
        };
        Error::new(ErrorKind::Denied, code, says).with("approval", told(approval))
    }
}
