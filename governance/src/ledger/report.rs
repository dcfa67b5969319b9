//! What `verify` found.

use serde::{Deserialize, Serialize};

use super::Problem;
use crate::vocabulary::{LedgerId, SegmentId};

/// What is wrong with the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub enum Fault {
    /// The entry is not the one that was written.
    Edited,
    /// The entry that was here is gone.
    Missing,
    /// The entry stands where another one was.
    Reordered,
    /// The entry was never written, or not here.
    Inserted,
    /// The file cannot be read here.
    Unreadable,
    /// A signed head says something else: an entry from `from` to `to` is not the one that was signed.
    HeadMismatch {
        /// The first entry that may have been changed.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// Entries are gone from the end.
    Truncated {
        /// How many there were.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// A head was not signed by a key of this ledger.
    BadSignature {
        /// The head's size.
        size: u64,
    },
    /// A table that shows the record says something else than the record.
    Projection {
        /// The table.
        table: String,
    },
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The first bad entry.
    pub seq: u64,
    /// What is wrong.
    #[serde(flatten)]
    pub fault: Fault,
}

/// The result of checking a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whose.
    pub ledger: LedgerId,
    /// How many entries were checked.
    pub entries: u64,
    /// How many signed heads were checked.
    pub heads: u64,
    /// The root over what was checked, in hex.
    pub root: String,
    /// The first thing that is wrong with the record.
    pub first: Option<Finding>,
    /// What is wrong with segments that are not in the record yet.
    pub segments: Vec<Problem>,
    /// Lines of the file `heads` that are no heads.
    pub unreadable_heads: Vec<usize>,
    /// How many entries are whole but not in the record yet.
    pub unsequenced: u64,
    /// Segments that were gone before they were read to their end.
    pub vanished: Vec<SegmentId>,
    /// Segments that were found damaged after their owners' death; their files are kept as `<id>.damaged`.
    pub damaged: Vec<SegmentId>,
}

impl Report {
    /// Whether everything is as it was written. Vanished and damaged segments are told in the record itself and do not change
    /// this.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.first.is_none() && self.segments.is_empty() && self.unreadable_heads.is_empty()
    }
}
