//! What the writer remembers of the file, so that it need not ask again.

use std::collections::HashMap;
use std::sync::Arc;

use crate::store::prehashed::KeyMap;
use crate::vocabulary::{Key, Kind, Millis};

/// How many keys, and fields of one table, are remembered before all of them are forgotten.
const KEPT: usize = 8_192;

/// INVARIANT: valid only while no other connection wrote, and forgotten whenever a transaction is rolled back.
#[derive(Default)]
pub(super) struct Cache {
    slots: KeyMap<Slot>,
    /// The oldest remembered answer's end, if it is known.
    pub oldest_answer: Option<Millis>,
}

/// One key. Nothing is there if it has no kind.
#[derive(Default)]
pub(super) struct Slot {
    pub id: i64,
    pub kind: Option<Kind>,
    pub version: u64,
    pub until: Option<Millis>,
    /// First and last position of a log or a list, once they were asked for; the last is one before the first if nothing is kept.
    pub ends: Option<(u64, u64)>,
    /// Versions of fields that were asked for; 0 for absent.
    pub fields: HashMap<Arc<str>, u64>,
}

impl Cache {
    pub fn forget(&mut self) {
        self.slots.clear();
        self.oldest_answer = None;
    }

    pub fn slot(&mut self, key: &Key) -> Option<&mut Slot> {
        self.slots.get_mut(key)
    }

    pub fn keep(&mut self, key: &Key, slot: Slot) -> &mut Slot {
        if self.slots.len() >= KEPT {
            self.slots.clear();
        }
        self.slots.entry_ref(key).insert(slot).into_mut()
    }

    /// Forgets what has expired, before its rows are deleted.
    pub fn forget_expired(&mut self, now: Millis) {
        self.slots.retain(|_, slot| slot.until.is_none_or(|until| until > now));
    }
}

impl Slot {
    pub fn expired(&self, now: Millis) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    pub fn keep_field(&mut self, field: &Arc<str>, version: u64) {
        if self.fields.len() >= KEPT {
            self.fields.clear();
        }
        self.fields.insert(field.clone(), version);
    }
}
