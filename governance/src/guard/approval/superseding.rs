//! A plan that is no longer the agent's: whoever was asked to approve it has nothing to decide any more.

use serde_json::{Value, json};

use super::asked::ApprovalKind;
use super::open::Open;
use super::queue::{Approvals, KEPT, subject};
use super::state::Ended;
use crate::error::Result;
use crate::guard::canonical::digest;
use crate::ledger::Action;
use crate::store::{Actor, Write, from_json, to_json};
use crate::vocabulary::ApprovalId;

impl Approvals {
    /// Ends every open request for another plan of this agent than this one. What was denied stays denied.
    pub(crate) async fn supersede_plans(&self, actor: &Actor, plan: &Value) -> Result<()> {
        let arguments = digest(plan);
        for (_, value) in self.store.table(self.store.keys().agent_approvals(&actor.id)).await? {
            let open: Open = from_json("a request for approval", &value.value)?;
            if open.kind == Some(ApprovalKind::Plan) {
                self.supersede(actor, &open.id, &arguments).await?;
            }
        }
        Ok(())
    }

    async fn supersede(&self, actor: &Actor, id: &ApprovalId, arguments: &str) -> Result<()> {
        let (keys, now) = (self.store.keys(), self.store.now().await?);
        loop {
            let Some(found) = self.found(id).await?.filter(|found| found.request.agent == actor.id) else { return Ok(()) };
            if found.request.arguments == arguments {
                return Ok(());
            }
            let evidence = self.evidence_of(&found.request.agent).await?;
            let looked = self.weighed(found, &evidence).await?;
            let approval = &looked.approval;
            if approval.is_over() {
                return Ok(());
            }
            let (told, ended) = (json!({"superseded": id, "by": arguments}), to_json(&Ended::Superseded { superseded_at: now })?);
            let ttl = Some(approval.request.deadline.since(now) + KEPT);
            // INVARIANT: a use and this exclude each other, and nobody approves it afterwards.
            let commit = actor
                .commit()
                .version(keys.approval_decisions(id), looked.decisions)
                .absent(keys.approval_use(id))
                .write(Write::Put { cell: keys.approval_use(id).into(), value: ended, ttl, event: None })
                .write(Write::Delete(keys.approval_arguments(id).into()))
                .write(self.broadcast("approval_superseded", &json!({"approval_id": id, "agent_id": actor.id}))?);
            let done = self.recorder.record(&self.store, Action::Approval, subject(&approval.request), &told, async |token| {
                self.store.apply(commit.token(token)).await.map(drop)
            });
            match done.await {
                // It was decided, or used, at this moment.
                Err(error) if error.code() == "version_conflict" => {}
                done => return done,
            }
        }
    }
}
