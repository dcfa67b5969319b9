//! What a store answers to a commit.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::Cell;
use crate::error::{Error, ErrorKind};
use crate::vocabulary::{Key, Millis, Token};

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
    /// One number per write; see [`Write`](super::Write).
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
        // The refusal's own fields: its name is the error's code already.
        let fields = details.as_object().and_then(|named| named.values().next()).and_then(serde_json::Value::as_object);
        fields.into_iter().flatten().fold(error, |error, (name, value)| error.with(name, value.clone()))
    }
}
