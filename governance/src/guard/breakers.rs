//! Breakers around tools or targets: one each, shared by every process.
//!
//! Only what says that a tool is ill counts: it could not be reached, was too late, or broke. What it refuses, it answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::breaker::Breaker;
use super::circuit::{CircuitLimits, Pass};
use super::policy::Request;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Actor, Store};
use crate::vocabulary::{BreakerBy, BreakerRules};

/// How many breakers a process remembers. Targets are named by agents, so there must be an end.
const KNOWN: usize = 1_024;
/// How much of a name is kept as it is.
const NAMED: usize = 64;

/// The breakers of an agent's tools.
#[derive(Clone)]
pub(super) struct Breakers {
    store: Store,
    actor: Actor,
    rules: BreakerRules,
    known: Arc<Mutex<HashMap<String, Breaker>>>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Well.
    Done,
    /// With an error that says nothing about the tool, or nobody knows how.
    Failed,
    /// With one that says that the tool does not work.
    Ill,
}

impl Ending {
    /// What an error says of the tool.
    pub fn of(error: &Error) -> Self {
        if is_illness(error) { Self::Ill } else { Self::Failed }
    }
}

/// A call that was let through.
pub(super) struct Admitted {
    breaker: Breaker,
    pass: Pass,
}

impl Breakers {
    pub fn new(store: &Store, actor: &Actor, rules: BreakerRules) -> Self {
        Self { store: store.clone(), actor: actor.clone(), rules, known: Arc::default() }
    }

    /// Asks to be let through, with a call that takes no longer than `within`. Without a round trip while the tool works.
    pub async fn ask(&self, request: &Request<'_>, within: Duration) -> Result<Option<Admitted>> {
        let Some(breaker) = self.of(request) else { return Ok(None) };
        match breaker.ask(within).await? {
            Ok(pass) => Ok(Some(Admitted { breaker, pass })),
            Err(interrupted) => Err(breaker.refusal(interrupted)),
        }
    }

    fn of(&self, request: &Request<'_>) -> Option<Breaker> {
        let name = match self.rules.by {
            BreakerBy::Action => request.action,
            BreakerBy::Target => request.target?,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(breaker) = known.get(name) {
            return Some(breaker.clone());
        }
        if known.len() >= KNOWN {
            known.clear();
        }
        let BreakerRules { by, failures, pause, successes } = self.rules;
        let limits = CircuitLimits { failures, pause: Duration::from_secs(pause), successes };
        let breaker = Breaker::open(&self.store, &self.actor, &spelled(by, name)).with_limits(limits);
        known.insert(name.to_owned(), breaker.clone());
        Some(breaker)
    }
}

impl Admitted {
    /// Says how the call ended.
    pub async fn ended(self, ending: Ending) -> Result<()> {
        let Self { breaker, pass } = self;
        match ending {
            Ending::Done if pass == Pass::Free && breaker.is_flawless() => Ok(()),
            Ending::Done => breaker.succeeded(pass).await,
            Ending::Ill => breaker.failed(pass).await,
            Ending::Failed => breaker.abandoned(pass).await,
        }
    }

    /// The call was not made.
    pub async fn abandoned(self) -> Result<()> {
        self.breaker.abandoned(self.pass).await
    }
}

/// Whether an error says that the tool does not work.
fn is_illness(error: &Error) -> bool {
    error.may_retry() || error.kind() == ErrorKind::Internal
}

/// A name of which no two targets share one: what a key cannot hold is told apart by a hash.
fn spelled(by: BreakerBy, name: &str) -> String {
    let plain = name.len() <= NAMED && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
    if plain {
        return format!("{by}.{name}");
    }
    let start: String = name.chars().take(NAMED).collect();
    format!("{by}.{start}.{}", &super::canonical::digest(&serde_json::Value::from(name))[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_targets_share_a_breaker() {
        let names = ["a/b", "a_b", "a b", "db.internal", "a", &"x".repeat(100), &"x".repeat(101)];
        let spelled: std::collections::BTreeSet<_> = names.iter().map(|name| spelled(BreakerBy::Target, name)).collect();
        assert_eq!(spelled.len(), names.len());
        assert!(spelled.contains("target.db.internal"));
    }

    #[test]
    fn what_a_tool_refuses_is_no_illness() {
        for kind in ErrorKind::ALL {
            let ill = is_illness(&Error::new(*kind, "x", "x"));
            assert_eq!(ill, matches!(kind, ErrorKind::Unavailable | ErrorKind::Deadline | ErrorKind::Internal), "{kind}");
        }
    }
}
