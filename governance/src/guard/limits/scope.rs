//! Whose limit it is.

use serde::{Deserialize, Serialize};

use crate::guard::budget::Unit;
use crate::store::{Actor, Cell};
use crate::vocabulary::{AgentId, Key, Keys, PipelineId};

/// Whose limit it is. What an agent uses counts for each scope that it is in, and the strictest limit wins.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One agent, in one pipeline.
    Agent(AgentId),
    /// A pipeline, with all of its agents.
    Pipeline(PipelineId),
    /// Everything.
    Tenant,
}

impl Scope {
    /// The scopes that an actor is in, the narrowest first.
    #[must_use]
    pub fn of(actor: &Actor) -> Vec<Self> {
        let pipeline = actor.pipeline.clone().map(Self::Pipeline);
        [Some(Self::Agent(actor.id.clone())), pipeline, Some(Self::Tenant)].into_iter().flatten().collect()
    }

    /// Whether it is one agent's.
    #[must_use]
    pub fn is_agent(&self) -> bool {
        matches!(self, Self::Agent(_))
    }

    /// Its name: `agent`, `pipeline` or `tenant`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Agent(_) => "agent",
            Self::Pipeline(_) => "pipeline",
            Self::Tenant => "tenant",
        }
    }

    /// Whose it is, where there are several.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Agent(id) => Some(id.as_str()),
            Self::Pipeline(id) => Some(id.as_str()),
            Self::Tenant => None,
        }
    }

    /// The limits that were set, by unit.
    pub(super) fn limits(&self, keys: &Keys) -> Key {
        match self {
            Self::Agent(id) => keys.agent_limits(id),
            Self::Pipeline(id) => keys.pipeline_limits(id),
            Self::Tenant => keys.tenant_limits(),
        }
    }

    pub(super) fn limit(&self, keys: &Keys, unit: Unit) -> Cell {
        Cell::field(self.limits(keys), unit.as_str())
    }

    /// There once it was said that a limit is nearly used up.
    pub(super) fn told_low(&self, keys: &Keys, unit: Unit) -> Cell {
        Cell::field(self.limits(keys), told_low(unit))
    }

    /// What is used of a unit.
    pub(super) fn used(&self, keys: &Keys, unit: &str) -> Key {
        match self {
            Self::Agent(id) => keys.agent_spend(id, unit),
            Self::Pipeline(id) => keys.pipeline_spend(id, unit),
            Self::Tenant => keys.tenant_spend(unit),
        }
    }

    /// What was used of a unit in one bucket of time.
    pub(super) fn window(&self, keys: &Keys, unit: Unit, bucket: u64) -> Key {
        match self {
            Self::Agent(id) => keys.agent_window(id, unit.as_str(), &bucket),
            Self::Pipeline(id) => keys.pipeline_window(id, unit.as_str(), &bucket),
            Self::Tenant => keys.tenant_window(unit.as_str(), &bucket),
        }
    }
}

/// The field that tells of a warning.
pub(super) fn told_low(unit: Unit) -> String {
    format!("{unit}:low")
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.id() {
            Some(id) => write!(f, "{} `{id}`", self.name()),
            None => f.write_str(self.name()),
        }
    }
}
