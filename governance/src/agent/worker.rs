//! What an agent does. The small trait behind which the built-in agents stand.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Alpha, Beta, Desk, Gamma};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{AgentRole, GammaReason, ProposalId};

/// An agent's skill. Each step may be asked for again after a crash, so it looks at what is there before it writes.
#[async_trait]
pub trait Worker: Send + Sync {
    /// Analyses the objective and proposes a solution.
    async fn work(&self, desk: &Desk) -> Result<()>;

    /// Judges what was proposed.
    async fn evaluate(&self, desk: &Desk) -> Result<()>;

    /// Finds a way out where the others got no further. Refused, unless the agent is a mediator.
    async fn mediate(&self, desk: &Desk, reason: GammaReason) -> Result<()> {
        let message = format!("`{}` works as {} and cannot mediate ({reason}): ask a gamma", desk.actor().id, desk.role());
        Err(Error::new(ErrorKind::Denied, "not_a_mediator", message))
    }

    /// Votes for the option that it judges best; abstains when it can tell none apart.
    async fn vote(&self, desk: &Desk, proposal: &ProposalId) -> Result<()> {
        desk.vote_best(proposal).await.map(drop)
    }
}

/// The built-in agent of a role.
pub fn built_in(role: AgentRole) -> Result<Arc<dyn Worker>> {
    match role {
        AgentRole::Alpha => Ok(Arc::new(Alpha)),
        AgentRole::Beta => Ok(Arc::new(Beta)),
        AgentRole::Gamma => Ok(Arc::new(Gamma)),
    }
}
