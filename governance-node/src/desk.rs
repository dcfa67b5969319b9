//! Where JavaScript finds out which of its calls are answered.
//!
//! ```text
//!   call ── look once ──▶ answered: its text, at once
//!              └ waits ──▶ a number; on the runtime's threads ── number, text ──▶ Bell ── one wake-up, if nobody rang yet ──▶ collect()
//! ```
//!
//! N-API's own promises wake the loop once each, through a queue made for each of them; however many calls end here at once, the loop wakes once.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use ::governance::Error as Core;
use napi::Status;
use napi::bindgen_prelude::{Either, Function, spawn, within_runtime_if_available};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

use crate::error::{Error, Result};
use crate::json::counts;

/// An answer, or the number under which it will be told.
pub type Told = Either<String, f64>;

type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// The desk of one thread of JavaScript.
#[napi]
pub struct Desk {
    bell: Arc<Bell>,
    last: AtomicU64,
}

#[napi]
impl Desk {
    /// `wake` is called when there is something to collect. Waiting for that keeps no process alive.
    #[napi(constructor)]
    pub fn new(wake: Function<'_, (), ()>) -> napi::Result<Self> {
        let wake = wake.build_threadsafe_function().weak::<true>().build()?;
        Ok(Self { bell: Arc::new(Bell { wake, answered: Mutex::default() }), last: AtomicU64::new(0) })
    }

    /// What was answered: number, text, number, text… The number of a refusal is negative, its text is the machine's part.
    #[napi]
    pub fn collect(&self) -> Vec<Either<f64, String>> {
        let answered = std::mem::take(&mut *self.bell.lock());
        let mut told = Vec::with_capacity(2 * answered.len());
        for (number, outcome) in answered {
            let (number, text) = outcome.map_or_else(|error| (-number, error.told()), |text| (number, text));
            told.extend([Either::A(number), Either::B(text)]);
        }
        told
    }
}

impl Desk {
    /// Carries a call out. What can be answered at once is; only what has to wait moves to the runtime.
    pub fn carry(&self, work: impl Future<Output = Result<String>> + Send + 'static) -> Result<Told> {
        let mut work: Pin<Box<dyn Future<Output = Result<String>> + Send>> = Box::pin(work);
        let looked = within_runtime_if_available(|| work.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        if let Poll::Ready(answer) = looked {
            return answer.map(Either::A);
        }
        let number = counts(self.last.fetch_add(1, Ordering::Relaxed) + 1)?;
        let ringing = Ringing { bell: self.bell.clone(), number, outcome: None };
        spawn(async move {
            let mut ringing = ringing;
            ringing.outcome = Some(work.await);
        });
        Ok(Either::B(number))
    }

    /// Carries out a call that may read much: never on the thread of JavaScript.
    pub fn carry_apart(&self, work: impl Future<Output = Result<String>> + Send + 'static) -> Result<Told> {
        self.carry(async move {
            // Not answered at once, so it moves to the runtime.
            tokio::task::yield_now().await;
            work.await
        })
    }
}

/// What the runtime's threads have of a desk.
struct Bell {
    wake: Wake,
    answered: Mutex<Vec<(f64, Result<String>)>>,
}

impl Bell {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(f64, Result<String>)>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rings when a call is over, however it ended.
struct Ringing {
    bell: Arc<Bell>,
    number: f64,
    outcome: Option<Result<String>>,
}

impl Drop for Ringing {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| Err(Error::from(Core::internal("a call did not end"))));
        let mut answered = self.bell.lock();
        let is_first = answered.is_empty();
        answered.push((self.number, outcome));
        drop(answered);
        if is_first {
            // A thread that has ended collects nothing more.
            let _ = self.bell.wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}
