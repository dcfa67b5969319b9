//! The tokio runtime of this process, and what lives on it.
//!
//! A `fork` leaves the child without its threads: the child gets a runtime of its own, and refuses what its parent opened. Before the interpreter
//! ends the runtime is shut down with the interpreter free, so no thread of it meets an interpreter that is ending.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::process;
use std::sync::mpsc::{Receiver, Sender, channel};
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
static RUNTIME: Mutex<Option<Living>> = Mutex::new(None);

type Work = Box<dyn FnOnce() + Send>;

struct Living {
    pid: u32,
    runtime: Runtime,
    // Ends the thread that hands answers to Python.
    last: Sender<Option<Work>>,
}

thread_local! {
    // That thread, as the runtime's own threads reach it: without a lock that a fork could find closed.
    static ANSWERS: RefCell<Option<Sender<Option<Work>>>> = const { RefCell::new(None) };
}

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
        Some(Living { pid, runtime, last }) if pid == process::id() => py.detach(|| {
            let _ = last.send(None);
            runtime.shutdown_timeout(FAREWELL);
        }),
        foreign => std::mem::forget(foreign),
    }
}

/// This process's runtime.
pub fn handle() -> Result<Handle> {
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = process::id();
    if slot.as_ref().is_none_or(|living| living.pid != pid) {
        // The parent's threads are not here: waiting for them would never end.
        std::mem::forget(slot.replace(start(pid)?));
    }
    slot.as_ref().map(|living| living.runtime.handle().clone()).ok_or_else(|| Error::internal("no runtime"))
}

fn start(pid: u32) -> Result<Living> {
    let (last, work) = channel();
    let answers = last.clone();
    let started = move || ANSWERS.set(Some(answers.clone()));
    let built = Builder::new_multi_thread().worker_threads(2).thread_name("governance").on_thread_start(started).enable_all().build();
    let runtime = built.map_err(|e| Error::unavailable("no_runtime", "no thread can be started").because(e))?;
    drop(runtime.spawn_blocking(move || hand_over(&work)));
    Ok(Living { pid, runtime, last })
}

/// Hands answers to Python: whatever is there with the interpreter taken once, so that none of the runtime's workers ever waits for it.
fn hand_over(work: &Receiver<Option<Work>>) {
    while let Ok(Some(first)) = work.recv() {
        let ends = Python::attach(|_| {
            hand(first);
            loop {
                match work.try_recv() {
                    Ok(Some(next)) => hand(next),
                    Ok(None) => return true,
                    Err(_) => return false,
                }
            }
        });
        if ends {
            return;
        }
    }
}

/// One answer that comes to grief must not keep the others.
fn hand(work: Work) {
    drop(catch_unwind(AssertUnwindSafe(work)));
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
        ANSWERS.with_borrow(|answers| answers.as_ref().map(|answers| answers.send(Some(Box::new(work)))));
        Joined(None)
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
