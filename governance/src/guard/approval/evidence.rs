//! What the ledger knows of approvals: who may give them, what was denied, what was used. A store that lost or was robbed of it changes nothing.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::registry::Approvers;
use super::state::{Ended, Used};
use super::statement::{ApprovalVerdict, Signed, Statement};
use crate::error::Result;
use crate::ledger::{Action, Entry, Ledger, OutcomeResult};
use crate::vocabulary::{AgentId, ApprovalId, Millis, Token};

/// What the ledger holds of every request.
pub(super) struct Evidence {
    pub approvers: Approvers,
    denials: HashMap<ApprovalId, Vec<Signed<Statement>>>,
    ended: HashMap<ApprovalId, Ended>,
}

impl Evidence {
    /// Reads all of it, also what is not in the record yet.
    pub async fn of(ledger: &Ledger, tenant: &str) -> Result<Self> {
        Ok(Self::told(&ledger.entries_about(&[Action::Approver, Action::Approval]).await?, ledger, tenant))
    }

    /// Reads what there is of one agent's requests: what it costs does not grow with what others ask.
    pub async fn by(agent: &AgentId, ledger: &Ledger, tenant: &str) -> Result<Self> {
        Ok(Self::told(&ledger.entries_by_and_about(agent, &[Action::Approval], &[Action::Approver]).await?, ledger, tenant))
    }

    fn told(entries: &[(Token, Entry)], ledger: &Ledger, tenant: &str) -> Self {
        let of = |result| -> HashSet<&Token> {
            entries.iter().filter(|(_, entry)| entry.result == Some(result)).filter_map(|(_, entry)| entry.intent.as_ref()).collect()
        };
        let (failed, done) = (of(OutcomeResult::Error), of(OutcomeResult::Ok));
        let (mut denials, mut ended, mut unproven) = (HashMap::<_, Vec<_>>::new(), HashMap::new(), Vec::new());
        for (token, entry) in entries.iter().filter(|(_, entry)| entry.action == Action::Approval) {
            let said: Value = serde_json::from_str(&entry.payload).unwrap_or_default();
            if let Some(signed) = said.get("signed").and_then(|signed| serde_json::from_value::<Signed<Statement>>(signed.clone()).ok())
                && signed.said.verdict == ApprovalVerdict::Deny
                && !failed.contains(&token)
            {
                denials.entry(signed.said.request.clone()).or_default().push(signed);
            }
            if let Some((request, how)) = end(&said, entry).filter(|_| !failed.contains(&token)) {
                match how {
                    Ended::Superseded { .. } if !done.contains(token) => unproven.push((request, how)),
                    how => _ = ended.entry(request).or_insert(how),
                }
            }
        }
        // A superseding of which nobody knows the end did not land where a use is told: the store takes one of the two.
        for (request, how) in unproven {
            ended.entry(request).or_insert(how);
        }
        Self { approvers: Approvers::told(entries, ledger.id(), tenant), denials, ended }
    }

    /// What was denied of a request.
    pub fn denials(&self, id: &ApprovalId) -> &[Signed<Statement>] {
        self.denials.get(id).map_or(&[], Vec::as_slice)
    }

    /// How a request ended: what it was used for, or that the plan is another.
    pub fn ended(&self, id: &ApprovalId) -> Option<&Ended> {
        self.ended.get(id)
    }
}

fn end(said: &Value, entry: &Entry) -> Option<(ApprovalId, Ended)> {
    let named = |field: &str| ApprovalId::new(said.get(field)?.as_str()?).ok();
    if let Some(request) = named("superseded") {
        return Some((request, Ended::Superseded { superseded_at: entry.at }));
    }
    let token = Token::new(said.get("token")?.as_str()?).ok()?;
    let at = said.get("at").and_then(Value::as_u64).map_or(entry.at, Millis);
    Some((named("used")?, Ended::Used(Used { token, at })))
}
