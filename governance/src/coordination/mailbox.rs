//! One agent's inbox: at-least-once, in order, bounded. A message stays in it until it is acknowledged or given up.
//!
//! The cursor record says how far the inbox is acknowledged and which message is out for processing, until when, for the how-manieth time:
//!
//! ```text
//!   acked ── claimed(until, attempt) ── acked+1 …
//!              │ until passes ▶ claimed again, attempt + 1
//!              │ attempt > limit ▶ dead letters
//! ```

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::message::{BusMessage, DeadLetter};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Actor, Answer, Commit, Entry, Outcome, Query, Refused, Store, Write, from_json, to_json};
use crate::vocabulary::{AgentId, Key, Millis, TaskId};

/// The most messages that an inbox can be made to hold.
const MAX_CAPACITY: u64 = 100_000;
/// How many dead letters a bus keeps.
const DEAD_KEPT: u64 = 10_000;

/// How an inbox behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailboxOptions {
    /// How many messages may wait.
    pub capacity: u64,
    /// What happens when one more comes.
    pub overflow: Overflow,
    /// How long a message may be out for processing before it is delivered again.
    pub redeliver_after: Duration,
    /// How often it is delivered before it is given up.
    pub max_deliveries: u32,
}

impl Default for MailboxOptions {
    fn default() -> Self {
        Self { capacity: 1_000, overflow: Overflow::Refuse, redeliver_after: Duration::from_secs(30), max_deliveries: 5 }
    }
}

impl MailboxOptions {
    /// Refuses an inbox that could not hold or deliver anything.
    pub(super) fn check(&self) -> Result<()> {
        if self.capacity == 0 || self.capacity > MAX_CAPACITY || self.max_deliveries == 0 {
            let why = format!("an inbox holds 1 to {MAX_CAPACITY} messages and delivers each at least once");
            return Err(Error::invalid("invalid_mailbox", why));
        }
        Ok(())
    }
}

/// What happens when a full inbox gets one more message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// The sender is told.
    Refuse,
    /// The oldest message goes to the dead letters, also one that is out for processing: its acknowledgement comes too late then.
    DropOldest,
}

/// A message out for processing. Acknowledge it, or it comes again. It can be written down and read back, also by another process of its owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// The message.
    pub message: BusMessage,
    /// 1 the first time.
    pub attempt: u32,
    inbox: Key,
    position: u64,
    claim: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    acked: u64,
    claimed: u64,
    until: Millis,
    attempt: u32,
}

/// What the head of an inbox allows now.
#[derive(Debug, PartialEq)]
pub(super) enum Head {
    Delivered(Delivery),
    /// Out for processing elsewhere until then.
    Claimed(Millis),
    Empty,
}

#[derive(Debug, Clone)]
pub(super) struct Mailbox {
    store: Store,
    task: TaskId,
    owner: AgentId,
    options: MailboxOptions,
}

impl Mailbox {
    pub fn new(store: &Store, task: &TaskId, owner: &AgentId, options: MailboxOptions) -> Self {
        Self { store: store.clone(), task: task.clone(), owner: owner.clone(), options }
    }

    pub fn log(&self) -> Key {
        self.store.keys().bus_inbox(&self.task, &self.owner)
    }

    pub fn cursor(&self) -> Key {
        self.store.keys().bus_cursor(&self.task, &self.owner)
    }

    fn dead(&self) -> Key {
        self.store.keys().bus_dead(&self.task)
    }

    async fn look(&self) -> Result<(u64, Progress, Option<Entry>)> {
        let queries = [Query::Cell(self.cursor().into()), Query::Log { log: self.log(), after: 0, limit: 1 }];
        let [Answer::Cell(cursor), Answer::Log(page)] = &self.store.read(&queries).await?[..] else {
            return Err(Error::internal("a store answered another question"));
        };
        let (version, progress) = match cursor {
            Some(found) => (found.version, from_json(self.cursor().as_str(), &found.value)?),
            None => (0, Progress::default()),
        };
        Ok((version, progress, page.entries.first().cloned()))
    }

    /// Claims the oldest message for processing.
    pub async fn take(&self, actor: &Actor) -> Result<Head> {
        loop {
            let (version, progress, entry) = self.look().await?;
            let Some(entry) = entry else { return Ok(Head::Empty) };
            let now = self.store.now().await?;
            let again = progress.claimed == entry.position;
            if again && progress.until > now {
                return Ok(Head::Claimed(progress.until));
            }
            let attempt = if again { progress.attempt + 1 } else { 1 };
            let message: BusMessage = from_json(self.log().as_str(), &entry.value)?;
            if attempt > self.options.max_deliveries {
                self.bury(actor, version, &entry, message, self.too_often()).await?;
                continue;
            }
            let until = now.after(self.options.redeliver_after);
            let claimed = Progress { claimed: entry.position, until, attempt, ..progress };
            let commit = actor.commit().version(self.cursor(), version).put(self.cursor(), to_json(&claimed)?);
            if self.won(commit).await? {
                return Ok(Head::Delivered(Delivery { message, attempt, inbox: self.log(), position: entry.position, claim: version + 1 }));
            }
        }
    }

    /// Ends the processing of a message.
    pub async fn acknowledge(&self, actor: &Actor, delivery: &Delivery) -> Result<()> {
        if delivery.inbox != self.log() {
            let foreign = format!("message `{}` was not delivered from the inbox of `{}`", delivery.message.id, self.owner);
            return Err(Error::invalid("foreign_delivery", foreign));
        }
        let done = Progress { acked: delivery.position, ..Progress::default() };
        let commit = actor
            .commit()
            .version(self.cursor(), delivery.claim)
            .put(self.cursor(), to_json(&done)?)
            .write(Write::Trim { log: self.log(), through: delivery.position });
        if self.won(commit).await? {
            return Ok(());
        }
        let late = format!("message `{}` was delivered again or given up before it was acknowledged", delivery.message.id);
        Err(Error::new(ErrorKind::Conflict, "claim_lost", late))
    }

    /// When the last delivery of the oldest message lapses; none while it can still be delivered again, or none waits.
    pub async fn given_up_at(&self) -> Result<Option<Millis>> {
        let (_, progress, entry) = self.look().await?;
        let last = |entry: &Entry| progress.claimed == entry.position && progress.attempt >= self.options.max_deliveries;
        Ok(entry.filter(last).map(|_| progress.until))
    }

    /// Gives the oldest message up if its last delivery has lapsed, although nobody asks for it.
    pub async fn give_up(&self, actor: &Actor) -> Result<()> {
        let (version, progress, entry) = self.look().await?;
        let Some(entry) = entry.filter(|entry| progress.claimed == entry.position) else { return Ok(()) };
        if progress.attempt >= self.options.max_deliveries && progress.until <= self.store.now().await? {
            let message = from_json(self.log().as_str(), &entry.value)?;
            self.bury(actor, version, &entry, message, self.too_often()).await?;
        }
        Ok(())
    }

    /// Lets what is out for processing come again at once: whoever had it is gone.
    pub async fn reclaim(&self, actor: &Actor) -> Result<()> {
        loop {
            let (version, progress, _) = self.look().await?;
            if progress.claimed == 0 {
                return Ok(());
            }
            let lapsed = Progress { until: Millis(0), ..progress };
            if self.won(actor.commit().version(self.cursor(), version).put(self.cursor(), to_json(&lapsed)?)).await? {
                return Ok(());
            }
        }
    }

    fn too_often(&self) -> String {
        format!("delivered {} times without an acknowledgement", self.options.max_deliveries)
    }

    /// Gives the oldest waiting message up, to make room.
    pub async fn drop_oldest(&self, actor: &Actor) -> Result<()> {
        let (version, _, entry) = self.look().await?;
        let Some(entry) = entry else { return Ok(()) };
        let message = from_json(self.log().as_str(), &entry.value)?;
        self.bury(actor, version, &entry, message, "the inbox was full".to_owned()).await.map(drop)
    }

    /// Gives everything up that waits: the owner is gone.
    pub async fn drain(&self, actor: &Actor, reason: &str) -> Result<u64> {
        let mut buried = 0;
        loop {
            let (version, _, entry) = self.look().await?;
            let Some(entry) = entry else { return Ok(buried) };
            let message = from_json(self.log().as_str(), &entry.value)?;
            buried += u64::from(self.bury(actor, version, &entry, message, reason.to_owned()).await?);
        }
    }

    /// Moves one message to the dead letters; false if somebody else moved on meanwhile.
    async fn bury(&self, actor: &Actor, version: u64, entry: &Entry, message: BusMessage, reason: String) -> Result<bool> {
        let letter: Bytes = to_json(&DeadLetter { position: 0, message, inbox: self.owner.clone(), reason })?;
        let done = Progress { acked: entry.position, ..Progress::default() };
        let commit = actor
            .commit()
            .version(self.cursor(), version)
            .put(self.cursor(), to_json(&done)?)
            .write(Write::Append { log: self.dead(), value: letter, bound: DEAD_KEPT })
            .write(Write::Trim { log: self.log(), through: entry.position });
        self.won(commit).await
    }

    async fn won(&self, commit: Commit) -> Result<bool> {
        match self.store.commit(commit).await? {
            Outcome::Accepted(_) => Ok(true),
            Outcome::Refused(Refused::Conflict { .. }) => Ok(false),
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }

    /// How long until a claimed message may come again.
    pub async fn until(&self, time: Millis) -> Result<Duration> {
        Ok(time.since(self.store.now().await?).max(Duration::from_millis(1)))
    }
}
