//! A command that is still going: its lines as they come, and its end.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Answer, PATIENCE};

/// A process that is killed with this value.
pub struct Living {
    child: Child,
    lines: Receiver<String>,
    seen: String,
    err: Option<JoinHandle<String>>,
}

impl Living {
    /// Starts a command.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                let mut out = BufReader::new(out);
                let mut line = Vec::new();
                while out.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                    let _ = sender.send(String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned());
                }
            });
        }
        let err = child.stderr.take().map(|err| std::thread::spawn(move || std::io::read_to_string(err).unwrap_or_default()));
        Self { child, lines, seen: String::new(), err }
    }

    /// Starts a command that reads this.
    pub fn fed(mut command: Command, input: Vec<u8>) -> Self {
        let mut living = Self::spawn({
            command.stdin(Stdio::piped());
            command
        });
        let mut stdin = living.child.stdin.take().unwrap();
        // A program that has read enough closes its end.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
        living
    }

    /// Starts a command, and hands out what it reads from: closed when that is dropped.
    pub fn led(mut command: Command) -> (Self, std::process::ChildStdin) {
        command.stdin(Stdio::piped());
        let mut living = Self::spawn(command);
        let input = living.child.stdin.take().unwrap();
        (living, input)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line; none at the end.
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.seen.push_str(&line);
                Some(line.trim_end_matches('\n').to_owned())
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line in time after {:?}", self.seen),
        }
    }

    /// The next line as JSON; none at the end.
    pub fn object(&mut self) -> Option<Value> {
        self.line().map(|line| serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: `{line}`")))
    }

    /// Waits for a line that says something.
    pub fn until(&mut self, what: &str) -> String {
        loop {
            match self.line() {
                Some(line) if line.contains(what) => return line,
                Some(_) => {}
                None => panic!("it ended before it said `{what}`: {:?}", self.finish()),
            }
        }
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        signal(self.pid(), Signal::INT);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it still goes.
    pub fn goes(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Answer {
        self.finish()
    }

    fn finish(&mut self) -> Answer {
        while self.line().is_some() {}
        let status = self.wait();
        let err = self.err.take().map(|err| err.join().unwrap()).unwrap_or_default();
        Answer { code: status.code(), out: std::mem::take(&mut self.seen), err }
    }

    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it closed its output and does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Sends a signal to a process that the tests started. Who is told to stop stands still afterwards: the signal alone lets it go on for a moment.
pub fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
    let until = Instant::now() + PATIENCE;
    while signal == Signal::STOP && !stands(pid) {
        assert!(Instant::now() < until, "process {pid} goes on although it was stopped");
        std::thread::yield_now();
    }
}

/// Whether no thread of a process runs.
fn stands(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    stats.all(|stat| [") T ", ") Z ", ") X "].iter().any(|state| stat.contains(state)))
}

impl Drop for Living {
    fn drop(&mut self) {
        self.kill();
    }
}
