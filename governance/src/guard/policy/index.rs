//! Many patterns, compiled: finding the first that matches costs the same among a hundred and among ten thousand.
//!
//! ```text
//!   prod-db        ─┐ begins with a text: one pass over what is asked for hashes each of its beginnings,
//!   sandbox-*      ─┤ and looks up those of a length that some pattern has
//!   svc-7-*-db     ─┘
//!   *-db-7         ─┐ a longer text stands further back: one Aho-Corasick automaton finds all of them in one pass
//!   **/.git/**     ─┘
//!   *              ── neither: tried always
//!                 ▼
//!   candidates, each of them tried; the first in the order of the profile is the answer
//! ```
//!
//! What is looked up is only a hint, and each candidate is then matched in full, so that nothing here can make a pattern match what it does not.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::pattern::{Pattern, fold};

/// Which list of a profile a pattern stands in. The first that has a match decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum List {
    Forbidden,
    Allowed,
    Approval,
}

/// A pattern that matched: its list, and its place there.
pub(super) type Found = (List, usize);

/// The patterns of one field.
#[derive(Debug)]
pub(super) struct Index {
    /// In the order in which they decide.
    entries: Vec<Entry>,
    heads: HashTable<Bucket>,
    /// Of which lengths there are heads.
    lengths: Vec<bool>,
    needles: Option<AhoCorasick>,
    /// What each needle may be part of.
    holders: Vec<SmallVec<[u32; 2]>>,
    always: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    list: List,
    place: usize,
    /// In lower case, except where it allows: another spelling of what is forbidden is forbidden, one of what is allowed is not allowed.
    pattern: Pattern,
}

#[derive(Debug)]
struct Bucket {
    hash: u64,
    entries: SmallVec<[u32; 2]>,
}

impl Index {
    /// Compiles the lists of a field, each with its patterns in order. A text that cannot be compiled is an error.
    pub fn new(lists: &[(List, Vec<Pattern>)]) -> Result<Self, String> {
        let mut entries: Vec<Entry> = Vec::new();
        for (list, patterns) in lists {
            let place = |(place, pattern): (usize, &Pattern)| {
                let pattern = if *list == List::Allowed { pattern.clone() } else { pattern.folded() };
                Entry { list: *list, place, pattern }
            };
            entries.extend(patterns.iter().enumerate().map(place));
        }
        entries.sort_by_key(|entry| (entry.list, entry.place));
        let mut heads: HashTable<Bucket> = HashTable::new();
        let mut lengths = Vec::new();
        let mut needles: BTreeMap<String, SmallVec<[u32; 2]>> = BTreeMap::new();
        let mut always = Vec::new();
        for (number, entry) in (0_u32..).zip(&entries) {
            let folded = entry.pattern.folded();
            let (head, longest) = folded.literals();
            if longest.is_empty() {
                always.push(number);
            } else if head.len() >= longest.len() {
                let hash = head.bytes().fold(START, step);
                let bucket = heads.entry(hash, |bucket| bucket.hash == hash, |bucket| bucket.hash);
                bucket.or_insert_with(|| Bucket { hash, entries: SmallVec::new() }).get_mut().entries.push(number);
                if lengths.len() <= head.len() {
                    lengths.resize(head.len() + 1, false);
                }
                lengths[head.len()] = true;
            } else {
                needles.entry(longest.to_owned()).or_default().push(number);
            }
        }
        let (texts, holders): (Vec<_>, Vec<_>) = needles.into_iter().unzip();
        let compiled = || AhoCorasick::builder().match_kind(MatchKind::Standard).build(&texts).map_err(|e| e.to_string());
        let needles = if texts.is_empty() { None } else { Some(compiled()?) };
        Ok(Self { entries, heads, lengths, needles, holders, always })
    }

    /// No patterns.
    pub fn empty() -> Self {
        let (heads, always) = (HashTable::new(), Vec::new());
        Self { entries: Vec::new(), heads, lengths: Vec::new(), needles: None, holders: Vec::new(), always }
    }

    /// The first pattern that matches, in the order in which they decide.
    pub fn find(&self, text: &str) -> Option<Found> {
        let folded = fold(text);
        let mut best = usize::MAX;
        let mut try_all = |numbers: &[u32]| {
            for number in numbers {
                let number = *number as usize;
                // They stand in order: what comes later decides nothing any more.
                if number >= best {
                    return;
                }
                let entry = &self.entries[number];
                if entry.pattern.matches(if entry.list == List::Allowed { text } else { &folded }) {
                    best = number;
                    return;
                }
            }
        };
        try_all(&self.always);
        let mut hash = START;
        for (length, byte) in (1..self.lengths.len()).zip(folded.bytes()) {
            hash = step(hash, byte);
            if self.lengths[length]
                && let Some(bucket) = self.heads.find(hash, |bucket| bucket.hash == hash)
            {
                try_all(&bucket.entries);
            }
        }
        if let Some(needles) = &self.needles {
            for found in needles.find_overlapping_iter(folded.as_bytes()) {
                try_all(&self.holders[found.pattern().as_usize()]);
            }
        }
        self.entries.get(best).map(|entry| (entry.list, entry.place))
    }
}

const START: u64 = 0xcbf2_9ce4_8422_2325;

/// One byte more of a running hash. It need not withstand an enemy: only the profile's own patterns are in the table.
fn step(hash: u64, byte: u8) -> u64 {
    let mixed = (hash ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}
