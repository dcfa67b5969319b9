//! BETA: synthesis. Proposes an alternative, judges all, and builds one solution out of them.

use async_trait::async_trait;
use serde_json::json;

use super::{Desk, Worker};
use crate::error::Result;
use crate::llm::CallKind;
use crate::vocabulary::AgentPhase;

/// The built-in synthesist.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beta;

#[async_trait]
impl Worker for Beta {
    async fn work(&self, desk: &Desk) -> Result<()> {
        desk.enter(AgentPhase::Plan).await?;
        let steps = ["propose an alternative", "verify it"];
        desk.plan_once(json!({"objective": desk.objective(), "steps": steps})).await?;
        desk.enter(AgentPhase::Execute).await?;
        desk.propose_own().await?;
        desk.hand_in().await
    }

    async fn evaluate(&self, desk: &Desk) -> Result<()> {
        desk.judge_all(CallKind::Evaluate, "evaluation").await?;
        desk.combine_all().await.map(drop)
    }
}
