//! How fast another process sees a revocation: from before the call to when the agent's own process knows, with its running tool cancelled.
//!
//!     cargo bench -p governance-benches --bench revocation
//!     GOVERNANCE_STORE=redis+unix:///run/redis.sock cargo bench -p governance-benches --bench revocation

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use governance::vocabulary::{AgentId, RevocationType, Tier};
use governance::{Config, Error, Governance, Joining, Result};

const ROUNDS: usize = 300;
/// Tells a process that it is the one with the agents.
const HOME: &str = "GOVERNANCE_BENCH_HOME";

/// The same in every process of this machine.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn config(home: &Path) -> Config {
    Config { home: home.into(), store: std::env::var("GOVERNANCE_STORE").ok(), ..Config::default() }
}

/// The other process; it ends with this value.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        drop((self.0.kill(), self.0.wait()));
    }
}

fn main() -> Result<()> {
    if let Some(home) = std::env::var_os(HOME) {
        return live(Path::new(&home));
    }
    let home = tempfile::tempdir().map_err(|e| Error::internal("no temporary folder").because(e))?;
    revoke(home.path())
}

#[expect(clippy::expect_used, reason = "a benchmark")]
fn another(home: &Path) -> Other {
    let program = std::env::current_exe().expect("this program has a path");
    Other(Command::new(program).env(HOME, home).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("this program starts again"))
}

#[tokio::main]
#[expect(clippy::expect_used, reason = "a benchmark")]
async fn revoke(home: &Path) -> Result<()> {
    let governance = Governance::open(config(home)).await?;
    let mut other = another(home);
    let mut lines = BufReader::new(other.0.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let (mut seen, mut acknowledged) = (Vec::new(), Vec::new());
    while let Some(agent) = lines.next() {
        // Whatever it was begun with is done.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let before = now();
        governance.revocations().revoke(&AgentId::new(agent)?, RevocationType::Manual, "a measurement").await?;
        acknowledged.push(now() - before);
        let when = lines.next().and_then(|line| line.parse().ok()).map(Duration::from_nanos).expect("it sees it");
        seen.push(when.saturating_sub(before));
    }
    drop(other);
    for (what, mut spans) in [("acknowledged to who revokes", acknowledged), ("seen in another process", seen)] {
        spans.sort_unstable();
        let at = |share: usize| spans.get(spans.len() * share / 1000).copied().unwrap_or_default();
        println!("{what}: p50 {:?}, p99 {:?}, most {:?}", at(500), at(990), spans.last().copied().unwrap_or_default());
    }
    governance.close().await
}

#[tokio::main]
async fn live(home: &Path) -> Result<()> {
    let governance = Governance::visit(config(home)).await?;
    let pipeline = governance.begin("Wait").await?;
    for _ in 0..ROUNDS {
        let agent = governance.agent("alpha", &pipeline, Joining { tier: Some(Tier::T1), ..Joining::default() }).await?;
        println!("{}", agent.desk().actor().id);
        drop(std::io::stdout().flush());
        drop(agent.next_event().await);
        println!("{}", now().as_nanos());
        drop(std::io::stdout().flush());
    }
    governance.close().await
}
