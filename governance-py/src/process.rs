//! Which process this is, without asking the system for it: a check on a hot path costs less than that question.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU64, Ordering};

/// The process that did this, among those that one was forked from another. Not the system's number of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(u64);

static FORKS: AtomicU64 = AtomicU64::new(0);

#[allow(unsafe_code, reason = "the C library's own, which the standard library does not offer")]
unsafe extern "C" {
    fn pthread_atfork(prepare: Option<extern "C" fn()>, parent: Option<extern "C" fn()>, child: Option<extern "C" fn()>) -> c_int;
}

extern "C" fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Counts forks from now on, whoever forks.
pub fn count_forks() -> bool {
    // SAFETY: the handler may run in the child of a fork: it only adds to an atomic number.
    #[allow(unsafe_code, reason = "as above")]
    unsafe {
        pthread_atfork(None, None, Some(forked)) == 0
    }
}

/// This process.
pub fn number() -> Number {
    Number(FORKS.load(Ordering::Relaxed))
}
