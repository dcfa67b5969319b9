//! `cargo bench -p governance-benches --bench sqlite`: the SQLite store against raw rusqlite doing the same SQL on the same machine.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it measured, and fails loudly")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use governance::store::{Commit, Sqlite, Store};
use governance::vocabulary::{Key, Keys, Kind, Ports};
use governance_benches::shape::{Shape, VALUE, at, now};
use rusqlite::{Connection, OptionalExtension, params};

const TASKS: usize = 200;
const RUN: Duration = Duration::from_secs(3);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "crowd", path, name] => runtime.block_on(crowd(Path::new(path), name)),
        [_, "grouped"] => runtime.block_on(grouped()),
        [_, "alone"] => runtime.block_on(alone()),
        [_, "raw"] => raw(),
        [_, "processes"] => processes(),
        [_, "watch", path] => runtime.block_on(watch(Path::new(path))),
        _ => {
            raw();
            runtime.block_on(alone());
            runtime.block_on(grouped());
            runtime.block_on(reads());
            processes();
            runtime.block_on(noticed());
        }
    }
}

async fn open(path: &Path) -> Store {
    let (keys, ports) = (Keys::default(), Ports::default());
    Store::new(Sqlite::open(path, &keys, ports.clone()).unwrap(), keys, ports).await.unwrap()
}

/// The statements of one measured commit, by themselves.
fn raw() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("raw.db");
    drop(Sqlite::open(&path, &Keys::default(), Ports::default()).unwrap());
    let connection = Connection::open(&path).unwrap();
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 8000; PRAGMA cache_size = -16000;").unwrap();
    let value = vec![b'x'; VALUE];
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| connection.prepare_cached(sql).unwrap().execute(params).unwrap();
    for task in 0..TASKS {
        run("INSERT INTO cells (owner, field, version, value) VALUES (1, ?1, 1, ?2)", &[&format!("field-{task}"), &value]);
    }
    let mut number = 0_i64;
    let mut transaction = |commits: i64| {
        run("BEGIN IMMEDIATE", &[]);
        let ask = |sql: &str| connection.prepare_cached(sql).unwrap().query_row([], |row| row.get::<_, i64>(0)).optional().unwrap();
        ask("PRAGMA data_version");
        for _ in 0..commits {
            number += 1;
            let (token, field) = (format!("bench-0.{number}"), format!("field-{}", number * 7_919 % 100_003 % TASKS as i64));
            let sql = "SELECT digest, generation, at, results FROM tokens WHERE token = ?1 AND until > ?2";
            let found = connection.prepare_cached(sql).unwrap().query_row(params![token, 5], |_| Ok(())).optional().unwrap();
            assert!(found.is_none());
            let sql = "UPDATE cells SET version = ?3, value = ?4 WHERE owner = ?1 AND field = ?2";
            run(sql, &[&1, &field, &number, &value]);
            let sql = "INSERT INTO entries (owner, position, at, value, key, field, version, meta, token) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            run(sql, &[&2, &number, &5, &value, &"blackboard:t:solutions", &field, &number, &&b"{\"by\":\"alpha-1\"}"[..], &token]);
            if number % 65 == 0 && number > 1_065 {
                run("DELETE FROM entries WHERE owner = ?1 AND position <= ?2", &[&2, &(number - 1_000)]);
            }
            let sql = "INSERT OR REPLACE INTO tokens (token, digest, generation, at, until, results) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            run(sql, &[&token, &7, &8, &5, &600_005, &&[1_u8; 8][..]]);
        }
        let sql = "INSERT INTO clock (id, now, transactions, boot, anchor) VALUES (1, ?1, 1, '', 0) \
                   ON CONFLICT (id) DO UPDATE SET now = max(now, excluded.now), transactions = transactions + 1";
        run(sql, &[&number]);
        run("COMMIT", &[]);
    };
    for commits in [1, 128] {
        let mut times = Vec::new();
        let (start, spent) = (now(), spent(Path::new("/proc/thread-self")).unwrap());
        while now() - start < RUN {
            let before = now();
            transaction(commits);
            times.push((now() - before) / commits as u32);
        }
        let per_second = times.len() as f64 * commits as f64 / (now() - start).as_secs_f64();
        let spent = (crate::spent(Path::new("/proc/thread-self")).unwrap() - spent) as f64 / 1e3 / times.len() as f64 / commits as f64;
        let p50 = at(0.5, &mut times);
        println!(
            "raw rusqlite, {commits:>3} a transaction    p50 {p50:>7.1} µs   {per_second:>8.0}/s   {spent:.1} µs of processor a commit"
        );
    }
}

/// Processor time that the writer threads have used.
fn writer_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let writers = threads.filter(|t| std::fs::read_to_string(t.path().join("comm")).is_ok_and(|name| name.trim() == "governance-writ"));
    Duration::from_nanos(writers.filter_map(|thread| spent(&thread.path())).sum())
}

/// Processor time that a thread has used, in nanoseconds.
fn spent(thread: &Path) -> Option<u64> {
    std::fs::read_to_string(thread.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
}

async fn alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.db")).await;
    let shape = Shape::on(&store, "bench").await;
    let (mut times, mut number) = (Vec::new(), 0);
    let (start, spent) = (now(), writer_time());
    while now() - start < RUN {
        number += 1;
        let commit = shape.commit(number % TASKS);
        let before = now();
        store.apply(commit).await.unwrap();
        times.push(now() - before);
    }
    let thread = (writer_time() - spent).as_nanos() as f64 / 1e3 / number as f64;
    let (p50, p99) = (at(0.5, &mut times), at(0.99, &mut times));
    println!("alone, to an async caller         p50 {p50:>7.1} µs  p99 {p99:>7.1} µs   (goal 120)   {thread:.1} µs in the writer thread");
}

/// Commits from many tasks at once; how many a second, and how long each took.
async fn together(store: &Store, shape: &Shape, tasks: usize, run: Duration) -> (f64, Vec<Duration>) {
    let shape = Arc::new(shape.clone());
    let start = now();
    let tasks: Vec<_> = (0..tasks)
        .map(|task| {
            let (store, shape) = (store.clone(), shape.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                while now() - start < run {
                    let before = now();
                    store.apply(shape.commit(task)).await.unwrap();
                    times.push(now() - before);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    (times.len() as f64 / (now() - start).as_secs_f64(), times)
}

async fn grouped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).await;
    let shape = Shape::on(&store, "bench").await;
    let spent = writer_time();
    let (per_second, mut times) = together(&store, &shape, TASKS, RUN).await;
    let thread = (writer_time() - spent).as_nanos() as f64 / 1e3 / times.len() as f64;
    let raw = Connection::open(&path).unwrap();
    let transactions: i64 = raw.query_row("SELECT transactions FROM clock", [], |row| row.get(0)).unwrap();
    let group = times.len() as f64 / transactions as f64;
    let (p50, p99) = (at(0.5, &mut times), at(0.99, &mut times));
    println!(
        "{TASKS} tasks                         {per_second:>8.0}/s   (goal 70000)   p50 {p50:.0} µs  p99 {p99:.0} µs   \
         {thread:.1} µs in the writer thread, {group:.0} a transaction"
    );
}

async fn reads() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.db")).await;
    let record = Key::new("agent:a:packet", Kind::Record);
    store.apply(Commit::default().put(record.clone(), vec![b'x'; VALUE])).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..200_000 {
        let before = now();
        store.cell(record.clone()).await.unwrap().unwrap();
        times.push(now() - before);
    }
    println!("read of 1 KB                      p50 {:>7.1} µs  p99 {:>7.1} µs   (goal 10)", at(0.5, &mut times), at(0.99, &mut times));
}

fn child(arguments: &[&str]) -> Child {
    Command::new(std::env::current_exe().unwrap()).args(arguments).stdout(Stdio::piped()).spawn().unwrap()
}

fn processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let children: Vec<Child> = (0..4).map(|n| child(&["crowd", path.to_str().unwrap(), &format!("process{n}")])).collect();
    let (mut per_second, mut worst) = (0.0, 0.0_f64);
    for child in children {
        let told = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let figures: Vec<f64> = told.split_whitespace().map(|word| word.parse().unwrap()).collect();
        per_second += figures[0];
        worst = worst.max(figures[1]);
    }
    println!("4 processes of 50 tasks           {per_second:>8.0}/s   (goal 70000)   worst p99 {worst:.0} µs   (goal 100000)");
}

async fn crowd(path: &Path, name: &str) {
    let store = open(path).await;
    let shape = Shape::on(&store, name).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (per_second, mut times) = together(&store, &shape, 50, RUN).await;
    println!("{per_second} {}", at(0.99, &mut times));
}

fn ping() -> Key {
    Key::new("ping", Kind::Record)
}

async fn watch(path: &Path) {
    let store = open(path).await;
    let mut watch = store.watch(&[ping()]).await.unwrap();
    println!("ready");
    let mut last = 0;
    while last < 1_000 {
        watch.changed().await;
        let found = store.cell(ping()).await.unwrap().map_or(0, |found| found.version);
        let noticed = now();
        if found > last {
            last = found;
            println!("{last} {}", noticed.as_nanos());
        }
    }
}

async fn noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).await;
    let mut watcher = child(&["watch", path.to_str().unwrap()]);
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let mut acknowledged = vec![Duration::ZERO];
    for number in 1..=1_000_u64 {
        store.apply(Commit::default().put(ping(), "x")).await.unwrap();
        acknowledged.push(now());
        tokio::time::sleep(Duration::from_millis(1 + number % 5)).await;
    }
    let mut times: Vec<Duration> = lines
        .map(|line| {
            let line = line.unwrap();
            let (number, noticed) = line.split_once(' ').unwrap();
            let noticed = Duration::from_nanos(noticed.parse().unwrap());
            noticed.saturating_sub(acknowledged[number.parse::<usize>().unwrap()])
        })
        .collect();
    watcher.wait().unwrap();
    let (p50, p99) = (at(0.5, &mut times), at(0.99, &mut times));
    println!(
        "another process's commit, noticed p50 {p50:>7.1} µs  p99 {p99:>7.1} µs   (goals 200, 5000)   {} of 1000 seen one by one",
        times.len()
    );
}
