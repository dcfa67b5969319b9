//! The tokio runtime of this process, and what lives on it.
//!
//! A `fork` leaves the child without its threads: the child gets a runtime of its own, and refuses what its parent opened. Before the interpreter
//! ends the runtime is shut down with the interpreter free. No thread of it ever takes the interpreter.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use ::governance::{Error, Result, process};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::raise;
use crate::gate;

// How long Ctrl-C waits for a call that waits.
const TICK: Duration = Duration::from_millis(100);
const FAREWELL: Duration = Duration::from_secs(2);

// INVARIANT: locked only by a thread that is attached to the interpreter, and never across a wait: a fork finds it open.
static RUNTIME: Mutex<Option<Living>> = Mutex::new(None);

struct Living {
    process: u32,
    runtime: Runtime,
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
        Some(Living { process, runtime }) if process == process::id() => py.detach(|| runtime.shutdown_timeout(FAREWELL)),
        foreign => std::mem::forget(foreign),
    }
}

/// This process's runtime.
pub fn handle() -> Result<Handle> {
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = process::id();
    if slot.as_ref().is_none_or(|living| living.process != process) {
        // The parent's threads are not here: waiting for them would never end.
        std::mem::forget(slot.replace(Living { process, runtime: start()? }));
    }
    slot.as_ref().map(|living| living.runtime.handle().clone()).ok_or_else(|| Error::internal("no runtime"))
}

fn start() -> Result<Runtime> {
    let built = Builder::new_multi_thread().worker_threads(2).thread_name("governance").enable_all().build();
    built.map_err(|e| Error::unavailable("no_runtime", "no thread can be started").because(e))
}

/// Looks once at a future that nobody waits for yet.
pub fn glance<T>(handle: &Handle, future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    let _entered = handle.enter();
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits for a future on the calling thread, with the interpreter free for others, and open to Ctrl-C.
pub fn wait<T: Send>(py: Python<'_>, handle: &Handle, future: impl Future<Output = Result<T>> + Send) -> PyResult<T> {
    let mut future = pin!(future);
    let parked = Arc::new(Parked { thread: thread::current(), is_woken: AtomicBool::new(true) });
    let waker = Waker::from(parked.clone());
    loop {
        // A look, a wait, and a look again: who was woken for nothing, or by nobody, listens to Ctrl-C in between.
        let waited = py.detach(|| {
            let _entered = handle.enter();
            let mut look = || match parked.is_woken.swap(false, Ordering::Acquire) {
                true => future.as_mut().poll(&mut Context::from_waker(&waker)),
                false => Poll::Pending,
            };
            if let Poll::Ready(done) = look() {
                return Some(done);
            }
            if !parked.is_woken.load(Ordering::Acquire) {
                thread::park_timeout(TICK);
            }
            match look() {
                Poll::Ready(done) => Some(done),
                Poll::Pending => None,
            }
        });
        match waited {
            Some(done) => return done.map_err(|error| raise(py, &error)),
            None => {
                gate::check(py).map_err(|error| raise(py, &error))?;
                py.check_signals()?;
            }
        }
    }
}

/// A thread that waits. Without a timer of the runtime, which would wake one of its threads at each call.
struct Parked {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}
