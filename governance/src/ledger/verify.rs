//! `verify`: is the record what was written? It reads every row, and never writes.
//!
//! ```text
//!   this thread    rows ──columns──► bodies, 4,096 at a time ──┐
//!   another one                        chains, tree, heads ◄───┘     the first that finds something ends it
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use super::body::Body;
use super::home::Home;
use super::key::PublicKeys;
use super::missing::Missing;
use super::sealed::Payload;
use super::tree::Hash;
use super::walk::{Bodies, Walk};
use super::{Fault, Finding, Head, Report, database, hex, rows, runs, waiting};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{LedgerId, Millis, SegmentId};

/// How many rows are handed on at once.
const ROWS: usize = 4_096;

/// Checks a ledger's database, with the heads, keys and segments beside it, against itself and against a head that was kept outside.
///
/// Finds any edit, deletion, reordering, insertion or truncation up to the last head that is held outside, and names the first bad entry.
/// Never writes.
pub fn verify(database: &Path, outside: Option<&Head>) -> Result<Report> {
    let rest = database::at_rest(database);
    let report = check(database, outside, rest.is_some());
    // Somebody has begun to write meanwhile: look again, with them in mind.
    if rest.is_some() && rest != database::at_rest(database) { check(database, outside, false) } else { report }
}

fn check(database: &Path, outside: Option<&Head>, at_rest: bool) -> Result<Report> {
    let home = Home::of(database);
    let keys = PublicKeys::open(&home.keys())?;
    // Read before the rows: a head that is written meanwhile is then not missed among them.
    let kept = home.kept_heads()?;
    let connection = database::reader(database, at_rest)?;
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
    let mut walk = Walk::new(&keys, heads);
    let (found, missing) = rows(&connection, &mut walk).map_err(sql)?;
    let mut first = found.or_else(|| walk.end(last_stored));
    if let (Some(Finding { fault: fault @ Fault::Missing, .. }), Some((segment, number))) = (&mut first, walk.wanted())
        && stands_elsewhere(&connection, segment, number)
    {
        *fault = Fault::Reordered;
    }
    // What explains stands in entries that were found to be whole.
    if first.is_none() {
        first = missing.unexplained().map(|seq| Finding { seq, fault: Fault::Dropped });
    }
    if first.is_none() {
        first = projections(&connection, &walk).map_err(sql)?;
    }
    let (vanished, damaged) = (ended(&connection, "vanished").map_err(sql)?, ended(&connection, "damaged").map_err(sql)?);
    let (segments, unsequenced) = waiting::check(&connection, &home)?;
    let root = hex::encode(&walk.root());
    Ok(Report {
        ledger,
        entries: walk.size(),
        heads: walk.heads_checked(),
        dropped: missing.count(),
        root,
        first,
        segments,
        unreadable_heads,
        unsequenced,
        vanished,
        damaged,
    })
}

/// Reads the rows here and checks them beside: reading and hashing take about as long as each other.
fn rows(connection: &Connection, walk: &mut Walk<'_>) -> rusqlite::Result<(Option<Finding>, Missing)> {
    std::thread::scope(|scope| {
        let mut missing = Missing::default();
        let (send, receive) = sync_channel::<Bodies>(4);
        let walker = scope.spawn(move || receive.into_iter().find_map(|bodies| walk.follow(&bodies)));
        let read = read(connection, &mut missing, |bodies| send.send(bodies).is_ok());
        drop(send);
        // What the walker found stands before the place that was read up to.
        let walked = walker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((walked.or(read?), missing))
    })
}

/// Hands on the rows' bodies until there are none, or until something does not even look like a row that was written.
fn read(connection: &Connection, missing: &mut Missing, hand_on: impl Fn(Bodies) -> bool) -> rusqlite::Result<Option<Finding>> {
    let sql = "SELECT seq, segment, number, at, kind, action, agent_id, pipeline_id, intent, result, payload, payload_hash, chain \
               FROM agent_actions ORDER BY seq";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.raw_query();
    let mut bodies = Bodies::default();
    let mut seq = 0;
    let found = loop {
        seq += 1;
        let fault = match rows.next() {
            Ok(None) => break None,
            Err(e) if database::is_damage(&e) => Fault::Unreadable,
            Err(e) => return Err(e),
            Ok(Some(row)) => match (row.get_ref(0)?, columns(row)) {
                (ValueRef::Integer(at), _) if at > seq => Fault::Missing,
                (ValueRef::Integer(at), Some((body, payload, chain))) if at == seq => {
                    match payload {
                        Payload::Kept(payload) => missing.there(seq.cast_unsigned(), body.kind, body.action, payload),
                        Payload::Dropped(_) => missing.gone(seq.cast_unsigned(), body.action),
                    }
                    bodies.push(&body, payload, chain);
                    if bodies.len() == ROWS && !hand_on(std::mem::take(&mut bodies)) {
                        return Ok(None);
                    }
                    continue;
                }
                (ValueRef::Integer(at), None) if at == seq => Fault::Edited,
                // A row before the first.
                _ => break Some(Finding { seq: seq.cast_unsigned() - 1, fault: Fault::Inserted }),
            },
        };
        break Some(Finding { seq: seq.cast_unsigned(), fault });
    };
    hand_on(bodies);
    Ok(found)
}

/// A row's columns as they are stored; nothing if one is of another type.
fn columns<'a>(row: &'a Row<'_>) -> Option<(Body<'a>, Payload<'a>, &'a Hash)> {
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
    };
    let payload = match (maybe(10)?, row.get_ref(11)) {
        (Some(payload), Ok(ValueRef::Null)) => Payload::Kept(payload),
        (None, Ok(ValueRef::Blob(hash))) => Payload::Dropped(hash.try_into().ok()?),
        _ => return None,
    };
    let Ok(ValueRef::Blob(chain)) = row.get_ref(12) else { return None };
    Some((body, payload, chain.try_into().ok()?))
}

/// Whether an entry that is missing at its place stands at another one.
fn stands_elsewhere(connection: &Connection, segment: &[u8], number: i64) -> bool {
    // By the rows themselves: `runs` need not be what they are.
    let sql = "SELECT 1 FROM agent_actions WHERE CAST(segment AS BLOB) = ? AND number = ?";
    connection.prepare(sql).and_then(|mut statement| statement.exists((segment, number))).unwrap_or(false)
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

/// The first entry of which a table made from the record says something else.
fn projections(connection: &Connection, walk: &Walk<'_>) -> rusqlite::Result<Option<Finding>> {
    let fault = |table: &str| Fault::Projection { table: table.to_owned() };
    let (are, should) = (runs::all(connection)?, walk.runs());
    let differs = are.iter().zip(should).find(|(is, should)| is != should).map(|(is, should)| is.first.min(should.first));
    let left = || are.get(should.len()).or(should.get(are.len())).map(|run| run.first);
    let mut first = differs.or_else(left).map(|seq| Finding { seq: seq.max(0).cast_unsigned(), fault: fault("runs") });
    for ((table, action, columns), expected) in rows::PROJECTIONS.into_iter().zip(walk.projected()) {
        let should = rows::projected(action, columns);
        let names: Vec<&str> = columns.split(", ").filter_map(|column| column.split(' ').next()).collect();
        let is = format!("SELECT seq, at, agent_id, pipeline_id, {} FROM {table}", names.join(", "));
        let differs = format!("SELECT min(seq) FROM (SELECT * FROM ({should} EXCEPT {is}) UNION ALL SELECT * FROM ({is} EXCEPT {should}))");
        let range = [0, walk.size().cast_signed()];
        let seq: Option<i64> = connection.query_row(&differs, range, |row| row.get(0)).optional()?.flatten();
        // The index that finds them need not know all of them.
        let count = format!("SELECT count(*) FROM ({should})");
        let count: i64 = connection.query_row(&count, range, |row| row.get(0))?;
        let seq = seq.map(i64::cast_unsigned).or((count.cast_unsigned() != expected).then_some(walk.size()));
        if let Some(seq) = seq.filter(|seq| first.as_ref().is_none_or(|first| *seq < first.seq)) {
            first = Some(Finding { seq, fault: fault(table) });
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
