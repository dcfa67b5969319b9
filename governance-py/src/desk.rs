//! Where an event loop finds out which of its calls are answered.
//!
//! ```text
//!   runtime's threads ── number ──▶ Bell ── one byte, if nobody rang yet ──▶ pipe ──▶ the loop's reader ──▶ collect(): the futures to settle
//! ```
//!
//! No thread of the runtime ever takes the interpreter, and however many calls end at once, the loop wakes once.

use std::collections::HashMap;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};

use ::governance::{Error, Result, process};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::error::raise;
use crate::gate;

/// The desk of one event loop, in one process.
#[pyclass(frozen, name = "_Desk", module = "governance._governance")]
pub struct Desk {
    bell: Arc<Bell>,
    // INVARIANT: locked only by a thread that is attached to the interpreter, and never while Python's code runs.
    waiting: Mutex<Waiting>,
    process: u32,
}

#[derive(Default)]
struct Waiting {
    last: u64,
    futures: HashMap<u64, Py<PyAny>>,
}

/// What the runtime's threads have of a desk.
pub struct Bell {
    reader: PipeReader,
    writer: PipeWriter,
    answered: Mutex<Vec<u64>>,
}

impl Bell {
    /// Says that a call is answered.
    pub fn ring(&self, number: u64) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = answered.is_empty();
        answered.push(number);
        drop(answered);
        // INVARIANT: at most one byte is on its way, so this never waits; nor does who reads it.
        if is_first {
            let _ = (&self.writer).write_all(&[1]);
        }
    }

    fn answered(&self) -> Vec<u64> {
        let _ = (&self.reader).read_exact(&mut [0]);
        std::mem::take(&mut *self.answered.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl Desk {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let pipe = std::io::pipe().map_err(|e| Error::unavailable("no_runtime", "no pipe can be opened").because(e));
        let (reader, writer) = pipe.map_err(|error| raise(py, &error))?;
        let bell = Arc::new(Bell { reader, writer, answered: Mutex::default() });
        Ok(Self { bell, waiting: Mutex::default(), process: process::id() })
    }

    /// What tells the loop that there is something to collect.
    fn fileno(&self) -> i32 {
        self.bell.reader.as_raw_fd()
    }

    /// Whether it was made in this process: a child has none of its parent's threads.
    fn is_ours(&self) -> bool {
        self.process == process::id()
    }

    /// The futures whose calls are answered.
    fn collect(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let _inside = gate::enter(py).map_err(|error| raise(py, &error))?;
        let answered = self.bell.answered();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(answered.iter().filter_map(|number| waiting.futures.remove(number)).collect())
    }
}

/// A call that waits at a desk.
pub struct Ticket {
    desk: Py<Desk>,
    number: u64,
}

impl Ticket {
    /// Begins to wait on the event loop that runs in this thread.
    pub fn new<'py>(running: &Bound<'py, PyAny>) -> PyResult<(Self, Bound<'py, PyAny>)> {
        static DESK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = running.py();
        let desk = DESK.import(py, "governance._coroutine", "desk")?.call1((running,))?.cast_into::<Desk>()?;
        let future = running.call_method0(intern!(py, "create_future"))?;
        let kept = future.clone().unbind();
        let number = {
            let mut waiting = desk.get().waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.last += 1;
            let number = waiting.last;
            waiting.futures.insert(number, kept);
            number
        };
        Ok((Self { desk: desk.unbind(), number }, future))
    }

    /// To be rung with this number.
    pub fn bell(&self) -> (Arc<Bell>, u64) {
        (self.desk.get().bell.clone(), self.number)
    }

    /// Nobody waits any more.
    pub fn give_back(&self) {
        let kept = self.desk.get().waiting.lock().unwrap_or_else(PoisonError::into_inner).futures.remove(&self.number);
        drop(kept);
    }
}

/// The event loop that runs in this thread.
pub fn running_loop(py: Python<'_>) -> Result<Bound<'_, PyAny>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let running = RUNNING.import(py, "asyncio", "get_running_loop").and_then(|running| running.call0());
    running.map_err(|_| Error::invalid("no_event_loop", "no event loop of asyncio runs in this thread: use `governance.blocking` there"))
}
