//! What becomes of an agent that does not follow the procedure of its own life.

use serde_json::json;

use super::Desk;
use crate::error::Result;
use crate::guard::{Fault, FaultCount, Response, RevocationEngine};
use crate::ledger::Action;
use crate::vocabulary::ViolationType;

impl Desk {
    /// Takes note of a violation of this agent, and does what it leads to: a medium one counts against its budget, a graver one revokes it.
    pub(super) async fn broke(&self, violation: ViolationType, detail: &str) -> Result<()> {
        let broken = json!({
            "type": violation, "severity": violation.severity(), "revocation": violation.revocation(), "detail": detail,
        });
        self.recorder.note(self.store(), Action::Violation, self.subject(), &broken)?;
        let engine = RevocationEngine::open(self.store()).recorded(&self.recorder);
        if engine.violation(&self.actor().id, violation, detail).await? == Response::Fault {
            let count = self.budget().fault(&Fault::ProcedureViolation).await?;
            if let FaultCount::Exceeded(_) = count {
                tracing::warn!(agent = %self.actor().id, %violation, detail, "one violation too many: the agent is revoked");
            }
        }
        Ok(())
    }
}
