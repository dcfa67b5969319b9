//! Ballots as they lie in the box, and what they bring a proposal to: decided purely, from ballots, epochs and time.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::proposal::{Member, Proposal, ProposalState};
use super::tally::{Ballot, Choice, tally};
use crate::error::{Error, Result};
use crate::store::{Admission, to_json};
use crate::vocabulary::{AgentId, Key, Millis};

/// The most epochs that a voter's admission may name: tenant, pipeline, four ancestors, itself.
const MAX_DEPTH: usize = 7;
/// The shortest nonce.
const MIN_NONCE: usize = 16;

/// A ballot in the box.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    /// Which epochs the voter was admitted with: a ballot is void once any of them has moved.
    pub admission: Admission,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// Everything a decision about a proposal depends on.
pub(super) struct BallotBox<'a> {
    /// The key of the proposal.
    pub key: &'a Key,
    pub proposal: &'a Proposal,
    pub ballots: &'a BTreeMap<AgentId, Stored>,
    /// The epochs now, of every member and of everything that a ballot was admitted under.
    pub epochs: &'a HashMap<Key, u64>,
    /// Each member's own epoch.
    pub own: &'a dyn Fn(&Member) -> Key,
}

/// What a proposal comes to, and which epochs must still hold for that.
pub(super) struct Next {
    pub state: ProposalState,
    pub holds: BTreeMap<std::sync::Arc<str>, (Key, u64)>,
}

impl BallotBox<'_> {
    /// The next state; none while ballots can still come.
    pub fn next(&self, now: Millis) -> Option<Next> {
        let moves = |state| Some(Next { state, holds: BTreeMap::new() });
        let sealed = self.proposal.reveal_until.is_some();
        let all = |enough: &dyn Fn(&Stored) -> bool| {
            self.proposal.electorate.0.iter().all(|member| match self.ballots.get(&member.id) {
                _ if self.has_moved(member) => true,
                // A member that is still there may be admitted again and replace a ballot that is void, unless ballots are sealed.
                Some(ballot) if !self.is_valid(ballot) => sealed,
                Some(ballot) => enough(ballot),
                None => false,
            })
        };
        let late = now >= self.proposal.until();
        match self.proposal.state {
            ProposalState::Open if !late && !all(&|_| true) => None,
            ProposalState::Open if self.proposal.reveal_until.is_some() => moves(ProposalState::Revealing),
            // Who did not commit cannot reveal.
            ProposalState::Revealing if !late && !self.ballots.values().all(|b| !self.is_valid(b) || b.choice.is_some()) => None,
            ProposalState::Open | ProposalState::Revealing => moves(ProposalState::Closing),
            ProposalState::Closing | ProposalState::Closed(_) => Some(self.count()),
        }
    }

    fn count(&self) -> Next {
        let (mut counted, mut holds) = (Vec::new(), BTreeMap::new());
        for member in &self.proposal.electorate.0 {
            let Some(ballot) = self.ballots.get(&member.id).filter(|b| !self.has_moved(member) && self.is_valid(b)) else { continue };
            let Some(choice) = ballot.choice.clone().filter(|choice| self.is_as_committed(member, ballot, choice)) else { continue };
            counted.push(Ballot { member: member.id.clone(), weight: member.weight, choice });
            let own = ((self.own)(member), member.epoch);
            for (key, epoch) in ballot.admission.0.iter().cloned().chain([own]) {
                holds.insert(key.text(), (key, epoch));
            }
        }
        let Proposal { rule, options, quorum, electorate, .. } = self.proposal;
        let voters = u32::try_from(electorate.0.len()).unwrap_or(u32::MAX);
        Next { state: ProposalState::Closed(tally(*rule, options, voters, *quorum, &counted)), holds }
    }

    fn has_moved(&self, member: &Member) -> bool {
        self.epoch(&(self.own)(member)) != member.epoch
    }

    fn is_valid(&self, ballot: &Stored) -> bool {
        ballot.admission.0.iter().all(|(key, epoch)| self.epoch(key) == *epoch)
    }

    fn is_as_committed(&self, member: &Member, ballot: &Stored, choice: &Choice) -> bool {
        let Some(nonce) = &ballot.nonce else { return self.proposal.reveal_until.is_none() };
        commitment(self.key, &member.id, choice, nonce).is_ok_and(|hash| ballot.commitment.as_ref() == Some(&hash))
    }

    fn epoch(&self, key: &Key) -> u64 {
        self.epochs.get(key).copied().unwrap_or(0)
    }
}

/// What a sealed ballot shows before it is revealed. It names proposal and member, so that nobody can hand in another's as their own.
pub(super) fn commitment(proposal: &Key, member: &AgentId, choice: &Choice, nonce: &str) -> Result<String> {
    if nonce.len() < MIN_NONCE {
        return Err(Error::invalid("short_nonce", format!("the nonce has {} bytes: at least {MIN_NONCE}, and random", nonce.len())));
    }
    let mut hash = Sha256::new();
    for part in [proposal.as_str().as_bytes(), member.as_str().as_bytes(), &to_json(choice)?, nonce.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Refuses a commitment that no reveal could match.
pub(super) fn check_commitment(commitment: &str) -> Result<()> {
    if commitment.len() == 64 && commitment.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Ok(());
    }
    Err(Error::invalid("invalid_commitment", "a commitment is 64 hex digits: make it with `commitment`"))
}

/// Refuses an admission that could not be checked when the vote closes.
pub(super) fn check_depth(admission: &Admission) -> Result<()> {
    if admission.0.len() <= MAX_DEPTH {
        return Ok(());
    }
    let deep = format!("an admission of {} epochs is too deep for a vote: at most {MAX_DEPTH}", admission.0.len());
    Err(Error::invalid("admission_too_deep", deep))
}
