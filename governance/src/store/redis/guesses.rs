//! Which version a cell had when this process last wrote it. Only ever a guess: a wrong one costs the server a microsecond, nothing else.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::{Cell, Commit, Outcome, Write};

const SLOTS: usize = 1024;
const VERSION_BITS: u32 = 40;

/// Versions by a cell's hash; who comes later takes the slot.
pub(super) struct Guesses {
    slots: Box<[AtomicU64]>,
}

impl Default for Guesses {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Guesses {
    /// The version that a cell probably has.
    pub fn of(&self, cell: &Cell) -> Option<u64> {
        let hash = hash(cell);
        let held = self.slots[slot(hash)].load(Ordering::Relaxed);
        (held != 0 && held >> VERSION_BITS == hash >> VERSION_BITS).then_some(held & ((1 << VERSION_BITS) - 1))
    }

    /// Remembers what a commit made of its cells.
    pub fn learn(&self, commit: &Commit, outcome: &Outcome) {
        let Outcome::Accepted(accepted) = outcome else { return };
        for (write, version) in commit.writes.iter().zip(&accepted.results) {
            if let Write::Put { cell, .. } = write
                && *version < 1 << VERSION_BITS
            {
                let hash = hash(cell);
                self.slots[slot(hash)].store((hash >> VERSION_BITS << VERSION_BITS) | version, Ordering::Relaxed);
            }
        }
    }
}

fn slot(hash: u64) -> usize {
    usize::try_from(hash % SLOTS as u64).unwrap_or(0)
}

fn hash(cell: &Cell) -> u64 {
    let field = cell.field.as_ref().map_or("", |field| field);
    field.bytes().fold(cell.key.hash64(), |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
