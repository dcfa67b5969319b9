//! What an agent puts out in its phases.

use serde_json::{Value, json};

use super::Desk;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::digest;
use crate::ledger::Action;
use crate::store::{Write, from_json, to_json};
use crate::vocabulary::{AgentId, AgentOutput, AgentPhase, get_output_type_for_phase};

/// How many outputs of an agent are kept, the newest.
pub const OUTPUTS: u64 = 64;

impl Desk {
    /// Puts something out, as the phase classes it: Alpha in BOOTSTRAP and PREFLIGHT, Beta in PLAN and EXECUTE, Gamma from VERIFY on. Kept with the
    /// agent, the newest 64; the ledger keeps its hash.
    pub async fn output(&self, content: Value) -> Result<AgentOutput> {
        let output = self.as_output(content, self.phase().await?)?;
        let told = json!({"phase": output.phase, "output_type": output.output_type, "content_hash": output.content_hash});
        let list = self.store().keys().agent_outputs(&self.actor().id);
        let push = Write::Push { list, value: to_json(&output)?, bound: OUTPUTS };
        self.recorder
            .record(self.store(), Action::Output, self.subject(), &told, async |token| {
                self.store().apply(self.actor().commit().token(token).write(push)).await.map(drop)
            })
            .await?;
        self.gate.progress().made();
        if output.phase == AgentPhase::Plan && self.wants_its_plan_approved() && self.recorder.ledger().is_some() {
            // Whoever was asked about another plan is told now; if not, then when somebody is asked about this one.
            if let Err(error) = self.guard().approvals().supersede_plans(self.actor(), &output.content).await {
                tracing::warn!(agent = %self.actor().id, %error, "requests for its earlier plans still stand open");
            }
        }
        Ok(output)
    }

    /// What this agent put out, oldest first.
    pub async fn outputs(&self) -> Result<Vec<AgentOutput>> {
        outputs(self.store(), &self.actor().id).await
    }

    /// Something as an output of a phase.
    pub(super) fn as_output(&self, content: Value, phase: AgentPhase) -> Result<AgentOutput> {
        let ended = || Error::new(ErrorKind::Denied, "phase_order", format!("`{}` is {phase} and puts nothing out", self.actor().id));
        Ok(AgentOutput {
            agent_id: self.actor().id.clone(),
            phase,
            output_type: get_output_type_for_phase(phase).ok_or_else(ended)?,
            content_hash: digest(&content),
            content,
            created_at: self.store().ports().clock.now(),
        })
    }
}

/// What an agent put out, oldest first.
pub(super) async fn outputs(store: &crate::store::Store, agent: &AgentId) -> Result<Vec<AgentOutput>> {
    let kept = store.list(store.keys().agent_outputs(agent), OUTPUTS).await?;
    kept.iter().map(|output| from_json("an output", output)).collect()
}
