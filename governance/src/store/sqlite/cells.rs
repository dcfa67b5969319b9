//! The cells of a commit as rows: what [`execute`](super::super::kernel::execute) runs on inside a transaction.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Params, params};
use smallvec::SmallVec;

use super::cache::{Cache, Slot};
use super::failure::failed;
use super::row::{column, number, time};
use crate::error::{Error, Result};
use crate::store::kernel::{Cells, NewEntry, Remembered};
use crate::store::{Accepted, Cell};
use crate::vocabulary::{Key, Kind, Millis, Token};

/// How many entries beyond its bound a log holds before it is cut back.
const SLACK: u64 = 64;

/// The rows, inside a transaction that holds the write lock.
pub(super) struct Rows<'a> {
    pub path: &'a Path,
    pub connection: &'a Connection,
    pub cache: &'a mut Cache,
    pub now: Millis,
    /// What every key of the tenant begins with: tenants share a file, not tokens.
    pub prefix: &'a str,
    /// Who signals, so that its own watcher does not deliver it again.
    pub origin: i64,
    /// Whether anything was written.
    pub wrote: &'a mut bool,
}

impl Rows<'_> {
    fn run(&mut self, sql: &str, params: impl Params) -> Result<usize> {
        *self.wrote = true;
        self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).map_err(|e| failed(self.path, e))
    }

    fn ask<T>(&self, sql: &str, params: impl Params, read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Result<Option<T>> {
        let found = self.connection.prepare_cached(sql).and_then(|mut statement| statement.query_row(params, read).optional());
        found.map_err(|e| failed(self.path, e))
    }

    fn scoped<'t>(&self, token: &'t Token) -> Cow<'t, str> {
        if self.prefix.is_empty() { token.as_str().into() } else { format!("{}{token}", self.prefix).into() }
    }

    fn slot(&mut self, key: &Key) -> Result<&mut Slot> {
        match self.cache.slot(key).map(|slot| slot.expired(self.now)) {
            Some(false) => {}
            Some(true) => self.erase(key)?,
            None => {
                let slot = self.load(key)?;
                if self.cache.keep(key, slot).expired(self.now) {
                    self.erase(key)?;
                }
            }
        }
        // Looked up again because the borrow above must end before anything can be loaded.
        self.cache.slot(key).ok_or_else(|| Error::internal(format!("`{key}` was forgotten while it was used")))
    }

    fn load(&self, key: &Key) -> Result<Slot> {
        let found = self.ask("SELECT id, kind, version, until FROM keys WHERE key = ?1", [key.as_str()], |row| {
            let kind = row.get_ref(1)?.as_str()?.parse().ok();
            Ok(Slot { id: row.get(0)?, kind, version: number(row, 2)?, until: time(row, 3)?, ..Slot::default() })
        })?;
        if found.as_ref().is_some_and(|slot| slot.kind.is_none()) {
            return Err(Error::corrupt("store_damaged", format!("`{key}` holds a kind that this version does not know")));
        }
        Ok(found.unwrap_or_default())
    }

    /// Deletes everything under a key.
    fn erase(&mut self, key: &Key) -> Result<()> {
        let Some(slot) = self.cache.slot(key) else { return Ok(()) };
        let (id, kind) = (slot.id, slot.kind);
        *slot = Slot::default();
        self.erase_rows(id, kind)
    }

    fn erase_rows(&mut self, id: i64, kind: Option<Kind>) -> Result<()> {
        match kind {
            None => return Ok(()),
            Some(Kind::Table | Kind::State | Kind::Set) => self.run("DELETE FROM cells WHERE owner = ?1", [id])?,
            Some(Kind::Log | Kind::List) => self.run("DELETE FROM entries WHERE owner = ?1", [id])?,
            Some(_) => 0,
        };
        self.run("DELETE FROM keys WHERE id = ?1", [id]).map(|_| ())
    }

    /// The key's row, made if it is not there.
    fn owner(&mut self, key: &Key) -> Result<i64> {
        let slot = self.slot(key)?;
        if slot.kind.is_some() {
            return Ok(slot.id);
        }
        self.run("INSERT INTO keys (key, kind, version) VALUES (?1, ?2, 0)", params![key.as_str(), key.kind().as_str()])?;
        let id = self.connection.last_insert_rowid();
        let slot = self.slot(key)?;
        *slot = Slot { id, kind: Some(key.kind()), ends: Some((1, 0)), ..Slot::default() };
        Ok(id)
    }

    fn field_version(&mut self, key: &Key, field: &Arc<str>) -> Result<u64> {
        let slot = self.slot(key)?;
        if let Some(version) = slot.fields.get(field) {
            return Ok(*version);
        }
        let id = slot.id;
        let sql = "SELECT version FROM cells WHERE owner = ?1 AND field = ?2";
        let version = self.ask(sql, params![id, field], |row| number(row, 0))?.unwrap_or(0);
        self.slot(key)?.keep_field(field, version);
        Ok(version)
    }

    /// First and last position of a log or a list that is there.
    fn ends(&mut self, key: &Key) -> Result<(u64, u64)> {
        let slot = self.slot(key)?;
        if let Some(ends) = slot.ends {
            return Ok(ends);
        }
        let (id, emptied_at) = (slot.id, slot.version);
        let end = |sql: &str| self.ask(sql, [id], |row| number(row, 0));
        let last = end("SELECT position FROM entries WHERE owner = ?1 ORDER BY position DESC LIMIT 1")?.unwrap_or(emptied_at);
        let first = end("SELECT position FROM entries WHERE owner = ?1 ORDER BY position LIMIT 1")?.unwrap_or(last + 1);
        self.slot(key)?.ends = Some((first, last));
        Ok((first, last))
    }

    fn cut(&mut self, key: &Key, id: i64, through: u64) -> Result<()> {
        self.run("DELETE FROM entries WHERE owner = ?1 AND position <= ?2", params![id, through.cast_signed()])?;
        let (first, last) = self.ends(key)?;
        self.slot(key)?.ends = Some((first.max(through + 1), last));
        Ok(())
    }

    /// Deletes the key of a table or a set when nothing is left in it, as a server would.
    fn erase_if_empty(&mut self, key: &Key, id: i64) -> Result<()> {
        if self.ask("SELECT 1 FROM cells WHERE owner = ?1 LIMIT 1", [id], |_| Ok(()))?.is_none() {
            self.erase(key)?;
        }
        Ok(())
    }

    /// Deletes some of what has expired. Called now and then.
    pub fn purge(&mut self, keys: u32) -> Result<()> {
        self.cache.forget_expired(self.now);
        let sql = "SELECT id, kind FROM keys WHERE until <= ?1 LIMIT ?2";
        let expired: Vec<(i64, Option<Kind>)> = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get_ref(1)?.as_str()?.parse().ok()));
                statement.query_map(params![column(self.now), keys], read)?.collect()
            })
            .map_err(|e| failed(self.path, e))?;
        expired.into_iter().try_for_each(|(id, kind)| self.erase_rows(id, kind))?;
        self.run("DELETE FROM signals WHERE id < (SELECT max(id) FROM signals) AND at < ?1", [column(self.now) - SIGNAL_LIFE])?;
        Ok(())
    }

    /// Forgets some of the answers whose time is over: a few more than were added, so that it keeps up.
    pub fn forget_answers(&mut self, added: usize) -> Result<()> {
        if self.cache.oldest_answer.is_some_and(|until| until > self.now) {
            return Ok(());
        }
        let sql = "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens ORDER BY id LIMIT ?2) AND until <= ?1";
        self.run(sql, params![column(self.now), 2 * added as i64 + 16])?;
        let oldest = self.ask("SELECT until FROM tokens ORDER BY id LIMIT 1", [], |row| time(row, 0))?.flatten();
        self.cache.oldest_answer = Some(oldest.unwrap_or(self.now.after(crate::vocabulary::ttl::ANSWER)));
        Ok(())
    }
}

/// How long a signal waits for the other processes, in milliseconds.
const SIGNAL_LIFE: i64 = 60_000;

impl Cells for Rows<'_> {
    fn now(&self) -> Millis {
        self.now
    }

    fn remembered(&mut self, token: &Token) -> Result<Option<Remembered>> {
        let sql = "SELECT digest, generation, at, results FROM tokens WHERE token = ?1 AND until > ?2";
        self.ask(sql, params![self.scoped(token), column(self.now)], |row| {
            let results = row.get_ref(3)?.as_blob()?.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
            let accepted = Accepted { generation: number(row, 1)?, at: Millis(number(row, 2)?), results, repeated: false };
            Ok(Remembered { digest: number(row, 0)?, accepted })
        })
    }

    fn remember(&mut self, token: &Token, digest: u64, accepted: &Accepted, until: Millis) -> Result<()> {
        let results: SmallVec<[u8; 32]> = accepted.results.iter().flat_map(|result| result.to_le_bytes()).collect();
        // Replaces an answer whose time is over.
        let sql = "INSERT OR REPLACE INTO tokens (token, digest, generation, at, until, results) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let (token, digest, generation) = (self.scoped(token), digest.cast_signed(), accepted.generation.cast_signed());
        self.run(sql, params![token, digest, generation, column(accepted.at), column(until), &results[..]]).map(|_| ())
    }

    fn kind(&mut self, key: &Key) -> Result<Option<Kind>> {
        Ok(self.slot(key)?.kind)
    }

    fn version(&mut self, key: &Key, field: Option<&Arc<str>>) -> Result<u64> {
        let slot = self.slot(key)?;
        match (slot.kind, field) {
            (None, _) => Ok(0),
            (Some(Kind::Table), Some(field)) => self.field_version(key, field),
            // The key of a table is there only while it has fields.
            (Some(Kind::Table), None) => Ok(1),
            (Some(Kind::Record | Kind::State | Kind::Counter | Kind::Epoch), None) => Ok(slot.version),
            _ => Err(unexpected(key)),
        }
    }

    fn length(&mut self, log: &Key) -> Result<u64> {
        if self.slot(log)?.kind.is_none() {
            return Ok(0);
        }
        let (first, last) = self.ends(log)?;
        Ok((last + 1).saturating_sub(first))
    }

    fn put(&mut self, cell: &Cell, version: u64, value: &Bytes, until: Option<Millis>) -> Result<()> {
        let value = &value[..];
        let Some(field) = &cell.field else {
            let id = self.owner(&cell.key)?;
            let sql = "UPDATE keys SET version = ?2, until = ?3, value = ?4 WHERE id = ?1";
            self.run(sql, params![id, version.cast_signed(), until.map(column), value])?;
            let slot = self.slot(&cell.key)?;
            (slot.version, slot.until) = (version, until);
            return Ok(());
        };
        let id = self.owner(&cell.key)?;
        let sql = if version == 1 {
            "INSERT INTO cells (owner, field, version, value) VALUES (?1, ?2, ?3, ?4)"
        } else {
            "UPDATE cells SET version = ?3, value = ?4 WHERE owner = ?1 AND field = ?2"
        };
        self.run(sql, params![id, field, version.cast_signed(), value])?;
        self.slot(&cell.key)?.keep_field(field, version);
        Ok(())
    }

    fn delete(&mut self, cell: &Cell) -> Result<bool> {
        let slot = self.slot(&cell.key)?;
        if slot.kind.is_none() {
            return Ok(false);
        }
        let id = slot.id;
        let Some(field) = &cell.field else {
            self.erase(&cell.key)?;
            return Ok(true);
        };
        let there = self.run("DELETE FROM cells WHERE owner = ?1 AND field = ?2", params![id, field])? > 0;
        self.slot(&cell.key)?.keep_field(field, 0);
        self.erase_if_empty(&cell.key, id)?;
        Ok(there)
    }

    fn merge(&mut self, state: &Key, version: u64, fields: &[(String, String)]) -> Result<()> {
        let id = self.owner(state)?;
        self.run("UPDATE keys SET version = ?2 WHERE id = ?1", params![id, version.cast_signed()])?;
        self.slot(state)?.version = version;
        let sql = "INSERT INTO cells (owner, field, version, value) VALUES (?1, ?2, 0, ?3) \
                   ON CONFLICT (owner, field) DO UPDATE SET value = excluded.value";
        fields.iter().try_for_each(|(name, value)| self.run(sql, params![id, name, value.as_bytes()]).map(|_| ()))
    }

    fn set_number(&mut self, key: &Key, number: u64, until: Option<Millis>) -> Result<()> {
        let id = self.owner(key)?;
        let sql = "UPDATE keys SET version = ?2, until = ifnull(?3, until) WHERE id = ?1";
        self.run(sql, params![id, number.cast_signed(), until.map(column)])?;
        let slot = self.slot(key)?;
        slot.version = number;
        slot.until = until.or(slot.until);
        Ok(())
    }

    fn append(&mut self, log: &Key, entry: NewEntry<'_>, bound: u64) -> Result<u64> {
        let id = self.owner(log)?;
        let (first, last) = self.ends(log)?;
        let position = last + 1;
        let (at, value) = (column(self.now), &entry.value[..]);
        if let Some((cell, version, meta, token)) = entry.put {
            let sql = "INSERT INTO entries (owner, position, at, value, key, field, version, meta, token) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            let (key, field) = (cell.key.as_str(), cell.field.as_deref());
            let token = token.map(Token::as_str);
            self.run(sql, params![id, position.cast_signed(), at, value, key, field, version.cast_signed(), &meta[..], token])?;
        } else {
            let sql = "INSERT INTO entries (owner, position, at, value) VALUES (?1, ?2, ?3, ?4)";
            self.run(sql, params![id, position.cast_signed(), at, value])?;
        }
        self.slot(log)?.ends = Some((first, position));
        // A step at a time: a deletion for each entry would cost as much as the entry.
        if bound > 0 && position + 1 - first > bound.saturating_add(SLACK) {
            self.cut(log, id, position - bound)?;
        }
        Ok(position)
    }

    fn trim(&mut self, log: &Key, through: u64) -> Result<()> {
        let slot = self.slot(log)?;
        if slot.kind.is_none() {
            return Ok(());
        }
        let id = slot.id;
        let (_, last) = self.ends(log)?;
        let through = through.min(last);
        if through == last {
            // Nothing is left that tells the position.
            self.run("UPDATE keys SET version = ?2 WHERE id = ?1", params![id, last.cast_signed()])?;
            self.slot(log)?.version = last;
        }
        self.cut(log, id, through)
    }

    fn push(&mut self, list: &Key, value: &Bytes, bound: u64) -> Result<u64> {
        let id = self.owner(list)?;
        let (first, last) = self.ends(list)?;
        let position = last + 1;
        let sql = "INSERT INTO entries (owner, position, at, value) VALUES (?1, ?2, ?3, ?4)";
        self.run(sql, params![id, position.cast_signed(), column(self.now), &value[..]])?;
        self.slot(list)?.ends = Some((first, position));
        if bound > 0 && position + 1 - first > bound {
            self.cut(list, id, position - bound)?;
        }
        self.length(list)
    }

    fn join(&mut self, set: &Key, member: &str) -> Result<bool> {
        let id = self.owner(set)?;
        let sql = "INSERT OR IGNORE INTO cells (owner, field, version, value) VALUES (?1, ?2, 1, x'')";
        Ok(self.run(sql, params![id, member])? > 0)
    }

    fn leave(&mut self, set: &Key, member: &str) -> Result<bool> {
        let slot = self.slot(set)?;
        if slot.kind.is_none() {
            return Ok(false);
        }
        let id = slot.id;
        let there = self.run("DELETE FROM cells WHERE owner = ?1 AND field = ?2", params![id, member])? > 0;
        self.erase_if_empty(set, id)?;
        Ok(there)
    }

    fn expire(&mut self, key: &Key, until: Millis) -> Result<bool> {
        let slot = self.slot(key)?;
        if slot.kind.is_none() {
            return Ok(false);
        }
        slot.until = Some(until);
        let id = slot.id;
        self.run("UPDATE keys SET until = ?2 WHERE id = ?1", params![id, column(until)])?;
        Ok(true)
    }

    fn signal(&mut self, channel: &Key, payload: &Bytes) -> Result<()> {
        let sql = "INSERT INTO signals (origin, at, channel, payload) VALUES (?1, ?2, ?3, ?4)";
        let (origin, at) = (self.origin, column(self.now));
        self.run(sql, params![origin, at, channel.as_str(), &payload[..]]).map(|_| ())
    }
}

/// A key was used as another kind although the kernel checked it.
fn unexpected(key: &Key) -> Error {
    Error::internal(format!("`{key}` is not a {}", key.kind()))
}
