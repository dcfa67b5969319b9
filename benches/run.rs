//! What the main job costs, thinking time aside (the local model thinks in microseconds): one run alone on the embedded file, a hundred at once in
//! one process, and taking up a run whose journal has ten thousand lines.
//!
//!     cargo bench -p governance-benches --bench run

use std::sync::Arc;
use std::time::Instant;

use governance::llm::LocalModel;
use governance::orchestrator::{Event, Line, RunOptions, Wish};
use governance::store::{Commit, Write};
use governance::vocabulary::{AgentId, PipelineStatus};
use governance::{Config, Governance};

const AT_ONCE: usize = 100;
const LINES: usize = 10_000;

fn options() -> RunOptions {
    RunOptions::new(Arc::new(LocalModel))
}

#[tokio::main]
async fn main() -> governance::Result<()> {
    let home = tempfile::tempdir().map_err(|e| governance::Error::internal("no temporary folder").because(e))?;
    let governance = Governance::open(Config { home: home.path().into(), ..Config::default() }).await?;
    let mut alone = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        let outcome = governance.orchestrator().run("Design a caching strategy", options()).await?;
        assert_eq!(outcome.status, PipelineStatus::Completed);
        alone.push(start.elapsed());
    }
    alone.sort_unstable();
    println!("one run alone: p50 {:.1} ms, slowest {:.1} ms (goal 50)", alone[10].as_secs_f64() * 1e3, alone[20].as_secs_f64() * 1e3);

    let start = Instant::now();
    let runs: Vec<_> = (0..AT_ONCE)
        .map(|number| {
            let orchestrator = governance.orchestrator();
            tokio::spawn(async move { orchestrator.run(&format!("Design a caching strategy, number {number}"), options()).await })
        })
        .collect();
    let mut completed = 0;
    for run in runs {
        let outcome = run.await.map_err(|e| governance::Error::internal("a run panicked").because(e))??;
        completed += usize::from(outcome.status == PipelineStatus::Completed);
    }
    println!("{completed} of {AT_ONCE} runs at once: {:.1} runs/s (goal 20)", completed as f64 / start.elapsed().as_secs_f64());

    // A run that waits at its report, whose journal is filled up with events that changed nothing.
    let waits = RunOptions { auto_continue: false, ..options() };
    let begun = governance.orchestrator().run("Design a caching strategy", waits).await?;
    let store = governance.store();
    let journal = store.keys().pipeline_journal(&begun.pipeline_id);
    for number in 0..LINES as u64 {
        let line = Line::Event(Event::Stuck(AgentId::new(format!("alpha-{number}"))?));
        let value = serde_json::to_vec(&line).map_err(|e| governance::Error::internal("a line is not JSON").because(e))?;
        let append = Write::Append { log: journal.clone(), value: value.into(), bound: 0 };
        store.apply(Commit::default().write(append)).await?;
    }
    let start = Instant::now();
    let outcome = governance.orchestrator().resume(&begun.pipeline_id, Wish::Continue, options()).await?;
    assert_eq!(outcome.status, PipelineStatus::Completed);
    let took = start.elapsed().as_secs_f64() * 1e3;
    println!("a run with a journal of {LINES} lines taken up, and carried to its end: {took:.0} ms (goal 1,000)");
    governance.close().await
}
