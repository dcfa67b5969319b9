//! What an agent costs that lives in this process and waits: memory, beside what the store keeps of it, and time to join and to leave.
//!
//!     cargo bench -p governance-benches --bench agents

use std::time::Instant;

use governance::{Agent, Config, Governance, Joining};

const AGENTS: usize = 1_000;

/// What of this process is in memory, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() * 1024
}

#[tokio::main]
async fn main() -> governance::Result<()> {
    let home = tempfile::tempdir().map_err(|e| governance::Error::internal("no temporary folder").because(e))?;
    let governance = Governance::open(Config { home: home.path().into(), ..Config::default() }).await?;
    let pipeline = governance.begin("Design a caching strategy").await?;
    // What is allocated once is not an agent's.
    let first: Vec<Agent> = join(&governance, &pipeline, 50).await?;
    let before = resident();
    let start = Instant::now();
    let agents = join(&governance, &pipeline, AGENTS).await?;
    println!("{AGENTS} agents joined: {:.2} ms each", start.elapsed().as_secs_f64() * 1e3 / AGENTS as f64);
    println!("memory: {:.1} KiB each (goal 4)", resident().saturating_sub(before) as f64 / 1024.0 / AGENTS as f64);
    let start = Instant::now();
    for agent in agents.iter().chain(&first) {
        agent.leave().await?;
    }
    println!("left: {:.2} ms each", start.elapsed().as_secs_f64() * 1e3 / (AGENTS + first.len()) as f64);
    governance.close().await
}

async fn join(governance: &Governance, pipeline: &governance::vocabulary::PipelineId, count: usize) -> governance::Result<Vec<Agent>> {
    let mut agents = Vec::with_capacity(count);
    for _ in 0..count {
        agents.push(governance.agent("alpha", pipeline, Joining::default()).await?);
    }
    Ok(agents)
}
