//! The tokio runtime of this process, and what lives on it.
//!
//! A `fork` leaves the child without its threads: the child gets a runtime of its own, and refuses what its parent opened. Before the interpreter
//! ends the runtime is shut down with the interpreter free, so no thread of it meets an interpreter that is ending.

use std::pin::{Pin, pin};
use std::process;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use ::governance::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{ContextExt, JoinError, Runtime as Generic};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{self, JoinHandle};

use crate::error::raise;
use crate::gate;

// How long Ctrl-C waits for a call that waits.
const TICK: Duration = Duration::from_millis(100);
const FAREWELL: Duration = Duration::from_secs(2);

// INVARIANT: locked only by a thread that is attached to the interpreter, and never across a wait: a fork finds it open.
static RUNTIME: Mutex<Option<(u32, Runtime)>> = Mutex::new(None);

pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let shut_down = wrap_pyfunction!(shut_down, module)?;
    module.py().import("atexit")?.call_method1("register", (shut_down,))?;
    let forked = PyDict::new(module.py());
    forked.set_item("after_in_child", wrap_pyfunction!(gate::_forked, module)?)?;
    module.py().import("os")?.call_method("register_at_fork", (), Some(&forked))?;
    Ok(())
}

#[pyfunction]
fn shut_down(py: Python<'_>) {
    py.detach(|| gate::close(FAREWELL));
    let taken = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).take();
    match taken {
        Some((pid, runtime)) if pid == process::id() => py.detach(|| runtime.shutdown_timeout(FAREWELL)),
        foreign => std::mem::forget(foreign),
    }
}

/// This process's runtime.
pub fn handle() -> Result<Handle> {
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
pub fn wait<T: Send>(py: Python<'_>, handle: &Handle, future: impl Future<Output = Result<T>> + Send) -> PyResult<T> {
    let mut future = pin!(future);
    loop {
        let waited = py.detach(|| handle.block_on(async { tokio::time::timeout(TICK, &mut future).await }));
        match waited {
            Ok(done) => return done.map_err(|error| raise(py, &error)),
            Err(_) => {
                gate::check(py).map_err(|error| raise(py, &error))?;
                py.check_signals()?;
            }
        }
    }
}

/// The same runtime for what asyncio awaits.
pub struct Ours;

impl Generic for Ours {
    type JoinError = Failed;
    type JoinHandle = Joined;

    fn spawn<F: Future<Output = ()> + Send + 'static>(future: F) -> Joined {
        Joined(current().map(|handle| handle.spawn(future)))
    }

    fn spawn_blocking<F: FnOnce() + Send + 'static>(work: F) -> Joined {
        Joined(current().map(|handle| handle.spawn_blocking(work)))
    }
}

/// What runs on it asks nothing of the event loop, so it need not know which one waits for it.
impl ContextExt for Ours {
    fn scope<F, R>(_locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(future)
    }

    fn get_task_locals() -> Option<TaskLocals> {
        None
    }
}

fn current() -> Option<Handle> {
    Handle::try_current().ok().or_else(|| handle().ok())
}

/// A task, if there was a runtime to start it on.
pub struct Joined(Option<JoinHandle<()>>);

impl Future for Joined {
    type Output = std::result::Result<(), Failed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(task) => Pin::new(task).poll(context).map_err(Failed),
            None => Poll::Ready(Ok(())),
        }
    }
}

pub struct Failed(task::JoinError);

impl JoinError for Failed {
    fn is_panic(&self) -> bool {
        self.0.is_panic()
    }

    fn into_panic(self) -> Box<dyn std::any::Any + Send + 'static> {
        self.0.into_panic()
    }
}
