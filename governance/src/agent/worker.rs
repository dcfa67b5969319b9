//! What an agent does. The small trait behind which the built-in agents stand.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Alpha, Beta, Desk};
use crate::coordination::Choice;
use crate::error::{Error, ErrorKind, Result};
use crate::llm::CallKind;
use crate::vocabulary::{AgentRole, ProposalId};

/// An agent's skill. Each step may be asked for again after a crash, so it looks at what is there before it writes.
#[async_trait]
pub trait Worker: Send + Sync {
    /// Analyses the objective and proposes a solution.
    async fn work(&self, desk: &Desk) -> Result<()>;

    /// Judges what was proposed.
    async fn evaluate(&self, desk: &Desk) -> Result<()>;

    /// Votes for the option that it judges best; abstains when it can tell none apart.
    async fn vote(&self, desk: &Desk, proposal: &ProposalId) -> Result<()> {
        let judged = desk.judge_all(CallKind::Vote, "verdict").await?;
        let best = judged.values().map(|judgement| judgement.score).max();
        let mut favourites = judged.iter().filter(|(_, judgement)| Some(judgement.score) == best);
        let choice = match (favourites.next(), favourites.next()) {
            (Some((name, _)), None) => Choice::One(name.to_string()),
            _ => Choice::Abstain,
        };
        desk.vote(proposal, choice).await.map(drop)
    }
}

/// The built-in agent of a role.
pub fn built_in(role: AgentRole) -> Result<Arc<dyn Worker>> {
    match role {
        AgentRole::Alpha => Ok(Arc::new(Alpha)),
        AgentRole::Beta => Ok(Arc::new(Beta)),
        AgentRole::Gamma => {
            Err(Error::new(ErrorKind::NotFound, "no_such_agent", "there is no built-in `gamma` yet: use `alpha` or `beta`"))
        }
    }
}
