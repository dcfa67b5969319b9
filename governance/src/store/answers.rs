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
    forgotten: u32,
    places: HashTable<Place>,
    hasher: DefaultHashBuilder,
}

struct Answer {
    token: Token,
    digest: u64,
    until: Millis,
    accepted: Accepted,
}

/// Which answer it is, counted from the first and beginning again at 0 behind the last number, and the hash of its token: so an answer is looked at only
/// where it is the right one.
struct Place {
    hash: u32,
    number: u32,
}

impl Answers {
    /// The answer that was given under a token.
    pub fn find(&self, token: &Token) -> Option<Remembered> {
        let hash = self.hash(token);
        let is_of_it = |place: &Place| place.hash == hash && self.at(place).is_some_and(|answer| answer.token == *token);
        let answer = self.at(self.places.find(spread(hash), is_of_it)?)?;
        Some(Remembered { digest: answer.digest, accepted: answer.accepted.clone() })
    }

    /// Remembers an answer.
    pub fn keep(&mut self, token: &Token, digest: u64, accepted: &Accepted, until: Millis) {
        let hash = self.hash(token);
        // Fewer are kept than numbers go round.
        let number = self.forgotten.wrapping_add(self.kept.len() as u32);
        self.kept.push_back(Answer { token: token.clone(), digest, until, accepted: accepted.clone() });
        self.places.insert_unique(spread(hash), Place { hash, number }, |place| spread(place.hash));
    }

    /// Forgets the answers whose time is over.
    pub fn forget(&mut self, now: Millis) {
        while let Some(answer) = self.kept.pop_front_if(|answer| answer.until <= now) {
            let hash = self.hash(&answer.token);
            if let Ok(entry) = self.places.find_entry(spread(hash), |place| place.number == self.forgotten) {
                entry.remove();
            }
            self.forgotten = self.forgotten.wrapping_add(1);
        }
    }

    /// Forgets everything.
    #[cfg(any(test, feature = "testing"))]
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn at(&self, place: &Place) -> Option<&Answer> {
        self.kept.get(place.number.wrapping_sub(self.forgotten) as usize)
    }

    /// Whoever commits counts its tokens, so `p.10`, `p.11`, … lie side by side: what one touched is in the processor's cache for the next.
    fn hash(&self, token: &Token) -> u32 {
        let (last, rest) = token.as_str().as_bytes().split_last().unwrap_or((&0, &[]));
        let last = u32::from(*last);
        (self.hasher.hash_one(rest) as u32 & !15) ^ (last & 15) ^ (last << 25)
    }
}

/// As the table wants it, which takes a place from the low bits of a hash and tells neighbours apart by the high ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn token(number: u64) -> Token {
        Token::new(format!("p.{number}")).unwrap()
    }

    #[test]
    fn each_token_finds_its_own_answer_until_it_is_forgotten_and_no_other_does() {
        // Near the end of the numbers, which begin again at 0.
        let mut answers = Answers { forgotten: u32::MAX - 500, ..Answers::default() };
        for number in 0..2_000_u64 {
            let accepted = Accepted { generation: 1, at: Millis(number), results: smallvec![number], repeated: false };
            assert!(answers.find(&token(number)).is_none());
            answers.keep(&token(number), number, &accepted, Millis(number + 1_000));
            answers.forget(Millis(number));
            assert_eq!(answers.find(&token(number)).map(|found| (found.digest, found.accepted)), Some((number, accepted)));
        }
        let remembered = (0..2_000).filter(|number| answers.find(&token(*number)).is_some());
        assert_eq!(remembered.collect::<Vec<_>>(), (1_000..2_000).collect::<Vec<_>>());
        assert_eq!((answers.kept.len(), answers.places.len()), (1_000, 1_000));
    }
}
