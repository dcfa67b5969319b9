//! A call that was begun: whatever becomes of it, its outcome is written.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;

use serde::Serialize;
use serde_json::json;

use crate::error::Result;
use crate::guard::recorder::{Recorded, Recorder};
use crate::ledger::OutcomeResult;

/// An intent whose outcome is still to come. Dropped before that, as when whoever called stops waiting, it ends `unknown`.
pub(super) struct OpenCall<'a> {
    recorder: &'a Recorder,
    recorded: Option<Recorded>,
}

impl<'a> OpenCall<'a> {
    pub fn new(recorder: &'a Recorder, recorded: Recorded) -> Self {
        Self { recorder, recorded: Some(recorded) }
    }

    pub fn end(mut self, result: OutcomeResult, payload: &impl Serialize) -> Result<()> {
        match self.recorded.take() {
            Some(recorded) => self.recorder.outcome(&recorded, result, payload),
            None => Ok(()),
        }
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        let Some(recorded) = self.recorded.take() else { return };
        let told = json!({"code": "cancelled", "message": "whoever called did not wait for the end"});
        if let Err(error) = self.recorder.outcome(&recorded, OutcomeResult::Unknown, &told) {
            tracing::warn!(token = %recorded.token, %error, "the outcome of a cancelled call could not be recorded: it ends unknown by itself");
        }
    }
}

/// Lets a future panic without taking the caller with it.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut work = pin!(work);
    // What panicked is not polled again, and what it shared with others is behind locks that tell.
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => std::task::Poll::Ready(Err(panic)),
    })
    .await
}
