//! What the ledger knows of approvals: who may give them, what was denied, what was used. A store that lost or was robbed of it changes nothing.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::registry::Approvers;
use super::state::Used;
use super::statement::{ApprovalVerdict, Signed, Statement};
use crate::error::Result;
use crate::ledger::{Action, Entry, Ledger, OutcomeResult};
use crate::vocabulary::{ApprovalId, Token};

/// What the ledger holds of every request.
pub(super) struct Evidence {
    pub approvers: Approvers,
    denials: HashMap<ApprovalId, Vec<Signed<Statement>>>,
    uses: HashMap<ApprovalId, Used>,
}

impl Evidence {
    /// Reads it, also what is not in the record yet.
    pub async fn of(ledger: &Ledger, tenant: &str) -> Result<Self> {
        let entries = ledger.entries_about(&[Action::Approver, Action::Approval]).await?;
        let failed: HashSet<&Token> = entries
            .iter()
            .filter(|(_, entry)| entry.result == Some(OutcomeResult::Error))
            .filter_map(|(_, entry)| entry.intent.as_ref())
            .collect();
        let (mut denials, mut uses) = (HashMap::<_, Vec<_>>::new(), HashMap::new());
        for (token, entry) in entries.iter().filter(|(_, entry)| entry.action == Action::Approval) {
            let said: Value = serde_json::from_str(&entry.payload).unwrap_or_default();
            if let Some(signed) = said.get("signed").and_then(|signed| serde_json::from_value::<Signed<Statement>>(signed.clone()).ok())
                && signed.said.verdict == ApprovalVerdict::Deny
                && !failed.contains(&token)
            {
                denials.entry(signed.said.request.clone()).or_default().push(signed);
            }
            if let Some((request, used)) = used(&said, entry) {
                uses.entry(request).or_insert(used);
            }
        }
        Ok(Self { approvers: Approvers::told(&entries, ledger.id(), tenant), denials, uses })
    }

    /// What was denied of a request.
    pub fn denials(&self, id: &ApprovalId) -> &[Signed<Statement>] {
        self.denials.get(id).map_or(&[], Vec::as_slice)
    }

    /// What a request was used for.
    pub fn used(&self, id: &ApprovalId) -> Option<Used> {
        self.uses.get(id).cloned()
    }
}

fn used(said: &Value, entry: &Entry) -> Option<(ApprovalId, Used)> {
    let request = ApprovalId::new(said.get("used")?.as_str()?).ok()?;
    let token = Token::new(said.get("token")?.as_str()?).ok()?;
    Some((request, Used { token, at: entry.at }))
}
