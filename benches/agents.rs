//! What an agent costs that lives in this process: memory, beside what the store and the record keep of it, time to join and to leave, and processor time while
//! each of a thousand does something every second.
//!
//! What is counted is what the process has allocated, to the byte, not what the system gave it: that depends on what was freed before. Three things are told
//! apart: what the process of the agents holds for each, what the one that keeps house for all holds for each, and what its rows take in the files. What
//! SQLite keeps of a file in memory, and what is remembered of it here, is bounded: it is full before anything is measured.
//!
//!     cargo bench -p governance-benches --bench agents

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use governance::guard::policy::Request;
use governance::store::Commit;
use governance::vocabulary::{Key, Kind, Tier};
use governance::{Agent, Config, Governance, Joining};
use serde_json::json;

const AGENTS: usize = if cfg!(debug_assertions) { 100 } else { 1_000 };
/// Each does this every second, for so long.
const ACTION: Duration = Duration::from_millis(100);
const SECONDS: u32 = 10;
/// How many join before anything is measured.
const FIRST: usize = 50;
/// So many keys are more than a process remembers of a file; so many of them are written at once.
const REMEMBERED: usize = 10_000;
const PIECE: usize = 500;
/// Tells a process that it keeps house, and where.
const HOME: &str = "GOVERNANCE_BENCH_HOME";
const STORE: &str = "GOVERNANCE_BENCH_STORE";

/// Counts what is allocated and not freed.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is passed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_add(size, Ordering::Relaxed);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// What is held of memory, at some moment.
#[derive(Clone, Copy)]
struct Held {
    allocated: usize,
    resident: usize,
    stored: usize,
}

impl Held {
    fn now(home: &Path) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        let resident = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok()).unwrap_or_default() * 1024;
        Self { allocated: HELD.load(Ordering::Relaxed), resident, stored: size(home) }
    }

    fn told(self, before: Self) {
        let each = |now: usize, before: usize| now.saturating_sub(before) as f64 / 1024.0 / AGENTS as f64;
        println!("memory, allocated by the process of the agents: {:.2} KiB each (goal 4)", each(self.allocated, before.allocated));
        println!("memory, resident: {:.1} KiB each", each(self.resident, before.resident));
        if self.stored > 0 {
            println!("files of the store and the record: {:.1} KiB each", each(self.stored, before.stored));
        }
    }
}

fn size(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) if !entry.path().to_string_lossy().ends_with("-wal") => usize::try_from(found.len()).unwrap_or(0),
        _ => 0,
    };
    entries.map(of).sum()
}

fn main() -> governance::Result<()> {
    let runtime = tokio::runtime::Runtime::new().map_err(|e| governance::Error::internal("no runtime").because(e))?;
    if let Some(home) = std::env::var_os(HOME) {
        return runtime.block_on(keep_house(Path::new(&home), std::env::var(STORE).ok()));
    }
    // Stores by URL, where others than the embedded file and the memory are to be measured.
    let stores: Vec<_> = std::env::args().skip(1).filter(|said| !said.starts_with('-')).map(Some).collect();
    for store in if stores.is_empty() { vec![None, Some("memory:".to_owned())] } else { stores } {
        runtime.block_on(measure(store))?;
    }
    Ok(())
}

/// Another process keeps house, as it mostly is: says what it holds each time that it is asked.
struct Keeper {
    process: Child,
    ask: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
}

impl Keeper {
    #[expect(clippy::expect_used, reason = "a benchmark")]
    fn begin(home: &Path, store: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.env(HOME, home).envs(store.map(|store| (STORE, store)));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("this program starts again");
        let (ask, says) = (process.stdin.take().expect("an input"), process.stdout.take().expect("an output"));
        let mut keeper = Self { process, ask, says: BufReader::new(says).lines() };
        keeper.held();
        keeper
    }

    fn held(&mut self) -> usize {
        drop(writeln!(self.ask));
        self.says.next().and_then(Result::ok).and_then(|held| held.parse().ok()).unwrap_or_default()
    }

    fn end(mut self) {
        drop(self.ask);
        drop(self.process.wait());
    }
}

async fn keep_house(home: &Path, store: Option<String>) -> governance::Result<()> {
    let governance = Governance::open(Config { home: home.into(), store, ..Config::default() }).await?;
    while !governance.housekeeping().await?.awake {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for asked in std::io::stdin().lines() {
        drop(asked);
        println!("{}", HELD.load(Ordering::Relaxed));
    }
    governance.close().await
}

async fn measure(store: Option<String>) -> governance::Result<()> {
    let home = tempfile::tempdir().map_err(|e| governance::Error::internal("no temporary folder").because(e))?;
    println!("# {}", store.as_deref().unwrap_or("the embedded file"));
    // A store in memory has no other process.
    let mut keeper = (store.as_deref() != Some("memory:")).then(|| Keeper::begin(home.path(), store.as_deref()));
    let governance = Governance::open(Config { home: home.path().into(), store, ..Config::default() }).await?;
    let pipeline = governance.begin("Design a caching strategy").await?;
    // What is allocated once is not an agent's, nor is what is remembered of the file.
    let first: Vec<Agent> = join(&governance, &pipeline, FIRST).await?;
    for piece in 0..REMEMBERED / PIECE {
        let key = |number| Key::new(format!("bench:{piece}:{number}"), Kind::Record);
        let commit = (0..PIECE).fold(Commit::default(), |commit, number| commit.put(key(number), "1"));
        governance.store().apply(commit).await?;
    }
    settle(&governance).await?;
    let kept = keeper.as_mut().map(Keeper::held);
    let (before, used) = (Held::now(home.path()), processor_time());
    let start = Instant::now();
    let agents = join(&governance, &pipeline, AGENTS).await?;
    let each = |span: Duration| span.as_secs_f64() * 1e3 / AGENTS as f64;
    println!(
        "{AGENTS} agents joined: {:.2} ms each, {:.2} ms of it processor time here",
        each(start.elapsed()),
        each(processor_time() - used)
    );
    settle(&governance).await?;
    Held::now(home.path()).told(before);
    if let (Some(keeper), Some(kept)) = (&mut keeper, kept) {
        let more = keeper.held().saturating_sub(kept) as f64 / 1024.0 / AGENTS as f64;
        println!("memory, allocated by the process that keeps house: {more:.2} KiB each");
    }
    work(&agents).await?;
    let start = Instant::now();
    for agent in agents.iter().chain(&first) {
        agent.leave().await?;
    }
    println!("left: {:.2} ms each", start.elapsed().as_secs_f64() * 1e3 / (AGENTS + FIRST) as f64);
    governance.close().await?;
    keeper.into_iter().for_each(Keeper::end);
    Ok(())
}

/// Processor time of this process: what its agents do, and what is done for them beside that.
fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// Each agent does something that takes a while, every second: governed, and the same without.
async fn work(agents: &[Agent]) -> governance::Result<()> {
    let mut took = [Duration::ZERO; 2];
    for (governed, took) in [false, true].into_iter().zip(&mut took) {
        let used = processor_time();
        let begun = tokio::time::Instant::now();
        let mut working = tokio::task::JoinSet::<governance::Result<()>>::new();
        for (number, agent) in agents.iter().cloned().enumerate() {
            // Not all at the same moment.
            let first = begun + Duration::from_secs(1) / AGENTS as u32 * number as u32;
            working.spawn(async move {
                for second in 0..SECONDS {
                    tokio::time::sleep_until(first + Duration::from_secs(1) * second).await;
                    let request = Request::new("read_file").on("localhost");
                    let action = async |_| {
                        tokio::time::sleep(ACTION).await;
                        Ok(())
                    };
                    if governed {
                        agent.govern(&request, &json!({"name": "notes", "second": second}), action).await?;
                    } else {
                        tokio::time::sleep(ACTION).await;
                    }
                }
                Ok(())
            });
        }
        while let Some(done) = working.join_next().await {
            done.map_err(|e| governance::Error::internal("an agent panicked").because(e))??;
        }
        *took = processor_time() - used;
    }
    let agents_time = f64::from(SECONDS) * AGENTS as f64;
    let share = took[1].saturating_sub(took[0]).as_secs_f64() / agents_time;
    println!(
        "{AGENTS} agents, an action of {} ms each second: governance uses {:.4} % of the wall time of each (goal 0.1), {:.0} µs an action",
        ACTION.as_millis(),
        share * 100.0,
        share * 1e6
    );
    Ok(())
}

/// What was begun is done: the record is written, and nothing is on its way any more.
async fn settle(governance: &Governance) -> governance::Result<()> {
    governance.catch_up(Duration::from_secs(30)).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

async fn join(governance: &Governance, pipeline: &governance::vocabulary::PipelineId, count: usize) -> governance::Result<Vec<Agent>> {
    let mut agents = Vec::with_capacity(count);
    for _ in 0..count {
        agents.push(governance.agent("alpha", pipeline, Joining { tier: Some(Tier::T1), ..Joining::default() }).await?);
    }
    Ok(agents)
}
