//! How fast the ledger is, each figure beside a plain floor measured in the same run.
//!
//! `cargo bench -p governance-benches --bench ledger`
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a bench measures time and prints it")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use governance::ledger::{Action, Durability, Entry, Ledger, OutcomeResult, verify};
use governance::vocabulary::{AgentId, Millis, PipelineId, Ports, SegmentId, Token};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

const RUNS: usize = 5;
const APPENDS: usize = 200_000;
const PRODUCERS: usize = 50;
const ENTRIES: usize = 500_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // `-- append` measures the first part only.
    let only_append = std::env::args().any(|argument| argument == "append");
    segment_append();
    if only_append {
        return;
    }
    let homes: Vec<_> = (0..RUNS).map(|_| tempfile::tempdir().unwrap()).collect();
    end_to_end(&runtime, &homes);
    verification(homes[0].path());
}

/// What a tool call's intent or outcome looks like: about 250 bytes as a frame.
fn entry(n: usize) -> Entry {
    let agent = AgentId::new("alpha-7f3k2q").unwrap();
    let pipeline = PipelineId::new("pipeline-mksufe23").unwrap();
    let payload = format!("{{\"tool\":\"read_file\",\"arguments\":{{\"path\":\"src/part-{n:07}.rs\"}},\"epoch\":1700000000000}}");
    let at = Millis(1_700_000_000_000 + n as u64);
    if n.is_multiple_of(2) {
        Entry::intent(at, Action::ToolCall).agent(&agent).pipeline(&pipeline).payload(payload)
    } else {
        let token = Token::of_intent(&SegmentId::new("mksufe23-abcdefgh").unwrap(), n as u64);
        Entry::outcome(at, Action::ToolCall, token, OutcomeResult::Ok).agent(&agent).pipeline(&pipeline).payload(payload)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The p50 and p99 of single calls, in nanoseconds.
fn calls(mut call: impl FnMut(usize)) -> (f64, f64) {
    let mut times: Vec<f64> = (0..APPENDS)
        .map(|n| {
            let start = Instant::now();
            call(n);
            start.elapsed().as_nanos() as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[APPENDS / 2], times[APPENDS * 99 / 100])
}

fn segment_append() {
    let (mut ours, mut tails, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let home = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ledger = runtime.block_on(Ledger::open(home.path(), Ports::default(), Durability::Process)).unwrap();
        let segment = ledger.segment().unwrap();
        let entries: Vec<_> = (0..1_000).map(entry).collect();
        let (p50, p99) = calls(|n| drop(segment.append(&entries[n % 1_000]).unwrap()));
        ours.push(p50);
        tails.push(p99);
        let frame = vec![7_u8; 250];
        let mut file = OpenOptions::new().append(true).create(true).open(home.path().join("floor")).unwrap();
        floors.push(calls(|_| file.write_all(&frame).unwrap()).0);
    }
    let (ours, tail, floor) = (median(ours), median(tails), median(floors));
    println!("segment append          p50 {ours:>7.0} ns   p99 {tail:>7.0} ns   (goal p50 ≤ 2000)");
    println!("  floor: write(2) 250 B p50 {floor:>7.0} ns   ratio {:.2}", ours / floor);
}

fn end_to_end(runtime: &tokio::runtime::Runtime, homes: &[tempfile::TempDir]) {
    let (mut ours, mut drains, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for home in homes {
        let ledger = runtime.block_on(Ledger::open(home.path(), Ports::default(), Durability::Process)).unwrap();
        let segment = ledger.segment().unwrap();
        let entries: Arc<Vec<_>> = Arc::new((0..1_000).map(entry).collect());
        let start = Instant::now();
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|_| {
                let (segment, entries) = (segment.clone(), entries.clone());
                runtime.spawn(async move {
                    for n in 0..ENTRIES / PRODUCERS {
                        segment.append(&entries[n % 1_000]).unwrap();
                        if n % 64 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                })
            })
            .collect();
        let mut done = 0;
        while done < ENTRIES as u64 {
            done += runtime.block_on(ledger.sequence(1)).unwrap().entries;
        }
        ours.push(ENTRIES as f64 / start.elapsed().as_secs_f64());
        for producer in producers {
            runtime.block_on(producer).unwrap();
        }
        // The sequencer alone, on a full segment.
        for n in 0..ENTRIES / 5 {
            segment.append(&entries[n % 1_000]).unwrap();
        }
        let start = Instant::now();
        let drained = runtime.block_on(ledger.sequence(1)).unwrap().entries;
        drains.push(drained as f64 / start.elapsed().as_secs_f64());
        runtime.block_on(ledger.close()).unwrap();
        floors.push(plain_insert(home.path()));
    }
    let (ours, drain, floor) = (median(ours), median(drains), median(floors));
    println!("end to end, {PRODUCERS} producers   {ours:>9.0} entries/s   (goal ≥ 150000)");
    println!("sequencer alone            {drain:>9.0} entries/s");
    println!("  floor: the same rows into the same tables, 32 a statement, no hashes {floor:>9.0} rows/s   ratio {:.2}", floor / drain);
}

/// The same rows from a copy of the table into an equal, empty one, by the same statement and transactions.
fn plain_insert(home: &Path) -> f64 {
    let from = Connection::open(home.join("governance.db")).unwrap();
    let schema: Vec<String> = from
        .prepare("SELECT sql FROM sqlite_schema WHERE tbl_name = 'agent_actions' AND sql IS NOT NULL ORDER BY type DESC")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let rows: Vec<Vec<rusqlite::types::Value>> = from
        .prepare("SELECT * FROM agent_actions LIMIT 100000")
        .unwrap()
        .query_map([], |row| (0..13).map(|at| row.get(at)).collect())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let to = Connection::open(home.join("floor.db")).unwrap();
    to.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 8000; PRAGMA cache_size = -32768",
    )
    .unwrap();
    schema.iter().for_each(|sql| to.execute_batch(sql).unwrap());
    let sql = format!("INSERT INTO agent_actions VALUES {}", ["(?,?,?,?,?,?,?,?,?,?,?,?,?)"; 32].join(","));
    let start = Instant::now();
    for batch in rows.chunks(8_192) {
        to.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut statement = to.prepare_cached(&sql).unwrap();
        for many in batch.chunks_exact(32) {
            for (at, value) in many.iter().flatten().enumerate() {
                statement.raw_bind_parameter(at + 1, value).unwrap();
            }
            statement.raw_execute().unwrap();
        }
        drop(statement);
        to.execute_batch("COMMIT").unwrap();
    }
    rows.len() as f64 / start.elapsed().as_secs_f64()
}

fn verification(home: &Path) {
    let path = home.join("governance.db");
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let start = Instant::now();
        let report = verify(&path, None).unwrap();
        ours.push(report.entries as f64 / start.elapsed().as_secs_f64());
        assert!(report.is_intact(), "{report:?}");
        floors.push(plain_read(&path));
    }
    let (ours, floor) = (median(ours), median(floors));
    println!("verify                     {ours:>9.0} entries/s   (goal ≥ 800000)");
    println!("  floor: SELECT and one SHA-256 a row {floor:>9.0} rows/s   ratio {:.2}", floor / ours);
}

fn plain_read(path: &Path) -> f64 {
    let connection = Connection::open(path).unwrap();
    let start = Instant::now();
    let mut statement = connection.prepare("SELECT * FROM agent_actions ORDER BY seq").unwrap();
    let mut rows = statement.raw_query();
    let (mut count, mut last) = (0_u64, [0_u8; 32]);
    while let Some(row) = rows.next().unwrap() {
        let mut hash = Sha256::new().chain_update(last);
        for at in 0..13 {
            match row.get_ref(at).unwrap() {
                rusqlite::types::ValueRef::Integer(number) => hash.update(number.to_le_bytes()),
                rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => hash.update(bytes),
                _ => {}
            }
        }
        last = hash.finalize().into();
        count += 1;
    }
    std::hint::black_box(last);
    count as f64 / start.elapsed().as_secs_f64()
}
