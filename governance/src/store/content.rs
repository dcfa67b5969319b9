//! What a store in memory holds under a key.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::{Entry, Fields, Versioned};
use crate::vocabulary::Kind;

/// What a key holds, by its kind.
#[derive(Clone)]
pub(super) enum Content {
    Record { version: u64, value: Bytes },
    Table(BTreeMap<Arc<str>, Versioned>),
    State(Fields),
    Counter(u64),
    Epoch(u64),
    Log { entries: VecDeque<Entry>, last: u64 },
    List(VecDeque<Bytes>),
    Set(BTreeSet<String>),
}

impl Content {
    /// Nothing yet, of a kind.
    pub fn empty(kind: Kind) -> Self {
        match kind {
            Kind::Record | Kind::Channel => Self::Record { version: 0, value: Bytes::new() },
            Kind::Table => Self::Table(BTreeMap::new()),
            Kind::State => Self::State(Fields::default()),
            Kind::Counter => Self::Counter(0),
            Kind::Epoch => Self::Epoch(0),
            Kind::Log => Self::Log { entries: VecDeque::new(), last: 0 },
            Kind::List => Self::List(VecDeque::new()),
            Kind::Set => Self::Set(BTreeSet::new()),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Record { .. } => Kind::Record,
            Self::Table(_) => Kind::Table,
            Self::State(_) => Kind::State,
            Self::Counter(_) => Kind::Counter,
            Self::Epoch(_) => Kind::Epoch,
            Self::Log { .. } => Kind::Log,
            Self::List(_) => Kind::List,
            Self::Set(_) => Kind::Set,
        }
    }

    /// Whether nothing is left, so that the key is gone as it would be on a server.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Table(fields) => fields.is_empty(),
            Self::Set(members) => members.is_empty(),
            _ => false,
        }
    }
}
