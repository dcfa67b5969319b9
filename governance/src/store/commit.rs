//! The commit: what is asked of a store in one atomic step, and what it answers. ADR 1.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{Key, Kind, Millis, Token};

/// The largest value, in bytes.
pub const MAX_VALUE: usize = 4 * 1024 * 1024;
/// The longest field name, in bytes.
pub const MAX_FIELD: usize = 256;
/// The most checks and writes in one commit.
pub const MAX_OPERATIONS: usize = 512;

/// A key, or one field of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// The key.
    pub key: Key,
    /// The field, where the key is a table.
    pub field: Option<Arc<str>>,
}

impl Cell {
    /// A field of a table.
    pub fn field(key: Key, field: impl AsRef<str>) -> Self {
        Self { key, field: Some(field.as_ref().into()) }
    }
}

impl From<Key> for Cell {
    fn from(key: Key) -> Self {
        Self { key, field: None }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{}[{field}]", self.key),
            None => write!(f, "{}", self.key),
        }
    }
}

/// The epochs that an actor was admitted with, outermost first: tenant, pipeline, ancestors, instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission(pub SmallVec<[(Key, u64); 4]>);

impl Admission {
    /// This admission and one more epoch below it.
    #[must_use]
    pub fn and(&self, key: Key, epoch: u64) -> Self {
        let mut longer = self.clone();
        longer.0.push((key, epoch));
        longer
    }
}

/// What must hold for a commit to be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Nothing is there.
    Absent(Cell),
    /// The version is this one; 0 means absent. On an epoch key, the epoch.
    Version {
        /// Where.
        cell: Cell,
        /// Which.
        version: u64,
    },
    /// The lease is held under this fence.
    Fence {
        /// The lease.
        lease: Key,
        /// The fence.
        fence: u64,
    },
    /// The counter stays within its limit when the amount is added.
    Within {
        /// The counter.
        counter: Key,
        /// What is about to be added.
        amount: u64,
        /// The limit.
        limit: u64,
    },
    /// The log holds no more than this many entries when the amount is added.
    Room {
        /// The log.
        log: Key,
        /// How many are about to be added.
        amount: u64,
        /// The limit.
        limit: u64,
    },
}

/// An event that the store completes with the version and the token of the put that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The log it is appended to.
    pub log: Key,
    /// What the writer says about it.
    pub meta: Bytes,
    /// How many entries the log keeps.
    pub bound: u64,
}

/// What a commit writes. Each answers with a number, given in [`Accepted::results`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// Writes a record or a field. Answers its new version.
    Put {
        /// Where.
        cell: Cell,
        /// What.
        value: Bytes,
        /// How long a record lives from now, for ever if none is given. A table's life is set with `Expire`.
        ttl: Option<Duration>,
        /// The event that tells of it.
        event: Option<Event>,
    },
    /// Deletes a record, a table, a state, a counter, or one field. Answers 1 if it was there.
    Delete(Cell),
    /// Writes plain fields of a state. Answers its new version.
    Merge {
        /// The state.
        state: Key,
        /// The fields.
        fields: Vec<(String, String)>,
    },
    /// Adds to a counter, which never goes below zero. Answers the sum.
    Add {
        /// The counter.
        counter: Key,
        /// What is added.
        delta: i64,
        /// How long it lives from now.
        ttl: Option<Duration>,
    },
    /// Raises an epoch to max(last + 1, store time in ms, floor + 1). Answers it.
    Raise {
        /// The epoch.
        key: Key,
        /// What it must be above in any case: 0, except in recovery.
        floor: u64,
    },
    /// Takes a lease, stamped with a freshly raised fence. Refused while it is held. Answers the fence.
    Claim {
        /// The lease.
        lease: Key,
        /// Where the highest fence is kept.
        fence: Key,
        /// Who holds it.
        holder: Bytes,
        /// How long it is held.
        ttl: Duration,
    },
    /// Appends to a log. Answers the position.
    Append {
        /// The log.
        log: Key,
        /// The entry.
        value: Bytes,
        /// How many entries the log keeps at least; 0 for all.
        bound: u64,
    },
    /// Drops the entries up to a position. Answers 0.
    Trim {
        /// The log.
        log: Key,
        /// The last position to drop.
        through: u64,
    },
    /// Appends to a bounded list. Answers its length.
    Push {
        /// The list.
        list: Key,
        /// The item.
        value: Bytes,
        /// How many items it keeps.
        bound: u64,
    },
    /// Adds a member to a set. Answers 1 if it is new.
    Join {
        /// The set.
        set: Key,
        /// The member.
        member: String,
    },
    /// Takes a member from a set. Answers 1 if it was there.
    Leave {
        /// The set.
        set: Key,
        /// The member.
        member: String,
    },
    /// Sets how long a key lives from now. Answers 1 if it is there.
    Expire {
        /// The key.
        key: Key,
        /// How long.
        ttl: Duration,
    },
    /// Sends a signal, which may be lost. Answers 0.
    Signal {
        /// The channel.
        channel: Key,
        /// What is said.
        payload: Bytes,
    },
}

impl Write {
    /// The key that is written, and the kind that it is used as.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { cell, .. } | Self::Delete(cell) => &cell.key,
            Self::Merge { state: key, .. }
            | Self::Add { counter: key, .. }
            | Self::Raise { key, .. }
            | Self::Claim { lease: key, .. }
            | Self::Append { log: key, .. }
            | Self::Trim { log: key, .. }
            | Self::Push { list: key, .. }
            | Self::Join { set: key, .. }
            | Self::Leave { set: key, .. }
            | Self::Expire { key, .. }
            | Self::Signal { channel: key, .. } => key,
        }
    }
}

/// One atomic, fenced step. Built with its methods, in any order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Makes it safe to repeat.
    pub token: Option<Token>,
    /// The highest generation that the handle has seen; filled in by [`Store`](super::Store). 0 asks for none.
    pub generation: u64,
    /// The connection that the witness was asked for; filled in by [`Store`](super::Store). A backend sends it over no other. 0 asks for
    /// none.
    #[serde(skip)]
    pub connection: u64,
    /// Who writes.
    pub admission: Admission,
    /// What must hold.
    pub checks: SmallVec<[Check; 2]>,
    /// What is written.
    pub writes: SmallVec<[Write; 2]>,
    /// Whether it must land even when the store is out of memory: revoke, stop, lift.
    pub urgent: bool,
}

impl Commit {
    /// A commit by an actor.
    #[must_use]
    pub fn by(admission: &Admission) -> Self {
        Self { admission: admission.clone(), ..Self::default() }
    }

    /// Makes it safe to repeat.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Makes it land even when the store is out of memory.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }

    /// Adds a check.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// Adds a write.
    #[must_use]
    pub fn write(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }

    /// Requires that nothing is there.
    #[must_use]
    pub fn absent(self, cell: impl Into<Cell>) -> Self {
        self.check(Check::Absent(cell.into()))
    }

    /// Requires a version.
    #[must_use]
    pub fn version(self, cell: impl Into<Cell>, version: u64) -> Self {
        self.check(Check::Version { cell: cell.into(), version })
    }

    /// Writes a cell.
    #[must_use]
    pub fn put(self, cell: impl Into<Cell>, value: impl Into<Bytes>) -> Self {
        self.write(Write::Put { cell: cell.into(), value: value.into(), ttl: None, event: None })
    }

    /// Raises an epoch.
    #[must_use]
    pub fn raise(self, key: Key) -> Self {
        self.write(Write::Raise { key, floor: 0 })
    }

    /// Writes fields of a state.
    #[must_use]
    pub fn merge<V: ToString>(self, state: Key, fields: impl IntoIterator<Item = (&'static str, V)>) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
        self.write(Write::Merge { state, fields })
    }

    /// Refuses a malformed commit before it travels: kinds, sizes, and no cell written twice.
    pub fn validate(&self) -> Result<()> {
        if self.checks.len() + self.writes.len() > MAX_OPERATIONS {
            return Err(Error::invalid("commit_too_large", format!("a commit has at most {MAX_OPERATIONS} checks and writes")));
        }
        for (key, _) in &self.admission.0 {
            expect(key, &[Kind::Epoch])?;
        }
        for check in &self.checks {
            match check {
                Check::Absent(cell) | Check::Version { cell, .. } => {
                    expect_cell(cell, &[Kind::Record, Kind::Table, Kind::State, Kind::Counter, Kind::Epoch])?;
                }
                Check::Fence { lease, .. } => expect(lease, &[Kind::Record])?,
                Check::Within { counter, .. } => expect(counter, &[Kind::Counter])?,
                Check::Room { log, .. } => expect(log, &[Kind::Log])?,
            }
        }
        for (place, write) in self.writes.iter().enumerate() {
            validate_write(write)?;
            let twice = self.writes[..place].iter().any(|other| conflicts(write, other));
            if twice {
                return Err(Error::invalid("written_twice", format!("`{}` is written twice in one commit", write.key())));
            }
        }
        Ok(())
    }

    /// A fingerprint of what is asked, kept with the answer, so that a token used for two different commits is noticed.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut digest = self.checks.len() as u64;
        let mut mix = |number: u64| digest = (digest.rotate_left(7) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for write in &self.writes {
            mix(write.key().hash64());
            match write {
                Write::Put { cell, value, .. } => {
                    mix(cell.field.as_ref().map_or(0, |f| f.len() as u64));
                    mix(value.len() as u64);
                    // The ends of a value tell two documents apart well enough; hashing megabytes would cost more than the commit.
                    let (ends, middle) = (32.min(value.len()), value.len().saturating_sub(32));
                    for end in [&value[..ends], &value[middle..]] {
                        let (words, rest) = end.as_chunks();
                        words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
                        rest.iter().for_each(|byte| mix(u64::from(*byte)));
                    }
                }
                Write::Append { value, .. } | Write::Push { value, .. } => mix(value.len() as u64),
                Write::Add { delta, .. } => mix(delta.cast_unsigned()),
                Write::Trim { through, .. } => mix(*through),
                _ => {}
            }
        }
        digest >> 11
    }
}

fn expect(key: &Key, kinds: &[Kind]) -> Result<()> {
    if kinds.contains(&key.kind()) {
        return Ok(());
    }
    Err(Error::invalid("wrong_kind", format!("`{key}` is a {} and cannot be used so", key.kind())))
}

fn expect_cell(cell: &Cell, kinds: &[Kind]) -> Result<()> {
    expect(&cell.key, kinds)?;
    match &cell.field {
        Some(field) if field.is_empty() || field.len() > MAX_FIELD => {
            Err(Error::invalid("invalid_field", format!("a field of `{}` has 1 to {MAX_FIELD} bytes, not {}", cell.key, field.len())))
        }
        Some(_) => expect(&cell.key, &[Kind::Table]),
        None => Ok(()),
    }
}

fn expect_size(key: &Key, value: &[u8]) -> Result<()> {
    if value.len() > MAX_VALUE {
        return Err(Error::invalid("value_too_large", format!("the value for `{key}` has {} bytes: at most {MAX_VALUE}", value.len())));
    }
    Ok(())
}

fn validate_write(write: &Write) -> Result<()> {
    match write {
        Write::Put { cell, value, event, .. } => {
            expect_cell(cell, &[Kind::Record, Kind::Table])?;
            if cell.key.kind() == Kind::Table && cell.field.is_none() {
                return Err(Error::invalid("invalid_field", format!("`{}` is a table: name the field to write", cell.key)));
            }
            expect_size(&cell.key, value)?;
            event.as_ref().map_or(Ok(()), |event| expect(&event.log, &[Kind::Log]))
        }
        Write::Delete(cell) => expect_cell(cell, &[Kind::Record, Kind::Table, Kind::State, Kind::Counter]),
        Write::Merge { state, fields } => {
            expect(state, &[Kind::State])?;
            if fields.iter().any(|(name, _)| name == "version" || name.is_empty()) {
                return Err(Error::invalid("invalid_field", format!("`{state}` has a field without a name or named `version`")));
            }
            Ok(())
        }
        Write::Add { counter, .. } => expect(counter, &[Kind::Counter]),
        Write::Raise { key, .. } => expect(key, &[Kind::Epoch]),
        Write::Claim { lease, fence, .. } => expect(lease, &[Kind::Record]).and_then(|()| expect(fence, &[Kind::Epoch])),
        Write::Append { log, value, .. } => expect(log, &[Kind::Log]).and_then(|()| expect_size(log, value)),
        Write::Trim { log, .. } => expect(log, &[Kind::Log]),
        Write::Push { list, value, .. } => expect(list, &[Kind::List]).and_then(|()| expect_size(list, value)),
        Write::Join { set, .. } | Write::Leave { set, .. } => expect(set, &[Kind::Set]),
        Write::Expire { key, .. } => {
            expect(key, &[Kind::Record, Kind::Table, Kind::State, Kind::Counter, Kind::Log, Kind::List, Kind::Set])
        }
        Write::Signal { channel, .. } => expect(channel, &[Kind::Channel]),
    }
}

fn conflicts(one: &Write, other: &Write) -> bool {
    let cell = |write: &Write| match write {
        Write::Put { cell, .. } | Write::Delete(cell) => Some(cell.clone()),
        Write::Merge { state: key, .. } | Write::Add { counter: key, .. } | Write::Raise { key, .. } | Write::Claim { lease: key, .. } => {
            Some(key.clone().into())
        }
        _ => None,
    };
    match (cell(one), cell(other)) {
        (Some(a), Some(b)) => a.key == b.key && (a.field == b.field || a.field.is_none() || b.field.is_none()),
        _ => false,
    }
}

/// What a store answers to a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All of it was written.
    Accepted(Accepted),
    /// None of it was.
    Refused(Refused),
}

/// An accepted commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The store's generation.
    pub generation: u64,
    /// The store's time.
    pub at: Millis,
    /// One number per write; see [`Write`].
    pub results: SmallVec<[u64; 4]>,
    /// Whether this answer was remembered from an earlier call with the same token.
    pub repeated: bool,
}

/// Why a commit was refused. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// The store has lost acknowledged writes; everything is denied until it is recovered.
    RolledBack {
        /// The generation that was known.
        seen: u64,
        /// The generation that the store holds.
        held: Option<u64>,
    },
    /// The actor's admission has ended.
    Stale {
        /// The epoch that moved.
        key: Key,
        /// The epoch that the actor was admitted with.
        carried: u64,
        /// The epoch now.
        current: Option<u64>,
    },
    /// Somebody else was first.
    Conflict {
        /// Where.
        cell: Cell,
        /// The version that was expected, 0 for absent.
        expected: u64,
        /// The version that is there.
        found: u64,
    },
    /// The lease was lost.
    Fenced {
        /// The lease.
        lease: Key,
        /// The fence that was carried.
        carried: u64,
        /// The fence that it is held under now.
        held: Option<u64>,
    },
    /// The counter would exceed its limit.
    Exceeded {
        /// The counter.
        counter: Key,
        /// Its value.
        current: u64,
        /// The limit.
        limit: u64,
    },
    /// The counter would go below zero.
    Underflow {
        /// The counter.
        counter: Key,
        /// Its value.
        current: u64,
    },
    /// The log is full.
    Full {
        /// The log.
        log: Key,
        /// How many entries it holds.
        held: u64,
        /// The limit.
        limit: u64,
    },
    /// The key holds another kind of thing.
    WrongKind {
        /// The key.
        key: Key,
    },
    /// The token was used for another commit.
    TokenReused {
        /// The token.
        token: Token,
    },
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let details = serde_json::to_value(&refused).unwrap_or_default();
        let (kind, code, text) = match &refused {
            Refused::RolledBack { seen, held } => (
                ErrorKind::Unavailable,
                "rolled_back",
                format!(
                    "the store has lost acknowledged writes (generation {}, at least {seen} was acknowledged): everything is denied until \
                     `governance store recover`",
                    held.map_or("missing".to_owned(), |g| g.to_string())
                ),
            ),
            Refused::Stale { key, carried, current } => (
                ErrorKind::Revoked,
                "revoked",
                format!(
                    "admission has ended: `{key}` is at {}, the caller was admitted at {carried}",
                    current.map_or("no epoch".to_owned(), |e| e.to_string())
                ),
            ),
            Refused::Conflict { cell, expected, found } => {
                (ErrorKind::Conflict, "version_conflict", format!("version conflict on `{cell}`: expected {expected}, found {found}"))
            }
            Refused::Fenced { lease, .. } => {
                (ErrorKind::Conflict, "fenced", format!("the lease `{lease}` is no longer held by the caller"))
            }
            Refused::Exceeded { counter, current, limit } => {
                (ErrorKind::Exhausted, "limit_exceeded", format!("`{counter}` stands at {current} of {limit}: no more can be taken"))
            }
            Refused::Underflow { counter, current } => {
                (ErrorKind::Conflict, "underflow", format!("`{counter}` stands at {current}: more cannot be given back"))
            }
            Refused::Full { log, held, limit } => (ErrorKind::Exhausted, "full", format!("`{log}` holds {held} of {limit} entries")),
            Refused::WrongKind { key } => {
                (ErrorKind::Corrupt, "wrong_kind", format!("`{key}` holds something that is not a {}", key.kind()))
            }
            Refused::TokenReused { token } => {
                (ErrorKind::Invalid, "token_reused", format!("the token `{token}` was already used for another commit"))
            }
        };
        let error = Self::new(kind, code, text);
        match details {
            serde_json::Value::Object(map) => map.into_iter().fold(error, |e, (name, value)| e.with(&name, value)),
            _ => error,
        }
    }
}
