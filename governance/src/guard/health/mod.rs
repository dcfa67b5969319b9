//! How the parts are: pure words and the judgement over them. Who looks at the parts is above, where all of them can be seen.

mod agents;
mod breakers;
mod room;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::vocabulary::{Millis, named};

pub use self::agents::agents;
pub use self::breakers::{model, tools};
pub use self::room::disk;

named! {
    /// How a part is, from well to ill.
    pub enum HealthState {
        /// It works.
        Healthy = "healthy",
        /// It works, but not as it should.
        Degraded = "degraded",
        /// Nobody can tell.
        Unknown = "unknown",
        /// It does not work.
        Unhealthy = "unhealthy",
    }
}

named! {
    /// A part that can be ill.
    pub enum Component {
        /// Shared state.
        Store = "store",
        /// The record.
        Ledger = "ledger",
        /// The disk that the home directory is on.
        Disk = "disk",
        /// What thinks for agents.
        Model = "model",
        /// The tools that have a breaker.
        Tools = "tools",
        /// Agents that should give signs of life.
        Agents = "agents",
        /// Who keeps house.
        Caretaker = "caretaker",
    }
}

/// What a look at a part found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub state: HealthState,
    /// Why.
    pub reason: String,
    /// What a person can do about it.
    pub advice: Option<String>,
    /// Since when, where the part knows it.
    pub since: Option<Millis>,
}

/// How a part is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentHealth {
    /// Which.
    pub component: Component,
    /// How it is.
    pub state: HealthState,
    /// Why.
    pub reason: String,
    /// What a person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Since when it is so: as the part knows it, or since this process saw it first.
    pub since: Millis,
    /// How long the look took.
    pub latency_ms: u64,
}

/// How everything is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// As ill as the worst part.
    pub state: HealthState,
    /// When it was looked at.
    pub at: Millis,
    /// Each part.
    pub components: Vec<ComponentHealth>,
}

impl Finding {
    /// It works.
    pub fn healthy(reason: impl Into<String>) -> Self {
        Self { state: HealthState::Healthy, reason: reason.into(), advice: None, since: None }
    }

    /// It is so, and this can be done about it.
    pub fn of(state: HealthState, reason: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state, reason: reason.into(), advice: Some(advice.into()), since: None }
    }

    /// The same, since then.
    #[must_use]
    pub fn since(mut self, at: Millis) -> Self {
        self.since = Some(at);
        self
    }

    /// A part that answered with an error.
    #[must_use]
    pub fn failed(error: &Error) -> Self {
        let advice = match (error.code(), error.kind()) {
            ("rolled_back", _) => "`governance store recover` brings it back into use",
            ("key_exposed", _) => {
                "`chmod 600` on that file: what is written waits for the record until then; if somebody read it, keep a head elsewhere"
            }
            ("signing_key_lost" | "not_a_key", _) => "bring `keys/` back from a backup: what is written waits for the record until then",
            (_, ErrorKind::Corrupt) => "see `governance ledger verify`, and keep the files",
            (_, ErrorKind::Unavailable | ErrorKind::Deadline) => "see that it runs and can be reached; everything is denied until then",
            _ => "docs/operations.md says what this error asks for",
        };
        Self::of(HealthState::Unhealthy, format!("{error} ({})", error.code()), advice)
    }

    /// The same, with something more to know.
    #[must_use]
    pub fn and(mut self, more: &str) -> Self {
        self.reason = format!("{}; {more}", self.reason);
        self
    }

    /// A part that could not be looked at, because of another.
    #[must_use]
    pub fn unknown(because: &str) -> Self {
        Self::of(HealthState::Unknown, because, "mend what it stands on first")
    }

    /// A part that did not answer in time.
    #[must_use]
    pub fn late(within: Duration) -> Self {
        Self::of(HealthState::Unhealthy, format!("no answer within {} ms", within.as_millis()), "see that it runs and is not overloaded")
    }
}

impl Health {
    /// The worst of what was found.
    #[must_use]
    pub fn new(at: Millis, components: Vec<ComponentHealth>) -> Self {
        let state = components.iter().map(|component| component.state).max().unwrap_or(HealthState::Unknown);
        Self { state, at, components }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.state == HealthState::Healthy
    }
}

/// What was seen before, so that it is known since when something is so.
#[derive(Debug, Default)]
pub struct Seen(BTreeMap<Component, (HealthState, Millis)>);

impl Seen {
    /// Takes a finding down.
    pub fn note(&mut self, component: Component, found: Finding, took: Duration, now: Millis) -> ComponentHealth {
        let first = match self.0.get(&component) {
            Some((state, since)) if *state == found.state => *since,
            _ => found.since.unwrap_or(now),
        };
        self.0.insert(component, (found.state, first));
        let Finding { state, reason, advice, since } = found;
        let latency_ms = crate::vocabulary::millis(took);
        ComponentHealth { component, state, reason, advice, since: since.unwrap_or(first), latency_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(seen: &mut Seen, state: HealthState, now: u64) -> ComponentHealth {
        let found = Finding { state, reason: String::new(), advice: None, since: None };
        seen.note(Component::Store, found, Duration::from_millis(3), Millis(now))
    }

    #[test]
    fn all_is_as_ill_as_the_worst_part() {
        let with =
            |state| Health::new(Millis(9), vec![seen(&mut Seen::default(), HealthState::Healthy, 1), seen(&mut Seen::default(), state, 1)]);
        for state in HealthState::ALL {
            assert_eq!((with(*state).state, with(*state).is_healthy()), (*state, *state == HealthState::Healthy));
        }
        assert_eq!(Health::new(Millis(9), Vec::new()).state, HealthState::Unknown, "nothing seen is not health");
    }

    #[test]
    fn since_when_is_kept_as_long_as_it_is_so() {
        let mut memory = Seen::default();
        assert_eq!(seen(&mut memory, HealthState::Degraded, 5).since, Millis(5));
        assert_eq!(seen(&mut memory, HealthState::Degraded, 8).since, Millis(5));
        assert_eq!(seen(&mut memory, HealthState::Healthy, 9).since, Millis(9));
    }
}
