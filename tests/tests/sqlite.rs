//! What can go wrong with a file: it is another program's, locked, full, replaced, or its writer dies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use governance::error::{Error, ErrorKind};
use governance::store::{Answer, Backend, Cell, Commit, Outcome, Query, Sqlite, Store, Write};
use governance::vocabulary::{Clock, Key, Keys, Kind, Millis, Ports, System};
use rusqlite::Connection;
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

fn backend(path: &Path) -> Result<Arc<Sqlite>, Error> {
    Sqlite::open(path, &Keys::default(), Ports::default())
}

async fn store(path: &Path) -> Store {
    store_at(path, Ports::default()).await
}

async fn store_at(path: &Path, ports: Ports) -> Store {
    let backend = Sqlite::open(path, &Keys::default(), ports.clone()).unwrap();
    Store::new(backend, Keys::default(), ports).await.unwrap()
}

fn refusal(path: &Path) -> Error {
    backend(path).err().unwrap()
}

fn record(name: &str) -> Key {
    Key::new(name, Kind::Record)
}

fn count() -> Key {
    Key::new("count", Kind::Counter)
}

fn log() -> Key {
    Key::new("log", Kind::Log)
}

/// Adds one to the counter and appends to the log.
fn step(value: &str) -> Commit {
    Commit::default().write(Write::Add { counter: count(), delta: 1, ttl: None }).write(Write::Append {
        log: log(),
        value: value.to_owned().into(),
        bound: 0,
    })
}

#[test]
fn a_file_of_another_program_is_refused_and_left_as_it_was() {
    let (_folder, path) = place();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert_eq!(refusal(&path).code(), "not_a_store");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_not_sqlite_at_all_is_refused_and_left_as_it_was() {
    for garbage in ["short", &"no database, by far. ".repeat(500)] {
        let (_folder, path) = place();
        std::fs::write(&path, garbage).unwrap();
        let refused = refusal(&path);
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Invalid, "not_a_store"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), garbage);
    }
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let (_folder, path) = place();
    drop(backend(&path).unwrap());
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let refused = refusal(&path);
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Invalid, "newer_format"));
    assert!(refused.to_string().contains("format 99"), "{refused}");
}

#[test]
fn handles_that_open_a_new_file_at_the_same_time_all_find_a_store() {
    for _ in 0..20 {
        let (_folder, path) = place();
        let start = std::sync::Barrier::new(6);
        let open = || {
            start.wait();
            backend(&path).map(drop)
        };
        std::thread::scope(|scope| {
            let openings: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
            openings.into_iter().for_each(|opening| opening.join().unwrap().unwrap());
        });
    }
}

#[test]
fn a_place_that_cannot_be_written_is_refused_with_what_to_look_at() {
    let (folder, _) = place();
    for path in [Path::new("/proc/no/such/store.db"), folder.path()] {
        let refused = refusal(path);
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Invalid, "store_not_writable"), "{refused}");
        assert!(refused.to_string().contains("permissions"), "{refused}");
    }
}

#[test]
fn folders_are_made_and_nobody_else_can_read_the_file() {
    let (folder, _) = place();
    let path = folder.path().join("a/b/store.db");
    let _open = backend(&path).unwrap();
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let mode = std::fs::metadata(path.with_file_name(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_file_locked_by_another_program_is_waited_for_then_said_to_be_busy() {
    let (_folder, path) = place();
    let store = store(&path).await.within(Duration::from_millis(1_500));
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let busy = store.apply(step("x")).await.unwrap_err();
    assert_eq!((busy.kind(), busy.code()), (ErrorKind::Unavailable, "store_busy"));
    let waiting = tokio::spawn({
        let patient = store.within(Duration::from_secs(30));
        async move { patient.apply(step("x")).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().results[..], [1, 1]);
}

#[test]
fn opening_a_file_that_another_program_keeps_for_itself_says_so() {
    let (_folder, path) = place();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let busy = refusal(&path);
    assert_eq!((busy.kind(), busy.code()), (ErrorKind::Unavailable, "store_busy"));
}

#[tokio::test]
async fn a_file_that_was_replaced_is_no_longer_written_to() {
    let (folder, path) = place();
    let store = store(&path).await;
    store.apply(step("x")).await.unwrap();
    std::fs::rename(&path, folder.path().join("elsewhere.db")).unwrap();
    let moved = store.apply(step("y")).await.unwrap_err();
    assert_eq!((moved.kind(), moved.code()), (ErrorKind::Corrupt, "store_moved"));
    std::fs::rename(folder.path().join("elsewhere.db"), &path).unwrap();
    assert_eq!(store.apply(step("z")).await.unwrap().results[..], [2, 2]);
}

#[tokio::test]
async fn who_begins_to_read_a_file_that_was_deleted_or_replaced_is_told_that() {
    for replaced in [false, true] {
        let (folder, path) = place();
        let backend = backend(&path).unwrap();
        let elsewhere = folder.path().join("elsewhere.db");
        std::fs::rename(&path, &elsewhere).unwrap();
        if replaced {
            std::fs::write(&path, "").unwrap();
        }
        let moved = backend.read(&[Query::Number(count())]).await.unwrap_err();
        assert_eq!((moved.kind(), moved.code()), (ErrorKind::Corrupt, "store_moved"), "{moved}");
        std::fs::rename(&elsewhere, &path).unwrap();
        backend.read(&[Query::Number(count())]).await.unwrap();
    }
}

#[tokio::test]
async fn dropping_the_last_handle_finishes_the_work_and_closes_the_file() {
    let (_folder, path) = place();
    let backend = backend(&path).unwrap();
    let mut commits: Vec<_> =
        (0..50).map(|_| (backend.clone(), step("x"))).map(|(b, c)| Box::pin(async move { b.commit(&c).await })).collect();
    for commit in &mut commits {
        // Sent, and not waited for.
        std::future::poll_fn(|context| std::task::Poll::Ready(commit.as_mut().poll(context).is_pending())).await;
    }
    drop(backend);
    for commit in commits {
        commit.await.unwrap();
    }
    assert!(!path.with_file_name("store.db-wal").exists(), "the file was not closed");
    assert_eq!(store(&path).await.number(count()).await.unwrap(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_commits_failure_in_a_group_never_touches_another() {
    let (_folder, path) = place();
    let backend = backend(&path).unwrap();
    backend.commit(&Commit::default().put(record("plan"), "whole")).await.unwrap();
    // No store would send this: it fails inside the transaction, after its first write.
    let broken = step("never").put(Cell::field(record("plan"), "a field of a record"), "x");
    let tries: Vec<_> = (0..100)
        .map(|number| {
            let (backend, commit) = (backend.clone(), if number % 10 == 3 { broken.clone() } else { step("x") });
            tokio::spawn(async move { backend.commit(&commit).await })
        })
        .collect();
    let mut accepted = 0;
    for attempt in tries {
        match attempt.await.unwrap() {
            Ok(outcome) => accepted += u64::from(matches!(outcome, Outcome::Accepted(_))),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Internal),
        }
    }
    let read = backend.read(&[Query::Number(count()), Query::Log { log: log(), after: 0, limit: 1_000 }]).await.unwrap();
    let [Answer::Number(counted), Answer::Log(page)] = &read[..] else { panic!("{read:?}") };
    assert_eq!((accepted, *counted, page.last), (90, Some(90), 90));
    assert!(page.entries.iter().all(|entry| entry.value == "x"));
}

/// A clock that tests set.
struct Hands {
    wall: AtomicU64,
    elapsed: AtomicU64,
}

impl Clock for Hands {
    fn now(&self) -> Millis {
        Millis(self.wall.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed.load(Ordering::SeqCst))
    }
}

fn hands(wall: u64) -> (Arc<Hands>, Ports) {
    let hands = Arc::new(Hands { wall: AtomicU64::new(wall), elapsed: AtomicU64::new(5_000) });
    (hands.clone(), Ports { clock: hands, chance: Arc::new(System) })
}

const NOON: u64 = 1_800_000_000_000;

#[tokio::test]
async fn a_clock_that_is_set_back_revives_nothing_and_leases_go_on_lapsing() {
    let (_folder, path) = place();
    let (clock, ports) = hands(NOON);
    let lease = |holder: &'static str| {
        let (lease, fence) = (record("lock"), Key::new("fence", Kind::Epoch));
        Commit::default().write(Write::Claim { lease, fence, holder: holder.into(), ttl: Duration::from_secs(60) })
    };
    let first = store_at(&path, ports).await;
    let fence = first.apply(lease("first")).await.unwrap().results[0];
    clock.elapsed.fetch_add(61_000, Ordering::SeqCst);
    assert_eq!(first.cell(record("lock")).await.unwrap(), None);
    let second = first.apply(lease("second")).await.unwrap().results[0];
    assert!(second > fence);
    drop(first);

    // An hour back, in a process that knows nothing of before.
    let (clock, ports) = hands(NOON - 3_600_000);
    clock.elapsed.fetch_add(61_000, Ordering::SeqCst);
    let later = store_at(&path, ports).await;
    assert!(later.now().await.unwrap().0 >= NOON + 61_000);
    assert_eq!(later.cell(record("lock")).await.unwrap().unwrap().version, second);
    clock.elapsed.fetch_add(60_001, Ordering::SeqCst);
    assert_eq!(later.cell(record("lock")).await.unwrap(), None, "a lease outlived its time because the wall clock stood back");
    assert!(later.apply(lease("third")).await.unwrap().results[0] > second);
}

#[tokio::test]
async fn what_has_expired_leaves_the_file() {
    let (_folder, path) = place();
    let (clock, ports) = hands(NOON);
    let store = store_at(&path, ports).await;
    for number in 0..100 {
        let cell = record(&format!("beat{number}")).into();
        let put = Write::Put { cell, value: Bytes::from_static(b"x"), ttl: Some(Duration::from_secs(1)), event: None };
        store.apply(Commit::default().token(store.fresh_token()).write(put)).await.unwrap();
    }
    let rows = || -> (i64, i64) {
        let raw = Connection::open(&path).unwrap();
        raw.query_row("SELECT (SELECT count(*) FROM keys WHERE key LIKE 'beat%'), (SELECT count(*) FROM tokens)", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap()
    };
    assert_eq!(rows().0, 100);
    clock.elapsed.fetch_add(700_000, Ordering::SeqCst);
    for _ in 0..10 {
        store.apply(step("x")).await.unwrap();
    }
    assert_eq!(rows(), (0, 0));
}

fn child(role: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", role, "--ignored", "--nocapture", "--test-threads", "1"])
        .env("GOVERNANCE_TEST_STORE", path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn given() -> PathBuf {
    PathBuf::from(std::env::var_os("GOVERNANCE_TEST_STORE").unwrap())
}

const HAMMERED: u64 = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by `processes_that_hammer_one_file_lose_and_double_nothing` as another process"]
async fn hammer() {
    let store = store(&given()).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..HAMMERED / 20 {
                    store.apply(step("x")).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn processes_that_hammer_one_file_lose_and_double_nothing() {
    let (_folder, path) = place();
    let children: Vec<Child> = (0..3).map(|_| child("hammer", &path)).collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let store = store(&path).await;
    let all = 3 * HAMMERED;
    assert_eq!(store.number(count()).await.unwrap(), all);
    let page = store.log(log(), 0, all + 1).await.unwrap();
    assert!(page.entries.iter().map(|entry| entry.position).eq(1..=all));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by `a_killed_writer_leaves_every_acknowledged_commit` as the process that is killed"]
async fn victim() {
    let store = store(&given()).await;
    for _ in 0..7 {
        tokio::spawn(acknowledge_for_ever(store.clone()));
    }
    acknowledge_for_ever(store).await;
}

async fn acknowledge_for_ever(store: Store) {
    loop {
        let position = store.apply(step("x")).await.unwrap().results[1];
        println!("acknowledged {position}");
    }
}

#[tokio::test]
async fn a_killed_writer_leaves_every_acknowledged_commit() {
    let (_folder, path) = place();
    for round in 0..20_u64 {
        let mut victim = child("victim", &path);
        let mut told = BufReader::new(victim.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("acknowledged") {
            line.clear();
            assert!(told.read_line(&mut line).unwrap() > 0, "the writer ended by itself");
        }
        // Moments of every kind: spread over what a few transactions take.
        std::thread::sleep(Duration::from_micros(round * round * 97 % 9_000));
        victim.kill().unwrap();
        victim.wait().unwrap();
        let mut rest = String::new();
        told.read_to_string(&mut rest).unwrap();
        // The last line may have been cut off by the kill.
        let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
        let acknowledged = whole.lines().chain([line.trim()]).filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).max().unwrap();
        let store = store(&path).await;
        let (counted, page) = (store.number(count()).await.unwrap(), store.log(log(), 0, u64::MAX).await.unwrap());
        assert!(counted >= acknowledged, "round {round}: {counted} of {acknowledged} acknowledged commits are there");
        assert_eq!((page.last, page.entries.len() as u64), (counted, counted), "round {round}: a commit is there by half");
        let raw = Connection::open(&path).unwrap();
        assert_eq!(raw.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
    }
}

#[tokio::test]
#[ignore = "run by `a_full_disk_loses_nothing_and_says_what_to_do` inside a small file system"]
async fn fill() {
    let path = given();
    let store = store(&path).await;
    let large = vec![b'x'; 64 * 1024];
    let mut written = 0_u64;
    let full = loop {
        match store.apply(step("x").put(record(&format!("large{written}")), large.clone())).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((full.kind(), full.code()), (ErrorKind::Exhausted, "store_full"), "{full}");
    assert!(full.to_string().contains("free some space"), "{full}");
    assert_eq!(store.number(count()).await.unwrap(), written);
    assert_eq!(store.log(log(), 0, 1_000).await.unwrap().last, written);
    std::fs::remove_file(path.with_file_name("ballast")).unwrap();
    assert_eq!(store.apply(step("x")).await.unwrap().results[..], [written + 1, written + 1]);
    println!("lost nothing of {written}");
}

#[test]
fn a_full_disk_loses_nothing_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=6m none \"$1\" && head -c 1500000 /dev/zero > \"$1/ballast\" \
                  && exec \"$2\" --exact fill --ignored --nocapture";
    let ran = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .args([folder.path(), &std::env::current_exe().unwrap()])
        .env("GOVERNANCE_TEST_STORE", folder.path().join("store.db"))
        .output()
        .expect("`unshare` is missing: apt-get install util-linux");
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && told.contains("lost nothing"), "{told}{}", String::from_utf8_lossy(&ran.stderr));
}
