//! The record as a file that can be checked elsewhere.
//!
//! ```text
//!   {"export":1,"ledger":…,"from":N,"before":[…]}    first line: the complete subtrees over entries 1 to N-1
//!   {"seq":N,…}                                      an entry a line
//!   {"head":{…}}                                     last line: the signed head over all of them
//! ```
//!
//! Each entry is a leaf of the tree, so entries, `before` and head either fit or somebody changed them. What holds the entries of one pipeline
//! only has holes, and cannot be checked.

use std::collections::VecDeque;
use std::io::{BufRead, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::body::Body;
use super::home::Home;
use super::key::PublicKeys;
use super::tree::{self, Tree};
use super::{AgentAction, Fault, Filter, Finding, Head, Ledger, MAX_PAYLOAD, hex};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{LedgerId, PipelineId};

/// How many entries are read at once.
const PAGE: u32 = 256;
/// The longest line: a payload whose every byte is escaped, and the rest.
const MAX_LINE: u64 = 6 * MAX_PAYLOAD as u64 + 8_192;

/// The first line of an exported file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportStart {
    /// The format: 1.
    pub export: u32,
    /// Whose record.
    pub ledger: LedgerId,
    /// The first entry that may be in it.
    pub from: u64,
    /// The only pipeline that is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineId>,
    /// The roots of the complete subtrees over what came before, largest first, in hex.
    pub before: Vec<String>,
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
    filter: Filter,
    start: ExportStart,
    head: Head,
    held: VecDeque<AgentAction>,
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
        let before = if pipeline.is_some() { Vec::new() } else { self.subtrees(from - 1).await? };
        let start = ExportStart { export: 1, ledger: self.id().clone(), from, pipeline: pipeline.clone(), before };
        let filter = Filter { pipeline, after: from - 1, limit: PAGE, ..Filter::default() };
        Ok(Export { ledger: self.clone(), filter, start, head, held: VecDeque::new() })
    }

    /// The roots of the complete subtrees over the first entries.
    async fn subtrees(&self, size: u64) -> Result<Vec<String>> {
        let mut tree = Tree::default();
        while tree.size() < size {
            let limit = u32::try_from(size - tree.size()).unwrap_or(PAGE).min(PAGE);
            let page = self.list(&Filter { after: tree.size(), limit, ..Filter::default() }).await?.actions;
            for entry in &page {
                grow(&mut tree, entry).map_err(|_| damaged())?;
            }
            if page.is_empty() {
                return Err(damaged());
            }
        }
        Ok(tree.peaks().chunks(32).map(hex::encode).collect())
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

    /// The next entry; none at the end. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<AgentAction>> {
        if self.held.is_empty() && self.filter.after < self.head.size {
            self.held = self.ledger.list(&self.filter).await?.actions.into();
            self.filter.after = self.held.back().map_or(self.head.size, |last| last.seq);
        }
        Ok(self.held.pop_front().filter(|entry| entry.seq <= self.head.size))
    }
}

/// What checking an exported file found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportReport {
    /// Whose record.
    pub ledger: LedgerId,
    /// The first entry in it.
    pub from: u64,
    /// How many entries were checked.
    pub entries: u64,
    /// The root over the record up to its end, in hex.
    pub root: String,
    /// The first thing that is wrong.
    pub first: Option<Finding>,
}

impl std::fmt::Display for ExportReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} entries from {} on, signed with the root {}", self.entries, self.from, self.root)?;
        match &self.first {
            Some(Finding { seq, fault }) => write!(f, "\n  the first bad entry is {seq}: {fault}"),
            None => Ok(()),
        }
    }
}

/// Checks an exported file against the head at its end and the public keys in a ledger's home, and against a head that was kept elsewhere,
/// which the file must reach. Needs nothing of the home but `keys/ledger.pub`. Never writes.
pub fn verify_export(mut file: impl BufRead, home: &Path, outside: Option<&Head>) -> Result<ExportReport> {
    let keys = PublicKeys::open(&Home::new(home).keys())?;
    if keys.is_empty() {
        let message = format!("`{}` holds no `keys/ledger.pub`: name the home of the ledger's public key with --home", home.display());
        return Err(Error::new(ErrorKind::NotFound, "no_public_key", message));
    }
    let first = line(&mut file)?.unwrap_or_default();
    let start: ExportStart = serde_json::from_str(&first).map_err(|e| not_one("its first line does not say what it is").because(e))?;
    if let Some(pipeline) = &start.pipeline {
        let message = format!("the file holds only the entries of `{pipeline}`, and cannot be checked: export without --pipeline");
        return Err(Error::invalid("partial_export", message));
    }
    let before = start.before.iter().map(|root| hex::decode::<32>(root)).collect::<Option<Vec<_>>>();
    let tree = before.and_then(|before| Tree::resume(start.from.checked_sub(1)?, &before.concat()));
    let mut tree = tree.filter(|_| start.export == 1).ok_or_else(|| not_one("its first line is not that of a version known here"))?;
    check_outside(outside, &start)?;
    let mut found = None;
    let last = loop {
        match line(&mut file)? {
            // Who cut the end off cut its head off too, or the export was not finished.
            None => break None,
            Some(text) => match serde_json::from_str(&text) {
                Ok(ExportEnd { head }) => break Some(head),
                Err(_) if !text.ends_with('\n') => break None,
                Err(_) if found.is_none() => found = next(&mut tree, &text, &start, outside, &keys),
                // The first bad entry is the one to tell.
                Err(_) => {}
            },
        }
    };
    let size = tree.size();
    let found = found.or_else(|| outside.and_then(|head| judged(head, &tree, &start, &keys)));
    let found = found.or_else(|| match (&last, line(&mut file)) {
        (None, _) => Some(Finding { seq: size + 1, fault: Fault::Truncated { expected: size + 1, found: size } }),
        (Some(head), _) if head.size < size => Some(Finding { seq: head.size + 1, fault: Fault::Inserted }),
        (Some(head), Ok(None)) => judged(head, &tree, &start, &keys),
        _ => Some(Finding { seq: size + 1, fault: Fault::Inserted }),
    });
    let root = hex::encode(&tree.root());
    Ok(ExportReport { ledger: start.ledger, from: start.from, entries: size + 1 - start.from, root, first: found })
}

/// A head from outside must be one that the file can be held against.
fn check_outside(outside: Option<&Head>, start: &ExportStart) -> Result<()> {
    let Some(head) = outside else { return Ok(()) };
    if head.ledger != start.ledger {
        let message = format!("the head is one of the ledger `{}`, not of `{}`: give this ledger's", head.ledger, start.ledger);
        return Err(Error::invalid("foreign_head", message));
    }
    if head.size < start.from {
        let message = format!("the head covers {} entries, and the file begins with {}: give a later head", head.size, start.from);
        return Err(Error::invalid("head_too_old", message));
    }
    Ok(())
}

/// Takes the next entry; answers what is wrong with it, or with all up to it if the head from outside is one of that size.
fn next(tree: &mut Tree, text: &str, start: &ExportStart, outside: Option<&Head>, keys: &PublicKeys) -> Option<Finding> {
    let seq = tree.size() + 1;
    let grown = serde_json::from_str(text).map_err(|_| Fault::Edited).and_then(|entry| grow(tree, &entry));
    if let Err(fault) = grown {
        return Some(Finding { seq, fault });
    }
    outside.filter(|head| head.size == seq).and_then(|head| judged(head, tree, start, keys))
}

/// What a head says against the entries so far. One from outside that is behind them was held against them on the way.
fn judged(head: &Head, tree: &Tree, start: &ExportStart, keys: &PublicKeys) -> Option<Finding> {
    let found = tree.size();
    let fault = if head.ledger != start.ledger || !head.is_signed_by(keys) {
        (found + 1, Fault::BadSignature { size: head.size })
    } else if head.size > found {
        (found + 1, Fault::Truncated { expected: head.size, found })
    } else if head.size == found && head.root() != Some(tree.root()) {
        (start.from, Fault::HeadMismatch { from: start.from, to: found })
    } else {
        return None;
    };
    Some(Finding { seq: fault.0, fault: fault.1 })
}

/// Adds an entry, if it is the next one.
fn grow(tree: &mut Tree, entry: &AgentAction) -> std::result::Result<(), Fault> {
    let seq = tree.size() + 1;
    if entry.seq != seq {
        return Err(if entry.seq > seq { Fault::Missing } else { Fault::Inserted });
    }
    let mut bytes = Vec::new();
    Body::listed(entry).encode(&mut bytes);
    tree.push(tree::leaf(&bytes));
    Ok(())
}

/// The next line; none at the end. One that nothing exported can have ends it.
fn line(file: &mut impl BufRead) -> Result<Option<String>> {
    let mut bytes = Vec::new();
    file.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes).map_err(|e| not_one("it cannot be read").because(e))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    String::from_utf8(bytes).map(Some).map_err(|_| not_one("it is not UTF-8 text"))
}

fn not_one(why: &str) -> Error {
    Error::invalid("not_an_export", format!("the file is not what `governance ledger export` wrote: {why}"))
}

fn damaged() -> Error {
    Error::corrupt("ledger_damaged", "the record has a hole: run `governance ledger verify`")
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
