//! What the agents of a task know together: four sections of named entries, each with an author, a version and a time.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::events::{Events, Told};
use super::follow::{Cursor, Follower};
use crate::error::{Error, Result};
use crate::store::{Actor, Cell, Commit, Entry, Event, Outcome, Refused, Store, Versioned, Write, from_json};
use crate::vocabulary::{AgentId, EntryName, Millis, Section, TaskId, Token};

/// How many events a blackboard keeps.
pub const BOARD_EVENTS_KEPT: u64 = 10_000;

/// A task's blackboard, as one actor sees and writes it.
///
/// Nobody overwrites what they have not read: [`put_if`](Self::put_if) names the version it replaces. Each accepted write has exactly one event.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use governance::{Blackboard, store::{Actor, Store}, vocabulary::{Section, TaskId}};
/// use serde_json::json;
///
/// let store = Store::memory().await?;
/// let alpha = Actor::system(&store, "alpha-1").await?;
/// let board = Blackboard::open(&store, &TaskId::new("caching")?, &alpha);
/// let version = board.post(Section::Solutions, "write-through", &json!({"ttl": 60})).await?;
/// assert!(board.put_if(Section::Solutions, "write-through", &json!({"ttl": 30}), version).await?.version().is_some());
/// // The same version again: somebody was first.
/// assert!(board.put_if(Section::Solutions, "write-through", &json!({"ttl": 10}), version).await?.version().is_none());
/// # Ok::<_, governance::Error>(()) })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Blackboard {
    store: Store,
    task: TaskId,
    actor: Actor,
}

/// One entry of a section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoardEntry {
    /// Where.
    pub section: Section,
    /// Its name.
    pub name: EntryName,
    /// How often it was written.
    pub version: u64,
    /// Who wrote it last.
    pub author: AgentId,
    /// When, on the author's clock.
    pub at: Millis,
    /// What it says; null once removed.
    pub content: Value,
    /// Whether it was removed.
    pub removed: bool,
}

/// One accepted write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoardEvent {
    /// 1, 2, 3, … within the task.
    pub position: u64,
    /// When, on the store's clock.
    pub at: Millis,
    /// The entry as it was written.
    pub entry: BoardEntry,
    /// The token of the commit.
    pub token: Option<Token>,
}

/// What became of a compare-and-set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// It is written, with this version.
    Accepted(u64),
    /// Somebody was first; this version is there now.
    Conflict(u64),
}

impl Written {
    /// The new version, if it was written.
    #[must_use]
    pub fn version(self) -> Option<u64> {
        match self {
            Self::Accepted(version) => Some(version),
            Self::Conflict(_) => None,
        }
    }
}

#[derive(Deserialize)]
struct Stored {
    author: AgentId,
    at: Millis,
    content: Value,
    #[serde(default)]
    removed: bool,
}

/// The same on its way in: what was given is written once, not copied first.
#[derive(Serialize)]
struct Writing<'a, C: Serialize> {
    author: &'a AgentId,
    at: Millis,
    content: &'a C,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
}

impl Blackboard {
    /// A task's blackboard.
    #[must_use]
    pub fn open(store: &Store, task: &TaskId, actor: &Actor) -> Self {
        Self { store: store.clone(), task: task.clone(), actor: actor.clone() }
    }

    /// Writes a new entry. Answers its version, 1. A conflict if the name is taken.
    pub async fn post(&self, section: Section, name: &str, content: &impl Serialize) -> Result<u64> {
        match self.put_if(section, name, content, 0).await? {
            Written::Accepted(version) => Ok(version),
            Written::Conflict(found) => {
                let cell = self.cell(section, &EntryName::new(name)?);
                Err(Refused::Conflict { cell, expected: 0, found }.into())
            }
        }
    }

    /// Replaces a version of an entry; 0 for an entry that is not there yet.
    pub async fn put_if(&self, section: Section, name: &str, content: &impl Serialize, version: u64) -> Result<Written> {
        self.write(section, name, self.stored(content, false)?, version, self.store.fresh_token()).await
    }

    /// Like [`put_if`](Self::put_if), under a token of the caller's: repeating it answers the same, as far back as the events reach.
    pub async fn put_once(&self, token: Token, section: Section, name: &str, content: &impl Serialize, version: u64) -> Result<Written> {
        let content = json(content)?;
        let written = self.write(section, name, self.stored(&content, false)?, version, token.clone()).await;
        let again = match &written {
            // The time in the entry tells a repetition from the first call, so the store takes them for two.
            Err(error) => error.code() == "token_reused",
            Ok(written) => written.version().is_none(),
        };
        if again && let Some(first) = self.written_under(&token).await? {
            let same = first.section == section && first.name.as_str() == name && first.content == content && first.version == version + 1;
            return if same { Ok(Written::Accepted(first.version)) } else { Err(Refused::TokenReused { token }.into()) };
        }
        written
    }

    /// Removes a version of an entry. Its history stays, its versions go on, and so its name stays taken.
    pub async fn remove_if(&self, section: Section, name: &str, version: u64) -> Result<Written> {
        if version == 0 {
            return Err(Error::invalid(
                "nothing_to_remove",
                format!("`{name}` cannot be removed at version 0: name the version that is there"),
            ));
        }
        self.write(section, name, self.stored(&Value::Null, true)?, version, self.store.fresh_token()).await
    }

    /// Reads an entry, changes it, writes it back, and begins again if somebody was first. Answers the new version.
    pub async fn update(&self, section: Section, name: &str, change: impl Fn(Option<Value>) -> Value) -> Result<u64> {
        loop {
            let found = self.entry(section, name).await?;
            let version = found.as_ref().map_or(0, |e| e.version);
            let content = change(found.filter(|e| !e.removed).map(|e| e.content));
            if let Written::Accepted(version) = self.put_if(section, name, &content, version).await? {
                return Ok(version);
            }
        }
    }

    /// One entry, also when it was removed; none if it never was.
    pub async fn entry(&self, section: Section, name: &str) -> Result<Option<BoardEntry>> {
        let name = EntryName::new(name)?;
        let found = self.store.cell(self.cell(section, &name)).await?;
        found.map(|versioned| entry(section, name, &versioned)).transpose()
    }

    /// The entries of a section that were not removed, by name.
    pub async fn entries(&self, section: Section) -> Result<Vec<BoardEntry>> {
        let table = self.store.table(self.store.keys().blackboard(&self.task, &section)).await?;
        let entries = table.into_iter().map(|(name, versioned)| entry(section, EntryName::new(name)?, &versioned));
        entries.filter(|e| !e.as_ref().is_ok_and(|e| e.removed)).collect()
    }

    /// What an entry said, oldest first, as far as the events reach.
    pub async fn history(&self, section: Section, name: &str) -> Result<Vec<BoardEntry>> {
        let name = EntryName::new(name)?;
        let mut events = self.events(Cursor::default());
        let mut versions = Vec::new();
        while let Some(piece) = events.piece().await? {
            versions.extend(piece.into_iter().flatten().map(|e| e.entry).filter(|e| e.section == section && e.name == name));
        }
        Ok(versions)
    }

    /// Every event behind a cursor, in order; see [`Events`].
    #[must_use]
    pub fn events(&self, cursor: Cursor) -> BoardEvents {
        Follower::new(&self.store, self.store.keys().blackboard_events(&self.task), cursor).told()
    }

    /// What was written under a token, if it was.
    async fn written_under(&self, token: &Token) -> Result<Option<BoardEntry>> {
        let mut events = self.events(Cursor::default());
        while let Some(piece) = events.piece().await? {
            if let Some(found) = piece.into_iter().flatten().find(|event| event.token.as_ref() == Some(token)) {
                return Ok(Some(found.entry));
            }
        }
        Ok(None)
    }

    /// An entry as it is stored.
    fn stored(&self, content: &impl Serialize, removed: bool) -> Result<Bytes> {
        let stored = Writing { author: &self.actor.id, at: self.store.ports().clock.now(), content, removed };
        serde_json::to_vec(&stored).map(Bytes::from).map_err(unwritable)
    }

    async fn write(&self, section: Section, name: &str, value: Bytes, version: u64, token: Token) -> Result<Written> {
        let cell = self.cell(section, &EntryName::new(name)?);
        let event = Event { log: self.store.keys().blackboard_events(&self.task), meta: section.as_str().into(), bound: BOARD_EVENTS_KEPT };
        let put = Write::Put { cell: cell.clone(), value, ttl: None, event: Some(event) };
        let commit: Commit = self.actor.commit().token(token).version(cell, version).write(put);
        match self.store.commit(commit).await? {
            Outcome::Accepted(accepted) => Ok(Written::Accepted(accepted.results[0])),
            Outcome::Refused(Refused::Conflict { found, .. }) => Ok(Written::Conflict(found)),
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }

    fn cell(&self, section: Section, name: &EntryName) -> Cell {
        Cell::field(self.store.keys().blackboard(&self.task, &section), name.as_str())
    }
}

fn json(content: &impl Serialize) -> Result<Value> {
    serde_json::to_value(content).map_err(unwritable)
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::invalid("not_json", "the entry cannot be written as JSON").because(error)
}

fn entry(section: Section, name: EntryName, versioned: &Versioned) -> Result<BoardEntry> {
    let stored: Stored = from_json(name.as_str(), &versioned.value)?;
    let Stored { author, at, content, removed } = stored;
    Ok(BoardEntry { section, name, version: versioned.version, author, at, content, removed })
}

/// A blackboard's events as they come.
pub type BoardEvents = Events<BoardEvent>;

impl Told for BoardEvent {
    fn read(entry_read: &Entry) -> Result<Self> {
        let foreign = || Error::corrupt("not_an_event", format!("entry {} of a blackboard's events is not one", entry_read.position));
        let put = entry_read.put.as_ref().ok_or_else(foreign)?;
        let section = std::str::from_utf8(&put.meta).map_err(|_| foreign())?.parse()?;
        let name = EntryName::new(put.field.as_deref().ok_or_else(foreign)?)?;
        let versioned = Versioned { version: put.version, value: entry_read.value.clone() };
        let entry = entry(section, name, &versioned)?;
        Ok(Self { position: entry_read.position, at: entry_read.at, entry, token: put.token.clone() })
    }
}
