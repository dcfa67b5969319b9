//! Deciding together: a proposal under vote, from opening to its one outcome.
//!
//! ```text
//!   Open ──every member voted, or the deadline──▶ Closing ──counted──▶ Closed(outcome)
//!     └─sealed: ▶ Revealing ──every commitment revealed, or the deadline──▶ Closing
//! ```
//!
//! Closing takes no more ballots, so whoever counts counts the same; a process that dies between is finished by the next that looks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::follow::{Cursor, Follower};
use super::tally::{Ballot, Choice, DecisionRule, Outcome, tally};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{self, Actor, Cell, Event, Refused, Store, Write, from_json, to_json};
use crate::vocabulary::{AgentId, Key, Millis, ProposalId, TaskId};

/// How many events about proposals a task keeps.
const EVENTS_KEPT: u64 = 10_000;

/// A task's votes, as one actor sees them and takes part.
#[derive(Debug, Clone)]
pub struct Consensus {
    store: Store,
    task: TaskId,
    actor: Actor,
}

/// Who may vote, with what weight. Frozen when the proposal is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Electorate(pub Vec<Member>);

/// One voter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub id: AgentId,
    /// What its ballot weighs; given by the governor.
    pub weight: u32,
    /// The epoch it was admitted with when the proposal was opened. A ballot of another epoch is void.
    pub epoch: u64,
}

/// What is put to the vote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The question.
    pub question: Value,
    /// The options, by name.
    pub options: Vec<String>,
    /// How ballots become a decision.
    pub rule: DecisionRule,
    /// How many ballots are needed; more than half of the electorate if not given.
    #[serde(default)]
    pub quorum: Option<u32>,
    /// Who may vote; `(id, weight)`.
    pub electorate: Vec<(AgentId, u32)>,
    /// How long, on the store's clock.
    pub within: Duration,
    /// Whether ballots are sealed until all are cast: commit, then reveal.
    #[serde(default)]
    pub sealed: bool,
}

/// A proposal as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The question.
    pub question: Value,
    /// The options.
    pub options: Vec<String>,
    /// The rule.
    pub rule: DecisionRule,
    /// The ballots needed.
    pub quorum: u32,
    /// Who may vote.
    pub electorate: Electorate,
    /// Until when, on the store's clock.
    pub deadline: Millis,
    /// For how long ballots may be revealed after that.
    pub reveal_until: Option<Millis>,
    /// Who opened it.
    pub opened_by: AgentId,
    /// Where it stands.
    pub state: ProposalState,
}

/// Where a proposal stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalState {
    /// Ballots are taken.
    Open,
    /// Commitments are revealed.
    Revealing,
    /// No more ballots; being counted.
    Closing,
    /// Counted, for ever.
    Closed(Outcome),
}

/// What became of a ballot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cast {
    /// It counts.
    Accepted,
    /// The member has voted already; the first ballot stands.
    AlreadyVoted,
    /// No ballots are taken any more.
    Closed,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    choice: Option<Choice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commitment: Option<String>,
}

impl Consensus {
    /// A task's votes.
    #[must_use]
    pub fn open(store: &Store, task: &TaskId, actor: &Actor) -> Self {
        Self { store: store.clone(), task: task.clone(), actor: actor.clone() }
    }

    /// Puts something to the vote. The electorate is frozen with each member's epoch of now.
    pub async fn propose(&self, id: &ProposalId, opening: Opening) -> Result<Proposal> {
        check(&opening)?;
        let mut members = Vec::with_capacity(opening.electorate.len());
        for (member, weight) in &opening.electorate {
            let epoch = self.store.number(self.store.keys().agent_epoch(member)).await?;
            members.push(Member { id: member.clone(), weight: *weight, epoch });
        }
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
        self.store.apply(self.actor.commit().absent(self.key(id)).write(self.told(self.key(id).into(), &proposal, "opened")?)).await?;
        Ok(proposal)
    }

    /// A proposal as it stands; none if there is none.
    pub async fn proposal(&self, id: &ProposalId) -> Result<Option<Proposal>> {
        Ok(self.store.json(self.key(id)).await?.map(|(_, proposal)| proposal))
    }

    /// Casts this actor's ballot. One a member; the first stands.
    pub async fn vote(&self, id: &ProposalId, choice: Choice) -> Result<Cast> {
        let (version, proposal) = self.found(id).await?;
        choice.check(proposal.rule, &proposal.options)?;
        if proposal.reveal_until.is_some() {
            return Err(Error::invalid("sealed_vote", format!("ballots on `{id}` are sealed: commit first, then reveal")));
        }
        let ballot = Stored { epoch: self.epoch(&proposal, id)?, choice: Some(choice), commitment: None };
        self.cast(id, version, &proposal, &ballot, ProposalState::Open, 0).await
    }

    /// Casts a sealed ballot: the hash of choice and nonce, see [`commitment`](Self::commitment).
    pub async fn commit_vote(&self, id: &ProposalId, commitment: String) -> Result<Cast> {
        let (version, proposal) = self.found(id).await?;
        let ballot = Stored { epoch: self.epoch(&proposal, id)?, choice: None, commitment: Some(commitment) };
        self.cast(id, version, &proposal, &ballot, ProposalState::Open, 0).await
    }

    /// Opens a sealed ballot. Refused if it is not what was committed to.
    pub async fn reveal(&self, id: &ProposalId, choice: Choice, nonce: &str) -> Result<Cast> {
        let (version, proposal) = self.found(id).await?;
        choice.check(proposal.rule, &proposal.options)?;
        let cell = self.ballot(id, &self.actor.id);
        let committed: Option<(u64, Stored)> = self.store.json(cell).await?;
        let Some((ballot_version, Stored { commitment: Some(hash), epoch, .. })) = committed else {
            return Err(Error::new(ErrorKind::NotFound, "no_commitment", format!("`{}` committed to nothing on `{id}`", self.actor.id)));
        };
        if hash != Self::commitment(&choice, nonce)? {
            return Err(Error::new(ErrorKind::Denied, "not_what_was_committed", "the ballot is not the one that was committed to"));
        }
        let ballot = Stored { epoch, choice: Some(choice), commitment: None };
        self.cast(id, version, &proposal, &ballot, ProposalState::Revealing, ballot_version).await
    }

    /// What a sealed ballot shows before it is revealed: SHA-256 of choice and nonce, in hex. The nonce must be unguessable.
    pub fn commitment(choice: &Choice, nonce: &str) -> Result<String> {
        let digest = Sha256::new().chain_update(to_json(choice)?).chain_update([0]).chain_update(nonce).finalize();
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Brings a proposal as far as it can go now: closes it when every member has voted or time is up, and counts. Anyone may call it; the
    /// outcome is the same. None while ballots can still come.
    pub async fn settle(&self, id: &ProposalId) -> Result<Option<Outcome>> {
        loop {
            let (version, proposal) = self.found(id).await?;
            if let ProposalState::Closed(outcome) = &proposal.state {
                return Ok(Some(outcome.clone()));
            }
            let ballots = self.ballots(id).await?;
            let now = self.store.now().await?;
            let Some(next) = self.next_state(&proposal, &ballots, now).await? else { return Ok(None) };
            let mut commit = self.actor.commit().version(self.key(id), version);
            if let ProposalState::Closed(_) = next {
                // INVARIANT: a member revoked between counting and closing makes this commit fail, so the count is done again.
                for member in &proposal.electorate.0 {
                    commit = commit.version(self.store.keys().agent_epoch(&member.id), self.current_epoch(member).await?);
                }
            }
            let next = Proposal { state: next, ..proposal };
            let told = if matches!(next.state, ProposalState::Closed(_)) { "closed" } else { "closing" };
            match self.store.commit(commit.write(self.told(self.key(id).into(), &next, told)?)).await? {
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
            let until = if proposal.state == ProposalState::Revealing {
                proposal.reveal_until.unwrap_or(proposal.deadline)
            } else {
                proposal.deadline
            };
            let left = until.since(self.store.now().await?) + Duration::from_millis(1);
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

    async fn next_state(&self, proposal: &Proposal, ballots: &[(AgentId, Stored)], now: Millis) -> Result<Option<ProposalState>> {
        let ballot = |member: &Member| ballots.iter().find(|(id, _)| *id == member.id).map(|(_, stored)| stored);
        let mut counted = Vec::new();
        let (mut all_cast, mut all_open) = (true, true);
        for member in &proposal.electorate.0 {
            let void = self.current_epoch(member).await? != member.epoch;
            let stored = ballot(member).filter(|stored| !void && stored.epoch == member.epoch);
            all_cast &= void || stored.is_some();
            all_open &= void || stored.is_none_or(|stored| stored.choice.is_some());
            if let Some(choice) = stored.and_then(|stored| stored.choice.clone()) {
                counted.push(Ballot { member: member.id.clone(), weight: member.weight, choice });
            }
        }
        Ok(match proposal.state {
            ProposalState::Open if !all_cast && now < proposal.deadline => None,
            ProposalState::Open if proposal.reveal_until.is_some() => Some(ProposalState::Revealing),
            ProposalState::Revealing if !all_open && proposal.reveal_until.is_some_and(|until| now < until) => None,
            ProposalState::Open | ProposalState::Revealing => Some(ProposalState::Closing),
            ProposalState::Closing | ProposalState::Closed(_) => {
                let voters = u32::try_from(proposal.electorate.0.len()).unwrap_or(u32::MAX);
                Some(ProposalState::Closed(tally(proposal.rule, &proposal.options, voters, proposal.quorum, &counted)))
            }
        })
    }

    async fn current_epoch(&self, member: &Member) -> Result<u64> {
        self.store.number(self.store.keys().agent_epoch(&member.id)).await
    }

    async fn ballots(&self, id: &ProposalId) -> Result<Vec<(AgentId, Stored)>> {
        let table = self.store.table(self.store.keys().ballots(&self.task, id)).await?;
        table.into_iter().map(|(member, stored)| Ok((AgentId::new(&member)?, from_json(&member, &stored.value)?))).collect()
    }

    async fn cast(
        &self,
        id: &ProposalId,
        version: u64,
        proposal: &Proposal,
        ballot: &Stored,
        phase: ProposalState,
        replaces: u64,
    ) -> Result<Cast> {
        let until = if phase == ProposalState::Revealing { proposal.reveal_until.unwrap_or(proposal.deadline) } else { proposal.deadline };
        if proposal.state != phase || self.store.now().await? >= until {
            return Ok(Cast::Closed);
        }
        let cell = self.ballot(id, &self.actor.id);
        let write = self.told(cell.clone(), ballot, "vote")?;
        let commit = self.actor.commit().version(self.key(id), version).version(cell.clone(), replaces).write(write);
        match self.store.commit(commit).await? {
            store::Outcome::Accepted(_) => Ok(Cast::Accepted),
            store::Outcome::Refused(Refused::Conflict { cell: taken, .. }) if taken == cell => Ok(Cast::AlreadyVoted),
            store::Outcome::Refused(Refused::Conflict { .. }) => Ok(Cast::Closed),
            store::Outcome::Refused(refused) => Err(refused.into()),
        }
    }

    fn epoch(&self, proposal: &Proposal, id: &ProposalId) -> Result<u64> {
        let member = proposal.electorate.0.iter().find(|member| member.id == self.actor.id);
        let member = member.ok_or_else(|| {
            Error::new(ErrorKind::Denied, "not_in_the_electorate", format!("`{}` is not in the electorate of `{id}`", self.actor.id))
        })?;
        Ok(member.epoch)
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

    fn ballot(&self, id: &ProposalId, member: &AgentId) -> Cell {
        Cell::field(self.store.keys().ballots(&self.task, id), member.as_str())
    }
}

fn check(opening: &Opening) -> Result<()> {
    let bad = |why: &str| Err(Error::invalid("invalid_proposal", format!("the proposal cannot be put to the vote: {why}")));
    let options = opening.options.iter().collect::<std::collections::BTreeSet<_>>();
    let members = opening.electorate.iter().map(|(id, _)| id).collect::<std::collections::BTreeSet<_>>();
    if options.is_empty() || options.len() != opening.options.len() || options.len() > 64 || options.iter().any(|o| o.is_empty()) {
        return bad("it needs 1 to 64 different options");
    }
    if members.is_empty() || members.len() != opening.electorate.len() || members.len() > 128 {
        return bad("it needs 1 to 128 different voters");
    }
    if opening.quorum.is_some_and(|quorum| quorum == 0 || quorum as usize > members.len()) {
        return bad("the quorum is between 1 and the number of voters");
    }
    let total: u64 = opening.electorate.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let heavy = opening.electorate.iter().any(|(_, weight)| u64::from(*weight) * 3 >= total || *weight == 0);
    if opening.rule == DecisionRule::Weighted && (members.len() < 4 || heavy) {
        return bad("weighted votes need four voters or more, each below one third of the weight and above zero");
    }
    Ok(())
}
