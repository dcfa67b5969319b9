//! The words of a script call. The short ones lie in one piece of memory, so that a word more costs no allocation more.

use std::fmt::{Display, Write};

use bytes::{Bytes, BytesMut};
use fred::types::Value;

/// Up to how many bytes a word is copied rather than shared.
const SHORT: usize = 128;

/// Words in the order in which they are said.
#[derive(Debug, Default)]
pub(super) struct Words {
    short: BytesMut,
    words: Vec<Word>,
}

#[derive(Debug)]
enum Word {
    // Ends there; begins where the one before it ended.
    Short(usize),
    Long(Bytes),
}

impl Words {
    pub fn with_capacity(words: usize, bytes: usize) -> Self {
        Self { short: BytesMut::with_capacity(bytes), words: Vec::with_capacity(words) }
    }

    pub fn len(&self) -> usize {
        self.words.len()
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.short.extend_from_slice(bytes);
        self.words.push(Word::Short(self.short.len()));
    }

    pub fn value(&mut self, value: &Bytes) {
        if value.len() <= SHORT {
            self.bytes(value);
        } else {
            self.words.push(Word::Long(value.clone()));
        }
    }

    pub fn told(&mut self, word: impl Display) {
        // Writing into memory does not fail.
        let _ = write!(self.short, "{word}");
        self.words.push(Word::Short(self.short.len()));
    }

    /// Says them behind what was said.
    pub fn append_to(self, said: &mut Vec<Value>) {
        let (short, mut from) = (self.short.freeze(), 0);
        said.extend(self.words.into_iter().map(|word| {
            Value::Bytes(match word {
                Word::Long(value) => value,
                Word::Short(to) => short.slice(std::mem::replace(&mut from, to)..to),
            })
        }));
    }
}
