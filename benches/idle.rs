//! What an open handle costs while nothing happens: processor time of this process per second of waiting.
//!
//!     cargo bench -p governance-benches --bench idle

use std::time::Duration;

use governance::{Config, Governance};

const WAITED: Duration = Duration::from_secs(10);

fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

#[tokio::main]
async fn main() -> governance::Result<()> {
    let home = tempfile::tempdir().map_err(|e| governance::Error::internal("no temporary folder").because(e))?;
    let governance = Governance::open(Config { home: home.path().into(), ..Config::default() }).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = processor_time();
    tokio::time::sleep(WAITED).await;
    let used = processor_time() - before;
    println!("idle handle, keeping house: {:.3} % of one core", used.as_secs_f64() / WAITED.as_secs_f64() * 100.0);
    governance.close().await
}
