//! x
use crate::vocabulary::{AgentId, EntryName};
use std::collections::BTreeMap;
/// x
pub fn unresolved(scores: &BTreeMap<EntryName, BTreeMap<AgentId, u32>>) -> Vec<EntryName> {
    let beats = |a: &BTreeMap<AgentId, u32>, b: &BTreeMap<AgentId, u32>| {
        let both: Vec<_> = a.keys().filter(|k| b.contains_key(*k)).collect();
        !both.is_empty() && both.iter().all(|k| a[*k] >= b[*k]) && both.iter().any(|k| a[*k] > b[*k])
    };
    scores.iter().filter(|(_, s)| !scores.values().any(|o| beats(o, s))).map(|(n, _)| n.clone()).collect()
}
