//! BETA: synthesis. Proposes an alternative, judges all, and builds one solution out of them.

use async_trait::async_trait;

use super::{Desk, Worker};
use crate::error::Result;
use crate::llm::CallKind;
use crate::vocabulary::{AgentPhase, Section};

/// The name of the joint solution on the blackboard.
const COMBINED: &str = "combined";
/// The same in a later try, before its number.
const COMBINED_AGAIN: &str = "combined-";

/// The built-in synthesist.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beta;

#[async_trait]
impl Worker for Beta {
    async fn work(&self, desk: &Desk) -> Result<()> {
        desk.enter(AgentPhase::Plan).await?;
        desk.enter(AgentPhase::Execute).await?;
        desk.propose_own().await?;
        desk.hand_in().await
    }

    async fn evaluate(&self, desk: &Desk) -> Result<()> {
        desk.judge_all(CallKind::Evaluate, "evaluation").await?;
        let proposed = desk.proposals().await?;
        let joint = |name: &str| name == COMBINED || name.starts_with(COMBINED_AGAIN);
        let ideas: Vec<_> = proposed.into_iter().filter(|p| !joint(p.name.as_str())).map(|p| p.idea).collect();
        if ideas.len() > 1 {
            let combined = desk.combine(&ideas).await?;
            let name = match desk.tries() {
                1 => COMBINED.to_owned(),
                again => format!("{COMBINED_AGAIN}{again}"),
            };
            desk.post_once(Section::Solutions, &name, &combined).await?;
        }
        Ok(())
    }
}
