//! How every limit of some scopes stands.

use std::time::Duration;

use super::scope::{Scope, told_low};
use super::terms::{BUCKET_MS, BUCKETS, Term};
use super::waiting::{Standstill, WAITED};
use crate::error::{Error, Result};
use crate::guard::budget::{Limit, Unit};
use crate::store::{Answer, Query, Store, from_json};
use crate::vocabulary::{AgentStatus, Millis, UseLimits};

/// How everything stands.
pub(super) struct Standing {
    pub terms: Vec<Term>,
    /// When the question was sent, on the suspend-aware clock.
    pub sent: Duration,
    pub now: Millis,
}

impl UseLimits {
    /// What is said of a unit.
    pub(super) fn of(&self, unit: Unit) -> Option<u64> {
        match unit {
            Unit::Calls => self.calls,
            Unit::Tokens => self.tokens,
            Unit::Cost => self.cost,
            Unit::Concurrency => self.concurrency,
            Unit::CallsPerMinute => self.calls_per_minute,
            Unit::Errors => self.errors,
            Unit::WallTime => self.wall_time,
        }
    }
}

impl Standing {
    /// Reads every limit that there is, and how it stands.
    pub async fn of(store: &Store, scopes: &[Scope], profile: &UseLimits, wanted: impl Fn(Unit) -> bool) -> Result<Self> {
        let keys = store.keys();
        let sent = store.ports().clock.elapsed();
        let now = store.now().await?;
        let tables: Vec<_> = scopes.iter().map(|scope| Query::Table(scope.limits(keys))).collect();
        let mut terms = Vec::new();
        for (scope, answer) in scopes.iter().zip(store.read(&tables).await?) {
            let Answer::Table(fields) = answer else { return Err(Error::internal("a store answered another question")) };
            for unit in Unit::ALL.iter().copied().filter(|unit| wanted(*unit)) {
                let own = matches!(scope, Scope::Agent(_));
                let found = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, found)| found);
                let set = found(unit.as_str()).map(|it| Ok::<_, Error>((it.version, from_json::<Limit>(unit.as_str(), &it.value)?)));
                let (set, said) = (set.transpose()?, if own { profile.of(unit) } else { None });
                let Some(limit) = [set.as_ref().map(|(_, set)| set.limit), said].into_iter().flatten().min() else { continue };
                terms.push(Term {
                    limit,
                    closed: set.as_ref().is_some_and(|(_, set)| set.closed),
                    used: 0,
                    set: set.map(|(version, _)| (scope.limit(keys, unit), version)),
                    counter: match unit {
                        Unit::CallsPerMinute => scope.window(keys, unit, now.0 / BUCKET_MS),
                        _ => scope.used(keys, unit.as_str()),
                    },
                    frees: Vec::new(),
                    told_low: found(&told_low(unit)).is_some(),
                    scope: scope.clone(),
                    unit,
                });
            }
        }
        look_at(store, &mut terms, now).await?;
        Ok(Self { terms, sent, now })
    }
}

/// Fills in what is used.
async fn look_at(store: &Store, terms: &mut [Term], now: Millis) -> Result<()> {
    let (keys, bucket) = (store.keys(), now.0 / BUCKET_MS);
    let mut queries = Vec::new();
    for term in terms.iter() {
        match term.unit {
            // The oldest first.
            Unit::CallsPerMinute => {
                let buckets = (0..BUCKETS).rev().map(|back| bucket.saturating_sub(back));
                queries.extend(buckets.map(|bucket| Query::Number(term.scope.window(keys, term.unit, bucket))));
            }
            Unit::WallTime => queries.push(Query::Number(term.scope.used(keys, WAITED))),
            _ => queries.push(Query::Number(term.counter.clone())),
        }
    }
    let mut answers = store.read(&queries).await?.into_iter().map(|answer| match answer {
        Answer::Number(number) => number.unwrap_or(0),
        _ => 0,
    });
    for term in terms {
        match term.unit {
            Unit::CallsPerMinute => {
                let buckets = (0..BUCKETS).rev().map(|back| bucket.saturating_sub(back));
                let ends = buckets.map(|bucket| Millis((bucket + BUCKETS) * BUCKET_MS));
                term.frees = ends.zip(answers.by_ref()).collect();
                term.used = term.frees.iter().map(|(_, amount)| amount).sum();
            }
            Unit::WallTime => {
                let waited = Duration::from_millis(answers.next().unwrap_or(0));
                let (begun, still) = begun(store, &term.scope).await?;
                let still = still.map_or(Duration::ZERO, |still| still.lasts(now));
                term.used = now.since(begun.unwrap_or(now)).saturating_sub(waited + still).as_secs();
            }
            _ => term.used = answers.next().unwrap_or(0),
        }
    }
    Ok(())
}

/// When a scope began, on the store's clock, as far as that is known; and whether it waits for people.
async fn begun(store: &Store, scope: &Scope) -> Result<(Option<Millis>, Option<Standstill>)> {
    let keys = store.keys();
    Ok(match scope {
        // An epoch is the store's time when it was raised.
        Scope::Agent(id) => {
            let begun = Some(store.number(keys.agent_epoch(id)).await?).filter(|at| *at > 0).map(Millis);
            let state = store.state(keys.agent_state(id)).await?.unwrap_or_default();
            // Who was ended while it waited waits no more.
            let waits = state.field("status") == AgentStatus::Waiting.as_str();
            (begun, Standstill::of(&state).filter(|_| waits))
        }
        Scope::Pipeline(id) => {
            let state = store.state(keys.pipeline(id)).await?.unwrap_or_default();
            (state.field("created_at").parse().ok().map(Millis), Standstill::of(&state))
        }
        Scope::Tenant => (None, None),
    })
}
