//! One entry of the ledger.

use super::{Action, EntryKind, OutcomeResult};
use crate::error::{Error, Result};
use crate::vocabulary::{AgentId, Millis, PipelineId, Token};

/// The largest payload, in bytes: larger content belongs into a file, with its hash in the ledger.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// What is recorded: who does what, when, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, on the writer's clock; the order of the record is its own and does not follow it.
    pub at: Millis,
    /// Before, after, or beside.
    pub kind: EntryKind,
    /// What.
    pub action: Action,
    /// By whom.
    pub agent: Option<AgentId>,
    /// In which pipeline.
    pub pipeline: Option<PipelineId>,
    /// The intent that an outcome ends.
    pub intent: Option<Token>,
    /// How it ended.
    pub result: Option<OutcomeResult>,
    /// Details, as JSON text.
    pub payload: String,
}

impl Entry {
    /// An entry with nothing but its kind and action.
    #[must_use]
    pub fn new(at: Millis, kind: EntryKind, action: Action) -> Self {
        Self { at, kind, action, agent: None, pipeline: None, intent: None, result: None, payload: "{}".to_owned() }
    }

    /// Something is about to be done.
    #[must_use]
    pub fn intent(at: Millis, action: Action) -> Self {
        Self::new(at, EntryKind::Intent, action)
    }

    /// Something that is so.
    #[must_use]
    pub fn note(at: Millis, action: Action) -> Self {
        Self::new(at, EntryKind::Note, action)
    }

    /// What came of an intent.
    #[must_use]
    pub fn outcome(at: Millis, action: Action, intent: Token, result: OutcomeResult) -> Self {
        Self { intent: Some(intent), result: Some(result), ..Self::new(at, EntryKind::Outcome, action) }
    }

    /// The same entry with its agent.
    #[must_use]
    pub fn agent(mut self, agent: &AgentId) -> Self {
        self.agent = Some(agent.clone());
        self
    }

    /// The same entry with its pipeline.
    #[must_use]
    pub fn pipeline(mut self, pipeline: &PipelineId) -> Self {
        self.pipeline = Some(pipeline.clone());
        self
    }

    /// The same entry with its details, which are JSON text.
    #[must_use]
    pub fn payload(mut self, json: impl Into<String>) -> Self {
        self.payload = json.into();
        self
    }

    /// Whether it may be written.
    pub(super) fn validate(&self) -> Result<()> {
        fits(self.action, &self.payload)?;
        if (self.kind == EntryKind::Outcome) != (self.intent.is_some() && self.result.is_some()) {
            let message = format!("`{}`: an outcome, and nothing else, names its intent and its result", self.action);
            return Err(Error::invalid("outcome_without_intent", message));
        }
        Ok(())
    }
}

/// Whether a payload is small enough to be written.
pub(super) fn fits(action: Action, payload: &str) -> Result<()> {
    if payload.len() <= MAX_PAYLOAD {
        return Ok(());
    }
    let length = payload.len();
    let message =
        format!("the payload of `{action}` has {length} bytes: at most {MAX_PAYLOAD}; keep the content elsewhere and record its hash");
    Err(Error::invalid("payload_too_large", message))
}
