//! A signed head: so many entries, and the root of the tree over them.

use serde::{Deserialize, Serialize};

use super::key::{PublicKeys, SigningKey};
use super::tree::Tree;
use super::{hex, tree};
use crate::error::{Error, Result};
use crate::vocabulary::{LedgerId, Millis};

/// What the ledger was at some size, signed. Whoever keeps one outside can prove that nothing before it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The ledger.
    pub ledger: LedgerId,
    /// How many entries.
    pub size: u64,
    /// The root of the RFC 9162 tree over them, in hex.
    pub root: String,
    /// When it was signed.
    pub at: Millis,
    /// The id of the key.
    pub key: String,
    /// The Ed25519 signature, in hex.
    pub signature: String,
}

impl Head {
    /// Signs what a tree is now.
    pub(super) fn sign(ledger: &LedgerId, tree: &Tree, at: Millis, key: &SigningKey) -> Self {
        // SQLite keeps signed numbers: what is signed must come back the same.
        let at = Millis(at.0.min(i64::MAX.unsigned_abs()));
        let (size, root) = (tree.size(), hex::encode(&tree.root()));
        let mut head = Self { ledger: ledger.clone(), size, root, at, key: key.id().to_owned(), signature: String::new() };
        head.signature = hex::encode(&key.sign(&head.message()));
        head
    }

    /// Reads a head that was kept outside, as `ledger head` prints it.
    pub fn parse(json: &str) -> Result<Self> {
        serde_json::from_str(json.trim()).map_err(|e| {
            let message = "the head is not one: give the JSON line that `ledger head` printed, unchanged";
            Error::invalid("not_a_head", message).because(e)
        })
    }

    /// One line of JSON.
    pub fn to_line(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::internal("a head cannot be written as JSON").because(e))
    }

    /// The root, if it is one.
    pub(super) fn root(&self) -> Option<tree::Hash> {
        hex::decode(&self.root)
    }

    /// Whether one of these keys signed exactly this.
    pub(super) fn is_signed_by(&self, keys: &PublicKeys) -> bool {
        hex::decode(&self.signature).is_some_and(|signature| keys.verify(&self.key, &self.message(), &signature))
    }

    fn message(&self) -> Vec<u8> {
        format!("governance ledger head 1\n{}\n{}\n{}\n{}\n", self.ledger, self.size, self.root, self.at.0).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::System;

    #[test]
    fn a_head_is_signed_for_its_every_field() {
        let home = tempfile::tempdir().unwrap();
        let key = SigningKey::open(home.path(), &System).unwrap();
        let keys = PublicKeys::open(home.path()).unwrap();
        let ledger = LedgerId::new("ledger-1").unwrap();
        let mut tree = Tree::default();
        tree.push([7; 32]);
        let head = Head::sign(&ledger, &tree, Millis(5), &key);
        assert!(head.is_signed_by(&keys));
        assert_eq!(Head::parse(&head.to_line().unwrap()).unwrap(), head);
        let other = |change: fn(&mut Head)| {
            let mut head = head.clone();
            change(&mut head);
            head
        };
        for changed in [
            other(|head| head.ledger = LedgerId::new("ledger-2").unwrap()),
            other(|head| head.size += 1),
            other(|head| head.root = "00".repeat(32)),
            other(|head| head.at = Millis(6)),
            other(|head| head.key = "00".repeat(8)),
            other(|head| head.signature = "00".repeat(64)),
            other(|head| head.signature.clear()),
        ] {
            assert!(!changed.is_signed_by(&keys), "{changed:?}");
        }
        assert_eq!(Head::parse("{}").unwrap_err().code(), "not_a_head");
    }
}
