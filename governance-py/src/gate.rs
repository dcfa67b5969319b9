//! Who is inside when the interpreter ends.
//!
//! An interpreter that ends kills each daemon thread where it next asks for the interpreter; in the middle of native code that would take the whole
//! process with it. So the last to leave waits, with the interpreter free, until nobody is inside; and whoever comes later stops at the gate for good.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

use ::governance::{Error, Result};
use pyo3::prelude::*;

const LOOK: Duration = Duration::from_millis(1);

// Which thread ends the interpreter, once one does.
static ENDING: OnceLock<ThreadId> = OnceLock::new();
static THREADS_INSIDE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Somebody is inside.
pub struct Inside(());

/// Goes in, with the interpreter held.
pub fn enter(py: Python<'_>) -> Result<Inside> {
    if DEPTH.replace(DEPTH.get() + 1) == 0 {
        THREADS_INSIDE.fetch_add(1, Ordering::SeqCst);
    }
    let inside = Inside(());
    check(py).map(|()| inside)
}

impl Drop for Inside {
    fn drop(&mut self) {
        if DEPTH.replace(DEPTH.get() - 1) == 1 {
            THREADS_INSIDE.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Refuses what comes after the end. A daemon thread stops here, where the interpreter would kill it a moment later.
pub fn check(py: Python<'_>) -> Result<()> {
    match ENDING.get() {
        None => Ok(()),
        Some(ends) if *ends == thread::current().id() => Err(Error::unavailable("no_runtime", "the interpreter is ending")),
        Some(_) => {
            if DEPTH.get() > 0 {
                THREADS_INSIDE.fetch_sub(1, Ordering::SeqCst);
            }
            py.detach(|| {
                loop {
                    thread::park();
                }
            })
        }
    }
}

/// Lets nobody in any more, and waits until nobody is inside.
pub fn close(at_most: Duration) {
    let _ = ENDING.set(thread::current().id());
    let looks = at_most.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        if THREADS_INSIDE.load(Ordering::SeqCst) == 0 {
            return;
        }
        thread::sleep(LOOK);
    }
}

/// A child has none of its parent's threads.
#[pyfunction]
pub fn _forked() {
    THREADS_INSIDE.store(0, Ordering::SeqCst);
}
