//! The answers that a store in memory remembers, in the order in which they may be forgotten.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::Accepted;
use super::kernel::Remembered;
use crate::vocabulary::{Millis, Token};

/// Answers by token. They lie one behind the other, and the table holds only their places, so that remembering one touches little memory.
#[derive(Default)]
pub(super) struct Answers {
    kept: VecDeque<Answer>,
    forgotten: u64,
    places: HashTable<u64>,
    hasher: DefaultHashBuilder,
}

struct Answer {
    token: Token,
    hash: u64,
    digest: u64,
    until: Millis,
    accepted: Accepted,
}

impl Answers {
    /// The answer that was given under a token.
    pub fn find(&self, token: &Token) -> Option<Remembered> {
        let hash = self.hasher.hash_one(token);
        let place = self.places.find(hash, |place| self.at(*place).is_some_and(|answer| answer.token == *token))?;
        self.at(*place).map(|answer| Remembered { digest: answer.digest, accepted: answer.accepted.clone() })
    }

    /// Remembers an answer.
    pub fn keep(&mut self, token: &Token, digest: u64, accepted: &Accepted, until: Millis) {
        let hash = self.hasher.hash_one(token);
        let place = self.forgotten + self.kept.len() as u64;
        self.kept.push_back(Answer { token: token.clone(), hash, digest, until, accepted: accepted.clone() });
        let (kept, forgotten) = (&self.kept, self.forgotten);
        self.places.insert_unique(hash, place, |place| kept.get((place - forgotten) as usize).map_or(0, |answer| answer.hash));
    }

    /// Forgets the answers whose time is over.
    pub fn forget(&mut self, now: Millis) {
        while self.kept.front().is_some_and(|answer| answer.until <= now) {
            if let Some(answer) = self.kept.pop_front()
                && let Ok(entry) = self.places.find_entry(answer.hash, |place| *place == self.forgotten)
            {
                entry.remove();
            }
            self.forgotten += 1;
        }
    }

    /// Forgets everything.
    #[cfg(any(test, feature = "testing"))]
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn at(&self, place: u64) -> Option<&Answer> {
        self.kept.get((place - self.forgotten) as usize)
    }
}
