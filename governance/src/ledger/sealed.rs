//! What is chained, and what is a leaf of the tree: an entry's fields, and behind them the hash of its payload.
//!
//! ```text
//!   leaf  = SHA-256(0 │ fields │ SHA-256(payload))
//!   chain = SHA-256(previous chain │ fields │ SHA-256(payload))
//! ```
//!
//! So an entry whose payload was dropped is still checked, but for the payload's text. ADR 10.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::body::Body;
use super::tree::{self, Hash};

/// A sealed entry, borrowed from where it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealed<'a> {
    /// The fields, as [`Body::encode`] writes them.
    pub fields: &'a [u8],
    /// The payload's hash.
    pub payload: Hash,
}

impl Sealed<'_> {
    /// The next link of a segment's chain.
    pub fn link(&self, previous: &Hash) -> Hash {
        Sha256::new().chain_update(previous).chain_update(self.fields).chain_update(self.payload).finalize().into()
    }

    /// The hash of its leaf.
    pub fn leaf(&self) -> Hash {
        tree::leaf(self.fields, &self.payload)
    }
}

/// The hash of a payload.
pub(super) fn hash(payload: &[u8]) -> Hash {
    static NOTHING: LazyLock<Hash> = LazyLock::new(|| Sha256::digest(NOTHING_SAID).into());
    // What most outcomes say.
    if payload == NOTHING_SAID { *NOTHING } else { Sha256::digest(payload).into() }
}

const NOTHING_SAID: &[u8] = b"{}";

/// A payload, or its hash where it was dropped.
#[derive(Debug, Clone, Copy)]
pub(super) enum Payload<'a> {
    /// It is there.
    Kept(&'a [u8]),
    /// Retention dropped it.
    Dropped(&'a Hash),
}

impl Payload<'_> {
    /// Its hash, in either case.
    pub fn hash(&self) -> Hash {
        match self {
            Self::Kept(payload) => hash(payload),
            Self::Dropped(hash) => **hash,
        }
    }
}

/// The leaf of an entry.
pub(super) fn leaf(body: &Body<'_>, payload: Payload<'_>) -> Hash {
    let mut fields = Vec::new();
    body.encode(&mut fields);
    Sealed { fields: &fields, payload: payload.hash() }.leaf()
}
