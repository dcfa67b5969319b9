//! Who goes on calling although it is held back.

use serde_json::json;

use super::terms::Refusal;
use super::{Inner, Scope};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::budget::Unit;
use crate::guard::triggers::Response;
use crate::ledger::Action;
use crate::vocabulary::ViolationType;

impl Inner {
    /// Counts a call that came although the agent makes too many a minute, and does what that leads to: it is held back, and revoked where it goes
    /// on all the same. The error of who was revoked for it.
    pub async fn abuse(&self, refusal: &Refusal) -> Result<Option<Error>> {
        if refusal.unit != Unit::CallsPerMinute || !matches!(refusal.scope, Scope::Agent(_)) {
            return Ok(None);
        }
        let id = &self.actor.id;
        // Revoked already, and this process has not heard of it yet: it is refused for that, and has broken no rule a second time.
        if let Some(revocation) = self.engine.revocation_of(id).await? {
            return Ok(Some(Error::new(ErrorKind::Revoked, "revoked", format!("`{id}`: {revocation}"))));
        }
        let Response::Revoke { .. } = self.engine.held_back(id, refusal.limit).await? else { return Ok(None) };
        let violation = ViolationType::ResourceAbuse;
        let detail = format!("went on calling although it had made its {} calls in the minute", refusal.limit);
        let broken = json!({"type": violation, "severity": violation.severity(), "revocation": violation.revocation(), "detail": detail});
        self.recorder.note(&self.store, Action::Violation, (Some(id), self.actor.pipeline.as_ref()), &broken)?;
        Ok(Some(Error::new(ErrorKind::Revoked, "revoked", format!("`{id}` {detail}: it is revoked"))))
    }
}
