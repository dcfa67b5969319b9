//! Puts a commit into the words of `commit.lua`, and reads what it answers.

use std::fmt;

use bytes::Bytes;

use super::super::{Accepted, Admission, Cell, Check, Commit, Outcome, Refused, Write};
use super::words::Words;
use super::work::Names;
use crate::error::{Error, Result};
use crate::vocabulary::{Key, Kind, Millis, millis};

/// The largest number that a script counts exactly.
pub(super) const EXACT: u64 = (1 << 53) - 1;

const LIVES: u8 = 1;
const EVENT: u8 = 2;

/// A commit as the script's keys and arguments.
#[derive(Debug)]
pub(super) struct Program {
    pub keys: Words,
    pub ops: Vec<u8>,
    /// What stands behind the program itself.
    pub args: Words,
}

struct Building<'a> {
    commit: &'a Commit,
    keys: Words,
    args: Words,
    ops: Vec<u8>,
}

/// What somebody was admitted with, as a script compares it: the generation seen, then the epochs.
pub(super) struct Admitted<'a>(pub u64, pub &'a Admission);

impl fmt::Display for Admitted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.min(EXACT))?;
        self.1.0.iter().try_for_each(|(_, epoch)| write!(f, ",{}", (*epoch).min(EXACT)))
    }
}

impl Program {
    pub fn of(names: &Names, commit: &Commit) -> Result<Self> {
        let asked = usize::from(commit.token.is_some()) + 1 + commit.admission.0.len();
        let (Ok(count), Ok(checks)) = (u8::try_from(asked), u16::try_from(commit.checks.len())) else {
            return Err(Error::invalid("commit_too_large", "a commit is admitted by at most 253 epochs"));
        };
        let operations = commit.checks.len() + commit.writes.len();
        let mut building = Building {
            commit,
            keys: Words::with_capacity(asked + operations + 2, 40 * (asked + operations)),
            args: Words::with_capacity(3 + 5 * operations, 128 + 32 * operations),
            ops: Vec::with_capacity(8 + 4 * operations),
        };
        building.ops.extend([count, u8::from(commit.token.is_some()), 0, 0, 0, 0]);
        building.ops.extend(checks.to_be_bytes());
        if let Some(token) = &commit.token {
            building.keys.told(format_args!("{}{token}", names.tokens));
            building.number(commit.digest());
        }
        building.keys.bytes(names.generation.as_bytes());
        commit.admission.0.iter().for_each(|(key, _)| building.key(key));
        building.args.told(Admitted(commit.generation, &commit.admission));
        for check in &commit.checks {
            building.check(check);
        }
        for write in &commit.writes {
            building.write(write)?;
        }
        building.finish()
    }

    /// How many words it has.
    pub fn len(&self) -> usize {
        self.keys.len() + 1 + self.args.len()
    }
}

impl<'a> Building<'a> {
    fn finish(mut self) -> Result<Program> {
        let (Ok(keys), Ok(args)) = (u16::try_from(self.keys.len()), u16::try_from(1 + self.args.len())) else {
            return Err(Error::invalid("commit_too_large", "a commit names at most 65535 keys and values"));
        };
        self.ops[2..4].copy_from_slice(&keys.to_be_bytes());
        self.ops[4..6].copy_from_slice(&args.to_be_bytes());
        Ok(Program { keys: self.keys, ops: self.ops, args: self.args })
    }

    fn key(&mut self, key: &Key) {
        self.keys.bytes(key.as_str().as_bytes());
    }

    fn text(&mut self, value: &str) {
        self.args.bytes(value.as_bytes());
    }

    fn bytes(&mut self, value: &Bytes) {
        self.args.value(value);
    }

    fn number(&mut self, number: u64) {
        self.args.told(number.min(EXACT));
    }

    fn operation(&mut self, operation: u8, kind: u8, flags: u8, key: &Key) {
        self.ops.extend([operation, kind, flags, 0]);
        self.key(key);
    }

    fn on_cell(&mut self, operation: u8, flags: u8, cell: &Cell) {
        let kind = if cell.field.is_some() { b't' } else { letter(&cell.key) };
        self.operation(operation, kind, flags, &cell.key);
        if let Some(field) = &cell.field {
            self.text(field);
        }
    }

    fn check(&mut self, check: &Check) {
        match check {
            Check::Absent(cell) => {
                self.on_cell(b'V', 0, cell);
                self.number(0);
            }
            Check::Version { cell, version } => {
                self.on_cell(b'V', 0, cell);
                self.number(*version);
            }
            Check::Fence { lease, fence } => {
                self.operation(b'F', b'r', 0, lease);
                self.number(*fence);
            }
            Check::Within { counter, amount, limit } => {
                self.operation(b'W', b'n', 0, counter);
                self.number(*amount);
                self.number(*limit);
            }
            Check::Room { log, amount, limit } => {
                self.operation(b'R', b'l', 0, log);
                self.number(*amount);
                self.number(*limit);
            }
        }
    }

    /// The check, if one of the first 255, that looks at the same cell.
    fn looked(&mut self, cell: &Cell) {
        let same = |check: &Check| match check {
            Check::Absent(other) | Check::Version { cell: other, .. } => other == cell,
            _ => false,
        };
        if let Some(place) = self.commit.checks.iter().take(255).position(same)
            && let (Some(last), Ok(place)) = (self.ops.last_mut(), u8::try_from(place + 1))
        {
            *last = place;
        }
    }

    fn write(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::Put { cell, value, ttl, event } => {
                let lives = ttl.filter(|_| cell.field.is_none());
                let flags = if lives.is_some() { LIVES } else { 0 } | if event.is_some() { EVENT } else { 0 };
                self.on_cell(b'P', flags, cell);
                self.looked(cell);
                self.bytes(value);
                if let Some(ttl) = lives {
                    self.number(millis(ttl).max(1));
                }
                if let Some(event) = event {
                    self.key(&event.log);
                    self.bytes(&event.meta);
                    self.number(event.bound);
                    self.text(self.commit.token.as_ref().map_or("", |token| token.as_str()));
                }
            }
            Write::Delete(cell) => self.on_cell(b'D', 0, cell),
            Write::Merge { state, fields } => {
                self.operation(b'M', b's', 0, state);
                self.number(fields.len() as u64);
                for (name, value) in fields {
                    self.text(name);
                    self.text(value);
                }
            }
            Write::Add { counter, delta, ttl } => {
                if delta.unsigned_abs() > EXACT {
                    return Err(Error::invalid("number_too_large", format!("`{counter}` counts up to {EXACT}, not by {delta}")));
                }
                self.operation(b'A', b'n', if ttl.is_some() { LIVES } else { 0 }, counter);
                self.text(&delta.to_string());
                if let Some(ttl) = ttl {
                    self.number(millis(*ttl).max(1));
                }
            }
            Write::Raise { key, floor } => {
                self.operation(b'E', b'n', 0, key);
                self.number(*floor);
            }
            Write::Claim { lease, fence, holder, ttl } => {
                self.operation(b'C', b'r', 0, lease);
                self.key(fence);
                self.bytes(holder);
                self.number(millis(*ttl).max(1));
            }
            Write::Append { log, value, bound } => {
                self.operation(b'L', b'l', 0, log);
                self.bytes(value);
                self.number(*bound);
            }
            Write::Trim { log, through } => {
                self.operation(b'T', b'l', 0, log);
                self.text(&format!("0-{}", through.saturating_add(1)));
            }
            Write::Push { list, value, bound } => {
                self.operation(b'H', b'L', 0, list);
                self.bytes(value);
                self.number(*bound);
            }
            Write::Join { set, member } => {
                self.operation(b'J', b'S', 0, set);
                self.text(member);
            }
            Write::Leave { set, member } => {
                self.operation(b'X', b'S', 0, set);
                self.text(member);
            }
            Write::Expire { key, ttl } => {
                self.operation(b'Z', letter(key), 0, key);
                self.number(millis(*ttl).max(1));
            }
            Write::Signal { channel, payload } => {
                self.operation(b'S', b'-', 0, channel);
                self.bytes(payload);
            }
        }
        Ok(())
    }
}

/// How the script calls what a key holds as a whole.
fn letter(key: &Key) -> u8 {
    match key.kind() {
        Kind::Record => b'r',
        Kind::Table => b'T',
        Kind::State => b's',
        Kind::Counter | Kind::Epoch => b'n',
        Kind::Log => b'l',
        Kind::List => b'L',
        Kind::Set => b'S',
        Kind::Channel => b'-',
    }
}

/// What the script answered to a commit.
pub(super) fn outcome(commit: &Commit, reply: &[u8]) -> Result<Outcome> {
    std::str::from_utf8(reply)
        .ok()
        .and_then(|reply| match reply.as_bytes().first()? {
            b'A' => accepted(reply.get(1..)?, false),
            b'R' => accepted(reply.get(1..)?, true),
            b'!' => refused(commit, reply.get(1..)?).map(Outcome::Refused),
            _ => None,
        })
        .ok_or_else(|| Error::internal(format!("the script answered `{}`", reply.escape_ascii())))
}

fn accepted(reply: &str, repeated: bool) -> Option<Outcome> {
    let mut numbers = reply.split(',').map(str::parse::<u64>);
    let (generation, at) = (numbers.next()?.ok()?, Millis(numbers.next()?.ok()?));
    let results = numbers.collect::<Result<_, _>>().ok()?;
    Some(Outcome::Accepted(Accepted { generation, at, results, repeated }))
}

fn refused(commit: &Commit, reply: &str) -> Option<Refused> {
    let mut parts = reply.split(',');
    let (why, place, found) = (parts.next()?, parts.next()?.parse::<usize>().ok()?, parts.next()?.parse::<u64>().ok());
    let known = found.filter(|number| *number > 0);
    let check = place.checked_sub(1).and_then(|place| commit.checks.get(place));
    let write = place.checked_sub(1 + commit.checks.len()).and_then(|place| commit.writes.get(place));
    Some(match (why, check, write) {
        ("T", ..) => Refused::TokenReused { token: commit.token.clone()? },
        ("G", ..) => Refused::RolledBack { seen: commit.generation, held: known },
        ("S", ..) => {
            let (key, carried) = commit.admission.0.get(place.checked_sub(1)?)?;
            Refused::Stale { key: key.clone(), carried: *carried, current: known }
        }
        ("V", Some(Check::Absent(cell)), _) => Refused::Conflict { cell: cell.clone(), expected: 0, found: found? },
        ("V", Some(Check::Version { cell, version }), _) => Refused::Conflict { cell: cell.clone(), expected: *version, found: found? },
        ("F", Some(Check::Fence { lease, fence }), _) => Refused::Fenced { lease: lease.clone(), carried: *fence, held: known },
        ("F", _, Some(Write::Claim { lease, .. })) => Refused::Fenced { lease: lease.clone(), carried: 0, held: known },
        ("E", Some(Check::Within { counter, limit, .. }), _) => {
            Refused::Exceeded { counter: counter.clone(), current: found?, limit: *limit }
        }
        ("E", _, Some(Write::Add { counter, .. })) => Refused::Exceeded { counter: counter.clone(), current: found?, limit: EXACT },
        ("U", _, Some(Write::Add { counter, .. })) => Refused::Underflow { counter: counter.clone(), current: found? },
        ("L", Some(Check::Room { log, limit, .. }), _) => Refused::Full { log: log.clone(), held: found?, limit: *limit },
        ("K", Some(Check::Absent(cell) | Check::Version { cell, .. }), _) => Refused::WrongKind { key: cell.key.clone() },
        ("K", Some(Check::Fence { lease: key, .. } | Check::Within { counter: key, .. } | Check::Room { log: key, .. }), _) => {
            Refused::WrongKind { key: key.clone() }
        }
        ("K", _, Some(write)) => Refused::WrongKind { key: write.key().clone() },
        ("X", _, Some(Write::Put { event: Some(event), .. })) => Refused::WrongKind { key: event.log.clone() },
        ("X", _, Some(Write::Claim { fence, .. })) => Refused::WrongKind { key: fence.clone() },
        _ => return None,
    })
}
