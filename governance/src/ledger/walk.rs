//! Following the record entry by entry: each segment's chain, the numbers, the tree, and every signed head on the way.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use hashbrown::HashMap;

use super::body::Body;
use super::key::PublicKeys;
use super::rows::PROJECTIONS;
use super::runs::Run;
use super::sealed::{Payload, Sealed};
use super::tree::{Hash, Tree};
use super::{Fault, Finding, Head};

/// Rows, sealed, one behind the other.
#[derive(Default)]
pub(super) struct Bodies {
    bytes: Vec<u8>,
    rows: Vec<Sealing>,
}

struct Sealing {
    // Where its fields end.
    end: usize,
    payload: Hash,
    kept: bool,
    chain: Hash,
}

impl Bodies {
    /// Adds a row.
    pub fn push(&mut self, body: &Body<'_>, payload: Payload<'_>, chain: &Hash) {
        body.encode(&mut self.bytes);
        let kept = matches!(payload, Payload::Kept(_));
        self.rows.push(Sealing { end: self.bytes.len(), payload: payload.hash(), kept, chain: *chain });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

struct Chain {
    segment: Box<[u8]>,
    number: i64,
    end: Hash,
}

/// The record as far as it was followed.
pub(super) struct Walk<'a> {
    keys: &'a PublicKeys,
    heads: BTreeMap<u64, Vec<Head>>,
    tree: Tree,
    // The size of the next head to check, and of the last good one.
    next: Option<u64>,
    good: u64,
    checked: u64,
    places: HashMap<Box<[u8]>, usize>,
    chains: Vec<Chain>,
    last: usize,
    runs: Vec<Run>,
    projected: [u64; PROJECTIONS.len()],
    wanted: Option<(Box<[u8]>, i64)>,
}

impl<'a> Walk<'a> {
    pub fn new(keys: &'a PublicKeys, heads: BTreeMap<u64, Vec<Head>>) -> Self {
        Self {
            keys,
            next: heads.keys().find(|size| **size > 0).copied(),
            heads,
            tree: Tree::default(),
            good: 0,
            checked: 0,
            places: HashMap::new(),
            chains: Vec::new(),
            last: 0,
            runs: Vec::new(),
            projected: [0; PROJECTIONS.len()],
            wanted: None,
        }
    }

    /// How many entries were followed.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The root over them.
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// How many heads were checked.
    pub fn heads_checked(&self) -> u64 {
        self.checked
    }

    /// What `runs` should hold.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// How many rows each projection should have.
    pub fn projected(&self) -> [u64; PROJECTIONS.len()] {
        self.projected
    }

    /// The entry that was missing where another one stood.
    pub fn wanted(&self) -> Option<(&[u8], i64)> {
        self.wanted.as_ref().map(|(segment, number)| (&**segment, *number))
    }

    /// Goes on with rows, up to the first that is wrong.
    pub fn follow(&mut self, bodies: &Bodies) -> Option<Finding> {
        let mut from = 0;
        for Sealing { end, payload, kept, chain } in &bodies.rows {
            let sealed = Sealed { fields: &bodies.bytes[from..*end], payload: *payload };
            from = *end;
            let seq = self.tree.size() + 1;
            if let Err(fault) = self.step(&sealed, *kept, chain) {
                return Some(Finding { seq, fault });
            }
            self.tree.push(sealed.leaf());
            if self.next == Some(seq) {
                if let Some(fault) = self.heads_at(seq) {
                    let seq = if let Fault::HeadMismatch { from, .. } = fault { from } else { seq };
                    return Some(Finding { seq, fault });
                }
                self.good = seq;
                self.next = self.heads.range((Excluded(seq), Unbounded)).next().map(|(size, _)| *size);
            }
        }
        None
    }

    /// What is wrong at the end: heads that say there were more entries, or entries behind the last head.
    pub fn end(&self, last_stored: u64) -> Option<Finding> {
        let found = self.tree.size();
        if let Some((size, heads)) = self.heads.range((Excluded(found), Unbounded)).next_back() {
            let signed = heads.iter().any(|head| head.is_signed_by(self.keys));
            let fault = if signed { Fault::Truncated { expected: *size, found } } else { Fault::BadSignature { size: *size } };
            return Some(Finding { seq: found + 1, fault });
        }
        // The sequencer ends each transaction with a head: what comes behind the last one is not its work.
        (found > last_stored).then_some(Finding { seq: last_stored + 1, fault: Fault::Inserted })
    }

    fn step(&mut self, sealed: &Sealed<'_>, kept: bool, chain: &Hash) -> std::result::Result<(), Fault> {
        let body = Body::decode(&mut &*sealed.fields).ok_or(Fault::Edited)?;
        let seq = self.tree.size().cast_signed() + 1;
        let before = self.last;
        if self.chains.get(self.last).is_none_or(|chain| *chain.segment != *body.segment) {
            self.last = *self.places.entry_ref(body.segment).or_insert_with(|| {
                self.chains.push(Chain { segment: body.segment.into(), number: 0, end: [0; 32] });
                self.chains.len() - 1
            });
        }
        let Some(so_far) = self.chains.get_mut(self.last) else { return Err(Fault::Edited) };
        let expected = so_far.number + 1;
        if body.number > expected {
            self.wanted = Some((body.segment.into(), expected));
            return Err(Fault::Missing);
        }
        if body.number < expected {
            return Err(Fault::Inserted);
        }
        if sealed.link(&so_far.end) != *chain {
            return Err(Fault::Edited);
        }
        (so_far.number, so_far.end) = (expected, *chain);
        match self.runs.last_mut().filter(|_| self.last == before) {
            Some(run) => run.last = seq,
            None => {
                let segment = String::from_utf8_lossy(body.segment).into_owned();
                self.runs.push(Run { first: seq, last: seq, segment, number: expected });
            }
        }
        // All three are rare: told apart by their first letters. They show payloads, and go with them.
        if kept && matches!(body.action, [b'm' | b'v' | b'p', ..]) {
            for ((_, action, _), count) in PROJECTIONS.iter().zip(&mut self.projected) {
                *count += u64::from(body.action == action.as_bytes());
            }
        }
        Ok(())
    }

    fn heads_at(&mut self, size: u64) -> Option<Fault> {
        let root = self.tree.root();
        for head in &self.heads[&size] {
            self.checked += 1;
            if !head.is_signed_by(self.keys) {
                return Some(Fault::BadSignature { size });
            }
            if head.root() != Some(root) {
                return Some(Fault::HeadMismatch { from: self.good + 1, to: size });
            }
        }
        None
    }
}
