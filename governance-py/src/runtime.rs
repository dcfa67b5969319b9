//! The tokio runtime of this process, and what lives on it.
//!
//! Nothing on the runtime's threads ever touches Python, so they cannot meet an interpreter that is ending. A `fork` leaves the child
//! without them: the child gets a runtime of its own, and refuses what its parent opened.

use std::mem::ManuallyDrop;
use std::pin::pin;
use std::process;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::governance::{Error, Result};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::raise;

// How long Ctrl-C waits for a call that waits.
const TICK: Duration = Duration::from_millis(100);
const FAREWELL: Duration = Duration::from_secs(2);

// INVARIANT: locked only by a thread that is attached to the interpreter, and never across a wait: a fork finds it open.
static RUNTIME: Mutex<Option<(u32, Runtime)>> = Mutex::new(None);

pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let shut_down = wrap_pyfunction!(shut_down, module)?;
    module.py().import("atexit")?.call_method1("register", (shut_down,))?;
    Ok(())
}

#[pyfunction]
fn shut_down(py: Python<'_>) {
    let taken = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).take();
    match taken {
        Some((pid, runtime)) if pid == process::id() => py.detach(|| runtime.shutdown_timeout(FAREWELL)),
        foreign => std::mem::forget(foreign),
    }
}

fn handle() -> Result<Handle> {
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = process::id();
    if slot.as_ref().is_none_or(|(of, _)| *of != pid) {
        let built = Builder::new_multi_thread().worker_threads(2).thread_name("governance").enable_all().build();
        let fresh = built.map_err(|e| Error::unavailable("no_runtime", "no thread can be started").because(e))?;
        // The parent's threads are not here: waiting for them would never end.
        std::mem::forget(slot.replace((pid, fresh)));
    }
    slot.as_ref().map(|(_, runtime)| runtime.handle().clone()).ok_or_else(|| Error::internal("no runtime"))
}

/// Waits for a future on the calling thread, with the interpreter free for others, and open to Ctrl-C.
fn wait<T: Send>(py: Python<'_>, handle: &Handle, future: impl Future<Output = Result<T>> + Send) -> PyResult<T> {
    let mut future = pin!(future);
    loop {
        let waited = py.detach(|| handle.block_on(async { tokio::time::timeout(TICK, &mut future).await }));
        match waited {
            Ok(done) => return done.map_err(|error| raise(py, &error)),
            Err(_) => py.check_signals()?,
        }
    }
}

/// Something of the core with the runtime it lives on. It belongs to the process that made it.
pub struct Hosted<T: Send> {
    pid: u32,
    handle: Handle,
    value: ManuallyDrop<T>,
}

impl<T: Send + Sync> Hosted<T> {
    pub fn make(py: Python<'_>, future: impl Future<Output = Result<T>> + Send) -> PyResult<Self> {
        let handle = handle().map_err(|error| raise(py, &error))?;
        let value = ManuallyDrop::new(wait(py, &handle, future)?);
        Ok(Self { pid: process::id(), handle, value })
    }

    /// Something else that lives beside this.
    pub fn beside<U: Send>(&self, value: U) -> Hosted<U> {
        Hosted { pid: self.pid, handle: self.handle.clone(), value: ManuallyDrop::new(value) }
    }

    pub fn value(&self) -> &T {
        &self.value
    }

    pub fn call<'a, R: Send, F>(&'a self, py: Python<'_>, start: impl FnOnce(&'a T) -> F) -> PyResult<R>
    where
        F: Future<Output = Result<R>> + Send,
    {
        if self.pid != process::id() {
            return Err(raise(py, &Error::invalid("forked", "this was opened before a fork: open it again in this process")));
        }
        wait(py, &self.handle, start(&self.value))
    }
}

impl<T: Send> Drop for Hosted<T> {
    #[allow(unsafe_code, reason = "the value is dropped here and nowhere else, and only where its threads are")]
    fn drop(&mut self) {
        if self.pid == process::id() {
            let (handle, value) = (&self.handle, &mut self.value);
            // The last handle on a store waits for its threads: not with the interpreter held.
            let drop_value = || {
                let _entered = handle.enter();
                // SAFETY: `drop` runs once, and nobody sees the value after it.
                unsafe { ManuallyDrop::drop(value) }
            };
            Python::attach(|py| py.detach(drop_value));
        }
    }
}
