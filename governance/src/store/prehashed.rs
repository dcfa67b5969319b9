//! A map by key that does not hash again: a key knows its hash.

use std::hash::{BuildHasherDefault, Hasher};

use crate::vocabulary::Key;

/// Values by key.
pub(crate) type KeyMap<V> = hashbrown::HashMap<Key, V, BuildHasherDefault<Prehashed>>;

/// Passes a key's own hash through.
#[derive(Default, Clone)]
pub(crate) struct Prehashed(u64);

impl Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.0 = self.0.rotate_left(8) ^ u64::from(*b));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
