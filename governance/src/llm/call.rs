//! A call of a model: what it is told besides the question, and what it answers besides the answer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::vocabulary::{AgentId, AgentRole, named};

named! {
    /// What a model is called for.
    pub enum CallKind {
        /// What an objective is about.
        Analyse = "analyse",
        /// A solution.
        Propose = "propose",
        /// The judgement of a solution.
        Evaluate = "evaluate",
        /// The judgement that a ballot is cast by.
        Vote = "vote",
        /// One solution out of several.
        Combine = "combine",
        /// A way out, by GAMMA.
        Mediate = "mediate",
        /// Whatever an agent of one's own asks.
        Chat = "chat",
    }
}

/// Hears how many tokens were streamed since it was last told. It must not block.
pub type Progress<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// One attempt to get an answer.
#[derive(Clone)]
pub struct Call<'a> {
    /// What for.
    pub kind: CallKind,
    /// Whom it thinks for.
    pub agent: &'a AgentId,
    /// In which role.
    pub role: AgentRole,
    /// How long it may take.
    pub deadline: Duration,
    /// How many tokens question and answer may hold together.
    pub tokens: u64,
    /// What was wrong with the last answer to the same question.
    pub complaint: Option<String>,
    /// Who hears of its progress.
    pub progress: Progress<'a>,
}

impl<'a> Call<'a> {
    /// A call by an agent that nobody watches, with the usual limits.
    #[must_use]
    pub fn new(kind: CallKind, agent: &'a AgentId, role: AgentRole) -> Self {
        let unwatched: Progress<'a> = &|_| {};
        Self { kind, agent, role, deadline: super::DEFAULT_DEADLINE, tokens: 16_384, complaint: None, progress: unwatched }
    }
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("kind", &self.kind)
            .field("agent", &self.agent)
            .field("complaint", &self.complaint)
            .finish_non_exhaustive()
    }
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Millionths of a dollar, where the server says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<u64>,
    /// Whether the tokens are guessed, because the server did not say.
    #[serde(default)]
    pub estimated: bool,
}

/// Under which detail an error tells what the failed call cost.
const CHARGE: &str = "charge";

impl Charge {
    /// All tokens.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// What a failed call cost, where it says so; else nothing.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        error.details().get(CHARGE).and_then(|told| serde_json::from_value(told.clone()).ok()).unwrap_or_default()
    }

    /// The same error, which tells what the failed call cost.
    #[must_use]
    pub fn told_by(&self, error: Error) -> Error {
        error.with(CHARGE, serde_json::to_value(self).unwrap_or_default())
    }
}

/// An answer with what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<T> {
    /// The answer.
    pub answer: T,
    /// What it cost.
    pub charge: Charge,
}

impl<T> Said<T> {
    /// An answer that cost nothing.
    pub fn free(answer: T) -> Self {
        Self { answer, charge: Charge::default() }
    }

    /// Another answer at the same cost.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Said<U> {
        Said { answer: change(self.answer), charge: self.charge }
    }
}
