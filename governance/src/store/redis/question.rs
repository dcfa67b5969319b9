//! Asks a server, and reads what is stored back into values.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use fred::types::{Resp3Frame, Value};

use super::line::Line;
use super::script::Script;
use crate::error::{Error, Result};
use crate::store::{Answer, Cell, Entry, Fields, Page, Put, Query, Versioned, wrong_kind};
use crate::vocabulary::{Key, Kind, Millis, Token};

/// How many digits of a version stand before a record's value.
const VERSION: usize = 16;
/// What stands before a field's name, in the field that holds its version.
const VERSIONS: &str = "v:";

/// Asks one question.
pub(super) async fn ask(line: &Line, query: &Query) -> Result<Answer> {
    let (key, command, args) = words(line, query);
    let frame = match line.ask(command, args).await {
        Err(error) if error.details().contains("WRONGTYPE") => return Err(wrong_kind(key)),
        Err(error) if error.details().starts_with("NOSCRIPT") => {
            line.load(Script::Log).await.map_err(|error| line.address.trouble(&error))?;
            let (_, command, args) = words(line, query);
            line.ask(command, args).await
        }
        frame => frame,
    };
    let frame = frame.map_err(|error| line.address.trouble(&error))?;
    answer(query, frame).ok_or_else(|| wrong_kind(key))
}

fn words<'a>(line: &Line, query: &'a Query) -> (&'a Key, &'static str, Vec<Value>) {
    match query {
        Query::Cell(cell) => match &cell.field {
            Some(field) => (&cell.key, "HMGET", vec![text(cell.key.as_str()), text(field), text(&format!("{VERSIONS}{field}"))]),
            None => (&cell.key, "GET", vec![text(cell.key.as_str())]),
        },
        Query::Table(key) | Query::State(key) => (key, "HGETALL", vec![text(key.as_str())]),
        Query::Number(key) => (key, "GET", vec![text(key.as_str())]),
        Query::Set(key) => (key, "SMEMBERS", vec![text(key.as_str())]),
        Query::List { list, last } => {
            // A range that begins behind its end is empty.
            let (from, to) = if *last == 0 { (1, 0) } else { (-i64::try_from(*last).unwrap_or(i64::MAX), -1) };
            (list, "LRANGE", vec![text(list.as_str()), from.into(), to.into()])
        }
        Query::Log { log, after, limit } => {
            let mut args = line.begin(Script::Log, 1);
            args.extend([text(log.as_str()), text(&after.saturating_add(1).to_string()), text(&limit.min(&(1 << 31)).to_string())]);
            (log, "EVALSHA", args)
        }
    }
}

fn text(text: &str) -> Value {
    Value::Bytes(Bytes::copy_from_slice(text.as_bytes()))
}

/// Reads a reply; none if what is stored is of another kind.
fn answer(query: &Query, frame: Resp3Frame) -> Option<Answer> {
    Some(match query {
        Query::Cell(Cell { field: Some(_), .. }) => {
            let [value, at] = <[Resp3Frame; 2]>::try_from(list(frame)?).ok()?;
            Answer::Cell(match (value, at) {
                (Resp3Frame::Null, Resp3Frame::Null) => None,
                (value, at) => Some(Versioned { version: counted(&bytes(at)?)?, value: bytes(value)? }),
            })
        }
        Query::Cell(_) => Answer::Cell(match frame {
            Resp3Frame::Null => None,
            frame => Some(versioned(&bytes(frame)?)?),
        }),
        Query::Table(_) => Answer::Table(table(pairs(frame)?)?),
        Query::State(_) => {
            let pairs = pairs(frame)?;
            if pairs.is_empty() {
                return Some(Answer::State(None));
            }
            let mut state = Fields::default();
            for (name, value) in pairs {
                match utf8(&name)? {
                    name if name == "version" => state.version = number(&value)?,
                    name if name.starts_with(VERSIONS) => return None,
                    name => drop(state.fields.insert(name, utf8(&value)?)),
                }
            }
            Answer::State(Some(state))
        }
        Query::Number(_) => Answer::Number(match frame {
            Resp3Frame::Null => None,
            frame => Some(number(&bytes(frame)?)?),
        }),
        Query::List { .. } => Answer::List(items(frame)?),
        Query::Set(_) => {
            let mut members = items(frame)?.iter().map(utf8).collect::<Option<Vec<_>>>()?;
            members.sort_unstable();
            Answer::Set(members)
        }
        Query::Log { log, .. } if log.kind() == Kind::Log => Answer::Log(page(frame)?),
        Query::Log { .. } => return None,
    })
}

fn bytes(frame: Resp3Frame) -> Option<Bytes> {
    match frame {
        Resp3Frame::BlobString { data, .. } | Resp3Frame::SimpleString { data, .. } => Some(data),
        _ => None,
    }
}

fn list(frame: Resp3Frame) -> Option<Vec<Resp3Frame>> {
    match frame {
        Resp3Frame::Array { data, .. } => Some(data),
        _ => None,
    }
}

fn items(frame: Resp3Frame) -> Option<Vec<Bytes>> {
    list(frame)?.into_iter().map(bytes).collect()
}

fn pairs(frame: Resp3Frame) -> Option<Vec<(Bytes, Bytes)>> {
    let mut items = items(frame)?.into_iter();
    let mut pairs = Vec::with_capacity(items.len() / 2);
    while let Some(name) = items.next() {
        pairs.push((name, items.next()?));
    }
    Some(pairs)
}

fn utf8(bytes: &Bytes) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// A plain number, as counters and epochs are kept; a record's prefix begins with a zero.
fn number(digits: &[u8]) -> Option<u64> {
    let plain = digits.first().is_some_and(|first| *first != b'0') || digits == b"0";
    let digits = std::str::from_utf8(digits).ok().filter(|digits| plain && digits.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok()
}

fn versioned(stored: &Bytes) -> Option<Versioned> {
    let version = counted(stored.get(..VERSION)?)?;
    Some(Versioned { version, value: stored.slice(VERSION..) })
}

fn counted(digits: &[u8]) -> Option<u64> {
    let sound = digits.len() == VERSION && digits[0] == b'0' && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| sound)?.parse().ok()
}

/// The fields of a table, by name. Each has its version beside it.
fn table(pairs: Vec<(Bytes, Bytes)>) -> Option<Vec<(String, Versioned)>> {
    let (mut values, mut versions) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in pairs {
        let name = utf8(&name)?;
        match name.strip_prefix(VERSIONS) {
            Some(of) => drop(versions.insert(of.to_owned(), counted(&value)?)),
            None => drop(values.insert(name, value)),
        }
    }
    let versioned = |(name, value)| Some(Versioned { version: versions.remove(&name)?, value }).map(|versioned| (name, versioned));
    values.into_iter().map(versioned).collect()
}

fn position(id: &[u8]) -> Option<u64> {
    std::str::from_utf8(id.strip_prefix(b"0-")?).ok()?.parse().ok()
}

fn page(frame: Resp3Frame) -> Option<Page> {
    let [first, last, entries] = <[Resp3Frame; 3]>::try_from(list(frame)?).ok()?;
    let last = position(&bytes(last)?)?;
    let first = bytes(first)?;
    let first = if first.is_empty() { last + 1 } else { position(&first)? };
    let entries = list(entries)?.into_iter().map(entry).collect::<Option<_>>()?;
    Some(Page { entries, first, last })
}

fn entry(frame: Resp3Frame) -> Option<Entry> {
    let [id, fields] = <[Resp3Frame; 2]>::try_from(list(frame)?).ok()?;
    let mut entry = Entry { position: position(&bytes(id)?)?, at: Millis(0), value: Bytes::new(), put: None };
    let mut put = Put { key: Arc::from(""), field: None, version: 0, meta: Bytes::new(), token: None };
    for (name, value) in pairs(fields)? {
        let text = || std::str::from_utf8(&value).ok();
        match &name[..] {
            b"value" => entry.value = value,
            b"at" => entry.at = Millis(text()?.parse().ok()?),
            b"key" => put.key = text()?.into(),
            b"field" => put.field = Some(text()?.into()),
            b"put" => entry.value = value,
            b"version" => put.version = counted(&value)?,
            b"meta" => put.meta = value,
            b"token" => put.token = Token::new(text()?).ok(),
            _ => {}
        }
    }
    entry.put = Some(put).filter(|put| !put.key.is_empty());
    Some(entry)
}

/// The keys and the cursor of a piece of a scan.
pub(super) fn scanned(frame: Resp3Frame) -> Option<(String, Vec<String>)> {
    let [cursor, keys] = <[Resp3Frame; 2]>::try_from(list(frame)?).ok()?;
    let keys = items(keys)?.iter().filter_map(utf8).collect();
    Some((utf8(&bytes(cursor)?)?, keys))
}

/// The server's time.
pub(super) fn time(frame: Resp3Frame) -> Result<Millis, Error> {
    let parts = items(frame).unwrap_or_default();
    let number = |place: usize| parts.get(place).and_then(|part| std::str::from_utf8(part).ok()?.parse::<u64>().ok());
    match (number(0), number(1)) {
        (Some(seconds), Some(micros)) => Ok(Millis(seconds * 1000 + micros / 1000)),
        _ => Err(Error::internal("the server did not tell the time")),
    }
}
