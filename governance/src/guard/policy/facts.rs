//! Who asks, with what and when: what conditions may speak of beside the request.

use std::sync::LazyLock;

use serde_json::Value;

use crate::vocabulary::{AgentId, AgentRole, Millis, PipelineId, Tier};

static NOTHING: LazyLock<Value> = LazyLock::new(Value::default);

/// Who asks, with what and when. What is not said is not known, and conditions that need it deny.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Who.
    pub agent: &'a AgentId,
    /// As what it was admitted.
    pub tier: Tier,
    /// What it is for.
    pub role: Option<AgentRole>,
    /// In which pipeline.
    pub pipeline: Option<&'a PipelineId>,
    /// What the tool is called with.
    pub arguments: &'a Value,
    /// The store's time.
    pub now: Option<Millis>,
    /// What whoever wraps the tool says of the call's risks, as `irreversible`.
    pub risks: &'a [&'a str],
}

impl<'a> Facts<'a> {
    /// An agent of a tier; nothing else is known.
    #[must_use]
    pub fn of(agent: &'a AgentId, tier: Tier) -> Self {
        Self { agent, tier, role: None, pipeline: None, arguments: &NOTHING, now: None, risks: &[] }
    }

    /// The same, of a role.
    #[must_use]
    pub fn as_role(self, role: AgentRole) -> Self {
        Self { role: Some(role), ..self }
    }

    /// The same, in a pipeline.
    #[must_use]
    pub fn in_pipeline(self, pipeline: &'a PipelineId) -> Self {
        Self { pipeline: Some(pipeline), ..self }
    }

    /// The same, with arguments.
    #[must_use]
    pub fn with(self, arguments: &'a Value) -> Self {
        Self { arguments, ..self }
    }

    /// The same, at a time.
    #[must_use]
    pub fn at(self, now: Millis) -> Self {
        Self { now: Some(now), ..self }
    }

    /// The same, with risks.
    #[must_use]
    pub fn risking(self, risks: &'a [&'a str]) -> Self {
        Self { risks, ..self }
    }
}
