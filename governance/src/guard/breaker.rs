//! The circuit breaker around something that may fail, as a model's server: one for all processes, kept in the store.
//!
//! While it is closed the check costs nothing: what the store said is believed for a second, so every process sees it open within that. The
//! one trial of a half-open circuit is taken by compare-and-set. All times are the store's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::circuit::{Circuit, CircuitEvent, CircuitLimits, CircuitVerdict, Pass};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Actor, Outcome, Refused, Store, Write, to_json};
use crate::vocabulary::{Key, Millis};

/// How long what the store said is believed.
const FRESH: Duration = Duration::from_secs(1);
/// After how long, beyond its pause, a circuit that nothing happens to is forgotten, and closed: agents name targets, and each may have one.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A circuit breaker. Cheap to clone; clones share what they have seen.
#[derive(Clone)]
pub struct Breaker {
    store: Store,
    actor: Actor,
    name: String,
    key: Key,
    limits: CircuitLimits,
    // What the store said, and when it was asked.
    seen: Arc<Mutex<Option<(Circuit, Duration)>>>,
}

/// A call was not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted {
    /// After how long it is worth asking again.
    pub after: Duration,
}

impl Breaker {
    /// The breaker around what has this name, as the actor uses it.
    #[must_use]
    pub fn open(store: &Store, actor: &Actor, name: &str) -> Self {
        let spelled: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '_' }).take(128).collect();
        Self {
            key: store.keys().breaker(&spelled),
            store: store.clone(),
            actor: actor.clone(),
            name: name.to_owned(),
            limits: CircuitLimits::default(),
            seen: Arc::default(),
        }
    }

    /// The same, with other limits. Everybody who uses it must agree on them.
    #[must_use]
    pub fn with_limits(mut self, limits: CircuitLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Asks to be let through with a call that takes no longer than `within`. Without a round trip while the circuit is closed.
    ///
    /// Whoever is let through reports how it ended: [`succeeded`](Self::succeeded), [`failed`](Self::failed) or
    /// [`abandoned`](Self::abandoned).
    pub async fn ask(&self, within: Duration) -> Result<Result<Pass, Interrupted>> {
        if self.is_surely_closed() {
            return Ok(Ok(Pass::Free));
        }
        let id = self.store.fresh_token();
        let (verdict, now) = self.apply(&CircuitEvent::Ask { id, within }).await?;
        match verdict {
            CircuitVerdict::Admitted(pass) => Ok(Ok(pass)),
            CircuitVerdict::Refused(until) => Ok(Err(Interrupted { after: until.since(now) })),
            other => Err(Error::internal(format!("a circuit answered {other:?} to a question"))),
        }
    }

    /// The call worked.
    pub async fn succeeded(&self, pass: Pass) -> Result<()> {
        self.apply(&CircuitEvent::Succeeded(pass)).await.map(drop)
    }

    /// The call failed.
    pub async fn failed(&self, pass: Pass) -> Result<()> {
        self.apply(&CircuitEvent::Failed(pass)).await.map(drop)
    }

    /// The call was not made, or what came of it says nothing about whether it works.
    pub async fn abandoned(&self, pass: Pass) -> Result<()> {
        match pass {
            Pass::Free => Ok(()),
            trial => self.apply(&CircuitEvent::Abandoned(trial)).await.map(drop),
        }
    }

    /// How it stands in the store.
    pub async fn circuit(&self) -> Result<Circuit> {
        Ok(self.load().await?.1)
    }

    /// Whether the circuit is open as far as this process knows, without a round trip: it heard so, and no longer ago than a circuit pauses.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked on hot paths: the time is looked at only where it matters.
        let since = |asked: Duration| self.store.ports().clock.elapsed().saturating_sub(asked);
        matches!(&*seen, Some((Circuit::Open { .. }, asked)) if since(*asked) < self.limits.pause)
    }

    /// Whether no call failed lately, as far as this process heard within the last second.
    pub(super) fn is_flawless(&self) -> bool {
        let now = self.store.ports().clock.elapsed();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(&*seen, Some((Circuit::Closed { failures: 0 }, asked)) if now.saturating_sub(*asked) < FRESH)
    }

    /// What it guards.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The refusal as an error, for those who cannot wait.
    #[must_use]
    pub fn refusal(&self, interrupted: Interrupted) -> Error {
        let seconds = interrupted.after.as_secs_f64();
        let message = format!("`{}` failed too often and is not called now: the next trial is in {seconds:.1} s", self.name);
        Error::new(ErrorKind::Unavailable, "breaker_open", message)
    }

    fn is_surely_closed(&self) -> bool {
        let now = self.store.ports().clock.elapsed();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(&*seen, Some((Circuit::Closed { .. }, asked)) if now.saturating_sub(*asked) < FRESH)
    }

    fn saw(&self, circuit: &Circuit, asked: Duration) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((circuit.clone(), asked));
    }

    async fn load(&self) -> Result<(u64, Circuit)> {
        let asked = self.store.ports().clock.elapsed();
        let (version, circuit) = self.store.json(self.key.clone()).await?.unwrap_or_default();
        self.saw(&circuit, asked);
        Ok((version, circuit))
    }

    /// One step of the circuit: read, decided, and written only if it changed and nobody was faster.
    async fn apply(&self, event: &CircuitEvent) -> Result<(CircuitVerdict, Millis)> {
        loop {
            let asked = self.store.ports().clock.elapsed();
            let (version, circuit) = self.load().await?;
            let now = self.store.now().await?;
            let (next, verdict) = circuit.clone().apply(event.clone(), &self.limits, now);
            if next == circuit {
                return Ok((verdict, now));
            }
            let kept =
                Write::Put { cell: self.key.clone().into(), value: to_json(&next)?, ttl: Some(self.limits.pause + KEPT), event: None };
            let commit = self.actor.commit().version(self.key.clone(), version).write(kept);
            match self.store.commit(commit).await? {
                Outcome::Accepted(_) => {
                    self.saw(&next, asked);
                    self.tell(&verdict);
                    return Ok((verdict, now));
                }
                Outcome::Refused(Refused::Conflict { .. }) => {}
                Outcome::Refused(refused) => return Err(refused.into()),
            }
        }
    }

    fn tell(&self, verdict: &CircuitVerdict) {
        match verdict {
            CircuitVerdict::Opened => tracing::warn!(breaker = self.name, "it failed too often and is not called for a while"),
            CircuitVerdict::Closed => tracing::info!(breaker = self.name, "it works again"),
            _ => {}
        }
    }
}

impl std::fmt::Debug for Breaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Breaker").field("name", &self.name).field("actor", &self.actor.id).finish_non_exhaustive()
    }
}
