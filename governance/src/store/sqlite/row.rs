//! Between numbers as the vocabulary has them and as SQLite has them. All of them stay below 2^53 (ADR 1).

use rusqlite::Row;

use crate::vocabulary::Millis;

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Millis>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|at| Millis(at.cast_unsigned())))
}

pub(super) fn column(time: Millis) -> i64 {
    // A life of centuries must not turn into a time before 1970.
    i64::try_from(time.0).unwrap_or(i64::MAX)
}
