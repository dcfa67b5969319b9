//! Whether an admission still holds, as far as this process may believe it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell};

use crate::error::{Error, ErrorKind, Result};
use crate::guard::{Held, Lookout, Work};
use crate::store::{Actor, Store};
use crate::vocabulary::nanos;

/// How often a store is asked that answers later than its answer may be believed.
const TRIES: usize = 3;
/// The shortest pause between two looks of its own while a tool runs, in case the process was not told.
const PAUSE: Duration = Duration::from_secs(1);

/// What was last heard of an agent's admission.
#[derive(Default)]
pub(super) struct Live {
    /// When the last question was sent that was answered with yes, in nanoseconds of the suspend-aware clock, plus one; 0 for never. Counted from the
    /// sending, because the answer was true at some moment after it, and nobody knows at which.
    confirmed: AtomicU64,
    ended: OnceLock<String>,
    /// What tells of a revocation as soon as this process knows. From the first question on.
    held: OnceCell<Held>,
    /// How many failures are being counted.
    counts: AtomicUsize,
    counted: Notify,
}

/// That a failure is being counted. Until it is dropped, nothing more of the agent's begins in this process.
pub(super) struct Counting(Arc<Live>);

impl Drop for Counting {
    fn drop(&mut self) {
        if self.0.counts.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.counted.notify_waiters();
        }
    }
}

impl Live {
    /// Refuses once the admission has ended. Asks the store only where the last answer is older than it is believed.
    pub async fn check(&self, store: &Store, actor: &Actor, believed: Duration) -> Result<()> {
        for try_number in 0..TRIES {
            // With nothing believed, the answer to a question of this very call is what there is.
            let asked = believed.is_zero() && try_number > 0;
            if self.is_believed(actor, believed, store.ports().clock.elapsed())? || asked {
                return Ok(());
            }
            self.ask(store, actor).await?;
        }
        let message =
            format!("the store answers later than {} ms: whether `{}` is still admitted cannot be known", believed.as_millis(), actor.id);
        Err(Error::unavailable("store_deadline", message))
    }

    /// Whether the last answer may still be believed; an error once the admission has ended. Without waiting.
    pub fn is_believed(&self, actor: &Actor, believed: Duration, now: Duration) -> Result<bool> {
        self.unless_ended(actor)?;
        let confirmed = self.confirmed.load(Ordering::Acquire);
        Ok(confirmed > 0 && nanos(now).saturating_sub(confirmed - 1) < nanos(believed))
    }

    /// Refuses where this process knows that the admission has ended.
    pub fn unless_ended(&self, actor: &Actor) -> Result<()> {
        if let Some(why) = self.ended.get() {
            return Err(Error::new(ErrorKind::Revoked, "revoked", format!("`{}`: {why}", actor.id)));
        }
        self.held.get().and_then(Held::refusal).map_or(Ok(()), Err)
    }

    /// Watched over by this process's one lookout, which is registered before anything runs.
    async fn held(&self, store: &Store, actor: &Actor) -> Result<&Held> {
        self.held.get_or_try_init(|| Lookout::hold(store, actor)).await
    }

    async fn ask(&self, store: &Store, actor: &Actor) -> Result<()> {
        self.held(store, actor).await?;
        let sent = nanos(store.ports().clock.elapsed());
        match store.still_admitted(actor).await {
            Ok(()) => {
                self.confirmed.fetch_max(sent.saturating_add(1), Ordering::AcqRel);
                Ok(())
            }
            Err(error) => {
                if error.kind() == ErrorKind::Revoked {
                    self.end(&error.to_string());
                }
                Err(error)
            }
        }
    }

    /// Something of the agent's runs until what this answers is dropped: so long this process does not confirm a stop.
    pub fn running(&self) -> Option<Work> {
        self.held.get().map(Held::tool)
    }

    /// A failure is about to be counted by somebody for whom nobody waits.
    pub fn counting(self: &Arc<Self>) -> Counting {
        self.counts.fetch_add(1, Ordering::AcqRel);
        Counting(self.clone())
    }

    /// Whether failures are being counted, each of which may have been one too many.
    pub fn is_counting(&self) -> bool {
        self.counts.load(Ordering::Acquire) > 0
    }

    /// Waits until all of them are counted.
    pub async fn counted(&self) {
        loop {
            let mut told = std::pin::pin!(self.counted.notified());
            // Listening before looking: what comes in between is heard.
            told.as_mut().enable();
            if !self.is_counting() {
                return;
            }
            told.await;
        }
    }

    /// From now on nothing is admitted here.
    pub fn end(&self, why: &str) {
        let _ = self.ended.set(why.to_owned());
    }

    /// Waits until the admission has ended, while a tool runs. A store that does not answer ends nothing that runs already.
    pub async fn until_ended(&self, store: &Store, actor: &Actor, believed: Duration) -> Error {
        let told = async {
            match self.held(store, actor).await {
                Ok(held) => held.ended().await,
                Err(_) => std::future::pending().await,
            }
        };
        let looks = async {
            loop {
                tokio::time::sleep(believed.max(PAUSE)).await;
                match self.ask(store, actor).await {
                    Err(error) if error.kind() == ErrorKind::Revoked => return error,
                    Err(error) => tracing::debug!(agent = %actor.id, %error, "an admission could not be looked at"),
                    Ok(()) => {}
                }
            }
        };
        tokio::select! { error = told => error, error = looks => error }
    }
}
