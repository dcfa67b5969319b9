//! Saying what may be used, and how much of it is.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::scope::Scope;
use super::standing::Standing;
use super::{Base, Limits};
use crate::coordination::Charge;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::budget::{Limit, Unit, Usage, check_amount};
use crate::guard::ending::missing;
use crate::guard::recorder::Recorder;
use crate::ledger::Action;
use crate::store::{Actor, Commit, Store, Write, to_json};
use crate::vocabulary::{AgentStatus, Key, UseLimits};

/// The limits of agents, pipelines and the tenant, for whoever sets and shows them.
#[derive(Debug, Clone)]
pub struct ScopeLimits {
    store: Store,
    recorder: Recorder,
    is_strict: bool,
}

/// How one limit of a scope stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeUsage {
    /// Whose.
    pub scope: Scope,
    /// How it stands.
    #[serde(flatten)]
    pub usage: Usage,
}

impl ScopeLimits {
    /// The limits of a store, recorded.
    #[must_use]
    pub fn new(store: &Store, recorder: &Recorder) -> Self {
        Self { store: store.clone(), recorder: recorder.clone(), is_strict: false }
    }

    /// The same, for people: refuses a pipeline or an agent that is not there, and an agent that has ended. A name that is not quite right would limit
    /// nothing.
    pub(crate) fn strict(self) -> Self {
        Self { is_strict: true, ..self }
    }

    /// Sets a limit, what is used already included; opens one that an overrun closed. Every process holds to it within five seconds. No agent sets
    /// its own, nor that of what it is in.
    pub async fn set(&self, by: &Actor, scope: &Scope, unit: Unit, limit: u64) -> Result<()> {
        self.must_be_there(scope).await?;
        self.put(by, scope, unit, limit).await
    }

    async fn put(&self, by: &Actor, scope: &Scope, unit: Unit, limit: u64) -> Result<()> {
        check_amount(limit)?;
        let cell = scope.limit(self.store.keys(), unit);
        self.change(by, scope, unit, Some(limit), |commit| Ok(commit.put(cell, to_json(&Limit { limit, closed: false })?))).await
    }

    async fn must_be_there(&self, scope: &Scope) -> Result<()> {
        let keys = self.store.keys();
        match scope {
            _ if !self.is_strict => Ok(()),
            Scope::Tenant => Ok(()),
            Scope::Pipeline(id) => self.store.state(keys.pipeline(id)).await?.map(drop).ok_or_else(|| missing(id)),
            Scope::Agent(id) => {
                let Some(state) = self.store.state(keys.agent_state(id)).await? else {
                    let message = format!("there is no agent `{id}`: see `governance pipeline status`");
                    return Err(Error::new(ErrorKind::NotFound, "no_such_agent", message));
                };
                match state.field("status").parse::<AgentStatus>() {
                    Ok(status) if status.is_final() => {
                        let message = format!("`{id}` has ended ({status}), and spends nothing more");
                        Err(Error::new(ErrorKind::Conflict, "agent_ended", message))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// Sets every limit that is said, where none is set yet: who set one since meant it.
    pub async fn set_all(&self, by: &Actor, scope: &Scope, said: &UseLimits) -> Result<()> {
        if said.is_empty() {
            return Ok(());
        }
        let set = self.usage(std::slice::from_ref(scope)).await?;
        for unit in Unit::ALL {
            if let Some(limit) = said.of(*unit).filter(|_| !set.iter().any(|found| found.usage.unit == *unit)) {
                // Also of what is only about to begin.
                self.put(by, scope, *unit, limit).await?;
            }
        }
        Ok(())
    }

    /// Takes a limit away.
    pub async fn unset(&self, by: &Actor, scope: &Scope, unit: Unit) -> Result<()> {
        self.must_be_there(scope).await?;
        let cell = scope.limit(self.store.keys(), unit);
        self.change(by, scope, unit, None, |commit| Ok(commit.write(Write::Delete(cell)))).await
    }

    async fn change(
        &self,
        by: &Actor,
        scope: &Scope,
        unit: Unit,
        limit: Option<u64>,
        changed: impl FnOnce(Commit) -> Result<Commit>,
    ) -> Result<()> {
        let keys = self.store.keys();
        if by.pipeline.is_some() && keys.agent_epoch(&by.id) == by.admission.0.last().map_or_else(|| keys.epoch(), |(key, _)| key.clone()) {
            return Err(Error::new(ErrorKind::Denied, "self_granted", format!("`{}` is an agent, and sets no limits", by.id)));
        }
        let mut commit = changed(by.commit())?.write(Write::Delete(scope.told_low(keys, unit)));
        if let Scope::Agent(id) = scope {
            // Whoever crashes holding a share of its budget is noticed.
            commit = commit.write(Charge::budget(id).begin(keys, None));
        }
        let subject = match scope {
            Scope::Agent(id) => (Some(id), None),
            Scope::Pipeline(id) => (None, Some(id)),
            Scope::Tenant => (None, None),
        };
        let payload = json!({"by": by.id, "scope": scope, "unit": unit, "limit": limit});
        let done = self
            .recorder
            .record(&self.store, Action::Policy, subject, &payload, async |token| self.store.apply(commit.token(token)).await.map(drop));
        done.await
    }

    /// How the limits stand that were set for these scopes.
    pub async fn usage(&self, scopes: &[Scope]) -> Result<Vec<ScopeUsage>> {
        Ok(used(Standing::of(&self.store, scopes, &UseLimits::default(), |_| true).await?))
    }
}

impl Limits {
    /// How every limit stands that holds for the agent.
    pub async fn usage(&self) -> Result<Vec<ScopeUsage>> {
        let Base { store, scopes, .. } = &*self.inner.base;
        Ok(used(Standing::of(store, scopes, &self.inner.own(), |_| true).await?))
    }

    /// How those limits stand that do not come back by themselves.
    pub(crate) async fn finite(&self) -> Result<Vec<ScopeUsage>> {
        let Base { store, scopes, .. } = &*self.inner.base;
        let finite = |unit| !matches!(unit, Unit::CallsPerMinute | Unit::Concurrency);
        Ok(used(Standing::of(store, scopes, &self.inner.own(), finite).await?))
    }

    /// What changes when something is used.
    pub(crate) fn counters(&self) -> Vec<Key> {
        let units = || Unit::ALL.iter().filter(|unit| !matches!(unit, Unit::CallsPerMinute | Unit::Concurrency | Unit::WallTime));
        let keys = self.inner.store.keys();
        self.inner.scopes.iter().flat_map(|scope| units().map(|unit| scope.used(keys, unit.as_str()))).collect()
    }
}

fn used(standing: Standing) -> Vec<ScopeUsage> {
    let usage = |term: super::terms::Term| ScopeUsage {
        usage: Usage { unit: term.unit, limit: term.limit, used: term.used, closed: term.closed },
        scope: term.scope,
    };
    standing.terms.into_iter().map(usage).collect()
}
