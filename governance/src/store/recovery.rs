//! Setting a store up, tying it to its ledger, and bringing it back after a loss. ADR 2.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;

use super::patience::patiently;
use super::{Answer, Commit, FORMAT, Outcome, Query, Refused, Store, Write};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{Key, Kind, LedgerId};

/// Who remembers, outside the store, the highest generation that was acknowledged: the ledger. ADR 2.
#[async_trait]
pub trait Witness: Send + Sync {
    /// The highest generation acknowledged by anyone.
    async fn generation(&self) -> Result<u64>;
}

impl Store {
    /// Ties the store to its ledger: refuses a store that names another one, and from now on believes no store that holds less than the
    /// ledger acknowledged for it.
    pub async fn bind(&self, ledger: &LedgerId, witness: Arc<dyn Witness>) -> Result<()> {
        let acknowledged = witness.generation().await?;
        let seen = self.inner.seen.fetch_max(acknowledged, Ordering::AcqRel);
        *self.inner.record.write().unwrap_or_else(PoisonError::into_inner) = Some((ledger.clone(), witness));
        let meta = self.keys().meta();
        let named = self.state(meta.clone()).await?.unwrap_or_default();
        let name = named.field("ledger");
        if name.is_empty() && acknowledged == 0 {
            let commit = Commit::default().version(meta.clone(), named.version).merge(meta, [("ledger", ledger)]);
            return match self.commit(commit).await? {
                // Another process named a ledger in between: look at which.
                Outcome::Refused(Refused::Conflict { .. }) => Box::pin(self.bind_again(ledger)).await,
                Outcome::Refused(refused) => Err(refused.into()),
                Outcome::Accepted(_) => Ok(()),
            };
        }
        if name.is_empty() || (name == ledger.as_str() && seen < acknowledged) {
            // A store without a name, of which the ledger knows acknowledged stops, has been emptied.
            return Err(Refused::RolledBack { seen: acknowledged, held: Some(seen) }.into());
        }
        self.bind_again(ledger).await
    }

    /// Brings a store that has lost acknowledged writes back into use: everything that was admitted before stays refused. ADR 2.
    ///
    /// Returns the new generation. Harmless on a store that has lost nothing, except that every agent must be admitted again.
    pub async fn recover(&self) -> Result<u64> {
        self.recover_with(Vec::new()).await
    }

    /// The same, with what the store must hold again before anybody is let in. What it holds already is left as it is.
    pub async fn recover_with(&self, again: Vec<Commit>) -> Result<u64> {
        let keys = self.keys();
        if let Some((_, witness)) = self.record() {
            self.inner.seen.fetch_max(witness.generation().await?, Ordering::AcqRel);
        }
        // Above everything that was ever acknowledged, also on a server whose clock is behind.
        let floor = self.seen().max(self.now().await?.0);
        self.raise_above(&keys.epoch(), floor).await?;
        for text in self.scan(keys.prefix()).await? {
            let own = |suffix: &str| text.ends_with(suffix);
            if own(":epoch") || own(":fence") {
                self.raise_above(&Key::new(&text, Kind::Epoch), floor).await?;
            } else if own(":lock") || text == keys.caretaker().as_str() {
                let commit = Commit::default().urgent().write(Write::Delete(Key::new(&text, Kind::Record).into()));
                self.unfenced(commit).await?;
            }
        }
        for commit in again {
            self.unfenced(commit).await?;
        }
        // INVARIANT: last of all: a store whose generation is missed denies everybody, so nobody gets in before the rest is done.
        let raised = self.raise_above(&keys.generation(), floor).await?;
        let mut fields = vec![("format", FORMAT.to_string()), ("lineage", raised.to_string()), ("recovered", raised.to_string())];
        fields.extend(self.record().map(|(ledger, _)| ("ledger", ledger.to_string())));
        // Nobody set it up since it was emptied: then it is still the one that this handle knows.
        if self.state(keys.meta()).await?.is_none_or(|meta| meta.field("identity").is_empty()) {
            fields.push(("identity", self.identity().to_owned()));
        }
        self.unfenced(Commit::default().urgent().merge(keys.meta(), fields)).await?;
        self.inner.seen.fetch_max(raised, Ordering::AcqRel);
        Ok(raised)
    }

    /// What the store calls itself: made with it, and kept by a recovery; an emptied store that is set up anew has another. ADR 8.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.inner.identity.get().map_or("", |identity| identity)
    }

    pub(super) async fn set_up(&self) -> Result<()> {
        let keys = self.keys().clone();
        loop {
            let read = [Query::State(keys.meta()), Query::Number(keys.generation())];
            let [Answer::State(meta), Answer::Number(generation)] = &self.read(&read).await?[..] else {
                return Err(Error::internal("a store answered another question"));
            };
            let format = meta.as_ref().map_or("", |m| m.field("format"));
            if !format.is_empty() {
                if format.parse::<u64>().is_ok_and(|format| format <= FORMAT) {
                    // A store whose generation is gone has lost writes: whatever this handle asks is refused until it is recovered.
                    self.inner.seen.fetch_max(generation.unwrap_or(1), Ordering::AcqRel);
                    match meta.as_ref().map(|m| (m.version, m.field("identity"))) {
                        Some((version, "")) => self.unfenced(self.name(version)).await?,
                        found => {
                            self.inner.identity.get_or_init(|| found.map_or("", |(_, identity)| identity).to_owned());
                            return Ok(());
                        }
                    };
                    continue;
                }
                let message =
                    format!("the store has format {format}, this version knows {FORMAT}: upgrade governance, or use another store");
                return Err(Error::invalid("newer_format", message));
            }
            let empty = Commit::default()
                .version(keys.meta(), meta.as_ref().map_or(0, |m| m.version))
                .version(keys.generation(), generation.unwrap_or(0))
                .raise(keys.generation())
                .raise(keys.epoch());
            let now = self.now().await?;
            let fields = [("format", FORMAT.to_string()), ("lineage", now.0.to_string()), ("identity", self.fresh_token().to_string())];
            let empty = empty.merge(keys.meta(), fields);
            // Refused: another process was first. Look again.
            self.unfenced(empty).await?;
        }
    }

    /// Gives a store that was made before stores had one an identity.
    fn name(&self, version: u64) -> Commit {
        let meta = self.keys().meta();
        Commit::default().version(meta.clone(), version).merge(meta, [("identity", self.fresh_token())])
    }

    /// INVARIANT: no commit is sent, and no answer believed, over a connection for which the witness was not asked.
    /// Answers the connection.
    pub(super) async fn hear_witness(&self) -> Result<u64> {
        let connection = self.inner.backend.connection();
        if self.inner.witnessed.load(Ordering::Acquire) == connection {
            return Ok(connection);
        }
        if let Some((_, witness)) = self.record() {
            self.inner.seen.fetch_max(witness.generation().await?, Ordering::AcqRel);
        }
        self.inner.witnessed.store(connection, Ordering::Release);
        Ok(connection)
    }

    pub(super) async fn believe(&self, outcome: Outcome) -> Result<Outcome> {
        self.hear_witness().await?;
        let Outcome::Accepted(accepted) = &outcome else { return Ok(outcome) };
        let seen = self.inner.seen.fetch_max(accepted.generation, Ordering::AcqRel);
        if accepted.generation < seen && !accepted.repeated && self.lost_generation(seen).await? {
            return Ok(Outcome::Refused(Refused::RolledBack { seen, held: Some(accepted.generation) }));
        }
        Ok(outcome)
    }

    /// Tells a commit that another overtook (the generation rose in between) from a store that holds less than was acknowledged.
    async fn lost_generation(&self, seen: u64) -> Result<bool> {
        Ok(self.number(self.keys().generation()).await? < seen)
    }

    async fn bind_again(&self, ledger: &LedgerId) -> Result<()> {
        let named = self.state(self.keys().meta()).await?.unwrap_or_default();
        match named.field("ledger") {
            name if name == ledger.as_str() => Ok(()),
            other => Err(Error::new(
                ErrorKind::Denied,
                "foreign_ledger",
                format!("this store belongs to the ledger `{other}`, not to `{ledger}`: use its own GOVERNANCE_HOME, or another store"),
            )),
        }
    }

    /// A commit that asks for no generation: only to set up and to recover.
    async fn unfenced(&self, commit: Commit) -> Result<Outcome> {
        let commit = Commit { token: Some(self.fresh_token()), ..commit };
        patiently!(self, self.inner.backend.commit(&commit))
    }

    async fn raise_above(&self, key: &Key, floor: u64) -> Result<u64> {
        loop {
            let commit = Commit::default().urgent().write(Write::Raise { key: key.clone(), floor });
            if let Outcome::Accepted(accepted) = self.unfenced(commit).await? {
                return Ok(accepted.results[0]);
            }
        }
    }

    fn record(&self) -> Option<(LedgerId, Arc<dyn Witness>)> {
        self.inner.record.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
