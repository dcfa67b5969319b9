//! Where a guard has its policy from.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::book::Book;
use crate::error::Result;
use crate::guard::policy::Policy;
use crate::vocabulary::{AgentId, Tier};

/// Where a guard has its policy from. Cheap to clone and to ask: an answer costs one atomic load.
#[derive(Clone)]
pub enum PolicySource {
    /// Always the same.
    Fixed(Policy),
    /// What is in force for an agent's profile.
    Followed(Arc<Followed>),
}

/// What is in force for one agent, swapped when it changes.
pub struct Followed {
    pub(super) name: AgentId,
    pub(super) tier: Tier,
    pub(super) shipped: Policy,
    pub(super) now: ArcSwap<Policy>,
    pub(super) book: Arc<Book>,
}

impl PolicySource {
    /// The policy now.
    #[must_use]
    pub fn now(&self) -> Policy {
        match self {
            Self::Fixed(policy) => policy.clone(),
            Self::Followed(followed) => Policy::clone(&followed.now.load()),
        }
    }

    /// Makes sure that what is known was asked for no longer ago than that. Costs a look at the clock where it was.
    pub(in crate::guard) async fn fresh(&self, believed: Duration) -> Result<()> {
        match self {
            Self::Fixed(_) => Ok(()),
            Self::Followed(followed) => followed.book.fresh(believed).await,
        }
    }

    /// Whether it may be another one later.
    pub(in crate::guard) fn is_followed(&self) -> bool {
        matches!(self, Self::Followed(_))
    }

    /// Whether it is, without asking.
    pub(in crate::guard) fn is_fresh(&self, believed: Duration) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Followed(followed) => followed.book.is_fresh(believed),
        }
    }
}

impl From<Policy> for PolicySource {
    fn from(policy: Policy) -> Self {
        Self::Fixed(policy)
    }
}

impl std::fmt::Debug for PolicySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PolicySource").field(&self.now()).finish()
    }
}
