//! What the ledger is told of a call. Arguments may hold secrets: only their hash is kept.

use crate::guard::canonical::quote;
use crate::vocabulary::ApprovalId;

/// What is told, as JSON in this order. What is not there is not told.
pub(super) struct Told<'a> {
    pub action: &'a str,
    pub target: Option<&'a str>,
    pub path: Option<&'a str>,
    /// The path as it was asked for, where it was another.
    pub asked: Option<&'a str>,
    pub arguments: &'a str,
    pub verdict: &'a str,
    pub policy: &'a str,
    /// What it was approved by.
    pub approval: Option<&'a ApprovalId>,
    /// What was said of its risks.
    pub risks: &'a [&'a str],
}

impl Told<'_> {
    /// As JSON. Written by hand, because it is written in each call.
    pub fn text(&self) -> String {
        let mut text = Vec::with_capacity(384);
        text.extend_from_slice(b"{\"action\":");
        quote(self.action, &mut text);
        let fields = [
            ("target", self.target),
            ("path", self.path),
            ("asked", self.asked),
            ("arguments", Some(self.arguments)),
            ("verdict", Some(self.verdict)),
            ("policy", Some(self.policy)),
            ("approval", self.approval.map(ApprovalId::as_str)),
        ];
        for (name, value) in fields {
            let Some(value) = value else { continue };
            text.extend_from_slice(b",\"");
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b"\":");
            quote(value, &mut text);
        }
        if !self.risks.is_empty() {
            text.extend_from_slice(b",\"risks\":");
            for (at, risk) in self.risks.iter().enumerate() {
                text.push(if at == 0 { b'[' } else { b',' });
                quote(risk, &mut text);
            }
            text.push(b']');
        }
        text.push(b'}');
        // Texts, put together.
        String::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_said_it_is_the_same_json(action in ".*", target in proptest::option::of(".*"), path in proptest::option::of(any::<String>()), risks in proptest::collection::vec(".*", 0..3)) {
            let approval = ApprovalId::new("approval-1").unwrap();
            let said: Vec<&str> = risks.iter().map(String::as_str).collect();
            let (target, path) = (target.as_deref(), path.as_deref());
            let told = Told { action: &action, target, path, asked: path, arguments: "a", verdict: "allow", policy: "p", approval: Some(&approval), risks: &said };
            let mut same = json!({"action": action, "arguments": "a", "verdict": "allow", "policy": "p", "approval": "approval-1"});
            let may = [("target", target), ("path", path), ("asked", path)];
            for (name, value) in may.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                same[name] = json!(value);
            }
            if !risks.is_empty() {
                same["risks"] = json!(risks);
            }
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&told.text()).unwrap(), same);
        }
    }
}
