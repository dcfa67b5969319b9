//! Following a log from a cursor: every later entry in order, or an explicit gap.

use serde::{Deserialize, Serialize};

use super::events::{Events, Told};
use crate::error::Result;
use crate::store::{Entry, Store, Watch};
use crate::vocabulary::Key;

/// How many entries are read at once.
const PIECE: u64 = 256;

/// A place in a log of one lineage of the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The store's lineage; 0 begins with whichever there is.
    pub lineage: u64,
    /// The last position read.
    pub position: u64,
}

/// What a reader missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// The log keeps fewer entries than the reader was behind.
    Dropped {
        /// The first position missed.
        from: u64,
        /// The last one.
        through: u64,
    },
    /// The store has lost writes: positions from before mean nothing any more, and the log is read from its beginning.
    Recovered,
}

/// What comes next in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Entries, in order.
    Entries(Vec<Entry>),
    /// A gap; what follows is read behind it.
    Missed(Gap),
}

/// Reads a log as it grows.
pub struct Follower {
    store: Store,
    log: Key,
    cursor: Cursor,
    watch: Option<Watch>,
}

impl Follower {
    /// Follows a log from behind a cursor.
    #[must_use]
    pub fn new(store: &Store, log: Key, cursor: Cursor) -> Self {
        Self { store: store.clone(), log, cursor, watch: None }
    }

    /// Follows a log from its end.
    pub async fn from_end(store: &Store, log: Key) -> Result<Self> {
        let lineage = store.lineage().await?;
        let position = store.log(log.clone(), 0, 0).await?.last;
        Ok(Self::new(store, log, Cursor { lineage, position }))
    }

    /// The same, each entry read as what it says.
    #[must_use]
    pub fn told<T: Told>(self) -> Events<T> {
        Events::new(self)
    }

    /// Where the reader is.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// What is there now; none at the end of the log.
    pub async fn step(&mut self) -> Result<Option<Step>> {
        let page = self.store.log(self.log.clone(), self.cursor.position, PIECE).await?;
        // Read after the page: an unchanged lineage says that the page belongs to it.
        let lineage = self.store.lineage().await?;
        let known = std::mem::replace(&mut self.cursor.lineage, lineage);
        if known != lineage && known != 0 {
            self.cursor.position = 0;
            return Ok(Some(Step::Missed(Gap::Recovered)));
        }
        // A log that is shorter than what was read of it is not the log that was read.
        if page.last < self.cursor.position {
            self.cursor.position = 0;
            return Ok(Some(Step::Missed(Gap::Recovered)));
        }
        if page.first > self.cursor.position + 1 {
            let gap = Gap::Dropped { from: self.cursor.position + 1, through: page.first - 1 };
            self.cursor.position = page.first - 1;
            return Ok(Some(Step::Missed(gap)));
        }
        let Some(last) = page.entries.last() else { return Ok(None) };
        self.cursor.position = last.position;
        Ok(Some(Step::Entries(page.entries)))
    }

    /// Waits for what comes next. Cancel safe.
    pub async fn next(&mut self) -> Result<Step> {
        loop {
            if self.watch.is_none() {
                self.watch = Some(self.store.watch(std::slice::from_ref(&self.log)).await?);
            }
            if let Some(step) = self.step().await? {
                return Ok(step);
            }
            if let Some(watch) = &mut self.watch {
                watch.changed().await;
            }
        }
    }
}
