//! A build that decides no conditions: it refuses profiles that have some, and never passes over them.

use std::sync::Arc;

use super::Judgement;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::policy::{Facts, Request};
use crate::vocabulary::AgentProfile;

/// There are none.
#[derive(Debug)]
pub(in crate::guard::policy) enum Conditions {}

impl Conditions {
    pub fn compile(profile: &AgentProfile, _: &str) -> Result<Self> {
        let message =
            format!("the profile `{}` has conditions, and this build decides none: it takes the feature `cedar`", profile.agent_id);
        Err(Error::new(ErrorKind::Denied, "no_cedar", message))
    }

    pub fn judge(&self, _: &Request<'_>, _: &Facts<'_>) -> Arc<Judgement> {
        match *self {}
    }

    pub fn reads_time(&self) -> bool {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use crate::guard::policy::Policy;

    #[test]
    fn a_profile_with_conditions_is_refused_and_never_decides_without_them() {
        let profile = r#"{"agent_id":"a","agent_version":"1","tier":"T1","constraints":{"allowed_actions":["*"]},"conditions":"forbid (principal, action, resource);"}"#;
        let refused = Policy::read("a", profile).unwrap_err();
        assert!(refused.code() == "no_cedar" && refused.to_string().contains("feature `cedar`"), "{refused}");
    }
}
