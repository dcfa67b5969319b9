//! Floor 0: the model port, and the models behind it.
//!
//! ```text
//!   GovernedModel (agent/) ── Call: who, what for, how long, how many tokens ──▶ Model ── Said: the answer, and what it cost
//!                                                                                 ├── LocalModel     no network, deterministic
//!                                                                                 ├── RemoteModel    any OpenAI-compatible server
//!                                                                                 └── ScriptedModel  stages what can go wrong
//! ```
//!
//! A model makes one attempt a call: whether to ask again is decided by [`Retry`], purely, and carried out where it is budgeted and recorded.

mod call;
mod chat;
mod idea;
mod local;
mod mediation;
#[cfg(feature = "llm")]
mod remote;
mod retry;
#[cfg(feature = "llm")]
mod script;
mod settings;
mod words;

use async_trait::async_trait;

pub use call::{Call, CallKind, Charge, Progress, Said};
pub use chat::{ChatMessage, ChatReply, ChatRole, MAX_CHAT};
pub use idea::{Analysis, Evaluation, Idea, Scored, Traits};
pub use local::LocalModel;
#[cfg(feature = "llm")]
pub use remote::{API_KEY, MAX_ANSWER, RemoteModel};
pub use retry::{Again, Retry};
#[cfg(feature = "llm")]
pub use script::{MAX_SCRIPT, Scenario, ScriptedModel};
pub use settings::{DEFAULT_BASE_URL, DEFAULT_DEADLINE, DEFAULT_MODEL, Mode, ModelSettings, ScriptText};

use crate::error::Result;
use crate::vocabulary::GammaReason;

/// What thinks for an agent. Every call is one attempt: it is budgeted and recorded by whoever makes it.
#[async_trait]
pub trait Model: Send + Sync {
    /// Its name, as shown and recorded.
    fn name(&self) -> &str;

    /// The version of the prompt that it asks with, as recorded; none where it has no prompts.
    fn prompt(&self, _kind: CallKind) -> Option<&'static str> {
        None
    }

    /// Says what an objective is about.
    async fn analyse(&self, call: &Call<'_>, objective: &str) -> Result<Said<Analysis>>;

    /// Proposes a solution, other than those that are on the board. What comes after the first are rivals that it cannot rule out.
    async fn propose(&self, call: &Call<'_>, objective: &str, others: &[Idea]) -> Result<Said<Vec<Idea>>>;

    /// Judges a solution.
    async fn evaluate(&self, call: &Call<'_>, objective: &str, idea: &Idea) -> Result<Said<Evaluation>>;

    /// Builds one solution out of several.
    async fn combine(&self, call: &Call<'_>, objective: &str, ideas: &[Idea]) -> Result<Said<Idea>>;

    /// Reconciles what was proposed and judged, where agents got no further by themselves.
    async fn mediate(&self, call: &Call<'_>, objective: &str, proposals: &[Scored], reason: GammaReason) -> Result<Said<Idea>>;

    /// Answers a conversation, in words.
    async fn chat(&self, call: &Call<'_>, messages: &[ChatMessage]) -> Result<Said<String>>;
}
