//! Deciding together: a proposal under vote, from opening to its one outcome.
//!
//! ```text
//!   Open ──every member voted, or the deadline──▶ Closing ──counted──▶ Closed(outcome)
//!     └─sealed: ▶ Revealing ──every commitment revealed, or the deadline──▶ Closing
//! ```
//!
//! Closing takes no more ballots, so whoever counts counts the same; a process that dies between is finished by the next that looks.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ballot::{self, BallotBox, Next, Stored, check_commitment, check_depth};
use super::caretaker::Charge;
use super::follow::{Cursor, Follower};
use super::proposal::{Electorate, Member, Opening, Proposal, ProposalState};
use super::tally::{Choice, Outcome};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{self, Actor, Answer, Cell, Commit, Event, Query, Refused, Store, Write, from_json, to_json};
use crate::vocabulary::{AgentId, Key, ProposalId, TaskId};

/// How many events about proposals a task keeps.
const EVENTS_KEPT: u64 = 10_000;
/// The steps in which ballots are taken.
const VOTING: &str = "voting";
const REVEALING: &str = "revealing";

/// A task's votes, as one actor sees them and takes part.
#[derive(Debug, Clone)]
pub struct Consensus {
    pub(super) store: Store,
    pub(super) task: TaskId,
    actor: Actor,
}

/// What became of a ballot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cast {
    /// It counts.
    Accepted,
    /// The member has voted already; the first ballot stands.
    AlreadyVoted,
    /// Ballots are still being committed: reveal later.
    Early,
    /// No ballots are taken any more.
    Closed,
}

impl Consensus {
    /// A task's votes.
    #[must_use]
    pub fn open(store: &Store, task: &TaskId, actor: &Actor) -> Self {
        Self { store: store.clone(), task: task.clone(), actor: actor.clone() }
    }

    /// Puts something to the vote. The electorate is frozen with each member's epoch of now.
    pub async fn propose(&self, id: &ProposalId, opening: Opening) -> Result<Proposal> {
        opening.check()?;
        let own = opening.electorate.iter().map(|(member, _)| self.own_epoch(member)).collect();
        let epochs = self.epochs(own).await?;
        let member = |(id, weight): (AgentId, u32)| Member { weight, epoch: epochs[&self.own_epoch(&id)], id };
        let members: Vec<Member> = opening.electorate.into_iter().map(member).collect();
        let deadline = self.store.now().await?.after(opening.within);
        let voters = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let proposal = Proposal {
            question: opening.question,
            options: opening.options,
            rule: opening.rule,
            quorum: opening.quorum.unwrap_or(voters / 2 + 1),
            electorate: Electorate(members),
            deadline,
            reveal_until: opening.sealed.then(|| deadline.after(opening.within)),
            opened_by: self.actor.id.clone(),
            state: ProposalState::Open,
        };
        let lasts = |step: &str, ttl| Write::Put { cell: self.taking(id, step).into(), value: "1".into(), ttl: Some(ttl), event: None };
        let watched = Charge::ballot(&self.task, id).begin(self.store.keys(), Some(deadline));
        let mut commit = self.actor.commit().absent(self.key(id)).write(watched).write(lasts(VOTING, opening.within));
        if opening.sealed {
            commit = commit.write(lasts(REVEALING, opening.within * 2));
        }
        self.store.apply(commit.write(self.told(self.key(id).into(), &proposal, "opened")?)).await?;
        Ok(proposal)
    }

    /// A proposal as it stands; none if there is none.
    pub async fn proposal(&self, id: &ProposalId) -> Result<Option<Proposal>> {
        Ok(self.store.json(self.key(id)).await?.map(|(_, proposal)| proposal))
    }

    /// Casts this actor's ballot. One a member; the first that is not void stands.
    pub async fn vote(&self, id: &ProposalId, choice: Choice) -> Result<Cast> {
        let (version, proposal) = self.found(id).await?;
        choice.check(proposal.rule, &proposal.options)?;
        if proposal.reveal_until.is_some() {
            return Err(Error::invalid("sealed_vote", format!("ballots on `{id}` are sealed: commit first, then reveal")));
        }
        let ballot = Stored { choice: Some(choice), ..self.blank(&proposal, id)? };
        match self.cast(id, version, &proposal, &ballot, 0).await? {
            Cast::AlreadyVoted => self.cast_again(id, version, &proposal, &ballot).await,
            cast => Ok(cast),
        }
    }

    /// A member that was admitted again replaces its ballot that the earlier admission's end made void. Any other ballot stands.
    async fn cast_again(&self, id: &ProposalId, version: u64, proposal: &Proposal, ballot: &Stored) -> Result<Cast> {
        let Some((replaces, cast)) = self.store.json::<Stored>(self.ballot(id, &self.actor.id)).await? else {
            return self.cast(id, version, proposal, ballot, 0).await;
        };
        let epochs = self.epochs(cast.admission.0.iter().map(|(key, _)| key.clone()).collect()).await?;
        if cast.admission.0.iter().all(|(key, epoch)| epochs.get(key) == Some(epoch)) {
            return Ok(Cast::AlreadyVoted);
        }
        self.cast(id, version, proposal, ballot, replaces).await
    }

    /// Casts a sealed ballot; see [`commitment`](Self::commitment).
    pub async fn commit_vote(&self, id: &ProposalId, commitment: String) -> Result<Cast> {
        let (version, proposal) = self.found(id).await?;
        check_commitment(&commitment)?;
        Self::check_sealed(id, &proposal)?;
        let ballot = Stored { commitment: Some(commitment), ..self.blank(&proposal, id)? };
        if proposal.state != ProposalState::Open {
            return Ok(Cast::Closed);
        }
        self.cast(id, version, &proposal, &ballot, 0).await
    }

    /// Opens a sealed ballot, once every member has committed or the time for that is over. Refused if it is not what was committed to.
    pub async fn reveal(&self, id: &ProposalId, choice: Choice, nonce: &str) -> Result<Cast> {
        // Somebody must say that the commitments are in.
        self.settle(id).await?;
        let (version, proposal) = self.found(id).await?;
        Self::check_sealed(id, &proposal)?;
        choice.check(proposal.rule, &proposal.options)?;
        let Some((committed, held)) = self.store.json::<Stored>(self.ballot(id, &self.actor.id)).await? else {
            return Err(Error::new(ErrorKind::NotFound, "no_commitment", format!("`{}` committed to nothing on `{id}`", self.actor.id)));
        };
        if held.commitment != Some(self.commitment(id, &choice, nonce)?) {
            return Err(Error::new(ErrorKind::Denied, "not_what_was_committed", "the ballot is not the one that was committed to"));
        }
        match proposal.state {
            ProposalState::Open => return Ok(Cast::Early),
            _ if held.choice.is_some() => return Ok(Cast::AlreadyVoted),
            _ => {}
        }
        let ballot = Stored { choice: Some(choice), nonce: Some(nonce.to_owned()), ..held };
        self.cast(id, version, &proposal, &ballot, committed).await
    }

    /// What this actor's sealed ballot shows before it is revealed: a hash, in hex, of proposal, member, choice and nonce. The nonce must be
    /// unguessable, and kept until it is revealed.
    pub fn commitment(&self, id: &ProposalId, choice: &Choice, nonce: &str) -> Result<String> {
        ballot::commitment(&self.key(id), &self.actor.id, choice, nonce)
    }

    /// Brings a proposal as far as it can go now: closes it when every member has voted or time is up, and counts. Anyone may call it; the
    /// outcome is the same. None while ballots can still come.
    pub async fn settle(&self, id: &ProposalId) -> Result<Option<Outcome>> {
        loop {
            let (version, proposal) = self.found(id).await?;
            if let ProposalState::Closed(outcome) = &proposal.state {
                return Ok(Some(outcome.clone()));
            }
            let Some(Next { state, holds }) = self.next(id, &proposal).await? else { return Ok(None) };
            let closed = matches!(state, ProposalState::Closed(_));
            let told = if closed { "closed" } else { "closing" };
            let write = self.told(self.key(id).into(), &Proposal { state, ..proposal }, told)?;
            // INVARIANT: a voter revoked between counting and closing makes this commit fail, so the count is done again.
            let fenced = |commit: Commit, (key, epoch)| commit.version(key, epoch);
            let commit = holds.into_values().fold(self.actor.commit().version(self.key(id), version), fenced);
            let commit = if closed { commit.write(Charge::ballot(&self.task, id).end(self.store.keys())) } else { commit };
            match self.store.commit(commit.write(write)).await? {
                store::Outcome::Accepted(_) | store::Outcome::Refused(Refused::Conflict { .. }) => {}
                store::Outcome::Refused(refused) => return Err(refused.into()),
            }
        }
    }

    /// The outcome, if the proposal is closed. Changes nothing.
    pub async fn settled(&self, id: &ProposalId) -> Result<Option<Outcome>> {
        Ok(match self.found(id).await?.1.state {
            ProposalState::Closed(outcome) => Some(outcome),
            ProposalState::Open | ProposalState::Revealing | ProposalState::Closing => None,
        })
    }

    /// Waits for the outcome. Cancel safe.
    pub async fn outcome(&self, id: &ProposalId) -> Result<Outcome> {
        let mut watch = self.store.watch(&[self.store.keys().proposal_events(&self.task)]).await?;
        loop {
            if let Some(outcome) = self.settle(id).await? {
                return Ok(outcome);
            }
            let (_, proposal) = self.found(id).await?;
            let left = proposal.until().since(self.store.now().await?) + Duration::from_millis(1);
            let _ = tokio::time::timeout(left, watch.changed()).await;
        }
    }

    /// Who voted what, as far as it is open.
    pub async fn votes(&self, id: &ProposalId) -> Result<BTreeMap<AgentId, Option<Choice>>> {
        Ok(self.ballots(id).await?.into_iter().map(|(member, stored)| (member, stored.choice)).collect())
    }

    /// Follows what happens to the task's proposals.
    #[must_use]
    pub fn events(&self, cursor: Cursor) -> Follower {
        Follower::new(&self.store, self.store.keys().proposal_events(&self.task), cursor)
    }

    async fn next(&self, id: &ProposalId, proposal: &Proposal) -> Result<Option<Next>> {
        let ballots = self.ballots(id).await?;
        let admitted = ballots.values().flat_map(|ballot| ballot.admission.0.iter().map(|(key, _)| key.clone()));
        let own = proposal.electorate.0.iter().map(|member| self.own_epoch(&member.id));
        let keys = admitted.chain(own).collect();
        let epochs = self.epochs(keys).await?;
        let now = self.store.now().await?;
        let own = |member: &Member| self.own_epoch(&member.id);
        Ok(BallotBox { key: &self.key(id), proposal, ballots: &ballots, epochs: &epochs, own: &own }.next(now))
    }

    async fn epochs(&self, keys: HashSet<Key>) -> Result<HashMap<Key, u64>> {
        let keys: Vec<Key> = keys.into_iter().collect();
        let queries: Vec<_> = keys.iter().cloned().map(Query::Number).collect();
        let number = |answer| if let Answer::Number(Some(number)) = answer { number } else { 0 };
        Ok(keys.into_iter().zip(self.store.read(&queries).await?.into_iter().map(number)).collect())
    }

    async fn ballots(&self, id: &ProposalId) -> Result<BTreeMap<AgentId, Stored>> {
        let table = self.store.table(self.store.keys().ballots(&self.task, id)).await?;
        table.into_iter().map(|(member, stored)| Ok((AgentId::new(&member)?, from_json(&member, &stored.value)?))).collect()
    }

    async fn cast(&self, id: &ProposalId, version: u64, proposal: &Proposal, ballot: &Stored, replaces: u64) -> Result<Cast> {
        let step = match proposal.state {
            ProposalState::Open => VOTING,
            ProposalState::Revealing => REVEALING,
            ProposalState::Closing | ProposalState::Closed(_) => return Ok(Cast::Closed),
        };
        if self.store.now().await? >= proposal.until() {
            return Ok(Cast::Closed);
        }
        let cell = self.ballot(id, &self.actor.id);
        let write = self.told(cell.clone(), ballot, "vote")?;
        // INVARIANT: no ballot lands after the deadline, however late its writer wakes up: what says that ballots are taken has expired. It lasts
        // from when the proposal landed: by as much beyond the deadline as its way to the store took, or until somebody closes it.
        let taken = self.actor.commit().version(self.key(id), version).version(self.taking(id, step), 1);
        match self.store.commit(taken.version(cell.clone(), replaces).write(write)).await? {
            store::Outcome::Accepted(_) => Ok(Cast::Accepted),
            store::Outcome::Refused(Refused::Conflict { cell: taken, .. }) if taken == cell => Ok(Cast::AlreadyVoted),
            store::Outcome::Refused(Refused::Conflict { .. }) => Ok(Cast::Closed),
            store::Outcome::Refused(refused) => Err(refused.into()),
        }
    }

    /// A ballot that says nothing yet. Denied to whoever is not in the electorate, or not as the instance that was put into it.
    fn blank(&self, proposal: &Proposal, id: &ProposalId) -> Result<Stored> {
        let me = &self.actor.id;
        let denied =
            |why: &str| Error::new(ErrorKind::Denied, "not_in_the_electorate", format!("`{me}` is not in the electorate of `{id}`{why}"));
        let member = proposal.member(me).ok_or_else(|| denied(""))?;
        let admission = self.actor.admission.clone();
        if member.epoch != 0 && !admission.0.contains(&(self.own_epoch(me), member.epoch)) {
            return Err(denied(" with this admission"));
        }
        check_depth(&admission)?;
        Ok(Stored { admission, choice: None, commitment: None, nonce: None })
    }

    fn check_sealed(id: &ProposalId, proposal: &Proposal) -> Result<()> {
        if proposal.reveal_until.is_some() {
            return Ok(());
        }
        Err(Error::invalid("open_vote", format!("ballots on `{id}` are not sealed: vote")))
    }

    async fn found(&self, id: &ProposalId) -> Result<(u64, Proposal)> {
        let missing = || Error::new(ErrorKind::NotFound, "no_such_proposal", format!("there is no proposal `{id}` in `{}`", self.task));
        self.store.json(self.key(id)).await?.ok_or_else(missing)
    }

    fn told(&self, cell: Cell, value: &impl Serialize, what: &'static str) -> Result<Write> {
        let event = Event { log: self.store.keys().proposal_events(&self.task), meta: what.into(), bound: EVENTS_KEPT };
        Ok(Write::Put { cell, value: to_json(value)?, ttl: None, event: Some(event) })
    }

    fn key(&self, id: &ProposalId) -> Key {
        self.store.keys().proposal(&self.task, id)
    }

    fn taking(&self, id: &ProposalId, step: &str) -> Key {
        self.store.keys().ballots_taken(&self.task, id, step)
    }

    fn own_epoch(&self, member: &AgentId) -> Key {
        self.store.keys().agent_epoch(member)
    }

    fn ballot(&self, id: &ProposalId, member: &AgentId) -> Cell {
        Cell::field(self.store.keys().ballots(&self.task, id), member.as_str())
    }
}
