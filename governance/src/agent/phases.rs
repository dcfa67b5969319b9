//! An agent's way through its phases, one after the other. What it leaves out is refused, and held against it.
//!
//! ```text
//!   BOOTSTRAP ─▶ PREFLIGHT ─▶ PLAN ─▶ EXECUTE ─▶ VERIFY ─▶ PACKAGE ─▶ REPORT ─▶ EXIT
//!                             passed? ┘                   evidence? ┘
//!      └───────────────── told to leave, from any of them ───▶ PACKAGE ──────────▶ EXIT
//! ```

use serde_json::json;

use super::Desk;
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
        state.field("phase").parse()
    }

    /// Enters the next phase of the agent's life; stays where it is if it was there already.
    ///
    /// Leaving a phase out is refused (`phase_order`), and is a procedure violation: the second one revokes. EXECUTE before preflight has
    /// passed, where the profile wants one, is refused (`preflight_missing`) and revokes at once. REPORT without the evidence that is wanted
    /// is logged, with an alert.
    pub async fn enter(&self, phase: AgentPhase) -> Result<()> {
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
        if phase == AgentPhase::Execute && !self.may_execute() {
            let detail = format!("`{id}` enters EXECUTE, and its preflight has not passed");
            self.broke(ViolationType::PreflightBypass, &detail).await?;
            return denied("preflight_missing", detail);
        }
        if phase == AgentPhase::Report {
            let missing = self.missing_evidence().await?;
            if !missing.is_empty() {
                let detail = format!("`{id}` reports without evidence: {} is missing", missing.join(", "));
                self.broke(ViolationType::EvidenceMissing, &detail).await?;
            }
        }
        self.go(from, phase).await
    }

    /// The way out of one that was told to leave: what it had not come to yet is not left out, it is given up.
    pub(super) async fn walk_out(&self) -> Result<()> {
        for to in [AgentPhase::Package, AgentPhase::Exit] {
            let from = self.phase().await?;
            if may_follow(from, to) {
                self.go(from, to).await?;
            }
        }
        Ok(())
    }

    fn may_execute(&self) -> bool {
        !self.guard().policy().profile().governance.preflight_required || self.gate.has_passed()
    }

    async fn go(&self, from: AgentPhase, to: AgentPhase) -> Result<()> {
        let key = self.store().keys().agent_state(&self.actor().id);
        let state = self.store().state(key.clone()).await?.unwrap_or_default();
        if state.field("phase") != from.as_str() {
            let elsewhere = format!("`{}` is in {} meanwhile, not in {from}", self.actor().id, state.field("phase"));
            return Err(Error::new(ErrorKind::Conflict, "version_conflict", elsewhere));
        }
        let now = self.store().ports().clock.now().0;
        let payload = json!({"from": from, "to": to});
        self.recorder
            .record(self.store(), Action::Phase, self.subject(), &payload, async |token| {
                let commit = self.actor().commit().token(token).version(key.clone(), state.version);
                self.store().apply(commit.merge(key, [("phase", to.to_string()), ("phase_at", now.to_string())])).await.map(drop)
            })
            .await?;
        self.gate.set_phase(to);
        Ok(())
    }
}
