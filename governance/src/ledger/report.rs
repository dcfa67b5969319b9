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
    /// Its payload is gone, and no entry of the record says that it was dropped.
    Dropped,
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
    /// How many entries' payloads were dropped, as the record says.
    pub dropped: u64,
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

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} entries, {} signed heads, root {}", self.entries, self.heads, self.root)?;
        if self.dropped > 0 {
            write!(f, "\n  without their payloads, which retention dropped: {}", self.dropped)?;
        }
        if let Some(Finding { seq, fault }) = &self.first {
            write!(f, "\n  the first bad entry is {seq}: {fault}")?;
        }
        for problem in &self.segments {
            write!(f, "\n  segment {} at its entry {} (byte {}): {}", problem.segment, problem.number, problem.offset, problem.why)?;
        }
        for line in &self.unreadable_heads {
            write!(f, "\n  line {line} of the file `heads` is no head")?;
        }
        if self.unsequenced > 0 {
            write!(f, "\n  written but not in the record yet: {}", self.unsequenced)?;
        }
        for (what, segments) in [("vanished", &self.vanished), ("damaged", &self.damaged)] {
            segments.iter().try_for_each(|segment| write!(f, "\n  segment {segment} is recorded as {what}"))?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Edited => f.write_str("it is not the one that was written"),
            Self::Missing => f.write_str("the entry that was here is gone"),
            Self::Reordered => f.write_str("it stands where another one was"),
            Self::Inserted => f.write_str("it was never written, or not here"),
            Self::Unreadable => f.write_str("the file cannot be read here"),
            Self::HeadMismatch { from, to } => write!(f, "an entry from {from} to {to} is not the one that a signed head covers"),
            Self::Truncated { expected, found } => write!(f, "entries are gone from the end: there were {expected}, there are {found}"),
            Self::Dropped => f.write_str("its payload is gone, and no entry of the record says that it was dropped"),
            Self::BadSignature { size } => write!(f, "the head at {size} was not signed by a key of this ledger"),
            Self::Projection { table } => write!(f, "the table `{table}` says something else than the record"),
        }
    }
}
