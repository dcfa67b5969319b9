//! How long a call waits for a store that does not answer.

use std::time::Duration;

use super::Store;
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::ttl;

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Repeats a call until it answers, or until the handle's deadline.
macro_rules! patiently {
    ($store:expr, $call:expr) => {{
        let mut patience = $crate::store::patience::Patience::new($store);
        loop {
            if let Some(result) = patience.attempt($call).await {
                break result;
            }
        }
    }};
}

pub(super) use patiently;

pub(super) struct Patience<'a> {
    store: &'a Store,
    until: Duration,
    pause: Duration,
    // Why the last attempt failed: says more than that time is up.
    last: Option<Error>,
}

impl<'a> Patience<'a> {
    pub fn new(store: &'a Store) -> Self {
        // INVARIANT: nothing is repeated after its answer may have been forgotten.
        let until = store.ports().clock.elapsed() + store.inner.deadline.min(ttl::RETRY);
        Self { store, until, pause: FIRST_PAUSE, last: None }
    }

    /// The call's result, or none if it is worth another attempt.
    pub async fn attempt<T>(&mut self, call: impl Future<Output = Result<T>>) -> Option<Result<T>> {
        let clock = &self.store.ports().clock;
        let result = if self.store.remote() {
            let left = self.until.saturating_sub(clock.elapsed());
            tokio::time::timeout(left, call).await.unwrap_or_else(|_| Err(self.last.take().unwrap_or_else(|| self.too_late())))
        } else {
            call.await
        };
        match result {
            Err(error) if error.may_retry() && clock.elapsed() + self.pause < self.until => {
                tracing::debug!(%error, "the store did not answer; trying again");
                tokio::time::sleep(self.pause).await;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                self.last = Some(error);
                None
            }
            result => Some(result),
        }
    }

    fn too_late(&self) -> Error {
        Error::new(ErrorKind::Deadline, "store_deadline", format!("the store did not answer within {:?}", self.store.inner.deadline))
    }
}
