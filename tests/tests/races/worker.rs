//! A worker process, which can be killed, frozen and listened to.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use governance_tests::task::Task;
use rustix::process::{Pid, Signal, kill_process};

/// The longest that a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running process; it dies with this value.
pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines,
    reader: Option<JoinHandle<()>>,
    killed: bool,
}

/// What a process has printed.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// All of it.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// How many `started n`; they count without holes.
    pub fn started(&self) -> u64 {
        let lines = self.0.lock().unwrap();
        let started = lines.iter().filter_map(|line| line.strip_prefix("started ")).count() as u64;
        let last = lines.iter().rev().find_map(|line| line.strip_prefix("started ")).map_or(0, |n| n.parse().unwrap());
        assert_eq!(started, last);
        started
    }
}

impl Worker {
    /// Starts a process in a role.
    pub fn start(role: &str, task: &Task) -> Self {
        let mut child =
            Command::new(env!("CARGO_BIN_EXE_governance-worker")).arg(role).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (out, lines) = (child.stdout.take().unwrap(), Lines::default());
        let told = lines.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                told.0.lock().unwrap().push(line.unwrap());
            }
        });
        let mut worker = Self { input: child.stdin.take(), child, lines, reader: Some(reader), killed: false };
        worker.say(&serde_json::to_string(task).unwrap());
        worker
    }

    /// Tells it a line.
    pub fn say(&mut self, line: &str) {
        self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// What it has printed so far.
    pub fn lines(&self) -> Lines {
        self.lines.clone()
    }

    /// Whether it has printed everything that it will.
    pub fn is_done(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as `kill -9` does. False if it had ended by itself.
    pub fn kill(&mut self) -> bool {
        self.killed = self.child.try_wait().unwrap().is_none();
        self.child.kill().unwrap();
        self.killed
    }

    /// Freezes it wherever it is.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for its end, which must be a good one unless it was killed.
    pub fn end(&mut self) {
        drop(self.input.take());
        let ended = until_some("it ends", || self.child.try_wait().unwrap());
        assert!(self.killed || ended.success(), "a worker failed: {ended}");
        self.reader.take().unwrap().join().unwrap();
    }

    fn signal(&self, signal: Signal) {
        // INVARIANT: the child is not waited for before `end`, so its number is still its own.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    until_some(what, || holds().then_some(()));
}

fn until_some<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let patience = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < patience, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
