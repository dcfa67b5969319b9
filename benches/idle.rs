//! What an open handle costs while nothing happens: processor time of its process per second of waiting. Each handle is alone in a process, so
//! one keeps house and the other waits to.
//!
//!     cargo bench -p governance-benches --bench idle

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use governance::{Config, Governance};

const WAITED: Duration = Duration::from_secs(20);
/// Tells a process that it is one of the two.
const HOME: &str = "GOVERNANCE_BENCH_HOME";

fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

fn main() -> governance::Result<()> {
    if let Some(home) = std::env::var_os(HOME) {
        return idle(Path::new(&home));
    }
    let home = tempfile::tempdir().map_err(|e| governance::Error::internal("no temporary folder").because(e))?;
    let mut first = handle(home.path());
    let mut lines = first.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok);
    // It keeps house before the other is opened.
    drop(lines.next());
    let mut second = handle(home.path());
    let told = |what: &str, share: Option<f64>| println!("{what}: {:.3} % of one core", share.unwrap_or(f64::NAN));
    told("idle handle, keeping house", lines.next().and_then(|share| share.parse().ok()));
    let mut rest = String::new();
    drop(second.stdout.take().map(|mut out| out.read_to_string(&mut rest)));
    told("idle handle, waiting to keep house", rest.lines().nth(1).and_then(|share| share.parse().ok()));
    drop((first.wait(), second.wait()));
    Ok(())
}

#[expect(clippy::expect_used, reason = "a benchmark")]
fn handle(home: &Path) -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    Command::new(program).env(HOME, home).stdout(Stdio::piped()).spawn().expect("this program starts again")
}

#[tokio::main]
async fn idle(home: &Path) -> governance::Result<()> {
    let governance = Governance::open(Config { home: home.into(), ..Config::default() }).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    println!("open");
    // Until the other one is open too.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = processor_time();
    tokio::time::sleep(WAITED).await;
    let used = processor_time() - before;
    println!("{}", used.as_secs_f64() / WAITED.as_secs_f64() * 100.0);
    governance.close().await
}
