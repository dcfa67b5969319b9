//! Joining: at what a profile stands, and what becomes of who wants more.

use serde_json::json;

use super::Promotions;
use super::falling::counted;
use super::life::Life;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::alert;
use crate::ledger::Action;
use crate::store::Commit;
use crate::vocabulary::{AgentId, PipelineId, Run, Tier, ViolationType};

impl Promotions {
    /// The tier that an agent of a profile is admitted at. A profile that nobody registered, and that broke no rule, is what its operator says, T0
    /// unless told; a registered one is what it stands at, and never more (`above_standing`).
    pub async fn admits(&self, profile: &AgentId, asked: Option<Tier>) -> Result<Tier> {
        let mut standing = self.load(profile).await?.1;
        if standing.tier.is_some() || asked.is_some_and(|asked| asked > Tier::T0) {
            // What its last agent did must count before the next one begins.
            standing = self.standing(profile).await?;
        }
        match (standing.tier, asked) {
            (Some(stands), Some(asked)) if asked > stands => {
                let message =
                    format!("`{profile}` stands at {stands} and cannot act at {asked}: see `governance agents promotion {profile}`");
                Err(Error::new(ErrorKind::Denied, "above_standing", message))
            }
            (stands, asked) => Ok(asked.or(stands).unwrap_or(Tier::T0)),
        }
    }

    /// What a profile stands at, with everything counted; none where nobody registered it.
    pub async fn stands(&self, profile: &AgentId) -> Result<Option<Tier>> {
        match self.load(profile).await?.1.tier {
            Some(_) => self.standing(profile).await.map(|standing| standing.tier),
            None => Ok(None),
        }
    }

    /// Takes note that an agent wanted to join with more trust than its profile has: a privilege escalation, of one who was never admitted, so there
    /// is nobody to revoke. It counts against the profile, whose row is broken; the tier stays: nothing was done at the higher one.
    pub async fn overreached(&self, agent: &AgentId, profile: &AgentId, pipeline: &PipelineId, detail: &str) -> Result<()> {
        let broken = ViolationType::PrivilegeEscalation;
        let told = json!({"type": broken, "severity": broken.severity(), "revocation": broken.revocation(), "detail": detail});
        self.recorder.note(&self.store, Action::Violation, (Some(agent), Some(pipeline)), &told)?;
        let data = json!({
            "agent_id": agent, "pipeline_id": pipeline, "violation": broken, "severity": broken.severity(), "detail": detail,
        });
        self.store.apply(Commit::default().write(alert(&self.store, "violation_detected", &data)?)).await?;
        let done = self.change(profile, |standing, now| {
            let run = Run { compliant: Some(false), violations: vec![now], ..Run::default() };
            let life = Life { profile: profile.clone(), tier: standing.stands_at(), since: now, run, grave: None };
            *standing = counted(standing.clone(), &life, now)?;
            Ok(())
        });
        done.await.map(drop)
    }
}
