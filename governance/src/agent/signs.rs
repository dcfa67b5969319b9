//! What an agent hears of itself while it works: that it was revoked, that a budget runs low.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::guard::limits::{Limits, Scope, ScopeUsage};
use crate::guard::{ErrorBudget, Faults, RevocationEngine};
use crate::store::{Actor, Store};
use crate::vocabulary::{Key, PipelineId};

/// How long a change may stay unseen where the store's own signal was lost.
const LOOK: Duration = Duration::from_secs(5);
/// How many events wait for an agent that does not ask. There are fewer kinds than that.
const EVENTS: usize = 16;

/// Something that an agent should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AgentEvent {
    /// Its admission has ended: nothing more that it writes lands.
    Revoked {
        /// Why, for people.
        reason: String,
    },
    /// It has used four fifths of something.
    BudgetLow {
        /// Of what: a unit, `errors`, or `procedure_violations`.
        unit: String,
        /// Whose it is; written only where it is not its own.
        #[serde(skip_serializing_if = "Scope::is_agent")]
        scope: Scope,
        /// How much of it is used.
        used: u64,
        /// How much of it there is.
        limit: u64,
    },
}

/// Watches over an agent, in the background.
pub(super) struct Signs {
    revoked: Arc<OnceLock<String>>,
    events: Mutex<mpsc::Receiver<AgentEvent>>,
    task: JoinHandle<()>,
}

impl Signs {
    /// Begins to watch.
    pub async fn watch(store: &Store, actor: &Actor, budget: &ErrorBudget, limits: &Limits) -> Result<Self> {
        let revoked = Arc::new(OnceLock::new());
        let (tell, events) = mpsc::channel(EVENTS);
        let mut keys: Vec<Key> = actor.admission.keys();
        keys.push(store.keys().agent_errors(&actor.id));
        keys.extend(limits.counters());
        let mut watched = store.watch(&keys).await?;
        let watcher = Watcher {
            store: store.clone(),
            actor: actor.clone(),
            budget: budget.clone(),
            limits: limits.clone(),
            said: BTreeSet::new(),
            tell,
        };
        let (mut watcher, known) = (watcher, revoked.clone());
        let task = tokio::spawn(async move {
            loop {
                match watcher.look().await {
                    Ok(None) => {}
                    Ok(Some(reason)) => {
                        let _ = known.set(reason.clone());
                        return watcher.tell(AgentEvent::Revoked { reason });
                    }
                    // The store refuses by itself what a revoked agent writes: this is only the early word.
                    Err(error) => tracing::debug!(agent = %watcher.actor.id, %error, "an agent could not be looked after"),
                }
                let _ = tokio::time::timeout(LOOK, watched.changed()).await;
            }
        });
        Ok(Self { revoked, events: Mutex::new(events), task })
    }

    /// Refuses at once, without a round trip, once it is known that the admission has ended.
    pub fn check(&self, actor: &Actor) -> Result<()> {
        self.revoked.get().map_or(Ok(()), |reason| Err(Error::new(ErrorKind::Revoked, "revoked", format!("`{}`: {reason}", actor.id))))
    }

    /// The next thing to know; none when nothing more can come. Cancel safe.
    pub async fn next(&self) -> Option<AgentEvent> {
        self.events.lock().await.recv().await
    }
}

impl Drop for Signs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Watcher {
    store: Store,
    actor: Actor,
    budget: ErrorBudget,
    limits: Limits,
    // What was said to run low.
    said: BTreeSet<String>,
    tell: mpsc::Sender<AgentEvent>,
}

impl Watcher {
    /// Tells what runs low. Answers why the admission has ended, if it has.
    async fn look(&mut self) -> Result<Option<String>> {
        match self.store.still_admitted(&self.actor).await {
            Err(error) if error.kind() == ErrorKind::Revoked => return self.why().await.map(Some),
            other => other?,
        }
        let (limits, Faults { total_errors, procedure_violations, .. }) = (self.budget.fault_limits(), self.budget.faults().await?);
        let own = Scope::Agent(self.actor.id.clone());
        self.warn(&own, "errors", total_errors.into(), limits.max_total_errors.into());
        if procedure_violations > 0 {
            self.warn(&own, "procedure_violations", procedure_violations.into(), limits.max_procedure_violations.into());
        }
        // What comes back by itself is no sign of an end.
        for ScopeUsage { scope, usage } in self.limits.finite().await? {
            self.warn(&scope, usage.unit.as_str(), usage.used, usage.limit);
        }
        Ok(None)
    }

    fn warn(&mut self, scope: &Scope, unit: &str, used: u64, limit: u64) {
        let low = used.saturating_mul(5) >= limit.saturating_mul(4);
        let name = format!("{} {unit}", scope.name());
        if low && self.said.insert(name.clone()) {
            self.tell(AgentEvent::BudgetLow { unit: unit.to_owned(), scope: scope.clone(), used, limit });
        } else if !low {
            self.said.remove(&name);
        }
    }

    fn tell(&self, event: AgentEvent) {
        if self.tell.try_send(event).is_err() {
            tracing::debug!(agent = %self.actor.id, "an agent does not ask for its events");
        }
    }

    async fn why(&self) -> Result<String> {
        let engine = RevocationEngine::open(&self.store);
        if let Some(revocation) = engine.revocation_of(&self.actor.id).await? {
            return Ok(format!("revoked ({}): {}", revocation.kind, revocation.reason));
        }
        if let Some(stop) = engine.stop_in_force().await? {
            return Ok(format!("everything was stopped: {}", stop.reason));
        }
        let pipeline = self.actor.pipeline.as_ref().map(PipelineId::as_str).unwrap_or_default();
        Ok(format!("`{pipeline}` was stopped, or taken up by another process"))
    }
}
