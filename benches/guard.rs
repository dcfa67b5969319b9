//! What a decision and a whole governed call cost.
//!
//!     cargo bench -p governance-benches --bench guard
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it measured, and fails loudly")]

use std::fmt::Write;
use std::fs::OpenOptions;
use std::hint::black_box;
use std::time::Duration;

use governance::guard::limits::Limits;
use governance::guard::policy::{Policy, Request};
use governance::guard::{Admissions, Guard, Recorder, Role, Triggers};
use governance::ledger::{Durability, Ledger};
use governance::store::Store;
use governance::vocabulary::{AgentId, AgentRole, PipelineId, Ports, Tier, UseLimits};
use governance_benches::shape::now;
use serde_json::json;

const BATCH: u32 = 1_000;
const BATCHES: usize = 300;
const CALLS: usize = 100_000;

fn main() {
    decisions();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(calls());
}

fn percentile(times: &mut [u64], of: usize) -> u64 {
    times.sort_unstable();
    times[times.len() * of / 100]
}

/// So many targets of each shape: allowed as they are spelled, by how they begin, by how they begin and end, by how they end.
fn policy(shape: &str, rules: usize) -> Policy {
    let allowed: Vec<String> = (0..rules)
        .map(|number| match (shape, number % 3) {
            ("literal", _) | ("mixed", 0) => format!("svc-{number:05}-db"),
            ("prefix", _) | ("mixed", 1) => format!("svc-{number:05}-*"),
            ("glob", _) | ("mixed", _) => format!("svc-{number:05}-*-db"),
            _ => format!("*-{number:05}-db"),
        })
        .collect();
    let constraints = json!({"allowed_actions": ["write_file", "read_file"], "allowed_targets": allowed, "forbidden_targets": ["prod-*", "staging-db-*"]});
    let profile = json!({"agent_id": "bench", "agent_version": "1", "tier": "T1", "constraints": constraints});
    Policy::read("bench", &profile.to_string()).unwrap()
}

fn decisions() {
    for shape in ["literal", "prefix", "glob", "suffix", "mixed"] {
        let mut line = format!("decision, {shape:<8}");
        for rules in [100, 10_000] {
            let policy = policy(shape, rules);
            let targets: Vec<String> = (0..rules)
                .step_by((rules / 64).max(1))
                .map(|number| match (shape, number % 3) {
                    ("literal", _) | ("mixed", 0) => format!("svc-{number:05}-db"),
                    ("suffix", _) => format!("svc-{number:05}-db"),
                    _ => format!("svc-{number:05}-eu-db"),
                })
                .collect();
            assert!(targets.iter().all(|target| policy.decide(&Request::new("write_file").on(target)).is_allowed()), "{shape}");
            let mut times: Vec<u64> = (0..BATCHES)
                .map(|_| {
                    let start = now();
                    for number in 0..BATCH as usize {
                        let request = Request::new("write_file").on(&targets[number % targets.len()]);
                        black_box(policy.decide(black_box(&request)));
                    }
                    u64::try_from(((now() - start) / BATCH).as_nanos()).unwrap()
                })
                .collect();
            let _ = write!(line, "   {rules:>6} rules: p50 {:>5} ns", percentile(&mut times, 50));
        }
        println!("{line}   (goal 200, flat)");
    }
}

async fn calls() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(home.path(), Ports::default(), Durability::Process).await.unwrap();
    let (store, recorder) = (Store::memory().await.unwrap(), Recorder::new(&ledger, "the-store"));
    let admissions = Admissions::new(&store, &recorder);
    let pipeline = PipelineId::new("pipeline-bench").unwrap();
    let admission = admissions.begin_pipeline(&pipeline, "be measured").await.unwrap();
    let role = Role { role: AgentRole::Alpha, tier: Tier::T1 };
    let actor = admissions.admit(&admission, &pipeline, &AgentId::new("alpha-7f3k2q").unwrap(), role).await.unwrap();
    let guard = Guard::open(&store, &actor, &recorder, Policy::shipped(Tier::T1).unwrap()).believing(Duration::from_secs(1));
    let arguments = json!({"text": "the quick brown fox", "mode": 420, "append": true, "ratio": 0.5});
    let request = Request::new("write_file").on("sandbox-1");
    let own = UseLimits { calls_per_minute: Some(100_000_000), ..UseLimits::default() };
    let limits = Limits::open(&store, &actor, &recorder, own, &Triggers::default());
    let mut whole = 0;
    for (named, guard) in [("held to no limit", guard.clone()), ("from a local allowance", guard.limited(limits))] {
        let mut times = Vec::with_capacity(CALLS);
        for number in 0..CALLS {
            let start = now();
            let done = guard.govern(&request, &arguments, async |_| Ok(number)).await.unwrap();
            times.push(u64::try_from((now() - start).as_nanos()).unwrap());
            black_box(done);
        }
        let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
        println!("governed call, with audit, four arguments, {named:<22}  p50 {p50:>6} ns   p99 {p99:>6} ns   (goal p50 ≤ 3000)");
        whole = p50;
    }
    let mut file = OpenOptions::new().append(true).create(true).open(home.path().join("floor")).unwrap();
    let frames = [vec![7_u8; 385], vec![7_u8; 185]];
    let mut floor: Vec<u64> = (0..CALLS)
        .map(|_| {
            let start = now();
            frames.iter().for_each(|frame| std::io::Write::write_all(&mut file, frame).unwrap());
            u64::try_from((now() - start).as_nanos()).unwrap()
        })
        .collect();
    let floor = percentile(&mut floor, 50);
    println!("  floor: two write(2) of the same bytes     p50 {floor:>6} ns   ratio {:.2}", whole as f64 / floor as f64);
}
