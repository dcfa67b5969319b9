//! Floor 0: the model port, and the local model.

mod idea;
mod local;
mod words;

use async_trait::async_trait;

pub use idea::{Analysis, Evaluation, Idea, Traits};
pub use local::LocalModel;

use crate::error::Result;
use crate::vocabulary::AgentRole;

/// What thinks for an agent. Every call is one model call: it is budgeted and recorded.
#[async_trait]
pub trait Model: Send + Sync {
    /// Its name, as shown and recorded.
    fn name(&self) -> &str;

    /// Says what an objective is about.
    async fn analyse(&self, objective: &str) -> Result<Analysis>;

    /// Proposes a solution, other than those that are on the board.
    async fn propose(&self, role: AgentRole, objective: &str, others: &[Idea]) -> Result<Idea>;

    /// Judges a solution.
    async fn evaluate(&self, role: AgentRole, objective: &str, idea: &Idea) -> Result<Evaluation>;

    /// Builds one solution out of several.
    async fn combine(&self, objective: &str, ideas: &[Idea]) -> Result<Idea>;
}
