//! A fenced lease: who holds it may write; who lost it cannot, even if it does not know yet.

use std::time::Duration;

use crate::error::Result;
use crate::store::{Actor, Check, Commit, Outcome, Refused, Store, Write};
use crate::vocabulary::Key;

/// A lease that was taken. Writes that need it carry [`check`](Self::check).
#[derive(Debug, Clone)]
pub struct Lease {
    store: Store,
    key: Key,
    fence: u64,
    ttl: Duration,
    actor: Actor,
    // On the suspend-aware clock, counted from before the claim was sent. INVARIANT: never later than the store's own expiry.
    until: Duration,
}

impl Lease {
    /// Takes a lease for a while; none if somebody holds it.
    pub async fn claim(store: &Store, key: Key, fence: Key, actor: &Actor, ttl: Duration) -> Result<Option<Self>> {
        let sent = store.ports().clock.elapsed();
        let holder = actor.id.to_string().into();
        let claim = actor.commit().token(store.fresh_token()).write(Write::Claim { lease: key.clone(), fence, holder, ttl });
        match store.commit(claim).await? {
            Outcome::Accepted(accepted) => {
                let fence = accepted.results[0];
                Ok(Some(Self { store: store.clone(), key, fence, ttl, actor: actor.clone(), until: sent + ttl }))
            }
            Outcome::Refused(Refused::Fenced { .. }) => Ok(None),
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }

    /// The fence: higher than every earlier holder's.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// What a commit must carry to be accepted only while the lease is held.
    #[must_use]
    pub fn check(&self) -> Check {
        Check::Fence { lease: self.key.clone(), fence: self.fence }
    }

    /// How long the lease is surely held without asking the store; zero once it may have lapsed.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.until.saturating_sub(self.store.ports().clock.elapsed())
    }

    /// Holds it for another while. False if it was lost.
    pub async fn renew(&mut self) -> Result<bool> {
        let sent = self.store.ports().clock.elapsed();
        let renewed = self.held(Write::Expire { key: self.key.clone(), ttl: self.ttl }).await?;
        if renewed {
            self.until = sent + self.ttl;
        }
        Ok(renewed)
    }

    /// Gives it back. False if it was lost before.
    pub async fn release(self) -> Result<bool> {
        self.held(Write::Delete(self.key.clone().into())).await
    }

    async fn held(&self, write: Write) -> Result<bool> {
        let commit: Commit = self.actor.commit().check(self.check()).write(write);
        match self.store.commit(commit).await? {
            Outcome::Accepted(_) => Ok(true),
            Outcome::Refused(Refused::Fenced { .. }) => Ok(false),
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }
}
