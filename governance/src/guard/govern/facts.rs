//! What the conditions of a policy are told of a call.

use super::{Arguments, Guard, Own};
use crate::error::Result;
use crate::guard::admission::Role;
use crate::guard::policy::{Decision, Facts, Policy, Request};

impl Guard {
    /// The same, of an agent of this role and tier, which conditions may ask for. Where nobody says it, the tier is that of the profile.
    #[must_use]
    pub fn as_a(self, role: Role) -> Self {
        self.with(|own| own.role = Some(role))
    }
}

impl Own {
    /// Decides by patterns and conditions. Conditions on the time ask the store for it: skewed clocks open no doors.
    pub(super) async fn decide_for(&self, policy: &Policy, request: &Request<'_>, arguments: &Arguments) -> Result<Decision> {
        let tier = self.role.map_or(policy.profile().tier, |role| role.tier);
        let mut facts = Facts {
            role: self.role.map(|role| role.role),
            phase: self.gate.as_ref().and_then(|gate| gate.phase()),
            pipeline: self.actor.pipeline.as_ref(),
            ..Facts::of(&self.actor.id, tier)
        };
        if policy.reads_time() {
            match self.store.now().await {
                Ok(now) => facts.now = Some(now),
                Err(error) if error.may_retry() => return Ok(policy.defer(&error.to_string())),
                Err(error) => return Err(error),
            }
        }
        let arguments = arguments.value()?;
        Ok(policy.decide_for(request, &facts.with(&arguments)))
    }
}
