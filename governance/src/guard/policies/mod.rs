//! Which profiles are in force. The store holds them by name, each with its versions; every process follows it, within D.
//!
//! ```text
//!   policy apply, a directory that is watched
//!        │ read, checked, compiled: what is not good changes nothing
//!        ▼
//!   intent in the ledger, with the whole text ▶ commit: version as expected, put, log, epoch and generation raised ▶ outcome, witness ▶ acknowledged
//!        │
//!        ▼                                            in each process
//!   policies:epoch ── a wake, a slow look, or the first call that has not looked for D ──▶ Book ──▶ the source of each guard, swapped
//! ```
//!
//! A call that is under way ends under the decision it has. What was acknowledged is in the ledger too: a store that has lost it gets it back when it is recovered.

mod book;
mod content;
mod difference;
mod directory;
mod files;
mod source;
mod standing;
mod text;
mod version;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

pub use book::REFRESH;
pub use difference::{Change, Difference};
pub use directory::{Directory, Refusal};
pub use files::{each, is_file, profile, profiles, sources};
pub use source::{Followed, PolicySource};
pub(crate) use standing::lost;
pub use text::{MAX_LIVE, Text};
pub use version::{Applied, KEPT, PolicyVersion, Wish};

use super::policy::Policy;
use super::recorder::Recorder;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Action;
use crate::store::{Actor, Cell, Commit, Event, Outcome, Refused, Store, Write, from_json, to_json};
use crate::vocabulary::{AgentId, Tier};
use book::Book;

/// The most profiles in force.
pub const MAX_PROFILES: usize = 1_000;
/// How many pieces of a log are read at once.
const PIECE: u64 = 100;

/// The profiles in force. Cheap to clone; every clone knows what any of them knows.
#[derive(Clone)]
pub struct Policies {
    store: Store,
    recorder: Recorder,
    book: Arc<Book>,
}

impl Policies {
    /// The policies of a store, recorded.
    #[must_use]
    pub fn new(store: &Store, recorder: &Recorder) -> Self {
        Self { store: store.clone(), recorder: recorder.clone(), book: Arc::new(Book::new(store)) }
    }

    /// The same, with another time for a look without a wake.
    #[must_use]
    pub fn refreshed_every(self, refresh: Duration) -> Self {
        let _ = self.book.every.set(refresh);
        self
    }

    /// What is in force, by name.
    pub async fn list(&self) -> Result<Vec<PolicyVersion>> {
        let fields = self.store.table(self.store.keys().policies()).await?;
        fields.iter().map(|(name, found)| from_json(&format!("policies[{name}]"), &found.value)).collect()
    }

    /// A profile's version in force, or another that is kept; none where there is none.
    pub async fn version(&self, name: &AgentId, version: Option<u64>) -> Result<Option<PolicyVersion>> {
        let Some(version) = version else { return Ok(self.held(name).await?.1) };
        Ok(self.history(name).await?.into_iter().find(|kept| kept.version == version))
    }

    /// A profile's versions, oldest first: the last [`KEPT`] are kept here, all of them in the ledger.
    pub async fn history(&self, name: &AgentId) -> Result<Vec<PolicyVersion>> {
        let log = self.store.keys().policies_log(name);
        let mut versions: Vec<PolicyVersion> = Vec::new();
        let mut after = 0;
        loop {
            let page = self.store.log(log.clone(), after, PIECE).await?;
            let Some(last) = page.entries.last() else { break };
            after = last.position;
            for entry in &page.entries {
                versions.push(from_json(log.as_str(), &entry.value)?);
            }
        }
        // A log keeps a few more than it must.
        versions.drain(..versions.len().saturating_sub(usize::try_from(KEPT).unwrap_or(usize::MAX)));
        Ok(versions)
    }

    /// Checks a profile and puts it in force, in every process within D. What is in force already, as it is, stays so and gets no new version.
    ///
    /// A `policy_conflict` where somebody else changed the profile meanwhile, or where another version is in force than the wish says.
    pub async fn apply(&self, text: &Text, wish: &Wish) -> Result<Applied> {
        let policy = text.compile()?;
        let (cell, held) = self.held(&policy.profile().agent_id).await?;
        wish.meets(&policy.profile().agent_id, held.as_ref())?;
        if let Some(held) = held.as_ref().filter(|held| held.hash.as_deref() == Some(policy.hash()) && wish.of.is_none()) {
            return Ok(Applied { version: held.clone(), changed: false });
        }
        let profile = policy.profile();
        let next = PolicyVersion {
            tier: Some(profile.tier),
            hash: Some(policy.hash().to_owned()),
            text: Some(text.clone()),
            ..wish.version(&profile.agent_id, held.as_ref(), self.store.ports().clock.now())
        };
        self.put(next, cell).await
    }

    /// Puts an earlier version in force again, as a new one: the one before the last, or the one that is named.
    pub async fn rollback(&self, name: &AgentId, to: Option<u64>, wish: &Wish) -> Result<Applied> {
        let (_, held) = self.held(name).await?;
        let held = held.ok_or_else(|| missing(name))?;
        let earlier = |kept: &PolicyVersion| to.map_or(kept.version < held.version && kept.hash != held.hash, |to| kept.version == to);
        let found = self.history(name).await?.into_iter().rev().find(|kept| kept.text.is_some() && earlier(kept));
        let found = found.ok_or_else(|| {
            let which = to.map_or_else(|| "an earlier version".to_owned(), |to| format!("a profile as version {to}"));
            let message = format!("`{name}` has not {which} among the last {KEPT}: see `governance policy history {name}`");
            Error::new(ErrorKind::NotFound, "no_such_policy", message)
        })?;
        let text = found.text.clone().ok_or_else(|| missing(name))?;
        // What is in force is what was looked at here: nobody may have put another one there meanwhile.
        self.apply(&text, &Wish { over: wish.over.or(Some(held.version)), of: Some(found.version), ..wish.clone() }).await
    }

    /// Takes a profile out of force. Its agents are denied everything, and none joins by it, until one of this name is applied again; only where it stood in for
    /// a shipped one, that one is in force again.
    pub async fn withdraw(&self, name: &AgentId, wish: &Wish) -> Result<Applied> {
        let (cell, held) = self.held(name).await?;
        let held = held.ok_or_else(|| missing(name))?;
        wish.meets(name, Some(&held))?;
        if held.text.is_none() {
            return Ok(Applied { version: held, changed: false });
        }
        let next = wish.version(name, Some(&held), self.store.ports().clock.now());
        self.put(next, cell).await
    }

    /// What an agent of this name and tier decides by, followed from now on: the profile in force of its name, else that of its tier's name, else the shipped one.
    pub async fn source(&self, agent: &Actor, tier: Tier) -> Result<PolicySource> {
        let shipped = Policy::shipped(tier)?;
        self.book.follow();
        self.book.source(agent.id.profile(agent.pipeline.as_ref()), tier, shipped).await
    }

    /// The version in force of a profile, and what it comes to: for agents of a tier, or of the one that it is made for. None where nothing was ever in force
    /// under that name.
    pub async fn in_force(&self, name: &AgentId, tier: Option<Tier>) -> Result<Option<(PolicyVersion, Policy)>> {
        let Some(held) = self.held(name).await?.1 else { return Ok(None) };
        let shipped = Tier::ALL.iter().find(|tier| tier.rules().policy == name.as_str());
        let tier = tier.or(held.tier).or(shipped.copied()).unwrap_or(Tier::T0);
        let law = version::law(Some(&held), None, tier, &Policy::shipped(tier)?);
        Ok(Some((held, law)))
    }

    /// What decides now for agents of this name and tier.
    pub async fn law(&self, name: &AgentId, tier: Tier) -> Result<Policy> {
        let shipped = Policy::shipped(tier)?;
        let held = match self.held(name).await?.1 {
            None => self.held(&shipped.profile().agent_id).await?.1,
            held => held,
        };
        Ok(version::law(held.as_ref(), None, tier, &shipped))
    }

    /// Refuses to let an agent join whose profile could not govern it: withdrawn, not readable here, or made for a higher tier.
    pub async fn may_join(&self, profile: &AgentId, tier: Tier) -> Result<()> {
        let (_, held) = self.held(profile).await?;
        let shipped = Policy::shipped(tier)?;
        let law = version::law(held.as_ref(), None, tier, &shipped);
        match law.is_closed() {
            Some(why) => Err(Error::new(ErrorKind::Denied, "policy_closed", format!("no agent joins as `{profile}`: {why}"))),
            None => Ok(()),
        }
    }

    /// What a name holds, and at which version of its cell.
    async fn held(&self, name: &AgentId) -> Result<(u64, Option<PolicyVersion>)> {
        let cell = Cell::field(self.store.keys().policies(), name.as_str());
        Ok(self.store.json(cell).await?.map_or((0, None), |(version, held)| (version, Some(held))))
    }

    /// INVARIANT: acknowledged only when both the store and the ledger hold it.
    async fn put(&self, next: PolicyVersion, cell: u64) -> Result<Applied> {
        let keys = self.store.keys();
        if cell == 0 && self.store.table(keys.policies()).await?.len() >= MAX_PROFILES {
            return Err(Error::new(
                ErrorKind::Exhausted,
                "too_many_policies",
                format!("there are {MAX_PROFILES} profiles, and no more are kept"),
            ));
        }
        let conflict = |found: Option<u64>| version::conflict(&next.name, found);
        let says = |generation: &u64| json!({"version": next.version, "generation": generation});
        let carry_out = async |token| {
            let commit =
                placing(&self.store, &next)?.raise(keys.generation()).version(Cell::field(keys.policies(), next.name.as_str()), cell);
            match self.store.commit(commit.token(token)).await? {
                Outcome::Accepted(accepted) => {
                    let generation = accepted.results.last().copied().ok_or_else(|| Error::internal("a policy without a generation"))?;
                    self.recorder.acknowledge(generation).await?;
                    Ok(generation)
                }
                Outcome::Refused(Refused::Conflict { .. }) => Err(conflict(None)),
                Outcome::Refused(refused) => Err(refused.into()),
            }
        };
        self.recorder.record_saying(&self.store, Action::Policy, (None, None), &next, says, carry_out).await?;
        // This process need not wait for a wake.
        self.book.look().await?;
        Ok(Applied { version: next, changed: true })
    }
}

/// The commit that makes a version the one in force.
fn placing(store: &Store, next: &PolicyVersion) -> Result<Commit> {
    let (keys, value) = (store.keys(), to_json(next)?);
    let event = Event { log: keys.policies_log(&next.name), meta: bytes::Bytes::new(), bound: KEPT };
    let put = Write::Put { cell: Cell::field(keys.policies(), next.name.as_str()), value, ttl: None, event: Some(event) };
    let told = to_json(&json!({"type": "policy_changed", "data": {"profile": next.name, "version": next.version, "hash": next.hash}}))?;
    let broadcast = Write::Signal { channel: keys.ws_broadcast(), payload: told };
    Ok(Commit::default().write(put).write(broadcast).raise(keys.policies_epoch()))
}

fn missing(name: &AgentId) -> Error {
    Error::new(ErrorKind::NotFound, "no_such_policy", format!("no profile `{name}` is in force: see `governance policy list`"))
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").field("store", &self.store).finish_non_exhaustive()
    }
}
