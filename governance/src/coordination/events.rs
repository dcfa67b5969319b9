//! A log of events as it grows, each read as what it says.

use serde::{Deserialize, Serialize};

use super::follow::{Cursor, Follower, Gap, Step};
use super::message::BusMessage;
use super::proposal::{Proposal, ProposalState};
use crate::error::{Error, Result};
use crate::store::{Entry, from_json};
use crate::vocabulary::{AgentId, Millis, ProposalId};

/// What an entry of a log says.
pub trait Told: Sized {
    /// Reads it from the entry.
    fn read(entry: &Entry) -> Result<Self>;
}

/// Events as they come. Made by [`Follower::told`].
pub struct Events<T> {
    follower: Follower,
    read: std::vec::IntoIter<Entry>,
    says: std::marker::PhantomData<fn() -> T>,
}

/// One event with the place behind it, or what was missed before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Item<T> {
    /// The next event.
    Event {
        /// What it says.
        #[serde(flatten)]
        event: T,
        /// Where to go on from later.
        cursor: Cursor,
    },
    /// What was missed; what follows is read behind it.
    Missed {
        /// What.
        gap: Gap,
        /// Where to go on from later.
        cursor: Cursor,
    },
}

impl<T: Told> Events<T> {
    pub(super) fn new(follower: Follower) -> Self {
        Self { follower, read: Vec::new().into_iter(), says: std::marker::PhantomData }
    }

    /// Waits for the next event; `Err(gap)` inside says what was missed. Cancel safe.
    pub async fn next(&mut self) -> Result<std::result::Result<T, Gap>> {
        loop {
            if let Some(entry) = self.read.next() {
                return T::read(&entry).map(Ok);
            }
            match self.follower.next().await? {
                Step::Entries(entries) => self.read = entries.into_iter(),
                Step::Missed(gap) => return Ok(Err(gap)),
            }
        }
    }

    /// The same, with the place to go on from. Cancel safe.
    pub async fn item(&mut self) -> Result<Item<T>> {
        let next = self.next().await?;
        let cursor = self.cursor();
        Ok(match next {
            Ok(event) => Item::Event { event, cursor },
            Err(gap) => Item::Missed { gap, cursor },
        })
    }

    /// What is there now, without waiting; none at the end.
    pub async fn piece(&mut self) -> Result<Option<Vec<std::result::Result<T, Gap>>>> {
        let read = std::mem::take(&mut self.read);
        if !read.as_slice().is_empty() {
            return read.map(|e| T::read(&e).map(Ok)).collect::<Result<_>>().map(Some);
        }
        Ok(match self.follower.step().await? {
            None => None,
            Some(Step::Missed(gap)) => Some(vec![Err(gap)]),
            Some(Step::Entries(entries)) => Some(entries.iter().map(|e| T::read(e).map(Ok)).collect::<Result<_>>()?),
        })
    }

    /// A cursor to go on from later: behind the last event that was handed out.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        let cursor = self.follower.cursor();
        let unread = self.read.as_slice().first().map(|e| e.position - 1);
        Cursor { position: unread.unwrap_or(cursor.position), ..cursor }
    }
}

/// One message of a bus's record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BusEvent {
    /// 1, 2, 3, … within the task.
    pub position: u64,
    /// The message.
    pub message: BusMessage,
}

impl Told for BusEvent {
    fn read(entry: &Entry) -> Result<Self> {
        Ok(Self { position: entry.position, message: from_json("bus", &entry.value)? })
    }
}

/// Something that happened to a proposal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VoteEvent {
    /// 1, 2, 3, … within the task.
    pub position: u64,
    /// When, on the store's clock.
    pub at: Millis,
    /// The proposal.
    pub proposal_id: ProposalId,
    /// What happened.
    #[serde(flatten)]
    pub what: VoteStep,
}

/// What happened to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum VoteStep {
    /// It was put to the vote.
    Opened {
        /// By whom.
        by: AgentId,
    },
    /// A member voted, committed or revealed. What it said is asked of [`Consensus::votes`](super::Consensus::votes).
    Vote {
        /// Who.
        member: AgentId,
    },
    /// Another step of the vote began, or it ended.
    Moved {
        /// Where it stands.
        state: ProposalState,
    },
}

impl Told for VoteEvent {
    fn read(entry: &Entry) -> Result<Self> {
        let foreign = || Error::corrupt("not_an_event", format!("entry {} of a task's votes is not one", entry.position));
        let put = entry.put.as_ref().ok_or_else(foreign)?;
        // A ballot is a field of the table beside its proposal's record.
        let mut names = put.key.rsplit(':');
        let id = if put.field.is_some() { names.nth(1) } else { names.next() };
        let what = match (&put.field, &put.meta[..]) {
            (Some(member), _) => VoteStep::Vote { member: AgentId::new(member)? },
            (None, b"opened") => VoteStep::Opened { by: from_json::<Proposal>(&put.key, &entry.value)?.opened_by },
            (None, _) => VoteStep::Moved { state: from_json::<Proposal>(&put.key, &entry.value)?.state },
        };
        Ok(Self { position: entry.position, at: entry.at, proposal_id: ProposalId::new(id.ok_or_else(foreign)?)?, what })
    }
}
