//! Who is on a bus, and how a member goes.
//!
//! ```text
//!   absent ── join ──▶ here ── leave, remove ──▶ leaving: takes no more messages ── inbox emptied into the dead letters ──▶ absent
//! ```
//!
//! Whoever dies while a member leaves is finished by the next who uses the bus, or by the caretaker.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::caretaker::Charge;
use super::mailbox::{Mailbox, MailboxOptions};
use crate::error::Result;
use crate::store::{Actor, Cell, Outcome, Refused, Store, Versioned, Write, from_json, to_json};
use crate::vocabulary::{AgentId, TaskId};

/// How long a member may take to leave before somebody helps.
const LEAVING: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(super) struct Roster<'a> {
    pub store: &'a Store,
    pub task: &'a TaskId,
    pub actor: &'a Actor,
}

/// A member.
pub(super) struct Member {
    pub id: AgentId,
    pub options: MailboxOptions,
    pub version: u64,
    /// Why, where it is on its way out.
    pub leaving: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    options: MailboxOptions,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaving: Option<String>,
}

impl Roster<'_> {
    /// The members, after whoever is leaving has gone.
    pub async fn members(&self) -> Result<Vec<Member>> {
        let table = self.store.table(self.store.keys().bus_members(self.task)).await?;
        let mut members = Vec::with_capacity(table.len());
        for (id, found) in table {
            let member = member(AgentId::new(&id)?, &found)?;
            match &member.leaving {
                None => members.push(member),
                Some(reason) => drop(self.see_off(&member.id, member.version, reason).await?),
            }
        }
        Ok(members)
    }

    /// One member, if it is there; one that is leaving has gone afterwards.
    pub async fn here(&self, id: &AgentId) -> Result<Option<Member>> {
        let Some(member) = self.member(id).await? else { return Ok(None) };
        match &member.leaving {
            None => Ok(Some(member)),
            Some(reason) => self.see_off(id, member.version, reason).await.map(|_| None),
        }
    }

    /// Makes somebody a member, or changes the options of one.
    pub async fn join(&self, id: &AgentId, options: MailboxOptions) -> Result<()> {
        loop {
            let found = self.member(id).await?;
            if let Some(Member { version, leaving: Some(reason), .. }) = &found {
                self.see_off(id, *version, reason).await?;
                continue;
            }
            let version = found.map_or(0, |member| member.version);
            if self.put(id, version, &Stored { options, leaving: None }).await? {
                return Ok(());
            }
        }
    }

    /// Lets a member go, or makes it. Answers how many messages of its inbox were given up.
    pub async fn remove(&self, id: &AgentId, reason: &str) -> Result<u64> {
        loop {
            let Some(member) = self.member(id).await? else { return Ok(0) };
            if let Some(earlier) = &member.leaving {
                return self.see_off(id, member.version, earlier).await;
            }
            let leaving = Stored { options: member.options, leaving: Some(reason.to_owned()) };
            if self.put(id, member.version, &leaving).await? {
                return self.see_off(id, member.version + 1, reason).await;
            }
        }
    }

    /// The cell that a delivery to a member depends on.
    pub fn cell(&self, id: &AgentId) -> Cell {
        Cell::field(self.store.keys().bus_members(self.task), id.as_str())
    }

    /// INVARIANT: nothing comes into the inbox any more, because each delivery depends on a version of the member that has passed; so a member
    /// that is gone leaves no message where nobody looks.
    async fn see_off(&self, id: &AgentId, version: u64, reason: &str) -> Result<u64> {
        let given_up = Mailbox::new(self.store, self.task, id, MailboxOptions::default()).drain(self.actor, reason).await?;
        let gone = self.actor.commit().version(self.cell(id), version).write(Write::Delete(self.cell(id)));
        match self.store.commit(gone.write(self.charge(id).end(self.store.keys()))).await? {
            // A conflict: somebody else has seen it off.
            Outcome::Accepted(_) | Outcome::Refused(Refused::Conflict { .. }) => Ok(given_up),
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }

    fn charge(&self, id: &AgentId) -> Charge {
        Charge::inbox(self.task, id)
    }

    pub async fn member(&self, id: &AgentId) -> Result<Option<Member>> {
        self.store.cell(self.cell(id)).await?.map(|found| member(id.clone(), &found)).transpose()
    }

    async fn put(&self, id: &AgentId, version: u64, stored: &Stored) -> Result<bool> {
        let commit = self.actor.commit().version(self.cell(id), version).put(self.cell(id), to_json(stored)?);
        // Who leaves by itself empties its own inbox. Only one that dies over it needs help.
        let due = if stored.leaving.is_some() { Some(self.store.now().await?.after(LEAVING)) } else { None };
        let commit = commit.write(self.charge(id).begin(self.store.keys(), due));
        match self.store.commit(commit).await? {
            Outcome::Accepted(_) => Ok(true),
            Outcome::Refused(Refused::Conflict { .. }) => Ok(false),
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }
}

fn member(id: AgentId, found: &Versioned) -> Result<Member> {
    let Stored { options, leaving } = from_json(id.as_str(), &found.value)?;
    Ok(Member { id, options, version: found.version, leaving })
}
