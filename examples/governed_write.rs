//! A governed write, from end to end: an agent is admitted, its intent is recorded, the write carries its admission, the outcome is recorded;
//! then the agent is revoked, and its next write does not land. Everything is in the ledger, which verifies.
//!
//!     cargo run -p governance-examples --example governed_write

use std::time::Duration;

use governance::guard::Role;
use governance::ledger::{Action, Filter};
use governance::vocabulary::{AgentId, AgentRole, PipelineId, RevocationType, Section, Tier};
use governance::{Config, Governance};
use serde_json::json;

#[tokio::main]
async fn main() -> governance::Result<()> {
    // Nothing to install: the store and the ledger are files in this directory, shared by every process that opens it.
    let folder = tempfile::tempdir().expect("a temporary directory");
    let governance = Governance::open(Config { home: folder.path().join("governance"), ..Config::default() }).await?;

    let pipeline = PipelineId::new("pipeline-demo")?;
    let admission = governance.admissions().begin_pipeline(&pipeline, "design a caching strategy").await?;
    let role = Role { role: AgentRole::Alpha, tier: Tier::T1 };
    let alpha = governance.admissions().admit(&admission, &pipeline, &AgentId::new("alpha-1")?, role).await?;
    let board = governance.blackboard(&pipeline.task(), &alpha);

    // Intent before, outcome after. The intent's token makes the write safe to repeat, whoever dies in between.
    let solution = json!({"kind": "write-through", "ttl": 60});
    let write = async |name: &str| {
        let subject = (Some(&alpha.id), Some(&pipeline));
        let act = async |token| board.put_once(token, Section::Solutions, name, &solution, 0).await;
        governance.recorder().record(governance.store(), Action::ToolCall, subject, &json!({"write": name}), act).await
    };
    println!("while admitted: {:?}", write("cache").await?);

    governance.revocations().revoke(&alpha.id, RevocationType::Manual, "a demonstration").await?;
    println!("after the revocation: {}", write("late").await.unwrap_err());

    // What is written goes into the record by itself, within a moment.
    governance.catch_up(Duration::from_secs(10)).await?;
    for action in governance.ledger().list(&Filter::default()).await?.actions {
        let result = action.result.map_or(String::new(), |result| format!(" {result}"));
        println!("{:>4}  {:<10} {:<8}{result}  {}", action.seq, action.action, action.kind, action.payload.unwrap_or_default());
    }
    println!("verified: {}", governance.ledger().verify(governance.ledger().head().await?).await?.is_intact());
    governance.close().await
}
