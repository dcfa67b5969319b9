//! State in this process's memory: `memory:`. Nothing survives, nothing is shared; the model that the other backends are held against.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::answers::Answers;
use super::content::Content;
use super::crowd::Crowd;
use super::hub::Hub;
use super::kernel::{Cells, NewEntry, Remembered, execute};
use super::prehashed::KeyMap;
use super::{
    Accepted, Answer, Backend, Cell, Commit, Description, Durability, Entry, Outcome, Page, Put, Query, Scan, Signals, Versioned, Watch,
};
use crate::error::{Error, Result};
use crate::vocabulary::{Key, Keys, Kind, Millis, Ports, Token, millis};

/// A store in memory.
pub struct Memory {
    held: Mutex<Held>,
    hub: Hub,
    ports: Ports,
    // The time of day when the machine was booted, as it was taken to be when the store was made.
    anchor: Duration,
    generation: Key,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new(keys: &Keys, ports: Ports) -> Self {
        // INVARIANT: a wall clock that jumps does not move the store's time, which would lapse what somebody still holds.
        let anchor = ports.clock.now().since(Millis(millis(ports.clock.elapsed())));
        Self { held: Mutex::default(), hub: Hub::default(), ports, anchor, generation: keys.generation() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.now = Millis(millis(self.anchor + self.ports.clock.elapsed())).max(held.now);
        held
    }

    /// Whether this store was made for these keys.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn serves(&self, keys: &Keys) -> bool {
        self.generation == keys.generation()
    }

    /// Forgets everything, as FLUSHALL does.
    #[cfg(any(test, feature = "testing"))]
    pub fn flush(&self) {
        let mut held = self.lock();
        held.slots.clear();
        held.answers.clear();
    }

    /// Copies everything.
    #[cfg(any(test, feature = "testing"))]
    pub fn dump(&self) -> Dump {
        Dump(self.lock().slots.clone())
    }

    /// Puts a copy back.
    #[cfg(any(test, feature = "testing"))]
    pub fn restore(&self, dump: &Dump) {
        let mut held = self.lock();
        held.slots.clone_from(&dump.0);
        held.answers.clear();
    }
}

/// A copy of a store's content.
#[cfg(any(test, feature = "testing"))]
pub struct Dump(Slots);

type Slots = KeyMap<Slot>;

#[derive(Default)]
struct Held {
    slots: Slots,
    answers: Answers,
    now: Millis,
    crowded: Crowd,
}

#[derive(Clone)]
struct Slot {
    until: Option<Millis>,
    content: Content,
}

impl Held {
    /// Lets go of what has expired.
    fn sweep(&mut self) {
        if self.crowded.is_over(self.slots.len()) {
            self.slots.retain(|_, slot| slot.until.is_none_or(|until| until > self.now));
            self.crowded.left(self.slots.len());
        }
    }

    /// What is there and has not expired. What has expired stays until it is written over, or swept out.
    fn slot(&mut self, key: &Key) -> Option<&mut Slot> {
        let now = self.now;
        self.slots.get_mut(key).filter(|slot| slot.until.is_none_or(|until| until > now))
    }

    fn content(&mut self, key: &Key) -> Option<&mut Content> {
        self.slot(key).map(|slot| &mut slot.content)
    }

    fn content_or_new(&mut self, key: &Key) -> &mut Content {
        &mut self.slot_or_new(key).content
    }

    fn slot_or_new(&mut self, key: &Key) -> &mut Slot {
        let now = self.now;
        let fresh = || Slot { until: None, content: Content::empty(key.kind()) };
        let slot = self.slots.entry_ref(key).or_insert_with(fresh);
        if slot.until.is_some_and(|until| until <= now) {
            *slot = fresh();
        }
        slot
    }
}

/// A key was used as another kind although the kernel checked it.
fn unexpected(key: &Key) -> Error {
    Error::internal(format!("`{key}` is not a {}", key.kind()))
}

impl Cells for Held {
    fn now(&self) -> Millis {
        self.now
    }

    fn remembered(&mut self, token: &Token) -> Result<Option<Remembered>> {
        self.answers.forget(self.now);
        Ok(self.answers.find(token))
    }

    fn remember(&mut self, token: &Token, digest: u64, accepted: &Accepted, until: Millis) -> Result<()> {
        self.answers.keep(token, digest, accepted, until);
        Ok(())
    }

    fn kind(&mut self, key: &Key) -> Result<Option<Kind>> {
        Ok(self.content(key).map(|content| content.kind()))
    }

    fn version(&mut self, key: &Key, field: Option<&Arc<str>>) -> Result<u64> {
        Ok(match (self.content(key), field) {
            (None, _) => 0,
            (Some(Content::Record { version, .. }), None) => *version,
            (Some(Content::Table(fields)), Some(field)) => fields.get(field).map_or(0, |f| f.version),
            (Some(Content::Table(fields)), None) => u64::from(!fields.is_empty()),
            (Some(Content::State(state)), None) => state.version,
            (Some(Content::Counter(n) | Content::Epoch(n)), None) => *n,
            (Some(_), _) => return Err(unexpected(key)),
        })
    }

    fn length(&mut self, log: &Key) -> Result<u64> {
        match self.content(log) {
            None => Ok(0),
            Some(Content::Log { entries, .. }) => Ok(entries.len() as u64),
            Some(_) => Err(unexpected(log)),
        }
    }

    fn put(&mut self, cell: &Cell, version: u64, value: &Bytes, until: Option<Millis>) -> Result<()> {
        let slot = self.slot_or_new(&cell.key);
        match (&mut slot.content, &cell.field) {
            (Content::Record { version: held, value: content }, None) => {
                *held = version;
                *content = value.clone();
                slot.until = until;
            }
            (Content::Table(fields), Some(field)) => {
                fields.insert(field.clone(), Versioned { version, value: value.clone() });
            }
            _ => return Err(unexpected(&cell.key)),
        }
        Ok(())
    }

    fn delete(&mut self, cell: &Cell) -> Result<bool> {
        let Some(field) = &cell.field else {
            let there = self.slot(&cell.key).is_some();
            self.slots.remove(&cell.key);
            return Ok(there);
        };
        let Some(content) = self.content(&cell.key) else { return Ok(false) };
        let Content::Table(fields) = content else { return Err(unexpected(&cell.key)) };
        let there = fields.remove(field).is_some();
        if content.is_empty() {
            self.slots.remove(&cell.key);
        }
        Ok(there)
    }

    fn merge(&mut self, state: &Key, version: u64, fields: &[(String, String)]) -> Result<()> {
        let Content::State(held) = self.content_or_new(state) else { return Err(unexpected(state)) };
        held.version = version;
        held.fields.extend(fields.iter().cloned());
        Ok(())
    }

    fn set_number(&mut self, key: &Key, number: u64, until: Option<Millis>) -> Result<()> {
        let slot = self.slot_or_new(key);
        match &mut slot.content {
            Content::Counter(held) | Content::Epoch(held) => *held = number,
            _ => return Err(unexpected(key)),
        }
        slot.until = until.or(slot.until);
        Ok(())
    }

    fn append(&mut self, log: &Key, entry: NewEntry<'_>, bound: u64) -> Result<u64> {
        let at = self.now;
        let Content::Log { entries, last } = self.content_or_new(log) else { return Err(unexpected(log)) };
        *last += 1;
        let put = entry.put.map(|(cell, version, meta, token)| Put {
            key: cell.key.text(),
            field: cell.field.clone(),
            version,
            meta: meta.clone(),
            token: token.cloned(),
        });
        entries.push_back(Entry { position: *last, at, value: entry.value.clone(), put });
        while bound > 0 && entries.len() as u64 > bound {
            entries.pop_front();
        }
        Ok(*last)
    }

    fn trim(&mut self, log: &Key, through: u64) -> Result<()> {
        match self.content(log) {
            None => Ok(()),
            Some(Content::Log { entries, .. }) => {
                while entries.front().is_some_and(|e| e.position <= through) {
                    entries.pop_front();
                }
                Ok(())
            }
            Some(_) => Err(unexpected(log)),
        }
    }

    fn push(&mut self, list: &Key, value: &Bytes, bound: u64) -> Result<u64> {
        let Content::List(items) = self.content_or_new(list) else { return Err(unexpected(list)) };
        items.push_back(value.clone());
        while bound > 0 && items.len() as u64 > bound {
            items.pop_front();
        }
        Ok(items.len() as u64)
    }

    fn join(&mut self, set: &Key, member: &str) -> Result<bool> {
        let Content::Set(members) = self.content_or_new(set) else { return Err(unexpected(set)) };
        Ok(members.insert(member.to_owned()))
    }

    fn leave(&mut self, set: &Key, member: &str) -> Result<bool> {
        let Some(content) = self.content(set) else { return Ok(false) };
        let Content::Set(members) = content else { return Err(unexpected(set)) };
        let there = members.remove(member);
        if content.is_empty() {
            self.slots.remove(set);
        }
        Ok(there)
    }

    fn expire(&mut self, key: &Key, until: Millis) -> Result<bool> {
        Ok(self.slot(key).map(|slot| slot.until = Some(until)).is_some())
    }

    fn signal(&mut self, _: &Key, _: &Bytes) -> Result<()> {
        // The hub tells of it once the commit is accepted.
        Ok(())
    }
}

impl Held {
    fn answer(&mut self, query: &Query) -> Result<Answer> {
        let key = match query {
            Query::Cell(cell) => &cell.key,
            Query::Table(key) | Query::State(key) | Query::Number(key) | Query::Set(key) => key,
            Query::List { list, .. } => list,
            Query::Log { log, .. } => log,
        };
        let content = self.content(key);
        if content.as_ref().is_some_and(|c| c.kind() != key.kind()) {
            return Err(super::wrong_kind(key));
        }
        Ok(match (query, content.map(|c| &*c)) {
            (Query::Cell(cell), content) => Answer::Cell(match (content, &cell.field) {
                (Some(Content::Record { version, value }), None) => Some(Versioned { version: *version, value: value.clone() }),
                (Some(Content::Table(fields)), Some(field)) => fields.get(field).cloned(),
                _ => None,
            }),
            (Query::Table(_), Some(Content::Table(fields))) => {
                Answer::Table(fields.iter().map(|(name, field)| (name.to_string(), field.clone())).collect())
            }
            (Query::Table(_), _) => Answer::Table(Vec::new()),
            (Query::State(_), Some(Content::State(state))) => Answer::State(Some(state.clone())),
            (Query::State(_), _) => Answer::State(None),
            (Query::Number(_), Some(Content::Counter(n) | Content::Epoch(n))) => Answer::Number(Some(*n)),
            (Query::Number(_), _) => Answer::Number(None),
            (Query::List { last, .. }, Some(Content::List(items))) => {
                let skip = (items.len() as u64).saturating_sub(*last);
                Answer::List(items.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).cloned().collect())
            }
            (Query::List { .. }, _) => Answer::List(Vec::new()),
            (Query::Set(_), Some(Content::Set(members))) => Answer::Set(members.iter().cloned().collect()),
            (Query::Set(_), _) => Answer::Set(Vec::new()),
            (Query::Log { after, limit, .. }, Some(Content::Log { entries, last })) => {
                let first = entries.front().map_or(*last + 1, |e| e.position);
                let skip = usize::try_from(after.saturating_sub(first - 1)).unwrap_or(usize::MAX);
                let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
                Answer::Log(Page { entries: entries.iter().skip(skip).take(limit).cloned().collect(), first, last: *last })
            }
            (Query::Log { .. }, _) => Answer::Log(Page { entries: Vec::new(), first: 1, last: 0 }),
        })
    }
}

#[async_trait]
impl Backend for Memory {
    async fn commit(&self, commit: &Commit) -> Result<Outcome> {
        // Never waits, so it must let others run now and then.
        tokio::task::coop::consume_budget().await;
        let mut held = self.lock();
        let outcome = execute(&mut *held, commit, &self.generation)?;
        held.sweep();
        drop(held);
        if matches!(&outcome, Outcome::Accepted(accepted) if !accepted.repeated) {
            self.hub.accepted(commit);
        }
        Ok(outcome)
    }

    async fn read(&self, queries: &[Query]) -> Result<Vec<Answer>> {
        tokio::task::coop::consume_budget().await;
        let mut held = self.lock();
        queries.iter().map(|query| held.answer(query)).collect()
    }

    async fn scan(&self, prefix: &str, from: Option<&str>, limit: usize) -> Result<Scan> {
        let held = self.lock();
        let alive = |slot: &Slot| slot.until.is_none_or(|until| until > held.now);
        let mut keys: Vec<String> = held
            .slots
            .iter()
            .filter(|(key, slot)| key.as_str().starts_with(prefix) && from.is_none_or(|from| key.as_str() > from) && alive(slot))
            .map(|(key, _)| key.as_str().to_owned())
            .collect();
        keys.sort_unstable();
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = keys.last().filter(|_| more).cloned();
        Ok(Scan { keys, next })
    }

    async fn watch(&self, keys: &[Key]) -> Result<Watch> {
        Ok(self.hub.watch(keys))
    }

    async fn signals(&self, channel: &Key) -> Result<Signals> {
        Ok(self.hub.signals(channel))
    }

    async fn now(&self) -> Result<Millis> {
        Ok(self.lock().now)
    }

    async fn describe(&self) -> Result<Description> {
        Ok(Description::embedded("memory".into(), false, Durability::None, Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Write;
    use crate::vocabulary::{AgentId, Keys};

    #[tokio::test]
    async fn what_has_expired_is_not_kept_for_ever() {
        let (keys, agent) = (Keys::default(), AgentId::new("alpha-1").unwrap());
        let memory = Memory::new(&keys, Ports::default());
        for bucket in 0..20_000_u64 {
            let ttl = Some(Duration::from_millis(1 + bucket % 2 * 3_600_000));
            let counter = keys.agent_window(&agent, "calls", &bucket);
            memory.commit(&Commit::default().write(Write::Add { counter, delta: 1, ttl })).await.unwrap();
        }
        let kept = memory.lock().slots.len();
        assert!((10_000..=16_000).contains(&kept), "{kept} are kept");
    }
}
