//! Which payloads may be missing: those of which an entry of the record says that they were dropped. ADR 10.

use serde::{Deserialize, Serialize};

use super::{Action, EntryKind};
use crate::vocabulary::Millis;

/// What the intent of a retention says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dropping {
    /// The last entry whose payload may go.
    pub through: u64,
    /// Up to it everything was in the record before this time.
    pub before: Millis,
    /// Who asked for it.
    pub by: String,
}

impl Dropping {
    /// Reads an intent's payload.
    pub fn read(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    /// The last entry whose payload may go, if the entry at `seq` allows that. It speaks only of what came before it.
    pub fn allowed(seq: u64, kind: &[u8], action: &[u8], payload: &[u8]) -> Option<u64> {
        if action != Action::Retention.as_str().as_bytes() || kind != EntryKind::Intent.as_str().as_bytes() {
            return None;
        }
        Self::read(payload).map(|says| says.through).filter(|through| *through < seq)
    }
}

/// What was found missing on the way through a record, and what the record says about it.
#[derive(Debug, Default)]
pub(super) struct Missing {
    // Runs of entries without payload, first and last.
    runs: Vec<(u64, u64)>,
    // The first that no retention may drop.
    never: Option<u64>,
    allowed: u64,
    count: u64,
}

impl Missing {
    /// Takes note of an entry without its payload.
    pub fn gone(&mut self, seq: u64, action: &[u8]) {
        self.count += 1;
        match self.runs.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            _ => self.runs.push((seq, seq)),
        }
        let action = std::str::from_utf8(action).ok().and_then(|action| action.parse::<Action>().ok());
        if self.never.is_none() && action.is_none_or(Action::is_kept) {
            self.never = Some(seq);
        }
    }

    /// Takes note of an entry with its payload: it may be one that explains.
    pub fn there(&mut self, seq: u64, kind: &[u8], action: &[u8], payload: &[u8]) {
        if let Some(allowed) = Dropping::allowed(seq, kind, action, payload) {
            self.allowed = self.allowed.max(allowed);
        }
    }

    /// How many payloads are missing.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first that is missing although nothing says that it was dropped.
    pub fn unexplained(&self) -> Option<u64> {
        let beyond = self.runs.iter().find(|(_, last)| *last > self.allowed).map(|(first, _)| (*first).max(self.allowed + 1));
        beyond.into_iter().chain(self.never).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(gone: &[(u64, Action)], says: &[(u64, EntryKind, &str)]) -> Option<u64> {
        let mut missing = Missing::default();
        gone.iter().for_each(|(seq, action)| missing.gone(*seq, action.as_str().as_bytes()));
        for (seq, kind, payload) in says {
            missing.there(*seq, kind.as_str().as_bytes(), b"retention", payload.as_bytes());
        }
        missing.unexplained()
    }

    fn through(seq: u64) -> String {
        format!("{{\"through\":{seq},\"before\":7,\"by\":\"ann\"}}")
    }

    #[test]
    fn only_an_intent_that_came_later_explains_and_only_up_to_where_it_says() {
        let calls = [3, 4, 5, 9].map(|seq| (seq, Action::ToolCall));
        assert_eq!(found(&calls, &[]), Some(3));
        assert_eq!(found(&calls, &[(20, EntryKind::Intent, &through(9))]), None);
        assert_eq!(found(&calls, &[(20, EntryKind::Intent, &through(4)), (21, EntryKind::Intent, &through(2))]), Some(5));
        assert_eq!(found(&calls, &[(20, EntryKind::Intent, &through(7))]), Some(9));
        assert_eq!(found(&calls, &[(20, EntryKind::Outcome, &through(9))]), Some(3));
        assert_eq!(found(&calls, &[(9, EntryKind::Intent, &through(9))]), Some(3), "it spoke of itself");
        assert_eq!(found(&calls, &[(20, EntryKind::Intent, "{\"through\":9}")]), Some(3));
    }

    #[test]
    fn what_is_kept_is_never_explained() {
        let gone = [(3, Action::ToolCall), (4, Action::Stop)];
        assert_eq!(found(&gone, &[(20, EntryKind::Intent, &through(9))]), Some(4));
        assert_eq!(found(&gone, &[]), Some(3));
    }
}
