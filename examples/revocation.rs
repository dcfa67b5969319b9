//! Revocation: once it returns, nothing that the agent or its descendants were admitted to lands any more.
//!
//!     cargo run -p governance-examples --example revocation

use governance::guard::{Admissions, Recorder, Role};
use governance::store::Store;
use governance::vocabulary::{AgentId, AgentRole, PipelineId, RevocationType, Section, Tier};
use governance::{Blackboard, RevocationEngine};
use serde_json::json;

#[tokio::main]
async fn main() -> governance::Result<()> {
    let store = Store::memory().await?;
    let pipeline = PipelineId::new("pipeline-revocation")?;
    let role = Role { role: AgentRole::Alpha, tier: Tier::T1 };
    let admissions = Admissions::new(&store, &Recorder::default());
    let admission = admissions.begin_pipeline(&pipeline, "be stopped").await?;

    // A child is admitted under its parent: whatever ends the parent ends the child.
    let parent = admissions.admit(&admission, &pipeline, &AgentId::new("alpha-1")?, role).await?;
    let child = admissions.admit(&parent.admission, &pipeline, &AgentId::new("alpha-2")?, role).await?;
    let other = admissions.admit(&admission, &pipeline, &AgentId::new("beta-1")?, role).await?;

    let engine = RevocationEngine::open(&store);
    let receipt = engine.revoke(&parent.id, RevocationType::Manual, "a demonstration").await?;
    println!("revoked {}: epoch {}, generation {}", parent.id, receipt.epoch, receipt.generation);

    for actor in [&parent, &child, &other] {
        let written = Blackboard::open(&store, &pipeline.task(), actor).post(Section::Progress, actor.id.as_str(), &json!("done")).await;
        println!("{}: {}", actor.id, written.map_or_else(|error| error.to_string(), |version| format!("wrote version {version}")));
    }

    // Everything at once, also what is being begun at this moment; and nothing begins until it is lifted.
    engine.stop_all("a fire drill").await?;
    let refused = admissions.begin_pipeline(&PipelineId::new("pipeline-later")?, "?").await.unwrap_err();
    println!("while stopped: {refused}");
    engine.lift().await?;
    admissions.begin_pipeline(&PipelineId::new("pipeline-later")?, "go on").await?;
    println!("lifted: a new pipeline began; what was stopped stays so");
    Ok(())
}
