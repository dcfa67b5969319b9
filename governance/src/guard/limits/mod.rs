//! Limits on what an agent, its pipeline and its tenant may use: the strictest wins.
//!
//! ```text
//!   take ──▶ from the share that this process holds: no round trip           Taken ──▶ intent ──▶ confirm ──▶ the call ──▶ end
//!     └────▶ it is used up, or its time is over: one commit that checks and counts every limit of every scope ─┐
//!            refused ─▶ shares of the dead come back, once more, then: whose limit, of what, how much, when ◀──┤
//!            accepted ─▶ the next share ◀──────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A share is taken before the intent of its call is written, and looked at again after it. So whoever takes a share back from a dead or frozen
//! holder finds in its segment every call that it can have started, and a holder that slept finds its time over. ADR 13.

mod abuse;
mod draw;
mod lapse;
mod refused;
mod scope;
mod set;
mod settle;
mod share;
mod standing;
mod taken;
mod terms;
mod waiting;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use super::recorder::Recorder;
use super::revocation::RevocationEngine;
use super::triggers::Triggers;
use super::turns::Turns;
use tokio::runtime::Handle;

use crate::error::{Error, Result};
use crate::ledger::Action;
use crate::store::{Actor, Store};
use crate::vocabulary::UseLimits;

pub use self::scope::Scope;
pub use self::set::{ScopeLimits, ScopeUsage};
pub use self::taken::Taken;
pub(crate) use self::taken::{LAPSED, LAPSES};
pub use self::terms::{Asked, Refusal};
pub(crate) use self::waiting::{Standstill, WAITED};

use self::share::{Share, Shares};

/// How long a share may be drawn from. After that a limit that was set anew is seen by everybody.
const LIFE: Duration = Duration::from_secs(5);

/// What an agent may use, as this process holds shares of it. Cheap to clone; clones share what they hold.
#[derive(Clone)]
pub struct Limits {
    inner: Arc<Inner>,
}

struct Inner {
    // Shared by those of the agent's model and of its tools.
    base: Arc<Base>,
    // Calls a minute, where the profile says nothing of them.
    usual: Option<u64>,
    held: Mutex<Shares>,
    // One draws for all: who waits for it finds the share that it brought.
    drawing: Turns<()>,
}

struct Base {
    store: Store,
    actor: Actor,
    recorder: Recorder,
    engine: RevocationEngine,
    scopes: Box<[Scope]>,
    // None where the profile says nothing.
    own: Mutex<Option<Box<UseLimits>>>,
    // Where what nobody waits for is done.
    runtime: Option<Handle>,
}

impl std::ops::Deref for Inner {
    type Target = Base;

    fn deref(&self) -> &Base {
        &self.base
    }
}

impl Limits {
    /// The limits of an admitted agent: those of its profile, and those that were set for it, its pipeline and its tenant. Where the profile does
    /// not say how many calls it may make in a minute, the triggers do.
    #[must_use]
    pub fn open(store: &Store, actor: &Actor, recorder: &Recorder, own: UseLimits, triggers: &Triggers) -> Self {
        let base = Arc::new(Base {
            store: store.clone(),
            actor: actor.clone(),
            recorder: recorder.clone(),
            engine: RevocationEngine::open(store).recorded(recorder).with_triggers(*triggers),
            scopes: Scope::of(actor).into(),
            own: Mutex::new(said(own)),
            runtime: Handle::try_current().ok(),
        });
        Self::over(base, Some(triggers.api_calls_per_minute))
    }

    fn over(base: Arc<Base>, usual: Option<u64>) -> Self {
        Self { inner: Arc::new(Inner { base, usual, held: Mutex::default(), drawing: Turns::default() }) }
    }

    /// The same for the agent's tools, of which as many may be called in a minute as the profile says: no more than usual is said of a model's calls
    /// alone, because to read a file is no call of an API.
    #[must_use]
    pub fn of_tools(&self) -> Self {
        Self::over(self.inner.base.clone(), None)
    }

    /// Holds the agent to what another profile says, from the next share on: within five seconds.
    pub fn adopt(&self, own: UseLimits) {
        *self.inner.own.lock().unwrap_or_else(PoisonError::into_inner) = said(own);
    }

    /// Takes one call from a share that this process holds, without waiting. None where no share has one: ask [`take`](Self::take) then.
    pub(in crate::guard) fn try_take(&self, asked: Asked, now: Duration) -> Option<Taken> {
        let start = self.inner.shares().start(asked == Asked::default(), now);
        start.map(|started| Taken::new(&self.inner, started))
    }

    fn take_held(&self, asked: Asked) -> Option<Taken> {
        self.try_take(asked, self.inner.store.ports().clock.elapsed())
    }

    /// Takes one call that lasts no longer than `lasting`. Refused with `rate_limited`, `too_many_at_once`, `budget_exhausted` or `time_used_up`,
    /// which say whose limit it is, how much of it is left, and when it may go on.
    pub async fn take(&self, asked: Asked, lasting: Duration) -> Result<Taken> {
        if let Some(taken) = self.take_held(asked) {
            return Ok(taken);
        }
        let turn = self.inner.drawing.next().await?;
        if let Some(taken) = self.take_held(asked) {
            return Ok(taken);
        }
        let inner = &self.inner;
        let drawn = async {
            inner.settle_ended().await?;
            let appetite = inner.shares().appetite();
            inner.draw(&asked, lasting, appetite).await
        };
        let drawn = drawn.await.map(|drawn| drawn.map(|share| Taken::new(inner, inner.shares().begin(share))));
        // What refuses one may let another go on, and each refusal is recorded.
        match turn.ended(drawn)? {
            Ok(taken) => Ok(taken),
            Err(refusal) => Err(inner.refuse(refusal).await),
        }
    }

    /// Gives back what is held and not used.
    pub async fn close(&self) -> Result<()> {
        let shares = self.inner.shares().idle();
        for share in shares {
            self.inner.settle(share).await?;
        }
        Ok(())
    }
}

impl Inner {
    /// Gives back what nothing can be drawn from any more.
    async fn settle_ended(&self) -> Result<()> {
        let ended = self.shares().ended(self.store.ports().clock.elapsed());
        for share in ended {
            self.settle(share).await?;
        }
        Ok(())
    }

    /// What the agent's profile says.
    fn own(&self) -> UseLimits {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).as_deref().copied().unwrap_or_default();
        UseLimits { calls_per_minute: own.calls_per_minute.or(self.usual), ..own }
    }

    fn shares(&self) -> std::sync::MutexGuard<'_, Shares> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a refusal and does what it leads to.
    async fn refuse(&self, refusal: Refusal) -> Error {
        let told = json!({"refused": refusal.code(), "scope": refusal.scope, "unit": refusal.unit, "limit": refusal.limit,
            "remaining": refusal.remaining, "retry_after_ms": refusal.retry_after_ms});
        let subject = (Some(&self.actor.id), self.actor.pipeline.as_ref());
        if let Err(error) = self.recorder.note(&self.store, Action::Spend, subject, &told) {
            tracing::error!(agent = %self.actor.id, %error, "a refusal by a limit could not be recorded");
        }
        match self.abuse(&refusal).await {
            Ok(None) => refusal.into(),
            Ok(Some(revoked)) => revoked,
            Err(error) => {
                tracing::error!(agent = %self.actor.id, %error, "who goes on although it is held back could not be answered for");
                refusal.into()
            }
        }
    }
}

fn said(own: UseLimits) -> Option<Box<UseLimits>> {
    (!own.is_empty()).then(|| Box::new(own))
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").field("agent", &self.inner.actor.id).finish_non_exhaustive()
    }
}
