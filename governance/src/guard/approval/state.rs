//! Where a request stands, from what was signed. Pure.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::asked::ApprovalRequest;
use super::registry::{Approver, Approvers};
use super::statement::{ApprovalVerdict, Signed, Statement};
use crate::vocabulary::{ApproverName, Millis, Token, named};

named! {
    /// Where a request stands.
    pub enum ApprovalState {
        /// It waits for people.
        Pending = "pending",
        /// Enough people approved; it was not used yet.
        Approved = "approved",
        /// Somebody denied it.
        Denied = "denied",
        /// It was asked for a plan that is no longer the agent's.
        Superseded = "superseded",
        /// Its deadline is over.
        Expired = "expired",
        /// The admission of whoever asked has ended.
        Void = "void",
        /// What was approved was begun.
        Used = "used",
    }
}

/// What somebody said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Who.
    pub approver: ApproverName,
    /// Whether they are an administrator.
    pub administrator: bool,
    /// When, on their clock.
    pub at: Millis,
    /// Why, if they said so.
    pub note: Option<String>,
}

/// What was found in the store and does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uncounted {
    /// Who is said to have said it.
    pub approver: ApproverName,
    /// Why it does not count.
    pub why: String,
}

/// The use of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The intent that it was used for.
    pub token: Token,
    /// When.
    pub at: Millis,
}

/// How a request ended that nobody decides any more, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Ended {
    /// It was used.
    Used(Used),
    /// The agent has another plan since.
    Superseded {
        /// Since when.
        superseded_at: Millis,
    },
}

/// A request, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What was asked.
    pub request: ApprovalRequest,
    /// Its hash, which is signed.
    pub hash: String,
    /// The canonical arguments; none once they are gone.
    pub arguments: Option<String>,
    /// Where it stands.
    pub state: ApprovalState,
    /// Who approved.
    pub approved: Vec<Given>,
    /// Who denied it first.
    pub denied: Option<Given>,
    /// What it was used for.
    pub used: Option<Used>,
    /// What does not count, and why.
    pub uncounted: Vec<Uncounted>,
}

impl Approval {
    /// Whether nothing more will come of it: it was denied, used, superseded, has expired, or is void.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !matches!(self.state, ApprovalState::Pending | ApprovalState::Approved)
    }

    /// Whether an administrator must approve, and none has.
    #[must_use]
    pub fn lacks_an_administrator(&self) -> bool {
        self.request.administrator && !self.approved.iter().any(|given| given.administrator)
    }
}

/// Everything that where a request stands depends on.
pub(super) struct Known<'a> {
    pub said: &'a [Signed<Statement>],
    pub approvers: &'a Approvers,
    pub ended: Option<Ended>,
    pub admitted: bool,
    pub now: Millis,
}

/// Where a request stands. People are counted, not signatures.
pub(super) fn weigh(request: ApprovalRequest, arguments: Option<String>, known: Known<'_>) -> Approval {
    let (mut approved, mut denied, mut uncounted) = (Vec::new(), None, Vec::new());
    let mut counted = BTreeSet::new();
    for signed in known.said {
        let said = &signed.said;
        let approver = match counts(&request, signed, known.approvers) {
            Ok(approver) => approver,
            Err(why) => {
                uncounted.push(Uncounted { approver: said.approver.clone(), why: why.to_owned() });
                continue;
            }
        };
        let given = Given { approver: approver.name.clone(), administrator: approver.administrator, at: said.at, note: said.note.clone() };
        if said.verdict == ApprovalVerdict::Deny {
            denied.get_or_insert(given);
        } else if counted.insert(given.approver.clone()) {
            approved.push(given);
        }
    }
    let enough = are_enough(&approved, request.quorum, request.administrator);
    let is_superseded = matches!(known.ended, Some(Ended::Superseded { .. }));
    let used = match known.ended {
        Some(Ended::Used(used)) => Some(used),
        _ => None,
    };
    let state = match () {
        () if used.is_some() => ApprovalState::Used,
        () if denied.is_some() => ApprovalState::Denied,
        () if is_superseded => ApprovalState::Superseded,
        () if !known.admitted => ApprovalState::Void,
        // The arguments are kept until the deadline; without them there is nothing that anybody could look at.
        () if known.now >= request.deadline || arguments.is_none() => ApprovalState::Expired,
        () if enough => ApprovalState::Approved,
        () => ApprovalState::Pending,
    };
    Approval { hash: request.hash(), request, arguments, state, approved, denied, used, uncounted }
}

/// Whether these people, each of them once, are enough: so many, one of them an administrator where one is asked for.
pub(super) fn are_enough(approved: &[Given], quorum: NonZeroU32, administrator: bool) -> bool {
    let many = approved.len() >= usize::try_from(quorum.get()).unwrap_or(usize::MAX);
    many && (!administrator || approved.iter().any(|given| given.administrator))
}

/// Whose word it is, if what was signed counts for a request; why not, otherwise.
pub(super) fn counts<'a>(
    request: &ApprovalRequest,
    signed: &Signed<Statement>,
    approvers: &'a Approvers,
) -> Result<&'a Approver, &'static str> {
    let said = &signed.said;
    if !said.is_about(request) {
        return Err("it was signed for something else");
    }
    let approver = approvers.named(&said.approver).ok_or("nobody of this name is registered in the ledger")?;
    if !signed.is_by(&approver.key) {
        return Err("the signature is not by the registered key");
    }
    if said.at > said.deadline {
        return Err("it was signed after the deadline");
    }
    Ok(approver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_counted_and_an_administrator_is_one_of_them() {
        let given =
            |name: &str, administrator| Given { approver: ApproverName::new(name).unwrap(), administrator, at: Millis(0), note: None };
        let (ann, bob, root) = (given("ann", false), given("bob", false), given("root", true));
        let enough = |approved: &[&Given], quorum, administrator| {
            let approved: Vec<_> = approved.iter().map(|given| (*given).clone()).collect();
            are_enough(&approved, NonZeroU32::new(quorum).unwrap(), administrator)
        };
        assert!(!enough(&[], 1, false) && enough(&[&ann], 1, false));
        assert!(enough(&[&ann, &root], 2, true) && enough(&[&root], 1, true));
        assert!(!enough(&[&ann, &bob], 2, true), "nobody is an administrator");
        assert!(!enough(&[&root], 2, true), "one person is not two");
        assert!(!enough(&[&ann], 1, true));
    }
}
