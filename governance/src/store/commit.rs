//! The commit: what is asked of a store in one atomic step. ADR 1.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{Admission, Cell, Check, Write};
use crate::vocabulary::{Key, Token};

/// One atomic, fenced step. Built with its methods, in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Makes it safe to repeat.
    pub token: Option<Token>,
    /// The highest generation that the handle has seen; filled in by [`Store`](super::Store). 0 asks for none.
    pub generation: u64,
    /// The connection that the witness was asked for; filled in by [`Store`](super::Store). A backend sends it over no other. 0 asks for
    /// none.
    #[serde(skip)]
    pub connection: u64,
    /// Who writes.
    pub admission: Admission,
    /// What must hold.
    pub checks: SmallVec<[Check; 2]>,
    /// What is written.
    pub writes: SmallVec<[Write; 2]>,
    /// Whether it must land even when the store is out of memory: revoke, stop, lift.
    pub urgent: bool,
}

impl Commit {
    /// A commit by an actor.
    #[must_use]
    pub fn by(admission: &Admission) -> Self {
        Self { admission: admission.clone(), ..Self::default() }
    }

    /// Makes it safe to repeat.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Makes it land even when the store is out of memory.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }

    /// Adds a check.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// Adds a write.
    #[must_use]
    pub fn write(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }

    /// Requires that nothing is there.
    #[must_use]
    pub fn absent(self, cell: impl Into<Cell>) -> Self {
        self.check(Check::Absent(cell.into()))
    }

    /// Requires a version.
    #[must_use]
    pub fn version(self, cell: impl Into<Cell>, version: u64) -> Self {
        self.check(Check::Version { cell: cell.into(), version })
    }

    /// Writes a cell.
    #[must_use]
    pub fn put(self, cell: impl Into<Cell>, value: impl Into<Bytes>) -> Self {
        self.write(Write::Put { cell: cell.into(), value: value.into(), ttl: None, event: None })
    }

    /// Raises an epoch.
    #[must_use]
    pub fn raise(self, key: Key) -> Self {
        self.write(Write::Raise { key, floor: 0 })
    }

    /// Writes fields of a state.
    #[must_use]
    pub fn merge<V: ToString>(self, state: Key, fields: impl IntoIterator<Item = (&'static str, V)>) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
        self.write(Write::Merge { state, fields })
    }

    /// Whether it tells others something: it has an event, or appends to a log.
    pub(super) fn tells(&self) -> bool {
        self.writes.iter().any(|write| matches!(write, Write::Append { .. } | Write::Put { event: Some(_), .. }))
    }

    /// A fingerprint of what is asked, kept with the answer, so that a token used for two different commits is noticed.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut digest = self.checks.len() as u64;
        let mut mix = |number: u64| digest = (digest.rotate_left(7) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for write in &self.writes {
            mix(write.key().hash64());
            match write {
                Write::Put { cell, value, .. } => {
                    mix(cell.field.as_ref().map_or(0, |f| f.len() as u64));
                    mix(value.len() as u64);
                    // The ends of a value tell two documents apart well enough; hashing megabytes would cost more than the commit.
                    let (ends, middle) = (32.min(value.len()), value.len().saturating_sub(32));
                    for end in [&value[..ends], &value[middle..]] {
                        let (words, rest) = end.as_chunks();
                        words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
                        rest.iter().for_each(|byte| mix(u64::from(*byte)));
                    }
                }
                Write::Append { value, .. } | Write::Push { value, .. } => mix(value.len() as u64),
                Write::Add { delta, .. } => mix(delta.cast_unsigned()),
                Write::Trim { through, .. } => mix(*through),
                _ => {}
            }
        }
        digest >> 11
    }
}
