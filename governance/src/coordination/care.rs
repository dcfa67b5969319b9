//! What the caretaker does for votes and inboxes.

use async_trait::async_trait;

use super::caretaker::{Alarm, Charge, ChargeKind, Chore, Keeper, Look};
use super::consensus::Consensus;
use super::mailbox::Mailbox;
use super::proposal::ProposalState;
use super::roster::Roster;
use crate::error::{ErrorKind, Result};
use crate::store::{Actor, Admission, Store};
use crate::vocabulary::{AgentId, Millis, PipelineStatus, ProposalId, TaskId};

/// Closes votes whose time is up, although nobody waits for their outcome.
pub struct Ballots {
    store: Store,
}

impl Ballots {
    /// For the votes of a store.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    fn of(&self, charge: &Charge, actor: &Actor) -> Result<(Consensus, ProposalId)> {
        let (task, id) = charge.ids()?;
        Ok((Consensus::open(&self.store, &task, actor), ProposalId::new(id)?))
    }
}

#[async_trait]
impl Chore for Ballots {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Ballot
    }

    async fn look(&self, charge: &Charge, _now: Millis) -> Result<Look> {
        let (votes, id) = self.of(charge, &onlooker()?)?;
        Ok(match votes.proposal(&id).await? {
            None => Look::Done,
            Some(proposal) if matches!(proposal.state, ProposalState::Closed(_)) => Look::Done,
            Some(proposal) => Look::Due(Some(proposal.until())),
        })
    }

    async fn act(&self, charge: &Charge, keeper: &Keeper) -> Result<()> {
        let (votes, id) = self.of(charge, &keeper.actor)?;
        votes.settle(&id).await.map(drop)
    }
}

/// Gives up what nobody will process: messages whose last delivery lapsed, and everything that waits for who was revoked or is leaving.
pub struct Inboxes {
    store: Store,
}

impl Inboxes {
    /// For the inboxes of a store.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    fn owner(charge: &Charge) -> Result<(TaskId, AgentId)> {
        let (task, member) = charge.ids()?;
        Ok((task, AgentId::new(member)?))
    }

    async fn is_revoked(&self, member: &AgentId) -> Result<bool> {
        Ok(self.store.cell(self.store.keys().agent_revoke_signal(member)).await?.is_some())
    }

    /// Whether the run that the bus belongs to, if it belongs to one, has ended.
    async fn is_over(&self, task: &TaskId) -> Result<bool> {
        let state = self.store.state(self.store.keys().pipeline(&task.pipeline())).await?;
        Ok(state.is_some_and(|state| state.field("status").parse::<PipelineStatus>().is_ok_and(PipelineStatus::is_final)))
    }
}

#[async_trait]
impl Chore for Inboxes {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Inbox
    }

    fn alarm(&self, charge: &Charge) -> Alarm {
        let Ok((task, member)) = Self::owner(charge) else { return Alarm::Silent };
        let keys = self.store.keys();
        Alarm::Keys(vec![
            keys.bus_cursor(&task, &member),
            keys.bus_members(&task),
            keys.agent_revoke_signal(&member),
            keys.pipeline(&task.pipeline()),
        ])
    }

    async fn look(&self, charge: &Charge, now: Millis) -> Result<Look> {
        let ((task, id), actor) = (Self::owner(charge)?, onlooker()?);
        let Some(member) = (Roster { store: &self.store, task: &task, actor: &actor }).member(&id).await? else { return Ok(Look::Done) };
        if member.leaving.is_some() {
            return Ok(Look::Due(Some(charge.due(&self.store).await?.unwrap_or(now))));
        }
        if self.is_revoked(&id).await? {
            return Ok(Look::Due(Some(now)));
        }
        let lapses = Mailbox::new(&self.store, &task, &id, member.options).given_up_at().await?;
        if lapses.is_none() && self.is_over(&task).await? {
            // What waits there stays, for whoever continues the run; joining again has it looked after again.
            return Ok(Look::Done);
        }
        Ok(Look::Due(lapses))
    }

    async fn act(&self, charge: &Charge, keeper: &Keeper) -> Result<()> {
        let (task, id) = Self::owner(charge)?;
        let roster = Roster { store: &self.store, task: &task, actor: &keeper.actor };
        let Some(member) = roster.member(&id).await? else { return Ok(()) };
        if member.leaving.is_some() {
            return roster.remove(&id, "it left").await.map(drop);
        }
        if self.is_revoked(&id).await? {
            return roster.remove(&id, "the recipient was revoked").await.map(drop);
        }
        match Mailbox::new(&self.store, &task, &id, member.options).give_up(&keeper.actor).await {
            // It was acknowledged after all.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            other => other,
        }
    }
}

/// Who only looks.
fn onlooker() -> Result<Actor> {
    Ok(Actor { id: AgentId::new("caretaker")?, pipeline: None, admission: Admission::default() })
}
