//! What the ledger knows to be in force, for a store that has forgotten it. ADR 2, ADR 11.

use std::collections::{BTreeMap, HashSet};

use super::{Policies, PolicyVersion, placing};
use crate::error::Result;
use crate::ledger::{Action, EntryKind, Ledger, OutcomeResult};
use crate::store::{Commit, Store};
use crate::vocabulary::AgentId;

/// The commits that make a store hold the newest version that was acknowledged of each profile, where it holds an older one or none.
pub(crate) async fn lost(ledger: &Ledger, store: &Store) -> Result<Vec<Commit>> {
    let entries = ledger.entries_about(&[Action::Policy]).await?;
    let done: HashSet<_> = entries
        .iter()
        .filter(|(_, entry)| entry.result == Some(OutcomeResult::Ok))
        .filter_map(|(_, entry)| entry.intent.as_ref())
        .collect();
    let mut newest: BTreeMap<AgentId, PolicyVersion> = BTreeMap::new();
    for (token, entry) in entries.iter().filter(|(_, entry)| entry.kind == EntryKind::Intent) {
        let Ok(version) = serde_json::from_str::<PolicyVersion>(&entry.payload) else { continue };
        if done.contains(token) && newest.get(&version.name).is_none_or(|known| known.version < version.version) {
            newest.insert(version.name.clone(), version);
        }
    }
    let policies = Policies::new(store, &crate::guard::Recorder::default());
    let mut commits = Vec::new();
    for version in newest.into_values() {
        if policies.held(&version.name).await?.1.is_none_or(|held| held.version < version.version) {
            commits.push(placing(store, &version)?);
        }
    }
    Ok(commits)
}
