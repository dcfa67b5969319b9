//! What agents say to each other: durable messages to inboxes, and signals that may be lost.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::follow::{Cursor, Follower};
use super::mailbox::{Delivery, Head, Mailbox, MailboxOptions, Overflow};
use super::message::{BusMessage, DeadLetter, MAX_MESSAGE};
use super::roster::{Member, Roster};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Actor, Check, Commit, Entry, Outcome, Refused, Signals, Store, Write, from_json, to_json};
use crate::vocabulary::{AgentId, TaskId, Token};

/// How many messages the record of a bus keeps.
pub const BUS_LOG_KEPT: u64 = 10_000;

/// A task's bus, as one actor hears and uses it.
///
/// Durable messages are at-least-once and FIFO per sender and recipient: each stays in the recipient's inbox until it is acknowledged, comes again
/// when it is not in time, and ends in the dead letters when it never is. Inboxes are bounded: a full one refuses, or gives up its oldest.
#[derive(Debug, Clone)]
pub struct MessageBus {
    store: Store,
    task: TaskId,
    actor: Actor,
    inbox: Mailbox,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    /// It is in every recipient's inbox, under this id.
    Accepted(Token),
    /// An inbox is full; nobody got it.
    Full {
        /// Whose.
        inbox: AgentId,
    },
}

impl Sent {
    /// The message's id, if it was sent.
    #[must_use]
    pub fn id(self) -> Option<Token> {
        match self {
            Self::Accepted(id) => Some(id),
            Self::Full { .. } => None,
        }
    }
}

impl MessageBus {
    /// A task's bus. To get messages, [`join`](Self::join) it.
    #[must_use]
    pub fn open(store: &Store, task: &TaskId, actor: &Actor) -> Self {
        let inbox = Mailbox::new(store, task, &actor.id, MailboxOptions::default());
        Self { store: store.clone(), task: task.clone(), actor: actor.clone(), inbox }
    }

    /// Becomes a member with an inbox. Joining again changes its options.
    pub async fn join(&mut self, options: MailboxOptions) -> Result<()> {
        options.check()?;
        self.roster().join(&self.actor.id, options).await?;
        self.inbox = Mailbox::new(&self.store, &self.task, &self.actor.id, options);
        Ok(())
    }

    /// Joins in place of a process that is gone: what that had out for processing comes again at once.
    pub async fn take_over(&mut self, options: MailboxOptions) -> Result<()> {
        self.join(options).await?;
        self.inbox.reclaim(&self.actor).await
    }

    /// Leaves: what still waits in the inbox goes to the dead letters. Answers how much that was.
    pub async fn leave(self) -> Result<u64> {
        self.remove(&self.actor.id, "the recipient left").await
    }

    /// Takes a member off the bus that cannot leave by itself; what waits in its inbox goes to the dead letters.
    pub async fn remove(&self, member: &AgentId, reason: &str) -> Result<u64> {
        self.roster().remove(member, reason).await
    }

    /// Who is on the bus, and with which inbox.
    pub async fn members(&self) -> Result<Vec<(AgentId, MailboxOptions)>> {
        Ok(self.roster().members().await?.into_iter().map(|member| (member.id, member.options)).collect())
    }

    /// Sends a message to one member.
    pub async fn send(&self, to: &AgentId, body: &impl Serialize) -> Result<Sent> {
        let message = self.message(self.store.fresh_token(), Some(to), body, None)?;
        self.post(message).await
    }

    /// Sends a message to one member under an id of the caller's: sending it again, within two minutes, sends the first one once.
    pub async fn send_once(&self, id: Token, to: &AgentId, body: &impl Serialize) -> Result<Sent> {
        let message = self.message(id, Some(to), body, None)?;
        self.post(message).await
    }

    /// Sends a message to every other member: to all of them or, if an inbox is full, to none.
    pub async fn broadcast(&self, body: &impl Serialize) -> Result<Sent> {
        let message = self.message(self.store.fresh_token(), None, body, None)?;
        self.post(message).await
    }

    /// Answers a message.
    pub async fn reply(&self, delivery: &Delivery, body: &impl Serialize) -> Result<Sent> {
        let answered = &delivery.message;
        let message = self.message(self.store.fresh_token(), Some(&answered.from), body, Some(answered.id.clone()))?;
        self.post(message).await
    }

    /// Sends a message and waits for its answer, which also comes to the inbox as every message does. Needs one: [`join`](Self::join) first.
    ///
    /// Time up is a `deadline` error; the request may still be answered later.
    pub async fn request(&self, to: &AgentId, body: &impl Serialize, within: Duration) -> Result<BusMessage> {
        if self.store.cell(self.roster().cell(&self.actor.id)).await?.is_none() {
            let nowhere = format!("`{}` is not on the bus of `{}`, so no answer could come: join it first", self.actor.id, self.task);
            return Err(Error::invalid("not_a_member", nowhere));
        }
        let mut answers = Follower::from_end(&self.store, self.store.keys().bus_log(&self.task)).await?;
        let id = match self.send(to, body).await? {
            Sent::Accepted(id) => id,
            Sent::Full { inbox } => return Err(Error::new(ErrorKind::Exhausted, "inbox_full", format!("the inbox of `{inbox}` is full"))),
        };
        let answered = async {
            loop {
                if let super::Step::Entries(entries) = answers.next().await? {
                    for entry in entries {
                        let message: BusMessage = from_json("bus", &entry.value)?;
                        if message.reply_to.as_ref() == Some(&id) && message.from == *to {
                            return Ok(message);
                        }
                    }
                }
            }
        };
        let late = || Error::new(ErrorKind::Deadline, "no_answer", format!("`{to}` did not answer within {within:?}"));
        tokio::time::timeout(within, answered).await.unwrap_or_else(|_| Err(late()))
    }

    /// The next message, if one waits and is not out for processing already.
    pub async fn take(&self) -> Result<Option<Delivery>> {
        Ok(match self.inbox.take(&self.actor).await? {
            Head::Delivered(delivery) => Some(delivery),
            Head::Claimed(_) | Head::Empty => None,
        })
    }

    /// Waits for the next message. A `revoked` error as soon as the member's admission ends. Cancel safe: what was delivered and dropped comes
    /// again.
    pub async fn receive(&self) -> Result<Delivery> {
        let mut arrived = self.store.watch(&[self.inbox.log()]).await?;
        let mut ended = self.store.watch(&self.actor.admission.keys()).await?;
        let mut waited = false;
        loop {
            let wait = match self.inbox.take(&self.actor).await? {
                Head::Delivered(delivery) => return Ok(delivery),
                Head::Empty => Duration::MAX,
                Head::Claimed(until) => self.inbox.until(until).await?,
            };
            // Who takes a message is refused by that; who begins to wait asks once.
            if !std::mem::replace(&mut waited, true) {
                self.store.still_admitted(&self.actor).await?;
            }
            tokio::select! {
                () = arrived.changed() => {}
                () = ended.changed() => self.store.still_admitted(&self.actor).await?,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Waits for the next message, no longer than that if a span is given; none if none came. Cancel safe.
    pub async fn receive_within(&self, within: Option<Duration>) -> Result<Option<Delivery>> {
        match within {
            Some(within) => tokio::time::timeout(within, self.receive()).await.map_or(Ok(None), |delivery| delivery.map(Some)),
            None => self.receive().await.map(Some),
        }
    }

    /// Says that a message was processed. A conflict if it was delivered again meanwhile.
    pub async fn acknowledge(&self, delivery: &Delivery) -> Result<()> {
        self.inbox.acknowledge(&self.actor, delivery).await
    }

    /// Says something to whoever listens now. May be lost.
    pub async fn signal(&self, body: &impl Serialize) -> Result<()> {
        let message = self.message(self.store.fresh_token(), None, body, None)?;
        let payload = encoded(&message)?;
        let channel = self.store.keys().bus(&self.task);
        self.store.apply(self.actor.commit().write(Write::Signal { channel, payload })).await.map(drop)
    }

    /// Hears signals, and every durable message as it is sent. May lose some.
    pub async fn listen(&self) -> Result<Signals> {
        self.store.signals(&self.store.keys().bus(&self.task)).await
    }

    /// Follows the record of all messages.
    #[must_use]
    pub fn record(&self, cursor: Cursor) -> Follower {
        Follower::new(&self.store, self.store.keys().bus_log(&self.task), cursor)
    }

    /// Messages that nobody could process, oldest first.
    pub async fn dead_letters(&self) -> Result<Vec<DeadLetter>> {
        let page = self.store.log(self.store.keys().bus_dead(&self.task), 0, u64::from(u32::MAX)).await?;
        let letter = |entry: &Entry| Ok(DeadLetter { position: entry.position, ..from_json("dead letters", &entry.value)? });
        page.entries.iter().map(letter).collect()
    }

    fn roster(&self) -> Roster<'_> {
        Roster { store: &self.store, task: &self.task, actor: &self.actor }
    }

    fn message(&self, id: Token, to: Option<&AgentId>, body: &impl Serialize, reply_to: Option<Token>) -> Result<BusMessage> {
        let body: Value =
            serde_json::to_value(body).map_err(|e| Error::invalid("not_json", "the message cannot be written as JSON").because(e))?;
        let at = self.store.ports().clock.now();
        Ok(BusMessage { id, from: self.actor.id.clone(), to: to.cloned(), at, body, reply_to })
    }

    async fn post(&self, message: BusMessage) -> Result<Sent> {
        loop {
            // Whoever writes to one asks for that one, however many are on the bus.
            let mut to = match &message.to {
                Some(one) => self.roster().here(one).await?.into_iter().collect(),
                None => self.roster().members().await?,
            };
            to.retain(|member| message.to.is_some() || member.id != message.from);
            // A full inbox that refuses is found first: nobody else gives anything up for a message that is not sent.
            to.sort_by_key(|member| member.options.overflow == Overflow::DropOldest);
            if let (Some(missing), true) = (&message.to, to.is_empty()) {
                let unknown = format!("`{missing}` is not on the bus of `{}`", self.task);
                return Err(Error::new(ErrorKind::NotFound, "no_such_member", unknown));
            }
            match self.store.commit(self.delivery(&message, &to)?).await? {
                Outcome::Accepted(_) => return Ok(Sent::Accepted(message.id)),
                Outcome::Refused(Refused::Full { log, .. }) => {
                    let full = to.iter().find(|member| self.store.keys().bus_inbox(&self.task, &member.id) == log);
                    let Some(full) = full else { return Err(Error::internal("a foreign log was full")) };
                    if full.options.overflow == Overflow::Refuse {
                        return Ok(Sent::Full { inbox: full.id.clone() });
                    }
                    Mailbox::new(&self.store, &self.task, &full.id, full.options).drop_oldest(&self.actor).await?;
                }
                // A recipient joined again or left meanwhile: look again.
                Outcome::Refused(Refused::Conflict { .. }) => {}
                Outcome::Refused(refused) => return Err(refused.into()),
            }
        }
    }

    /// One step: into every inbox, into the record, and a signal for who listens.
    fn delivery(&self, message: &BusMessage, to: &[Member]) -> Result<Commit> {
        let keys = self.store.keys();
        let value = encoded(message)?;
        let mut commit = self.actor.commit().token(message.id.clone());
        for member in to {
            let log = keys.bus_inbox(&self.task, &member.id);
            commit = commit
                .version(self.roster().cell(&member.id), member.version)
                .check(Check::Room { log: log.clone(), amount: 1, limit: member.options.capacity })
                .write(Write::Append { log, value: value.clone(), bound: 0 });
        }
        Ok(commit
            .write(Write::Append { log: keys.bus_log(&self.task), value: value.clone(), bound: BUS_LOG_KEPT })
            .write(Write::Signal { channel: keys.bus(&self.task), payload: value }))
    }
}

fn encoded(message: &BusMessage) -> Result<Bytes> {
    let value = to_json(message)?;
    if value.len() > MAX_MESSAGE {
        return Err(Error::invalid("message_too_large", format!("the message has {} bytes: at most {MAX_MESSAGE}", value.len())));
    }
    Ok(value)
}
