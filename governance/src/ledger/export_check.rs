//! Checking an exported file, with nothing but the public key.

use std::io::{BufRead, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::export::{self, ExportEnd, ExportLine, ExportStart, leaf, note};
use super::gap::Gap;
use super::home::Home;
use super::key::PublicKeys;
use super::missing::Missing;
use super::tree::Tree;
use super::{AgentAction, Fault, Finding, Head, MAX_PAYLOAD, hex};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{LedgerId, PipelineId};

/// The longest line: a payload whose every byte is escaped, and the rest.
const MAX_LINE: u64 = 6 * MAX_PAYLOAD as u64 + 8_192;

/// What checking an exported file found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportReport {
    /// Whose record.
    pub ledger: LedgerId,
    /// The first entry that may be in it.
    pub from: u64,
    /// The only pipeline that is in it: each entry is in the record, in this order, but nothing tells whether some of the pipeline's were
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<PipelineId>,
    /// How many entries were checked.
    pub entries: u64,
    /// How many entries' payloads were dropped, as the record says.
    pub dropped: u64,
    /// The root over the record up to its end, in hex.
    pub root: String,
    /// The first thing that is wrong.
    pub first: Option<Finding>,
}

impl std::fmt::Display for ExportReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} entries from {} on, signed with the root {}", self.entries, self.from, self.root)?;
        if let Some(pipeline) = &self.pipeline {
            write!(f, "\n  only those of `{pipeline}`: that each is in the record is proven, that none is left out is not")?;
        }
        if self.dropped > 0 {
            write!(f, "\n  without their payloads, which retention dropped: {}", self.dropped)?;
        }
        match &self.first {
            // An export holds no proof of each single entry.
            Some(Finding { fault: fault @ Fault::HeadMismatch { .. }, .. }) => {
                write!(f, "\n  {fault}: which one it is, `governance ledger verify` tells where the ledger is, or another export beside it")
            }
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
    if start.export != export::FORMAT || start.from == 0 {
        return Err(not_one("its first line is not that of a version known here"));
    }
    check_outside(outside, &start)?;
    let mut check = Check { start, keys, outside, tree: Tree::default(), entries: 0, missing: Missing::default(), found: None };
    let last = loop {
        match line(&mut file)? {
            // Who cut the end off cut its head off too, or the export was not finished.
            None => break None,
            Some(text) => match serde_json::from_str(&text) {
                Ok(ExportEnd { head }) => break Some(head),
                Err(_) if !text.ends_with('\n') => break None,
                Err(_) if check.found.is_none() => check.next(&text)?,
                // The first bad entry is the one to tell.
                Err(_) => {}
            },
        }
    };
    let more = line(&mut file).map_or(true, |line| line.is_some());
    check.end(last.as_ref(), more);
    let Check { start, tree, entries, missing, found, .. } = check;
    let ExportStart { ledger, from, pipeline, .. } = start;
    Ok(ExportReport { ledger, from, pipeline, entries, dropped: missing.count(), root: hex::encode(&tree.root()), first: found })
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

struct Check<'a> {
    start: ExportStart,
    keys: PublicKeys,
    outside: Option<&'a Head>,
    tree: Tree,
    entries: u64,
    missing: Missing,
    found: Option<Finding>,
}

impl Check<'_> {
    /// Takes the next line. Fails where the head from outside ends within what the file leaves out.
    fn next(&mut self, text: &str) -> Result<()> {
        let seq = self.tree.size() + 1;
        let taken = match serde_json::from_str(text) {
            Ok(ExportLine::Entry(entry)) => self.entry(&entry),
            Ok(ExportLine::Gap { gap }) => self.gap(&gap),
            Err(_) => Err(Fault::Edited),
        };
        self.found = taken.err().map(|fault| Finding { seq, fault });
        let size = self.tree.size();
        let Some(head) = self.outside.filter(|head| self.found.is_none() && (seq..=size).contains(&head.size)) else { return Ok(()) };
        if head.size < size {
            let message = format!("the head covers {} entries, and the file leaves {seq} to {size} out: give a later head", head.size);
            return Err(Error::invalid("head_too_old", message));
        }
        self.found = self.judged(head);
        Ok(())
    }

    fn entry(&mut self, entry: &AgentAction) -> std::result::Result<(), Fault> {
        let seq = self.tree.size() + 1;
        if entry.seq != seq {
            return Err(if entry.seq > seq { Fault::Missing } else { Fault::Inserted });
        }
        if !self.start.holds(entry) {
            return Err(Fault::Inserted);
        }
        self.tree.push(leaf(entry).ok_or(Fault::Edited)?);
        self.entries += 1;
        note(&mut self.missing, entry);
        Ok(())
    }

    /// A file of everything leaves nothing out but what comes before it.
    fn gap(&mut self, gap: &Gap) -> std::result::Result<(), Fault> {
        if self.start.pipeline.is_none() && gap.through != self.start.from - 1 {
            return Err(Fault::Missing);
        }
        if gap.fill(&mut self.tree) { Ok(()) } else { Err(Fault::Edited) }
    }

    /// What is wrong at the end.
    fn end(&mut self, last: Option<&Head>, more: bool) {
        if self.found.is_some() {
            return;
        }
        let size = self.tree.size();
        self.found = self.outside.and_then(|head| self.judged(head)).or_else(|| match last {
            None => Some(Finding { seq: size + 1, fault: Fault::Truncated { expected: size + 1, found: size } }),
            Some(head) if head.size < size => Some(Finding { seq: head.size + 1, fault: Fault::Inserted }),
            Some(head) if !more => self.judged(head),
            Some(_) => Some(Finding { seq: size + 1, fault: Fault::Inserted }),
        });
        if self.found.is_none() {
            self.found = self.missing.unexplained().map(|seq| Finding { seq, fault: Fault::Dropped });
        }
    }

    /// What a head says against the entries so far. One from outside that is behind them was held against them on the way.
    fn judged(&self, head: &Head) -> Option<Finding> {
        let found = self.tree.size();
        let fault = if head.ledger != self.start.ledger || !head.is_signed_by(&self.keys) {
            (found + 1, Fault::BadSignature { size: head.size })
        } else if head.size > found {
            (found + 1, Fault::Truncated { expected: head.size, found })
        } else if head.size == found && head.root() != Some(self.tree.root()) {
            (self.start.from, Fault::HeadMismatch { from: self.start.from, to: found })
        } else {
            return None;
        };
        Some(Finding { seq: fault.0, fault: fault.1 })
    }
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
