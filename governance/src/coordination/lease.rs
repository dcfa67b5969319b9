//! A fenced lease: who holds it may write; who lost it cannot, even if it does not know yet.

use std::time::Duration;

use super::caretaker::Charge;
use crate::error::Result;
use crate::store::{Actor, Check, Commit, Outcome, Refused, Store, Write};
use crate::vocabulary::{Key, Millis};

/// A lease that was taken. Writes that need it carry [`check`](Self::check).
#[derive(Debug, Clone)]
pub struct Lease {
    store: Store,
    key: Key,
    fence: u64,
    ttl: Duration,
    actor: Actor,
    // Who notices, by itself, that the lease lapsed.
    charge: Option<Charge>,
    // On the suspend-aware clock, counted from before the claim was sent. INVARIANT: never later than the store's own expiry.
    until: Duration,
}

impl Lease {
    /// Takes a lease for a while; none if somebody holds it.
    pub async fn claim(store: &Store, key: Key, fence: Key, actor: &Actor, ttl: Duration) -> Result<Option<Self>> {
        Self::claim_with(store, key, fence, actor, ttl, Vec::new()).await
    }

    /// The same; if it lapses instead of being given back, the caretaker notices, and does what its chore for that kind of charge says.
    pub async fn claim_watched(store: &Store, key: Key, fence: Key, actor: &Actor, ttl: Duration, charge: Charge) -> Result<Option<Self>> {
        let until = store.now().await?.after(ttl);
        let begin = charge.begin(store.keys(), Some(until));
        let lease = Self::claim_with(store, key, fence, actor, ttl, vec![begin]).await?;
        Ok(lease.map(|lease| Self { charge: Some(charge), ..lease }))
    }

    /// The same, with what else is written if it is taken.
    pub(super) async fn claim_with(
        store: &Store,
        key: Key,
        fence: Key,
        actor: &Actor,
        ttl: Duration,
        writes: Vec<Write>,
    ) -> Result<Option<Self>> {
        let sent = store.ports().clock.elapsed();
        let holder = actor.id.to_string().into();
        let claim = actor.commit().token(store.fresh_token()).write(Write::Claim { lease: key.clone(), fence, holder, ttl });
        match store.commit(writes.into_iter().fold(claim, Commit::write)).await? {
            Outcome::Accepted(accepted) => {
                let fence = accepted.results[0];
                Ok(Some(Self { store: store.clone(), key, fence, ttl, actor: actor.clone(), charge: None, until: sent + ttl }))
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
        let again = match &self.charge {
            Some(charge) => vec![charge.begin(self.store.keys(), Some(self.store.now().await?.after(self.ttl)))],
            None => Vec::new(),
        };
        Ok(self.renew_with(again).await?.is_some())
    }

    /// The same, with what else is written. Answers the store's time; none if the lease was lost.
    pub(super) async fn renew_with(&mut self, mut writes: Vec<Write>) -> Result<Option<Millis>> {
        let sent = self.store.ports().clock.elapsed();
        writes.push(Write::Expire { key: self.key.clone(), ttl: self.ttl });
        let renewed = self.held(writes).await?;
        if renewed.is_some() {
            self.until = sent + self.ttl;
        }
        Ok(renewed)
    }

    /// Gives it back. False if it was lost before.
    pub async fn release(self) -> Result<bool> {
        let end = self.charge.as_ref().map(|charge| charge.end(self.store.keys()));
        self.release_with(end.into_iter().collect()).await
    }

    /// The same, with what else is written.
    pub(super) async fn release_with(self, mut writes: Vec<Write>) -> Result<bool> {
        writes.push(Write::Delete(self.key.clone().into()));
        Ok(self.held(writes).await?.is_some())
    }

    /// The same lease, held with another admission of the same holder.
    #[must_use]
    pub(crate) fn admitted(mut self, actor: &Actor) -> Self {
        self.admitted_as(actor);
        self
    }

    pub(super) fn admitted_as(&mut self, actor: &Actor) {
        self.actor = actor.clone();
    }

    async fn held(&self, writes: Vec<Write>) -> Result<Option<Millis>> {
        let commit = writes.into_iter().fold(self.actor.commit().check(self.check()), Commit::write);
        match self.store.commit(commit).await? {
            Outcome::Accepted(accepted) => Ok(Some(accepted.at)),
            Outcome::Refused(Refused::Fenced { .. }) => Ok(None),
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }
}
