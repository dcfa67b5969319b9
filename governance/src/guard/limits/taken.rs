//! A call that the limits let through.

use std::sync::Arc;
use std::time::Duration;

use super::share::Started;
use super::terms::Asked;
use super::{Inner, Share};
use crate::error::{Error, Result};
use crate::vocabulary::Token;

/// The code of a call that was not made because its share's time was over: ask again.
pub const LAPSED: &str = "share_lapsed";
/// How often that may happen to one call before its caller hears of it.
pub const LAPSES: usize = 10;

/// A call that may be made: write its intent, [`confirm`](Self::confirm) it, and [`end`](Self::end) it. Dropped, it counts as made, and its place is
/// free again.
#[must_use = "a call that is not ended keeps its place"]
pub struct Taken {
    inner: Option<Arc<Inner>>,
    id: Token,
    until: Duration,
    asked: Asked,
}

impl Taken {
    pub(super) fn new(inner: &Arc<Inner>, started: Started) -> Self {
        Self { inner: Some(inner.clone()), id: started.id, until: started.until, asked: started.asked }
    }

    /// Refuses where this process stood still for so long that what it holds may belong to others by now. To be asked after the call's intent was
    /// written, and before it is made.
    pub fn confirm(&self) -> Result<()> {
        let now = self.inner.as_ref().map(|inner| inner.store.ports().clock.elapsed());
        self.confirm_at(now.unwrap_or(Duration::MAX))
    }

    /// The same, by who has looked at the clock since the intent was written.
    pub(in crate::guard) fn confirm_at(&self, now: Duration) -> Result<()> {
        if now < self.until {
            return Ok(());
        }
        Err(Error::unavailable(LAPSED, "this process stood still between taking a call and starting it: it is not made, ask again"))
    }

    /// How many tokens it may use, and how much it may cost, where that is limited; 0 where it is not.
    #[must_use]
    pub fn set_aside(&self) -> Asked {
        self.asked
    }

    /// The call has ended, and used so much. Whether it failed counts where errors are limited.
    pub async fn end(mut self, spent: Asked, failed: bool) -> Result<()> {
        let Some(inner) = self.inner.take() else { return Ok(()) };
        match release(&inner, &self.id, spent, failed) {
            // Once in many calls, so not carried about by each.
            Some(share) => Box::pin(inner.settle(share)).await,
            None => Ok(()),
        }
    }

    /// The same for who cannot wait: what the store has to hear, it hears in the background, and in any case before this process draws more.
    pub fn leave(mut self, spent: Asked, failed: bool) {
        let Some(inner) = self.inner.take() else { return };
        let over = inner.shares().mark(&self.id, spent, failed);
        if let (true, Some(runtime)) = (over, inner.runtime.clone()) {
            runtime.spawn(async move {
                let _turn = inner.drawing.turn().await;
                if let Err(error) = inner.settle_ended().await {
                    tracing::debug!(%error, "what a call held could not be given back: it comes back when its time is over");
                }
            });
        }
    }
}

fn release(inner: &Inner, id: &Token, spent: Asked, failed: bool) -> Option<Share> {
    inner.shares().end(id, spent, failed)
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        // Nobody knows what it used: all that was set aside.
        let Some(share) = release(&inner, &self.id, self.asked, false) else { return };
        let Some(runtime) = inner.runtime.clone() else { return };
        runtime.spawn(async move {
            if let Err(error) = inner.settle(share).await {
                tracing::debug!(agent = %inner.actor.id, %error, "a share was not given back: it lapses");
            }
        });
    }
}
