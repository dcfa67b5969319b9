//! What was judged before. An answer is found by everything that it was made from.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashTable;

use super::Judgement;

/// How many answers are kept; then all are forgotten, which is cheaper than to know which of them will not be asked for again.
const KEPT: usize = 4_096;
/// A longer key is not kept: an argument may be a whole document.
const LONGEST: usize = 2_048;

type Known = HashTable<(Box<[u8]>, Arc<Judgement>)>;

/// Answers by their keys. One for each compiled text.
#[derive(Default)]
pub(super) struct Cache {
    // Seeded at random: an agent chooses its arguments, and shall not choose what collides.
    state: RandomState,
    known: Mutex<Known>,
}

impl Cache {
    pub fn get(&self, key: &[u8]) -> Option<Arc<Judgement>> {
        let hash = self.state.hash_one(key);
        self.lock().find(hash, |(known, _)| **known == *key).map(|(_, judgement)| judgement.clone())
    }

    pub fn put(&self, key: &[u8], judgement: &Arc<Judgement>) {
        if key.len() > LONGEST {
            return;
        }
        let hash = self.state.hash_one(key);
        let mut known = self.lock();
        if known.len() >= KEPT {
            known.clear();
        }
        let entry = known.entry(hash, |(other, _)| **other == *key, |(other, _)| self.state.hash_one(&**other));
        entry.or_insert_with(|| (key.into(), judgement.clone()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("answers", &self.lock().len()).finish_non_exhaustive()
    }
}
