//! Reads, on the caller's own thread: a look at a few pages costs less than handing it to another thread.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::failure::{failed, moved};
use super::file::open_reader;
use super::row::{number, time};
use super::time::StoreClock;
use super::writer::{identity, written_time};
use crate::error::Result;
use crate::store::{Answer, Entry, Fields, Page, Put, Query, Scan, Versioned, wrong_kind};
use crate::vocabulary::{Key, Millis, Token};

/// How many idle connections are kept.
const IDLE: usize = 4;

/// Connections that only read.
pub(super) struct Readers {
    path: Arc<PathBuf>,
    file: (u64, u64),
    clock: Arc<StoreClock>,
    idle: Mutex<Vec<Connection>>,
}

/// A key's row.
struct Head {
    id: i64,
    version: u64,
}

impl Readers {
    /// Readers of a file that is known by its identity: another one under its name is none of theirs.
    pub fn new(path: Arc<PathBuf>, file: (u64, u64), clock: Arc<StoreClock>) -> Self {
        Self { path, file, clock, idle: Mutex::default() }
    }

    pub fn answers(&self, queries: &[Query]) -> Result<Vec<Answer>> {
        self.with(|connection| queries.iter().map(|query| self.answer(connection, query)).collect())
    }

    pub fn scan(&self, prefix: &str, from: Option<&str>, limit: usize) -> Result<Scan> {
        let sql = "SELECT key, until FROM keys WHERE key >= ?1 ORDER BY key";
        let start = from.filter(|from| *from > prefix).unwrap_or(prefix);
        self.with(|connection| {
            let now = self.clock.now_after(written_time(connection).map_err(|e| failed(&self.path, e))?);
            let find = || -> rusqlite::Result<Scan> {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query([start])?;
                let mut keys: Vec<String> = Vec::new();
                while let Some(row) = rows.next()? {
                    let key = row.get_ref(0)?.as_str()?;
                    if !key.starts_with(prefix) {
                        break;
                    }
                    if from == Some(key) || time(row, 1)?.is_some_and(|until| until <= now) {
                        continue;
                    }
                    if keys.len() == limit {
                        let next = keys.last().cloned();
                        return Ok(Scan { keys, next });
                    }
                    keys.push(key.to_owned());
                }
                Ok(Scan { keys, next: None })
            };
            find().map_err(|e| failed(&self.path, e))
        })
    }

    pub fn now(&self) -> Result<Millis> {
        self.with(|connection| Ok(self.clock.now_after(written_time(connection).map_err(|e| failed(&self.path, e))?)))
    }

    fn with<T>(&self, ask: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = idle().pop();
        let connection = match waiting {
            Some(connection) => connection,
            None => self.open()?,
        };
        let answer = ask(&connection);
        let mut idle = idle();
        if idle.len() < IDLE && connection.is_autocommit() {
            idle.push(connection);
        }
        answer
    }

    /// One more connection. A file that was deleted or replaced is told as that, and not as one that nobody may open.
    fn open(&self) -> Result<Connection> {
        let opened = open_reader(&self.path);
        if identity(&self.path) == Some(self.file) { opened } else { Err(moved(&self.path)) }
    }

    fn answer(&self, connection: &Connection, query: &Query) -> Result<Answer> {
        match query {
            Query::Cell(cell) => match &cell.field {
                None => self.record(connection, &cell.key),
                Some(field) => self.field(connection, &cell.key, field),
            },
            Query::Table(key) => self.many(connection, key, |head| {
                Ok(Answer::Table(match head {
                    Some(head) => {
                        fields(connection, head.id, |row| Ok((row.get(0)?, Versioned { version: number(row, 1)?, value: bytes(row, 2)? })))?
                    }
                    None => Vec::new(),
                }))
            }),
            Query::State(key) => self.many(connection, key, |head| {
                let Some(head) = head else { return Ok(Answer::State(None)) };
                let read = |row: &Row<'_>| Ok((row.get(0)?, String::from_utf8_lossy(row.get_ref(2)?.as_blob()?).into_owned()));
                let fields = fields(connection, head.id, read)?.into_iter().collect();
                Ok(Answer::State(Some(Fields { version: head.version, fields })))
            }),
            Query::Number(key) => self.many(connection, key, |head| Ok(Answer::Number(head.map(|head| head.version)))),
            Query::Set(key) => self.many(connection, key, |head| {
                Ok(Answer::Set(match head {
                    Some(head) => fields(connection, head.id, |row| row.get(0))?,
                    None => Vec::new(),
                }))
            }),
            Query::List { list, last } => self.many(connection, list, |head| {
                Ok(Answer::List(match head {
                    Some(head) => newest(connection, head.id, *last)?,
                    None => Vec::new(),
                }))
            }),
            Query::Log { log, after, limit } => self.many(connection, log, |head| {
                Ok(Answer::Log(match head {
                    Some(head) => page(connection, &head, *after, *limit)?,
                    None => Page { entries: Vec::new(), first: 1, last: 0 },
                }))
            }),
        }
    }

    /// A record: one statement, so that it is consistent by itself.
    fn record(&self, connection: &Connection, key: &Key) -> Result<Answer> {
        let found = self.row(connection, "SELECT kind, until, version, value FROM keys WHERE key = ?1", [key.as_str()])?;
        self.judge(connection, key, found)
    }

    fn field(&self, connection: &Connection, key: &Key, field: &str) -> Result<Answer> {
        let sql = "SELECT k.kind, k.until, c.version, c.value FROM keys k \
                   LEFT JOIN cells c ON c.owner = k.id AND c.field = ?2 WHERE k.key = ?1";
        let found = self.row(connection, sql, [key.as_str(), field])?;
        self.judge(connection, key, found)
    }

    fn row(&self, connection: &Connection, sql: &str, params: impl Params) -> Result<Option<Found>> {
        let read = || {
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row(params, Found::read).optional()
        };
        read().map_err(|e| failed(&self.path, e))
    }

    fn judge(&self, connection: &Connection, key: &Key, found: Option<Found>) -> Result<Answer> {
        let Some(found) = found else { return Ok(Answer::Cell(None)) };
        if self.over(connection, found.until)? {
            return Ok(Answer::Cell(None));
        }
        if !found.kind_is(key) {
            return Err(wrong_kind(key));
        }
        Ok(Answer::Cell(found.value))
    }

    /// Whether a time has passed, also by what other processes have written down.
    fn over(&self, connection: &Connection, until: Option<Millis>) -> Result<bool> {
        let Some(until) = until else { return Ok(false) };
        if until <= self.clock.now() {
            return Ok(true);
        }
        let written = written_time(connection).map_err(|e| failed(&self.path, e))?;
        Ok(until <= self.clock.now_after(written))
    }

    /// What takes several statements is read in one transaction.
    fn many(&self, connection: &Connection, key: &Key, read: impl FnOnce(Option<Head>) -> rusqlite::Result<Answer>) -> Result<Answer> {
        let failed = |error| failed(&self.path, error);
        let transaction = connection.unchecked_transaction().map_err(failed)?;
        let head = {
            let mut statement = transaction.prepare_cached("SELECT kind, until, id, version FROM keys WHERE key = ?1").map_err(failed)?;
            let found = statement
                .query_row([key.as_str()], |row| {
                    let ours = row.get_ref(0)?.as_str()? == key.kind().as_str();
                    Ok((ours, time(row, 1)?, Head { id: row.get(2)?, version: number(row, 3)? }))
                })
                .optional()
                .map_err(failed)?;
            match found {
                Some((_, until, _)) if self.over(&transaction, until)? => None,
                Some((false, ..)) => return Err(wrong_kind(key)),
                found => found.map(|(_, _, head)| head),
            }
        };
        let answer = read(head).map_err(failed)?;
        transaction.finish().map_err(failed)?;
        Ok(answer)
    }
}

/// A cell's row.
struct Found {
    kind: crate::vocabulary::Kind,
    until: Option<Millis>,
    value: Option<Versioned>,
}

impl Found {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let kind = row
            .get_ref(0)?
            .as_str()?
            .parse()
            .map_err(|_| rusqlite::Error::InvalidColumnType(0, "kind".into(), rusqlite::types::Type::Text))?;
        // A key that is a table holds no value of its own, and a field may not be there.
        let value = match row.get_ref(3)?.as_blob_or_null()? {
            Some(value) => Some(Versioned { version: number(row, 2)?, value: Bytes::copy_from_slice(value) }),
            None => None,
        };
        Ok(Self { kind, until: time(row, 1)?, value })
    }

    fn kind_is(&self, key: &Key) -> bool {
        self.kind == key.kind()
    }
}

fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

fn fields<T>(connection: &Connection, owner: i64, read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare_cached("SELECT field, version, value FROM cells WHERE owner = ?1 ORDER BY field")?;
    statement.query_map([owner], read)?.collect()
}

fn newest(connection: &Connection, owner: i64, last: u64) -> rusqlite::Result<Vec<Bytes>> {
    let sql = "SELECT value FROM entries WHERE owner = ?1 ORDER BY position DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut items: Vec<Bytes> =
        statement.query_map(params![owner, limited(last)], |row| bytes(row, 0))?.collect::<rusqlite::Result<_>>()?;
    items.reverse();
    Ok(items)
}

fn page(connection: &Connection, head: &Head, after: u64, limit: u64) -> rusqlite::Result<Page> {
    let end = |sql: &str| connection.prepare_cached(sql)?.query_row([head.id], |row| number(row, 0)).optional();
    let last = end("SELECT position FROM entries WHERE owner = ?1 ORDER BY position DESC LIMIT 1")?.unwrap_or(head.version);
    let first = end("SELECT position FROM entries WHERE owner = ?1 ORDER BY position LIMIT 1")?.unwrap_or(last + 1);
    let sql = "SELECT position, at, value, key, field, version, meta, token FROM entries \
               WHERE owner = ?1 AND position > ?2 ORDER BY position LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let entries = statement.query_map(params![head.id, limited(after), limited(limit)], entry)?.collect::<rusqlite::Result<_>>()?;
    Ok(Page { entries, first, last })
}

fn limited(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let put = match row.get::<_, Option<Arc<str>>>(3)? {
        Some(key) => {
            // A token that cannot be read back is left out rather than hiding the entry.
            let token = row.get::<_, Option<String>>(7)?.and_then(|token| Token::new(token).ok());
            Some(Put { key, field: row.get(4)?, version: number(row, 5)?, meta: bytes(row, 6)?, token })
        }
        None => None,
    };
    Ok(Entry { position: number(row, 0)?, at: Millis(number(row, 1)?), value: bytes(row, 2)?, put })
}
