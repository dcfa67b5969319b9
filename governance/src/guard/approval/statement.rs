//! What an approver signs, and the signature.

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::asked::ApprovalRequest;
use crate::guard::canonical::canonical;
use crate::ledger::hex;
use crate::vocabulary::{ApprovalId, ApproverName, LedgerId, Millis, named};

named! {
    /// What an approver says.
    pub enum ApprovalVerdict {
        /// It may be done.
        Approve = "approve",
        /// It may not; that ends the request.
        Deny = "deny",
    }
}

/// What is signed: a verdict on one request, bound to everything in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The request.
    pub request: ApprovalId,
    /// Its hash: what was shown is what is signed.
    pub hash: String,
    /// SHA-256 of the canonical arguments.
    pub arguments: String,
    /// What is said of it.
    pub verdict: ApprovalVerdict,
    /// By whom.
    pub approver: ApproverName,
    /// Why, if they said so.
    pub note: Option<String>,
    /// When, on the approver's clock.
    pub at: Millis,
    /// The request's deadline.
    pub deadline: Millis,
    /// The ledger that the request belongs to.
    pub ledger: LedgerId,
    /// The tenant that it belongs to.
    pub tenant: String,
    /// The store's lineage.
    pub lineage: u64,
}

/// A kind of message, so that a signature under one is never one under another.
pub trait Domain: Serialize {
    /// Its name, with a version.
    const NAME: &'static str;

    /// What is signed: the name, a zero byte, and the canonical form.
    fn message(&self) -> Vec<u8> {
        let text = serde_json::to_value(self).map(|value| canonical(&value)).unwrap_or_default();
        [Self::NAME.as_bytes(), b"\0", text.as_bytes()].concat()
    }
}

impl Domain for Statement {
    const NAME: &'static str = "governance approval 1";
}

/// Something with a signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed<T> {
    /// What is said.
    pub said: T,
    /// The public key, in hexadecimal.
    pub key: String,
    /// The signature, in hexadecimal.
    pub signature: String,
}

impl<T: Domain> Signed<T> {
    /// Whether this public key's owner signed exactly this.
    #[must_use]
    pub fn is_by(&self, key: &str) -> bool {
        let public = hex::decode(key).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        let signature = hex::decode(&self.signature).map(|bytes| Signature::from_bytes(&bytes));
        self.key == key
            && matches!((public, signature), (Some(key), Some(signature)) if key.verify_strict(&self.said.message(), &signature).is_ok())
    }
}

impl Statement {
    /// A verdict on a request.
    #[must_use]
    pub fn of(request: &ApprovalRequest, verdict: ApprovalVerdict, approver: &ApproverName, note: Option<String>, at: Millis) -> Self {
        Self {
            request: request.id.clone(),
            hash: request.hash(),
            arguments: request.arguments.clone(),
            verdict,
            approver: approver.clone(),
            note,
            at,
            deadline: request.deadline,
            ledger: request.ledger.clone(),
            tenant: request.tenant.clone(),
            lineage: request.lineage,
        }
    }

    /// Whether it speaks of exactly this request.
    #[must_use]
    pub fn is_about(&self, request: &ApprovalRequest) -> bool {
        *self == Self::of(request, self.verdict, &self.approver, self.note.clone(), self.at)
    }
}
