//! An agent's way through its phases, one after the other. What it leaves out is refused, and held against it.
//!
//! ```text
//!   BOOTSTRAP ─▶ PREFLIGHT ─▶ PLAN ─▶ EXECUTE ─▶ VERIFY ─▶ PACKAGE ─▶ REPORT ─▶ EXIT
//!                             passed? ┤                   evidence? ┘
//!                      plan approved? ┘
//!      └───────────────── told to leave, from any of them ───▶ PACKAGE ──────────▶ EXIT
//! ```

use std::time::Duration;

use serde_json::{Value, json};

use super::Desk;
use super::plan::ApprovedPlan;
use super::preflight::PreflightReport;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::Gate;
use crate::ledger::Action;
use crate::store::{Answer, Query, Store, from_json};
use crate::vocabulary::{AgentId, AgentPhase, InstructionPacket, Key, ViolationType, may_follow, skipped_phase};

/// What is known of an agent's life so far, also when another process begins to run it.
pub(super) async fn gate(store: &Store, agent: &AgentId) -> Result<Gate> {
    let gate = Gate::default();
    let cell = |key: Key| Query::Cell(key.into());
    let keys = store.keys();
    let asked = [cell(keys.agent_packet(agent)), cell(keys.agent_preflight(agent)), Query::State(keys.agent_state(agent))];
    let answers = store.read(&asked).await?;
    if let Some(Answer::Cell(Some(packet))) = answers.first() {
        gate.set_deadline(from_json::<InstructionPacket>("an instruction packet", &packet.value)?.deadline);
    }
    if let Some(Answer::Cell(Some(report))) = answers.get(1) {
        gate.set_passed(from_json::<PreflightReport>("a preflight", &report.value)?.passed);
    }
    if let Some(Answer::State(Some(state))) = answers.get(2) {
        gate.set_phase(state.field("phase").parse()?);
    }
    Ok(gate)
}

impl Desk {
    /// Where the agent is in its life.
    pub async fn phase(&self) -> Result<AgentPhase> {
        let state = self.store().state(self.store().keys().agent_state(&self.actor().id)).await?.unwrap_or_default();
        match state.field("phase") {
            "" => {
                // Whose store was recovered is not admitted any more.
                self.store().still_admitted(self.actor()).await?;
                let message = format!("the store holds nothing of `{}` any more, so it cannot go on: begin it anew", self.actor().id);
                Err(Error::new(ErrorKind::NotFound, "state_lost", message))
            }
            phase => phase.parse(),
        }
    }

    /// Enters the next phase of the agent's life; stays where it is if it was there already.
    ///
    /// Leaving a phase out is refused (`phase_order`), and is a procedure violation: the second one revokes. EXECUTE before preflight has
    /// passed, where the profile wants one, is refused (`preflight_missing`) and revokes at once. REPORT without the evidence that is wanted
    /// is logged, with an alert.
    ///
    /// Where the profile wants plans approved, EXECUTE asks people to approve the agent's [plan](Self::plan): it is refused with
    /// `approval_required`, and the request in the details, until enough of them have; entered again then, it uses the approval. It waits for them
    /// as long as the agent's guard [waits](crate::guard::Guard::waiting), and its clocks stand still. A plan that changes is another one.
    pub async fn enter(&self, phase: AgentPhase) -> Result<()> {
        self.enter_waiting(phase, self.guard().waits()).await
    }

    /// The same, waiting so long for people where EXECUTE needs an approval.
    pub async fn enter_waiting(&self, phase: AgentPhase, waiting: Duration) -> Result<()> {
        let from = self.phase().await?;
        if phase <= from && from != AgentPhase::Revoked {
            // It was there already, before whoever ran it died.
            return Ok(());
        }
        let id = &self.actor().id;
        let denied = |code: &'static str, why: String| Err(Error::new(ErrorKind::Denied, code, why));
        if let Some(left_out) = skipped_phase(from, phase) {
            let detail = format!("`{id}` cannot go from {from} to {phase}: that leaves {left_out} out");
            self.broke(ViolationType::ProcedureViolation, &detail).await?;
            return denied("phase_order", detail);
        }
        if !may_follow(from, phase) {
            return denied("phase_order", format!("`{id}` cannot go from {from} to {phase}"));
        }
        if phase == AgentPhase::Execute {
            self.must_have_passed().await?;
            if self.wants_its_plan_approved() {
                let plan = self.approved_plan(waiting).await?;
                // While people were waited for, a later preflight may have failed.
                self.must_have_passed().await?;
                return self.go(from, phase, Some(&plan)).await;
            }
        }
        if phase == AgentPhase::Report {
            let missing = self.missing_evidence().await?;
            if !missing.is_empty() {
                let detail = format!("`{id}` reports without evidence: {} is missing", missing.join(", "));
                self.broke(ViolationType::EvidenceMissing, &detail).await?;
            }
        }
        self.go(from, phase, None).await
    }

    /// The way out of one that was told to leave: what it had not come to yet is not left out, it is given up.
    pub(super) async fn walk_out(&self) -> Result<()> {
        for to in [AgentPhase::Package, AgentPhase::Exit] {
            let from = self.phase().await?;
            if may_follow(from, to) {
                self.go(from, to, None).await?;
            }
        }
        Ok(())
    }

    async fn must_have_passed(&self) -> Result<()> {
        if self.gate.has_passed() || !self.guard().policy().profile().governance.preflight_required {
            return Ok(());
        }
        let detail = format!("`{}` enters EXECUTE, and its preflight has not passed", self.actor().id);
        self.broke(ViolationType::PreflightBypass, &detail).await?;
        Err(Error::new(ErrorKind::Denied, "preflight_missing", detail))
    }

    async fn go(&self, from: AgentPhase, to: AgentPhase, plan: Option<&ApprovedPlan>) -> Result<()> {
        let mut payload = json!({"from": from, "to": to});
        if let Some(plan) = plan {
            payload["approval"] = json!(plan.approval);
            payload["plan"] = json!(plan.hash);
        }
        loop {
            match self.step(from, to, plan, &payload).await {
                // Something else of its state was written in between; a phase that is another one by now is told when it is looked at again.
                Err(error) if error.code() == "version_conflict" => {}
                other => break other?,
            }
        }
        self.gate.set_phase(to);
        self.gate.progress().made();
        Ok(())
    }

    async fn step(&self, from: AgentPhase, to: AgentPhase, plan: Option<&ApprovedPlan>, payload: &Value) -> Result<()> {
        let key = self.store().keys().agent_state(&self.actor().id);
        let state = self.store().state(key.clone()).await?.unwrap_or_default();
        let phase = state.field("phase");
        if phase == to.as_str() {
            // Another task of this agent took the same step.
            return Ok(());
        }
        if phase != from.as_str() {
            let elsewhere = format!("`{}` is in {phase} meanwhile, not in {from}", self.actor().id);
            return Err(Error::new(ErrorKind::Denied, "phase_order", elsewhere));
        }
        let now = self.store().ports().clock.now().0;
        let fields = [("phase", to.to_string()), ("phase_at", now.to_string())];
        let enters = self.actor().commit().version(key.clone(), state.version).merge(key, fields);
        self.recorder
            .record(self.store(), Action::Phase, self.subject(), payload, async |token| match plan {
                // INVARIANT: an approval is used by the step that it allows, or not at all.
                Some(plan) => {
                    let approvals = self.guard().approvals();
                    approvals.redeem_with(self.actor(), &plan.approval, &plan.asked, &token, &enters).await.map(drop)
                }
                None => self.store().apply(enters.token(token)).await.map(drop),
            })
            .await
    }
}
