//! Asking: a request that is open already is found again, otherwise one is made.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::asked::{ApprovalKind, ApprovalRequest, Asked, MAX_WITHIN};
use super::process::seat;
use super::queue::{Approvals, KEPT, subject};
use super::state::{Approval, ApprovalState};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::alerts::alert;
use crate::ledger::Action;
use crate::store::{Actor, Cell, Commit, Write, from_json, to_json};
use crate::vocabulary::{ApprovalId, ApprovalRules, IntegrationEventType, Millis};

/// How many requests of one agent may be open: more than that nobody reads.
const MOST_OPEN: usize = 16;
/// How many ids `approvals` keeps.
const LISTED: u64 = 10_000;

/// What an agent's table holds of a request.
#[derive(Serialize, Deserialize)]
pub(super) struct Open {
    pub id: ApprovalId,
    pub deadline: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ApprovalKind>,
}

impl Approvals {
    /// Asks for approval, or finds the request that is open for exactly this. One that was denied stays denied until its deadline; after a use or
    /// the deadline a fresh one is made.
    pub async fn ask(&self, actor: &Actor, asked: &Asked) -> Result<Approval> {
        let (text, within) = (asked.text()?, asked.within()?);
        let ledger = self.ledger()?.id().clone();
        let (keys, field) = (self.store.keys(), asked.subject(actor));
        if asked.kind == ApprovalKind::Plan {
            self.supersede_plans(actor, &asked.arguments).await?;
        }
        loop {
            let table = self.store.table(keys.agent_approvals(&actor.id)).await?;
            let now = self.store.now().await?;
            let (mut version, mut open, mut over) = (0, Vec::new(), Vec::new());
            for (name, value) in &table {
                let found: Open = from_json("a request for approval", &value.value)?;
                if *name == field {
                    version = value.version;
                    if let Some(approval) = self.still(&found.id).await? {
                        return Ok(approval);
                    }
                } else if found.deadline <= now || self.store.cell(keys.approval_use(&found.id)).await?.is_some() {
                    over.push(name.clone());
                } else {
                    open.push(found.id);
                }
            }
            if open.len() >= MOST_OPEN && self.waiting(&open).await? >= MOST_OPEN {
                let message = format!("`{}` has {MOST_OPEN} requests for approval open: wait until they are decided", actor.id);
                return Err(Error::new(ErrorKind::Exhausted, "too_many_approvals", message));
            }
            let request = ApprovalRequest {
                id: ApprovalId::fresh(&*self.store.ports().chance),
                kind: asked.kind,
                agent: actor.id.clone(),
                pipeline: actor.pipeline.clone(),
                action: asked.action.clone(),
                target: asked.target.clone(),
                path: asked.path.clone(),
                arguments: crate::guard::canonical::sha256(text.as_bytes()),
                risks: asked.risks.clone(),
                phase: asked.phase,
                reason: asked.reason.clone(),
                policy: asked.policy.clone(),
                epochs: actor.admission.clone(),
                quorum: asked.rules.quorum,
                administrator: asked.rules.administrator,
                asked_at: now,
                deadline: now.after(within),
                ledger: ledger.clone(),
                tenant: keys.prefix().to_owned(),
                lineage: self.store.lineage().await?,
            };
            let cell = Cell::field(keys.agent_approvals(&actor.id), &field);
            let commit = self.opening(actor, &request, &text)?.version(cell.clone(), version);
            let mine = to_json(&Open { id: request.id.clone(), deadline: request.deadline, kind: Some(request.kind) })?;
            let commit = commit.put(cell, mine).write(Write::Expire { key: keys.agent_approvals(&actor.id), ttl: MAX_WITHIN + KEPT });
            let commit =
                over.iter().fold(commit, |commit, name| commit.write(Write::Delete(Cell::field(keys.agent_approvals(&actor.id), name))));
            let told = summary(&request);
            let made = self.recorder.record(&self.store, Action::Approval, subject(&request), &told, async |token| {
                self.store.apply(commit.token(token)).await.map(drop)
            });
            match made.await {
                Ok(()) => return self.approval(&request.id).await,
                // Somebody asked the same at this moment.
                Err(error) if error.code() == "version_conflict" => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks for the approval of a plan: what an agent whose profile says `plan_approval_required` does before it carries one out.
    pub async fn request_plan(&self, actor: &Actor, plan: Value, rules: ApprovalRules) -> Result<Approval> {
        self.ask(actor, &Asked::plan(plan, rules)).await
    }

    /// How many of these wait for people. What was denied is kept until its deadline, but nobody has to decide it any more.
    async fn waiting(&self, ids: &[ApprovalId]) -> Result<usize> {
        let (mut waiting, mut known) = (0, None);
        for id in ids {
            let Some(found) = self.found(id).await? else { continue };
            let evidence = match known.take() {
                Some(evidence) => evidence,
                None => self.evidence_of(&found.request.agent).await?,
            };
            waiting += usize::from(self.weighed(found, &evidence).await?.approval.state == ApprovalState::Pending);
            known = Some(evidence);
        }
        Ok(waiting)
    }

    /// A request that was made for the same, if it still speaks for or against it.
    async fn still(&self, id: &ApprovalId) -> Result<Option<Approval>> {
        let found = match self.approval(id).await {
            Err(error) if error.code() == "no_such_approval" => return Ok(None),
            other => other?,
        };
        let before_deadline = self.store.now().await? < found.request.deadline;
        let speaks = match found.state {
            ApprovalState::Pending | ApprovalState::Approved => true,
            ApprovalState::Denied => before_deadline,
            ApprovalState::Used | ApprovalState::Superseded | ApprovalState::Expired | ApprovalState::Void => false,
        };
        Ok(speaks.then_some(found))
    }

    fn opening(&self, actor: &Actor, request: &ApprovalRequest, text: &str) -> Result<Commit> {
        let (keys, id) = (self.store.keys(), &request.id);
        let within = request.deadline.since(request.asked_at);
        let put = |key, value, ttl| Write::Put { cell: crate::store::Cell::from(key), value, ttl: Some(ttl), event: None };
        let kind = IntegrationEventType::ApprovalRequired.as_str();
        let data = summary(request);
        let commit = actor
            .commit()
            .absent(keys.approval(id))
            .write(put(keys.approval(id), to_json(request)?, within + KEPT))
            // INVARIANT: gone at the deadline, and with it every way of using the approval.
            .write(put(keys.approval_arguments(id), text.to_owned().into(), within))
            .write(Write::Push { list: keys.approvals(), value: id.to_string().into(), bound: LISTED })
            .write(alert(&self.store, kind, &data)?)
            .write(self.broadcast(kind, &data)?);
        // Where an agent asks, its process is known from then on; a part of the system that asks is none.
        let agent = keys.agent_of_epoch(actor.admission.0.last().map(|(key, _)| key));
        Ok(agent.and_then(|_| seat(keys, actor, request.asked_at)).into_iter().fold(commit, Commit::write))
    }
}

/// What ledger, alerts and watchers are told of a request: its arguments' hash, not the arguments.
fn summary(request: &ApprovalRequest) -> Value {
    json!({
        "approval_id": request.id, "kind": request.kind, "agent_id": request.agent, "pipeline_id": request.pipeline, "action": request.action,
        "target": request.target, "path": request.path, "risks": request.risks, "phase": request.phase,
        "arguments": request.arguments, "hash": request.hash(), "reason": request.reason, "quorum": request.quorum, "administrator": request.administrator, "deadline": request.deadline, "policy": request.policy,
    })
}
