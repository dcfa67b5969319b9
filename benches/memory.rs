//! `cargo bench -p governance-benches --bench memory`: what one commit costs in memory.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it measured, and fails loudly")]

use std::sync::Arc;

use governance::store::{Backend, Commit, Memory, Store};
use governance::vocabulary::{Keys, Ports};
use governance_benches::shape::{Shape, now};

// Small enough that what is measured is the store, not fetching the commits from main memory.
const BATCH: u64 = 128;
const BATCHES: u64 = 2_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (keys, ports) = (Keys::default(), Ports::default());
        let memory = Arc::new(Memory::new(&keys, ports.clone()));
        let store = Store::new(memory.clone(), keys, ports).await.unwrap();
        let shape = Shape::on(&store, "bench").await;
        let batch = || -> Vec<Commit> { (0..BATCH).map(|n| shape.commit((n % 16) as usize)).collect() };
        let (mut port, mut handle) = (Vec::new(), Vec::new());
        for _ in 0..BATCHES {
            let commits = batch();
            let start = now();
            for commit in &commits {
                memory.commit(commit).await.unwrap();
            }
            port.push((now() - start).as_nanos() as u64 / BATCH);
            let commits = batch();
            let start = now();
            for commit in commits {
                store.commit(commit).await.unwrap();
            }
            handle.push((now() - start).as_nanos() as u64 / BATCH);
        }
        for (name, mut times) in [("memory commit through the port", port), ("memory commit through `Store`", handle)] {
            times.sort_unstable();
            println!("{name:<34} p50 {:>5} ns   best {:>5} ns   (goal 300)", times[times.len() / 2], times[0]);
        }
    });
}
