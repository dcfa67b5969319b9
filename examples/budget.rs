//! A budget: what an agent may still spend, however many processes act for it, and how many faults it may still make.
//!
//!     cargo run -p governance-examples --example budget

use std::time::Duration;

use governance::guard::{Admissions, Fault, FaultCount, Recorder, Role, Spend, Unit};
use governance::ledger::{Durability, Ledger};
use governance::store::{Actor, Store};
use governance::vocabulary::{AgentId, AgentRole, PipelineId, Ports, Tier};
use governance::{ErrorBudget, ErrorKind};

#[tokio::main]
async fn main() -> governance::Result<()> {
    let home = tempfile::tempdir().expect("a temporary directory");
    let store = Store::memory().await?;
    let ledger = Ledger::open(home.path(), Ports::default(), Durability::Process).await?;
    let recorder = Recorder::new(&ledger, "memory:");
    let governor = Actor::system(&store, "governor").await?;

    let pipeline = PipelineId::new("pipeline-budget")?;
    let admissions = Admissions::new(&store, &recorder);
    let admission = admissions.begin_pipeline(&pipeline, "spend a little").await?;
    let alpha = admissions.admit(&admission, &pipeline, &AgentId::new("alpha-1")?, Role { role: AgentRole::Alpha, tier: Tier::T1 }).await?;

    let budget = ErrorBudget::open(&store, &alpha).recorded(&recorder);
    budget.grant(&governor, Unit::Tokens, 1_000).await?;
    budget.grant(&governor, Unit::Calls, 25).await?;

    // Tokens: set aside what a call may cost, and settle what it did cost.
    let reservation = budget.reserve(Unit::Tokens, 400, Duration::from_secs(60)).await?.expect("there is enough");
    println!("reserved {} tokens, settled: {:?}", reservation.amount, budget.settle(&reservation, 310).await?);
    println!("{} tokens left", budget.remaining(Unit::Tokens).await?);

    // Calls: a local share, drawn without a round trip. What a crashed holder did not start comes back, proven by the ledger.
    let calls = budget.allowance(Unit::Calls, 10, Duration::from_secs(60));
    let mut drawn = 0;
    while let Spend::Admitted { low } = calls.draw(1).await? {
        drawn += 1;
        if low && drawn % 5 == 0 {
            println!("{drawn} calls: 80 % are used or reserved");
        }
    }
    println!("{drawn} calls, and not one more");

    // Faults: the one that exceeds a limit revokes the agent in the same atomic step.
    for attempt in 1.. {
        let fault = Fault::Error { kind: "timeout".into(), message: format!("no answer after {attempt} s") };
        let count = budget.fault(&fault).await?;
        println!("fault {attempt}: {count:?}");
        if matches!(count, FaultCount::Exceeded(_)) {
            break;
        }
    }
    assert_eq!(budget.spend(Unit::Tokens, 1).await.unwrap_err().kind(), ErrorKind::Revoked);
    Ok(())
}
