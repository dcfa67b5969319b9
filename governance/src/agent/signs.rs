//! What an agent hears of itself while it works: that it was revoked, that a budget runs low.
//!
//! No task of its own: its process's lookout knows of revocations, and budgets are looked at while somebody asks for events.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex;

use super::Desk;
use crate::error::Result;
use crate::guard::limits::{Limits, Scope, ScopeUsage};
use crate::guard::{ErrorBudget, Faults, Held, Lookout};
use crate::store::{Actor, Store, Watch};
use crate::vocabulary::Key;

/// How long a change may stay unseen where the store's own signal was lost.
const LOOK: Duration = Duration::from_secs(5);

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

/// Watches over an agent.
pub(super) struct Signs {
    held: Held,
    hearing: Mutex<Hearing>,
}

/// How far an agent listens to what is said of it.
#[derive(Default)]
enum Hearing {
    /// Nobody has asked yet.
    #[default]
    Deaf,
    Listens(Box<Heard>),
    /// Nothing more can come.
    Over,
}

struct Heard {
    store: Store,
    actor: Actor,
    budget: ErrorBudget,
    limits: Limits,
    watch: Option<Watch>,
    // What was said to run low.
    said: BTreeSet<String>,
    waiting: VecDeque<AgentEvent>,
}

impl Signs {
    /// Begins to watch.
    pub async fn watch(store: &Store, actor: &Actor) -> Result<Self> {
        Ok(Self { held: Lookout::hold(store, actor).await?, hearing: Mutex::default() })
    }

    /// Refuses at once, without a round trip, once it is known that the admission has ended.
    pub fn check(&self) -> Result<()> {
        self.held.refusal().map_or(Ok(()), Err)
    }

    /// Refuses once it has left by itself.
    pub fn has_not_left(&self) -> Result<()> {
        self.held.refusal().filter(|_| self.held.has_left()).map_or(Ok(()), Err)
    }

    /// The next thing to know; none when nothing more can come. Cancel safe.
    pub async fn next(&self, desk: &Desk) -> Option<AgentEvent> {
        let mut hearing = self.hearing.lock().await;
        if let Hearing::Deaf = *hearing {
            *hearing = Hearing::Listens(Box::new(Heard::at(desk)));
        }
        let Hearing::Listens(heard) = &mut *hearing else { return None };
        let event = tokio::select! {
            biased;
            _ = self.held.ended() => AgentEvent::Revoked { reason: self.held.why().unwrap_or_default().to_owned() },
            event = heard.low() => return Some(event),
        };
        *hearing = Hearing::Over;
        // Who left by itself need not be told.
        Some(event).filter(|_| !self.held.has_left())
    }
}

impl Heard {
    fn at(desk: &Desk) -> Self {
        Self {
            store: desk.store().clone(),
            actor: desk.actor().clone(),
            budget: desk.budget().clone(),
            limits: desk.limits().clone(),
            watch: None,
            said: BTreeSet::new(),
            waiting: VecDeque::new(),
        }
    }

    /// The next thing that runs low. Cancel safe: what was found waits.
    async fn low(&mut self) -> AgentEvent {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return event;
            }
            let looked = self.look().await;
            if let Err(error) = &looked {
                // The store refuses by itself what is too much: this is only the early word.
                tracing::debug!(agent = %self.actor.id, %error, "an agent could not be looked after");
            }
            if !self.waiting.is_empty() {
                continue;
            }
            match &mut self.watch {
                Some(watch) => drop(tokio::time::timeout(LOOK, watch.changed()).await),
                None => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn look(&mut self) -> Result<()> {
        if self.watch.is_none() {
            let mut watched: Vec<Key> = vec![self.store.keys().agent_errors(&self.actor.id)];
            watched.extend(self.limits.counters());
            self.watch = Some(self.store.watch(&watched).await?);
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
        Ok(())
    }

    fn warn(&mut self, scope: &Scope, unit: &str, used: u64, limit: u64) {
        let low = used.saturating_mul(5) >= limit.saturating_mul(4);
        let name = format!("{} {unit}", scope.name());
        if low && self.said.insert(name.clone()) {
            self.waiting.push_back(AgentEvent::BudgetLow { unit: unit.to_owned(), scope: scope.clone(), used, limit });
        } else if !low {
            self.said.remove(&name);
        }
    }
}
