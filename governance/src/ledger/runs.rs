//! Where each segment's entries stand in the record: contiguous runs, a row each, instead of an index with a key for every entry.

use rusqlite::{Connection, OptionalExtension};

/// The condition of the index on outcomes that stand in another segment than their intents.
pub(super) const ELSEWHERE: &str = "intent IS NOT NULL AND substr(intent, 1, length(segment) + 1) <> segment || '.'";

/// A segment's entries from `number` on, at `first` up to `last`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub first: i64,
    pub last: i64,
    pub segment: String,
    pub number: i64,
}

/// Adds a run; one that goes on where the last one ended lengthens it.
pub(super) fn add(connection: &Connection, run: &Run) -> rusqlite::Result<()> {
    let longer = "UPDATE runs SET last = ?1 WHERE first = (SELECT max(first) FROM runs) AND last = ?2 - 1 AND segment = ?3";
    if connection.prepare_cached(longer)?.execute((run.last, run.first, &run.segment))? == 0 {
        let sql = "INSERT INTO runs (first, last, segment, number) VALUES (?, ?, ?, ?)";
        connection.prepare_cached(sql)?.execute((run.first, run.last, &run.segment, run.number))?;
    }
    Ok(())
}

/// The number of a segment's last entry in the record; 0 if it has none.
pub(super) fn last_number(connection: &Connection, segment: &str) -> rusqlite::Result<i64> {
    let sql = "SELECT number + last - first FROM runs WHERE segment = ? ORDER BY number DESC LIMIT 1";
    Ok(connection.prepare_cached(sql)?.query_row([segment], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// All of them, in order.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Run>> {
    let mut statement = connection.prepare("SELECT first, last, segment, number FROM runs ORDER BY first")?;
    let run = |row: &rusqlite::Row<'_>| Ok(Run { first: row.get(0)?, last: row.get(1)?, segment: row.get(2)?, number: row.get(3)? });
    statement.query_map([], run)?.collect()
}
