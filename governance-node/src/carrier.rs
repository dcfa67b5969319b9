//! Who carries a desk's calls: one task of the runtime for all of them.
//!
//! ```text
//!   first look, on the thread of JavaScript ── has to wait ──▶ Carried
//!                                                                 │ can go on
//!                                                                 ▼
//!                                  the carrier's task ── a round: each that can go on does ──▶ those answered, together
//! ```
//!
//! Calls that are answered at once, as those of one script call are, wake one task once, and the desk once; none of them is a task of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use ::governance::Error as Core;
use tokio::sync::Notify;

use crate::error::{Error, Result};

type Work = Pin<Box<dyn Future<Output = Result<String>> + Send>>;

/// What came of a call, by its number.
pub type Answered = (f64, Result<String>);

/// Those that can go on.
#[derive(Default)]
pub struct Carrier {
    ready: Mutex<Vec<Arc<Carried>>>,
    stirred: Notify,
    is_over: AtomicBool,
}

impl Carrier {
    /// Looks at a call for the first time. Its answer, if it has one already; else it is carried on.
    pub fn begin(self: &Arc<Self>, number: f64, work: impl Future<Output = Result<String>> + Send + 'static) -> Option<Result<String>> {
        let carried =
            Arc::new(Carried { number, work: Mutex::new(Some(Box::pin(work))), is_ready: AtomicBool::new(false), by: self.clone() });
        match carried.look() {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    /// Nobody begins any more.
    pub fn close(&self) {
        self.is_over.store(true, Ordering::Release);
        self.stirred.notify_one();
    }

    /// Carries calls on until nobody begins any more, and hands over what was answered, round by round.
    pub async fn carry(self: Arc<Self>, answered: impl Fn(Vec<Answered>)) {
        // Each call that is open has it too.
        while !self.is_over.load(Ordering::Acquire) || Arc::strong_count(&self) > 1 {
            self.stirred.notified().await;
            let ready = std::mem::take(&mut *lock(&self.ready));
            let look = |carried: Arc<Carried>| match carried.look() {
                Poll::Ready(answer) => Some((carried.number, answer)),
                Poll::Pending => None,
            };
            let done: Vec<_> = ready.into_iter().filter_map(look).collect();
            if !done.is_empty() {
                answered(done);
            }
            // Others' turn; and more is answered meanwhile.
            tokio::task::yield_now().await;
        }
    }
}

/// A call that is carried.
struct Carried {
    number: f64,
    // None once it is over.
    work: Mutex<Option<Work>>,
    is_ready: AtomicBool,
    by: Arc<Carrier>,
}

impl Carried {
    fn look(self: &Arc<Self>) -> Poll<Result<String>> {
        let mut slot = lock(&self.work);
        // INVARIANT: before the look: whoever wakes it during that is heard.
        self.is_ready.store(false, Ordering::Release);
        let Some(work) = slot.as_mut() else { return Poll::Pending };
        let waker = Waker::from(self.clone());
        let looked = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut Context::from_waker(&waker))));
        let looked = looked.unwrap_or_else(|_| Poll::Ready(Err(Error::from(Core::internal("a call did not end")))));
        if looked.is_ready() {
            *slot = None;
        }
        looked
    }
}

impl Wake for Carried {
    fn wake(self: Arc<Self>) {
        if self.is_ready.swap(true, Ordering::AcqRel) {
            return;
        }
        let by = self.by.clone();
        let mut ready = lock(&by.ready);
        let is_first = ready.is_empty();
        ready.push(self);
        drop(ready);
        if is_first {
            by.stirred.notify_one();
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
