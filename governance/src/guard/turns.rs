//! One asks the store for all: who waits for its turn meanwhile shares the answer, and the failure too.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// What is asked for by one at a time.
///
/// Without it, each of eight who wait for a store that does not answer would ask anew when the one before has given up: the last is told eight deadlines later.
#[derive(Default)]
pub(super) struct Turns<T> {
    asked: tokio::sync::Mutex<T>,
    /// How many turns have failed.
    failures: AtomicU64,
    /// Why the last one did.
    failed: Mutex<Option<Error>>,
}

/// Whose turn it is.
pub(super) struct Turn<'a, T> {
    of: &'a Turns<T>,
    held: tokio::sync::MutexGuard<'a, T>,
}

impl<T> Turns<T> {
    /// Waits for its turn. An error where one failed meanwhile: what could not be reached a moment ago is not asked for again by whoever waited for it.
    pub async fn next(&self) -> Result<Turn<'_, T>> {
        let before = self.failures.load(Ordering::Acquire);
        let held = self.asked.lock().await;
        if self.failures.load(Ordering::Acquire) != before
            && let Some(failed) = self.failed().as_ref()
        {
            return Err(failed.again());
        }
        Ok(Turn { of: self, held })
    }

    /// Waits for its turn, whatever came of those before.
    pub async fn turn(&self) -> Turn<'_, T> {
        Turn { of: self, held: self.asked.lock().await }
    }

    /// Its turn, if nobody has it.
    pub fn try_next(&self) -> Option<Turn<'_, T>> {
        self.asked.try_lock().ok().map(|held| Turn { of: self, held })
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Turn<'_, T> {
    /// Ends the turn. Where the store did not answer, so it is for everybody who waits; any other error is told only to whom it is about.
    pub fn ended<R>(self, came_of_it: Result<R>) -> Result<R> {
        if let Err(error) = came_of_it.as_ref()
            && error.may_retry()
        {
            *self.of.failed() = Some(error.again());
            // Before the next one has its turn.
            self.of.failures.fetch_add(1, Ordering::AcqRel);
        }
        came_of_it
    }
}

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}
