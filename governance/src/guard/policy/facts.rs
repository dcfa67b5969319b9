//! Who asks, with what and when: what conditions may speak of beside the request.

use std::sync::LazyLock;

use serde_json::Value;

use crate::vocabulary::{AgentId, AgentPhase, AgentRole, Millis, PipelineId, Tier};

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
    /// Where it is in its life.
    pub phase: Option<AgentPhase>,
    /// In which pipeline.
    pub pipeline: Option<&'a PipelineId>,
    /// What the tool is called with.
    pub arguments: &'a Value,
    /// The store's time.
    pub now: Option<Millis>,
}

impl<'a> Facts<'a> {
    /// An agent of a tier; nothing else is known.
    #[must_use]
    pub fn of(agent: &'a AgentId, tier: Tier) -> Self {
        Self { agent, tier, role: None, phase: None, pipeline: None, arguments: &NOTHING, now: None }
    }

    /// The same, of a role.
    #[must_use]
    pub fn as_role(self, role: AgentRole) -> Self {
        Self { role: Some(role), ..self }
    }

    /// The same, in a phase of its life.
    #[must_use]
    pub fn in_phase(self, phase: AgentPhase) -> Self {
        Self { phase: Some(phase), ..self }
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
}
