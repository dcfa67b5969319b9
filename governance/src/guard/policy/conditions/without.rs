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
