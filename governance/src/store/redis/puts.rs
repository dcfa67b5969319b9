//! Puts of a field with its event, many in one call of `put.lua`: who was admitted alike, and what lies in the same place, is named once.

use std::sync::Arc;

use bytes::Bytes;
use fred::types::Value;
use smallvec::SmallVec;

use super::program::{Admitted, EXACT};
use super::words::Words;
use super::work::Names;
use crate::store::{Admission, Cell, Check, Commit, Event, Write};
use crate::vocabulary::{Key, Token};

/// The most keys of epochs in one call: a script can pass on no more than some thousands at once.
const MOST_ASKED: usize = 4_096;

/// A put of a field with its event, at the version that it expects, if it does.
pub(super) struct Put<'a> {
    commit: &'a Commit,
    token: &'a Token,
    cell: &'a Cell,
    field: &'a Arc<str>,
    value: &'a Bytes,
    event: &'a Event,
    expected: Option<u64>,
}

impl<'a> Put<'a> {
    /// A commit that is nothing else.
    pub fn of(commit: &'a Commit) -> Option<Self> {
        let [Write::Put { cell, value, event: Some(event), .. }] = &commit.writes[..] else { return None };
        let (Some(token), Some(field)) = (&commit.token, &cell.field) else { return None };
        let expected = match &commit.checks[..] {
            [] => None,
            [Check::Absent(checked)] if checked == cell => Some(0),
            [Check::Version { cell: checked, version }] if checked == cell => Some(*version),
            _ => return None,
        };
        let fits = !commit.urgent && commit.admission.0.len() < usize::from(u8::MAX);
        fits.then_some(Self { commit, token, cell, field, value, event, expected })
    }
}

/// Puts that go together.
pub(super) struct Puts {
    names: Arc<Names>,
    groups: SmallVec<[(u64, Admission); 1]>,
    places: SmallVec<[(Key, Key, u64); 1]>,
    each: SmallVec<[[u8; 3]; 8]>,
    // Of the groups.
    epochs: usize,
    keys: Words,
    args: Words,
}

impl Puts {
    pub fn new(names: &Arc<Names>, first: &Put<'_>) -> Self {
        let (groups, places, each) = (SmallVec::new(), SmallVec::new(), SmallVec::new());
        let (keys, args) = (Words::with_capacity(12, 320), Words::with_capacity(12, 256));
        let mut puts = Self { names: names.clone(), groups, places, each, epochs: 0, keys, args };
        puts.add(first);
        puts
    }

    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Whether one more still fits.
    pub fn has_room(&self, put: &Put<'_>) -> bool {
        self.epochs + 1 + put.commit.admission.0.len() <= MOST_ASKED
    }

    /// Adds one.
    pub fn add(&mut self, put: &Put<'_>) {
        let (group, place) = (self.group(put.commit), self.place(put));
        self.each.push([group, place, u8::from(put.expected.is_some())]);
        self.keys.told(format_args!("{}{}", self.names.tokens, put.token));
        self.args.told(put.commit.digest());
        self.args.bytes(put.field.as_bytes());
        self.args.value(put.value);
        self.args.value(&put.event.meta);
        if let Some(expected) = put.expected {
            self.args.told(format_args!("{:016}", expected.min(EXACT)));
        }
    }

    fn group(&mut self, commit: &Commit) -> u8 {
        let generation = commit.generation.min(EXACT);
        let same = |(held, admission): &(u64, Admission)| *held == generation && *admission == commit.admission;
        let found = self.groups.iter().position(same).unwrap_or_else(|| {
            self.epochs += 1 + commit.admission.0.len();
            self.groups.push((generation, commit.admission.clone()));
            self.groups.len() - 1
        });
        byte(found + 1)
    }

    fn place(&mut self, put: &Put<'_>) -> u8 {
        let (table, log, bound) = (&put.cell.key, &put.event.log, put.event.bound);
        let same = |(t, l, b): &(Key, Key, u64)| t == table && l == log && *b == bound;
        let found = self.places.iter().position(same).unwrap_or_else(|| {
            self.places.push((table.clone(), log.clone(), bound));
            self.places.len() - 1
        });
        byte(found + 1)
    }

    /// The words of the call, behind `said`; answers how many of them are keys.
    pub fn say(mut self, said: &mut Vec<Value>) -> usize {
        let (said_of_each, (keys, args)) = (self.args.len(), (&mut self.keys, &mut self.args));
        let [commits, groups, places] = [self.each.len(), self.groups.len(), self.places.len()].map(byte);
        let [.., high, low] = said_of_each.to_be_bytes();
        let mut head = SmallVec::<[u8; 64]>::from_slice(&[commits, groups, places, high, low, byte(self.names.tokens.len())]);
        for (generation, admission) in &self.groups {
            keys.bytes(self.names.generation.as_bytes());
            admission.0.iter().for_each(|(key, _)| keys.bytes(key.as_str().as_bytes()));
            args.told(Admitted(*generation, admission));
            head.push(byte(1 + admission.0.len()));
        }
        for (table, log, bound) in &self.places {
            keys.bytes(table.as_str().as_bytes());
            keys.bytes(log.as_str().as_bytes());
            args.told(*bound);
        }
        head.extend(self.each.iter().flatten().copied());
        args.bytes(&head);
        let named = keys.len();
        said.reserve_exact(named + args.len());
        self.keys.append_to(said);
        self.args.append_to(said);
        named
    }
}

fn byte(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
