//! The record as a file that can be checked elsewhere.
//!
//! ```text
//!   {"export":2,"ledger":…,"from":N}       first line: what it is
//!   {"gap":{"from":1,"through":N-1,…}}     what is left out: the roots of the complete subtrees over it
//!   {"seq":N,…}                            an entry a line
//!   {"head":{…}}                           last line: the signed head over all of them
//! ```
//!
//! Each entry is a leaf of the tree, so entries, gaps and head either fit or somebody changed them. What holds one pipeline's entries
//! has a gap wherever others stand; that each entry is in the record, and in this order, is still proven, but not that none is left out.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::body::Body;
use super::gap::{Gap, Open};
use super::missing::{Dropping, Missing};
use super::sealed::{self, Payload};
use super::tree::Hash;
use super::{AgentAction, Filter, Head, Ledger, hex};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{LedgerId, PipelineId};

/// The format.
pub(super) const FORMAT: u32 = 2;
/// How many entries are read at once.
const PAGE: u32 = 256;

/// The first line of an exported file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportStart {
    /// The format: 2.
    pub export: u32,
    /// Whose record.
    pub ledger: LedgerId,
    /// The first entry that may be in it.
    pub from: u64,
    /// The only pipeline that is in it, but for what says that payloads of it were dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineId>,
}

/// A line between the first and the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum ExportLine {
    /// An entry.
    Entry(Box<AgentAction>),
    /// What is left out.
    Gap {
        /// Which entries, and their roots.
        gap: Gap,
    },
}

/// Its last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportEnd {
    /// The head over everything up to the last entry.
    pub head: Head,
}

/// An export on its way: up to a head, and no further, whatever is written meanwhile.
pub struct Export {
    ledger: Ledger,
    start: ExportStart,
    head: Head,
    read: u64,
    held: VecDeque<AgentAction>,
    gap: Option<Open>,
    after_gap: Option<Box<AgentAction>>,
    missing: Missing,
}

impl Ledger {
    /// Begins an export of everything from an entry on, or only of one pipeline's, up to the newest head.
    pub async fn export(&self, from: u64, pipeline: Option<PipelineId>) -> Result<Export> {
        let from = from.max(1);
        let nothing = || Error::new(ErrorKind::NotFound, "no_head", "nothing is in the record yet");
        let head = self.head().await?.ok_or_else(nothing)?;
        if from > head.size {
            let message = format!("there is no entry {from}: the record ends with {}", head.size);
            return Err(Error::new(ErrorKind::NotFound, "no_such_entry", message));
        }
        let start = ExportStart { export: FORMAT, ledger: self.id().clone(), from, pipeline };
        let (held, missing) = (VecDeque::new(), Missing::default());
        Ok(Export { ledger: self.clone(), start, head, read: 0, held, gap: None, after_gap: None, missing })
    }
}

impl Export {
    /// The first line.
    #[must_use]
    pub fn start(&self) -> &ExportStart {
        &self.start
    }

    /// The head that it goes up to: the last line.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// How many entries were read, of as many as the head covers.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read
    }

    /// The next line; none at the end. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<ExportLine>> {
        if let Some(entry) = self.after_gap.take() {
            return Ok(Some(ExportLine::Entry(entry)));
        }
        while let Some(entry) = self.entry().await? {
            if self.start.holds(&entry) {
                note(&mut self.missing, &entry);
                let Some(gap) = self.gap.take() else { return Ok(Some(ExportLine::Entry(entry.into()))) };
                self.after_gap = Some(entry.into());
                return Ok(Some(ExportLine::Gap { gap: gap.close() }));
            }
            let leaf = leaf(&entry).ok_or_else(damaged)?;
            self.gap.get_or_insert_with(|| Open::new(entry.seq)).push(leaf);
        }
        if let Some(seq) = self.missing.unexplained() {
            let message = format!(
                "the payload of entry {seq} was dropped meanwhile: export again; if that does not help, run `governance ledger verify`"
            );
            return Err(Error::new(ErrorKind::Conflict, "dropped_meanwhile", message));
        }
        Ok(self.gap.take().map(|gap| ExportLine::Gap { gap: gap.close() }))
    }

    /// The next entry of the record, up to the head.
    async fn entry(&mut self) -> Result<Option<AgentAction>> {
        if self.read == self.head.size {
            return Ok(None);
        }
        if self.held.is_empty() {
            self.held = self.ledger.list(&Filter { after: self.read, limit: PAGE, ..Filter::default() }).await?.actions.into();
        }
        let entry = self.held.pop_front().filter(|entry| entry.seq == self.read + 1).ok_or_else(damaged)?;
        self.read = entry.seq;
        Ok(Some(entry))
    }
}

impl ExportStart {
    /// Whether an entry belongs into the file.
    pub(super) fn holds(&self, entry: &AgentAction) -> bool {
        let of = self.pipeline.as_ref().is_none_or(|pipeline| entry.pipeline_id.as_ref() == Some(pipeline));
        entry.seq >= self.from && (of || explains(entry))
    }
}

/// Whether an entry says that payloads were dropped.
fn explains(entry: &AgentAction) -> bool {
    let payload = entry.payload.as_deref().unwrap_or_default();
    Dropping::allowed(entry.seq, entry.kind.as_str().as_bytes(), entry.action.as_str().as_bytes(), payload.as_bytes()).is_some()
}

/// Takes note of whether an entry's payload is there.
pub(super) fn note(missing: &mut Missing, entry: &AgentAction) {
    match &entry.payload {
        Some(payload) => {
            missing.there(entry.seq, entry.kind.as_str().as_bytes(), entry.action.as_str().as_bytes(), payload.as_bytes());
        }
        None => missing.gone(entry.seq, entry.action.as_str().as_bytes()),
    }
}

/// An entry's leaf; none if it has both payload and hash, or neither.
pub(super) fn leaf(entry: &AgentAction) -> Option<Hash> {
    let body = Body::listed(entry);
    match (&entry.payload, &entry.payload_hash) {
        (Some(payload), None) => Some(sealed::leaf(&body, Payload::Kept(payload.as_bytes()))),
        (None, Some(hash)) => Some(sealed::leaf(&body, Payload::Dropped(&hex::decode(hash)?))),
        _ => None,
    }
}

fn damaged() -> Error {
    Error::corrupt("ledger_damaged", "the record has a hole: run `governance ledger verify`")
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
