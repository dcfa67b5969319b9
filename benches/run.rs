//! What the main job costs, thinking time aside (the local model thinks in microseconds): one run alone on the embedded file, a hundred at once in
//! one process, and taking up a run whose journal has ten thousand lines.
//!
//!     cargo bench -p governance-benches --bench run

use std::sync::Arc;
use std::time::{Duration, Instant};

use governance::llm::LocalModel;
use governance::orchestrator::{Event, Limits, Line, RunOptions, Runtimes, Setup, replay};
use governance::vocabulary::{AgentId, PipelineId, PipelineStatus};
use governance::{Config, Governance};

const AT_ONCE: usize = 100;
const LINES: usize = 10_000;

fn options() -> RunOptions {
    RunOptions {
        model: Arc::new(LocalModel),
        call_deadline: Duration::from_secs(60),
        runtimes: Runtimes::default(),
        auto_continue: true,
        timeout: Duration::from_secs(120),
        limits: Limits::default(),
        observer: None,
        interrupt: Default::default(),
    }
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
    governance.close().await?;

    let pipeline = PipelineId::new("pipeline-bench")?;
    let setup = Setup { auto: true, complex: false, conflicts: 3, recoveries: 3 };
    let mut lines = vec![Line::Setup(setup), Line::Event(Event::Begun)];
    lines.extend(
        (0..LINES).map(|number| Line::Event(Event::Stuck(AgentId::new(format!("alpha-{number}")).unwrap_or_else(|_| unreachable!())))),
    );
    let start = Instant::now();
    assert!(replay(&pipeline, lines).is_some());
    println!("a journal of {LINES} lines is replayed in {:.1} ms (goal for taking a run up: 1,000)", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}
