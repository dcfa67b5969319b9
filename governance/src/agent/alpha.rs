//! ALPHA: research. Analyses the objective and proposes.

use async_trait::async_trait;
use serde_json::json;

use super::{Desk, Worker};
use crate::error::Result;
use crate::llm::CallKind;
use crate::vocabulary::{AgentPhase, Section};

/// The built-in researcher.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alpha;

#[async_trait]
impl Worker for Alpha {
    async fn work(&self, desk: &Desk) -> Result<()> {
        desk.enter(AgentPhase::Plan).await?;
        let analysis = desk.analyse().await?;
        desk.post_once(Section::Problem, "analysis", &analysis).await?;
        desk.plan_once(json!({"analysis": analysis, "steps": ["propose a solution", "verify it"]})).await?;
        desk.enter(AgentPhase::Execute).await?;
        desk.propose_own().await?;
        desk.hand_in().await
    }

    async fn evaluate(&self, desk: &Desk) -> Result<()> {
        desk.judge_all(CallKind::Evaluate, "evaluation").await.map(drop)
    }
}
