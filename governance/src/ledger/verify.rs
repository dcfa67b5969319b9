//! `verify`: is the record what was written? It reads every row, and never writes.

use std::collections::BTreeMap;
use std::path::Path;

use hashbrown::HashMap;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use super::body::Body;
use super::frame::link;
use super::home::Home;
use super::key::PublicKeys;
use super::tree::{self, Hash, Tree};
use super::{Fault, Finding, Head, Report, database, hex, rows, waiting};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{LedgerId, Millis, SegmentId};

/// Checks a ledger's database, with the heads, keys and segments beside it, against itself and against a head that was kept outside.
///
/// Finds any edit, deletion, reordering, insertion or truncation up to the last head that is held outside, and names the first bad entry.
/// Never writes.
pub fn verify(database: &Path, outside: Option<&Head>) -> Result<Report> {
    let home = Home::of(database);
    let keys = PublicKeys::open(&home.keys())?;
    // Read before the rows: a head that is written meanwhile is then not missed among them.
    let kept = home.kept_heads()?;
    let connection = database::reader(database)?;
    let sql = |e| database::sqlite_trouble(database, e);
    connection.execute_batch("BEGIN").map_err(sql)?;
    let ledger: String = connection.query_row("SELECT value FROM meta WHERE name = 'ledger'", [], |row| row.get(0)).map_err(sql)?;
    let ledger = LedgerId::new(ledger)?;
    if let Some(other) = outside.map(|head| &head.ledger).filter(|other| **other != ledger) {
        let message = format!("the head is one of the ledger `{other}`, not of `{ledger}`: give this ledger's");
        return Err(Error::invalid("foreign_head", message));
    }
    let unreadable_heads = kept.iter().filter(|(_, head)| head.is_none()).map(|(line, _)| *line).collect();
    let stored = stored_heads(&connection, &ledger).map_err(sql)?;
    let last_stored = stored.last().map_or(0, |head| head.size);
    let mut heads: BTreeMap<u64, Vec<Head>> = BTreeMap::new();
    for head in stored.into_iter().chain(kept.into_iter().filter_map(|(_, head)| head)).chain(outside.cloned()) {
        let same = heads.entry(head.size).or_default();
        if !same.contains(&head) {
            same.push(head);
        }
    }
    if keys.is_empty() && !heads.is_empty() {
        let message =
            format!("`{}` holds no public key: bring `ledger.pub` back, heads cannot be checked without it", home.keys().display());
        return Err(Error::new(ErrorKind::NotFound, "no_public_key", message));
    }
    let mut walk =
        Walk { connection: &connection, keys: &keys, heads, tree: Tree::default(), checked: 0, good: 0, segments: Segments::default() };
    let mut first = walk.rows(last_stored).map_err(sql)?;
    if first.is_none() {
        first = projections(&connection, walk.tree.size()).map_err(sql)?;
    }
    let (vanished, damaged) = (ended(&connection, "vanished").map_err(sql)?, ended(&connection, "damaged").map_err(sql)?);
    let (segments, unsequenced) = waiting::check(&connection, &home)?;
    let root = hex::encode(&walk.tree.root());
    Ok(Report {
        ledger,
        entries: walk.tree.size(),
        heads: walk.checked,
        root,
        first,
        segments,
        unreadable_heads,
        unsequenced,
        vanished,
        damaged,
    })
}

struct Walk<'a> {
    connection: &'a Connection,
    keys: &'a PublicKeys,
    heads: BTreeMap<u64, Vec<Head>>,
    tree: Tree,
    /// How many heads were checked.
    checked: u64,
    /// The size of the last good head.
    good: u64,
    segments: Segments,
}

impl Walk<'_> {
    fn rows(&mut self, last_stored: u64) -> rusqlite::Result<Option<Finding>> {
        let sql = "SELECT seq, segment, number, at, kind, action, agent_id, pipeline_id, intent, result, payload, chain \
                   FROM agent_actions ORDER BY seq";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.raw_query();
        let mut bytes = Vec::with_capacity(1024);
        let mut next_head = self.heads.keys().next().copied();
        loop {
            let seq = self.tree.size() + 1;
            let found = |fault| Ok(Some(Finding { seq, fault }));
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(e) if database::is_damage(&e) => return found(Fault::Unreadable),
                Err(e) => return Err(e),
            };
            match row.get_ref(0)? {
                ValueRef::Integer(at) if at == seq.cast_signed() => {}
                ValueRef::Integer(at) if at > seq.cast_signed() => return found(Fault::Missing),
                _ => return Ok(Some(Finding { seq: self.tree.size(), fault: Fault::Inserted })),
            }
            let Some((body, chain)) = columns(row) else { return found(Fault::Edited) };
            bytes.clear();
            body.encode(&mut bytes);
            match self.segments.follow(&body, chain, &bytes) {
                Step::Good => {}
                Step::Edited => return found(Fault::Edited),
                Step::Behind => return found(Fault::Inserted),
                Step::Ahead(number) => {
                    // Without the index, which need not be what the rows are.
                    let sql = "SELECT 1 FROM agent_actions NOT INDEXED WHERE segment = ? AND number = ?";
                    let elsewhere = self.connection.prepare(sql)?.exists((Text(body.segment), number));
                    return found(if elsewhere.unwrap_or(false) { Fault::Reordered } else { Fault::Missing });
                }
            }
            self.tree.push(tree::leaf(&bytes));
            if next_head == Some(seq) {
                if let Some(fault) = self.heads_at(seq) {
                    let seq = if let Fault::HeadMismatch { from, .. } = fault { from } else { seq };
                    return Ok(Some(Finding { seq, fault }));
                }
                self.good = seq;
                next_head = self.heads.range(seq + 1..).next().map(|(size, _)| *size);
            }
        }
        let found = self.tree.size();
        if let Some((size, heads)) = self.heads.range(found + 1..).next_back() {
            let signed = heads.iter().any(|head| head.is_signed_by(self.keys));
            let fault = if signed { Fault::Truncated { expected: *size, found } } else { Fault::BadSignature { size: *size } };
            return Ok(Some(Finding { seq: found + 1, fault }));
        }
        // The sequencer ends each transaction with a head: what comes behind the last one is not its work.
        Ok((found > last_stored).then_some(Finding { seq: last_stored + 1, fault: Fault::Inserted }))
    }

    fn heads_at(&mut self, size: u64) -> Option<Fault> {
        let root = self.tree.root();
        for head in &self.heads[&size] {
            self.checked += 1;
            if !head.is_signed_by(self.keys) {
                return Some(Fault::BadSignature { size });
            }
            if head.root() != Some(root) {
                return Some(Fault::HeadMismatch { from: self.good + 1, to: size });
            }
        }
        None
    }
}

/// A text to look for that need not be UTF-8.
struct Text<'a>(&'a [u8]);

impl rusqlite::ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(rusqlite::types::ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

enum Step {
    Good,
    Edited,
    /// The segment's number that should have come is another.
    Ahead(i64),
    Behind,
}

/// The ends of all segments' chains so far.
#[derive(Default)]
struct Segments {
    places: HashMap<Box<[u8]>, usize>,
    ends: Vec<(Box<[u8]>, i64, Hash)>,
    last: usize,
}

impl Segments {
    fn follow(&mut self, body: &Body<'_>, chain: &Hash, bytes: &[u8]) -> Step {
        if self.ends.get(self.last).is_none_or(|(id, ..)| **id != *body.segment) {
            self.last = *self.places.entry_ref(body.segment).or_insert_with(|| {
                self.ends.push((body.segment.into(), 0, [0; 32]));
                self.ends.len() - 1
            });
        }
        let Some((_, number, end)) = self.ends.get_mut(self.last) else { return Step::Edited };
        let expected = *number + 1;
        let linked = link(end, bytes);
        if body.number == expected && linked == *chain {
            (*number, *end) = (expected, linked);
            return Step::Good;
        }
        match body.number.cmp(&expected) {
            std::cmp::Ordering::Equal => Step::Edited,
            std::cmp::Ordering::Greater => Step::Ahead(expected),
            std::cmp::Ordering::Less => Step::Behind,
        }
    }
}

/// A row's columns as they are stored; nothing if one is of another type.
fn columns<'a>(row: &'a Row<'_>) -> Option<(Body<'a>, &'a Hash)> {
    let integer = |at| if let Ok(ValueRef::Integer(number)) = row.get_ref(at) { Some(number) } else { None };
    let maybe = |at| match row.get_ref(at) {
        Ok(ValueRef::Text(text)) => Some(Some(text)),
        Ok(ValueRef::Null) => Some(None),
        _ => None,
    };
    let body = Body {
        segment: maybe(1)??,
        number: integer(2)?,
        at: integer(3)?,
        kind: maybe(4)??,
        action: maybe(5)??,
        agent: maybe(6)?,
        pipeline: maybe(7)?,
        intent: maybe(8)?,
        result: maybe(9)?,
        payload: maybe(10)??,
    };
    let Ok(ValueRef::Blob(chain)) = row.get_ref(11) else { return None };
    Some((body, chain.try_into().ok()?))
}

fn stored_heads(connection: &Connection, ledger: &LedgerId) -> rusqlite::Result<Vec<Head>> {
    let mut statement = connection.prepare("SELECT size, root, at, key, signature FROM heads ORDER BY size")?;
    let heads = statement.query_map([], |row| {
        let (size, at): (i64, i64) = (row.get(0)?, row.get(2)?);
        let (size, at) = (size.cast_unsigned(), Millis(at.cast_unsigned()));
        Ok(Head { ledger: ledger.clone(), size, root: row.get(1)?, at, key: row.get(3)?, signature: row.get(4)? })
    })?;
    heads.collect()
}

/// The first entry of which a projection says something else.
fn projections(connection: &Connection, size: u64) -> rusqlite::Result<Option<Finding>> {
    let mut first: Option<Finding> = None;
    for (table, action, columns) in rows::PROJECTIONS {
        let should = rows::projected(action, columns);
        let names: Vec<&str> = columns.split(", ").filter_map(|column| column.split(' ').next()).collect();
        let is = format!("SELECT seq, at, agent_id, pipeline_id, {} FROM {table}", names.join(", "));
        let differs = format!("SELECT min(seq) FROM (SELECT * FROM ({should} EXCEPT {is}) UNION ALL SELECT * FROM ({is} EXCEPT {should}))");
        let seq: Option<i64> = connection.query_row(&differs, [0, size.cast_signed()], |row| row.get(0)).optional()?.flatten();
        if let Some(seq) = seq.map(i64::cast_unsigned).filter(|seq| first.as_ref().is_none_or(|first| *seq < first.seq)) {
            first = Some(Finding { seq, fault: Fault::Projection { table: table.to_owned() } });
        }
    }
    Ok(first)
}

fn ended(connection: &Connection, state: &str) -> rusqlite::Result<Vec<SegmentId>> {
    let mut statement = connection.prepare("SELECT id FROM segments WHERE state = ?")?;
    let ids = statement.query_map([state], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(ids.into_iter().filter_map(|id| SegmentId::new(id).ok()).collect())
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
