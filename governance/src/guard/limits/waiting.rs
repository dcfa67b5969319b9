//! Time in which a person was waited for: it is not counted.

use std::time::Duration;

use super::{Limits, Scope};
use crate::error::Result;
use crate::store::Write;
use crate::vocabulary::millis;

/// Milliseconds in which a person was waited for.
pub(crate) const WAITED: &str = "waited";

/// An agent that waits for a person.
pub struct Waiting {
    limits: Limits,
    since: Duration,
}

impl Limits {
    /// The agent begins to wait for a person. Its wall time stands still until [`Waiting::over`].
    #[must_use]
    pub fn wait(&self) -> Waiting {
        Waiting { limits: self.clone(), since: self.inner.store.ports().clock.elapsed() }
    }
}

impl Waiting {
    /// The person has answered, or is not waited for any more.
    pub async fn over(self) -> Result<()> {
        let inner = &self.limits.inner;
        let waited = i64::try_from(millis(inner.store.ports().clock.elapsed().saturating_sub(self.since))).unwrap_or(i64::MAX);
        let counter = Scope::Agent(inner.actor.id.clone()).used(inner.store.keys(), WAITED);
        inner.store.apply(inner.actor.commit().write(Write::Add { counter, delta: waited, ttl: None })).await.map(drop)
    }
}
