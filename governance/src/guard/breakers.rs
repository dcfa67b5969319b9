//! Breakers around tools or targets: one each, shared by every process.
//!
//! Only what says that a tool is ill counts: it could not be reached, was too late, or broke. What it refuses, it answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// The breakers of an agent's tools, if there are rules for them.
#[derive(Clone)]
pub(super) struct Breakers {
    store: Store,
    actor: Actor,
    // What holds where the profile says nothing.
    usual: Option<BreakerRules>,
    // Shared by every clone.
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    rules: Option<BreakerRules>,
    breakers: HashMap<String, Breaker>,
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
    pub fn new(store: &Store, actor: &Actor, usual: Option<BreakerRules>) -> Self {
        let known = Known { rules: usual, ..Known::default() };
        Self { store: store.clone(), actor: actor.clone(), usual, known: Arc::new(Mutex::new(known)) }
    }

    /// Others, for a guard that goes by another profile.
    pub fn under(&self, said: Option<BreakerRules>) -> Self {
        let others = Self::new(&self.store, &self.actor, self.usual);
        others.adopt(said);
        others
    }

    /// Goes by what a profile says from the next call on; where it says nothing, by what was said without one. What the store counted stays counted.
    pub fn adopt(&self, said: Option<BreakerRules>) {
        let rules = said.or(self.usual);
        let mut known = self.known();
        if known.rules != rules {
            *known = Known { rules, ..Known::default() };
        }
    }

    /// Whether no call is asked about.
    pub fn are_none(&self) -> bool {
        self.known().rules.is_none()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut known = self.known();
        let BreakerRules { by, failures, pause, successes } = known.rules?;
        let name = match by {
            BreakerBy::Action => request.action,
            BreakerBy::Target => request.target?,
        };
        if let Some(breaker) = known.breakers.get(name) {
            return Some(breaker.clone());
        }
        if known.breakers.len() >= KNOWN {
            known.breakers.clear();
        }
        let limits = CircuitLimits { failures, pause: Duration::from_secs(pause), successes };
        let breaker = Breaker::open(&self.store, &self.actor, &spelled(by, name)).with_limits(limits);
        known.breakers.insert(name.to_owned(), breaker.clone());
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
