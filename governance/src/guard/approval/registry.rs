//! Who may approve: the registrations that the ledger holds, each signed, folded in their order. Pure but for reading them.
//!
//! The first one signs itself: trust on first use, once in a ledger's life. Every later change is signed by somebody who is registered at that
//! moment. A key that was removed never comes back, so an old registration is of no use to whoever writes it again.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::statement::{Domain, Signed};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Action, Entry, EntryKind, Ledger, OutcomeResult};
use crate::vocabulary::{ApproverName, LedgerId, Millis, Token, named};

named! {
    /// What becomes of an approver.
    pub enum RegistryChange {
        /// May approve from now on.
        Add = "add",
        /// May no longer.
        Remove = "remove",
    }
}

/// What is signed when the register changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// What becomes of them.
    pub change: RegistryChange,
    /// Who.
    pub name: ApproverName,
    /// Their public key, in hexadecimal.
    pub public: String,
    /// Whether they are an administrator.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub administrator: bool,
    /// Who signs this.
    pub by: ApproverName,
    /// The ledger.
    pub ledger: LedgerId,
    /// The tenant.
    pub tenant: String,
    /// When, on the signer's clock.
    pub at: Millis,
}

impl Domain for Registration {
    const NAME: &'static str = "governance approver 1";
}

/// Somebody who may approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approver {
    /// Who.
    pub name: ApproverName,
    /// Their public key, in hexadecimal.
    pub key: String,
    /// Whether they are an administrator: the first one is, and whoever one of them registers as one.
    #[serde(default)]
    pub administrator: bool,
    /// Who registered them; their own name for the first.
    pub by: ApproverName,
    /// Since when.
    pub since: Millis,
}

/// The register.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approvers {
    approvers: Vec<Approver>,
    // Every key that was ever registered.
    spent: BTreeSet<String>,
}

impl Approvers {
    /// The register of a tenant, by its ledger.
    pub async fn of(ledger: &Ledger, tenant: &str) -> Result<Self> {
        let entries = ledger.entries_about(&[Action::Approver]).await?;
        Ok(Self::told(&entries, ledger.id(), tenant))
    }

    /// What these entries come to.
    pub(super) fn told(entries: &[(Token, Entry)], ledger: &LedgerId, tenant: &str) -> Self {
        let ends: HashMap<&Token, &Entry> = entries.iter().filter_map(|(_, entry)| Some((entry.intent.as_ref()?, entry))).collect();
        let mut register = Self::default();
        let mut early = Vec::new();
        for (token, entry) in entries.iter().filter(|(_, entry)| entry.action == Action::Approver && entry.kind == EntryKind::Intent) {
            let Ok(signed) = serde_json::from_str::<Signed<Registration>>(&entry.payload) else { continue };
            let end = ends.get(token).and_then(|end| end.result);
            // Of what nobody knows the end, what gives rights does not count and what ends them does.
            let done = match signed.said.change {
                RegistryChange::Add => end == Some(OutcomeResult::Ok),
                RegistryChange::Remove => end != Some(OutcomeResult::Error),
            };
            if done && signed.said.ledger == *ledger && signed.said.tenant == tenant {
                register.take(signed, &mut early);
            }
        }
        register
    }

    /// Takes what was rightly signed. Entries of several processes reach the record in no order between them: one whose signer comes later in it counts
    /// from when that one is registered.
    fn take(&mut self, signed: Signed<Registration>, early: &mut Vec<Signed<Registration>>) {
        match self.apply(&signed) {
            Ok(()) => {
                while let Some(now) = early.iter().position(|later| self.apply(later).is_ok()) {
                    early.remove(now);
                }
            }
            Err(unknown) if unknown.code() == "unregistered_approver" => early.push(signed),
            Err(_) => {}
        }
    }

    /// Changes it, if that was rightly signed.
    pub(super) fn apply(&mut self, signed: &Signed<Registration>) -> Result<()> {
        let said = &signed.said;
        // INVARIANT: only who is registered changes the register; only the first one ever vouches for themselves.
        let first = self.spent.is_empty() && said.change == RegistryChange::Add && said.by == said.name;
        let signer = self.named(&said.by);
        let key = if first { Some(said.public.as_str()) } else { signer.map(|approver| approver.key.as_str()) };
        if !key.is_some_and(|key| signed.is_by(key)) {
            let message = format!("`{}` can only be changed by somebody who is registered: name their key with `--by`", said.name);
            return Err(Error::new(ErrorKind::Denied, "unregistered_approver", message));
        }
        // INVARIANT: only an administrator makes an administrator, or unmakes one; and there always is one.
        let of_one = match said.change {
            RegistryChange::Add => said.administrator,
            RegistryChange::Remove => self.named(&said.name).is_some_and(|approver| approver.administrator),
        };
        if of_one && !first && !signer.is_some_and(|approver| approver.administrator) {
            let message = format!("`{}` is no administrator: only one of them says who is one: `governance approvers list`", said.by);
            return Err(Error::new(ErrorKind::Denied, "not_an_administrator", message));
        }
        match said.change {
            RegistryChange::Add => {
                if self.named(&said.name).is_some() || self.spent.contains(&said.public) {
                    let message =
                        format!("`{}`, or this key, is or was registered: every approver has a name and a key of their own", said.name);
                    return Err(Error::new(ErrorKind::Conflict, "approver_taken", message));
                }
                self.spent.insert(said.public.clone());
                let (name, key) = (said.name.clone(), said.public.clone());
                let administrator = first || said.administrator;
                self.approvers.push(Approver { name, key, administrator, by: said.by.clone(), since: said.at });
            }
            RegistryChange::Remove => {
                if self.named(&said.name).is_none_or(|approver| approver.key != said.public) {
                    let message = format!("there is no approver `{}` with this key: see `governance approvers list`", said.name);
                    return Err(Error::new(ErrorKind::NotFound, "no_such_approver", message));
                }
                if self.approvers.len() == 1 {
                    let message = format!("`{}` is the only approver: register another one first, nobody else could", said.name);
                    return Err(Error::new(ErrorKind::Conflict, "last_approver", message));
                }
                if of_one && self.approvers.iter().filter(|approver| approver.administrator).count() == 1 {
                    let message = format!("`{}` is the only administrator: register another one first, nobody else could", said.name);
                    return Err(Error::new(ErrorKind::Conflict, "last_administrator", message));
                }
                self.approvers.retain(|approver| approver.name != said.name);
            }
        }
        Ok(())
    }

    /// Everybody who may approve.
    #[must_use]
    pub fn all(&self) -> &[Approver] {
        &self.approvers
    }

    /// Somebody by name.
    #[must_use]
    pub fn named(&self, name: &ApproverName) -> Option<&Approver> {
        self.approvers.iter().find(|approver| approver.name == *name)
    }

    /// Whether nobody was ever registered.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.spent.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::approval::ApproverKey;
    use crate::vocabulary::{SegmentId, System};

    #[test]
    fn who_is_registered_by_somebody_that_comes_later_in_the_record_is_registered() {
        let key = |name: &str| ApproverKey::fresh(&ApproverName::new(name).unwrap(), &System);
        let (ann, bob, eve, mallory) = (key("ann"), key("bob"), key("eve"), key("mallory"));
        let ledger = LedgerId::new("ledger").unwrap();
        let entries = |segment: &str, whose: &ApproverKey, by: &ApproverKey| {
            let said = Registration {
                change: RegistryChange::Add,
                name: whose.name().clone(),
                public: whose.public(),
                administrator: false,
                by: by.name().clone(),
                ledger: ledger.clone(),
                tenant: "main".to_owned(),
                at: Millis(1),
            };
            let token = Token::of_intent(&SegmentId::new(segment).unwrap(), 1);
            let intent = Entry::new(Millis(1), EntryKind::Intent, Action::Approver).payload(serde_json::to_string(&by.sign(said)).unwrap());
            [(token.clone(), intent), (Token::fresh(&System), Entry::outcome(Millis(2), Action::Approver, token, OutcomeResult::Ok))]
        };
        // Of four processes: eve by bob, bob by ann, ann by herself; and one by nobody who is ever registered.
        let record = [entries("d", &key("friend"), &mallory), entries("c", &eve, &bob), entries("b", &bob, &ann), entries("a", &ann, &ann)];
        let register = Approvers::told(&record.concat(), &ledger, "main");
        assert_eq!(register.all().iter().map(|approver| approver.name.as_str()).collect::<Vec<_>>(), ["ann", "bob", "eve"]);
    }
}
