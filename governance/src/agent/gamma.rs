//! GAMMA: the mediator. Is called when ALPHA and BETA get no further by themselves.

use async_trait::async_trait;
use serde_json::json;

use super::{Desk, Worker};
use crate::error::Result;
use crate::llm::CallKind;
use crate::vocabulary::{AgentPhase, EntryName, GammaReason, Section};

/// The built-in mediator.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gamma;

#[async_trait]
impl Worker for Gamma {
    /// It has nothing of its own to propose until it is asked to mediate.
    async fn work(&self, _desk: &Desk) -> Result<()> {
        Ok(())
    }

    async fn evaluate(&self, desk: &Desk) -> Result<()> {
        desk.judge_all(CallKind::Evaluate, "evaluation").await.map(drop)
    }

    /// Reconciles what the others proposed into a solution of its own; where nobody proposed anything, it proposes by itself.
    async fn mediate(&self, desk: &Desk, reason: GammaReason) -> Result<()> {
        desk.enter(AgentPhase::Plan).await?;
        let own = &desk.actor().id;
        let proposals = desk.proposals().await?;
        let settled = proposals.iter().any(|proposed| proposed.name.as_str() == own.as_str());
        let others: Vec<_> = proposals.into_iter().filter(|proposed| proposed.author != *own).collect();
        let considered: Vec<EntryName> = others.iter().map(|proposed| proposed.name.clone()).collect();
        let steps = ["reconcile what was proposed", "verify it"];
        desk.plan_once(json!({"reason": reason, "considered": considered, "steps": steps})).await?;
        desk.enter(AgentPhase::Execute).await?;
        if settled {
            // From before a crash: what was offered once stays.
        } else if others.is_empty() {
            desk.propose_own().await?;
        } else {
            let idea = desk.mediate(&desk.weigh(others).await?, reason).await?;
            desk.offer(own.as_str(), &idea).await?;
        }
        let note = json!({"reason": reason, "considered": considered});
        desk.post_once(Section::Progress, &format!("mediation-{own}"), &note).await?;
        desk.hand_in().await
    }
}
