//! Each type of alert in a sentence, with what somebody would act on.

use serde_json::Value;

use super::Alert;

impl Alert {
    /// In a sentence.
    #[must_use]
    pub fn told(&self) -> String {
        // What somebody else wrote may hold anything.
        self.by_type().or_else(|| self.by_its_fields()).unwrap_or_else(|| self.data.to_string())
    }

    fn by_type(&self) -> Option<String> {
        let data = &self.data;
        let text = |name: &str| data[name].as_str().filter(|text| !text.is_empty());
        let number = |name: &str| data[name].as_u64();
        Some(match self.kind.as_str() {
            "agent_diagnosed" => {
                let attempt = data["attempts"][0].as_str().map_or(String::new(), |attempt| format!("; try: {attempt}"));
                format!("{}: {}{attempt}", text("agent_id")?, text("why")?)
            }
            "agent_revoked" => format!("{}: {}: {}", text("agent_id")?, text("type")?, text("reason")?),
            "approval_not_genuine" => {
                let (id, count) = (text("approval_id")?, data["uncounted"].as_array()?.len());
                format!("{id}: the store holds approvals that nobody registered has given ({count}): `governance approvals show {id}`")
            }
            "approval_required" => {
                let (id, to) = (text("approval_id")?, text("target").or(text("path")).map_or(String::new(), |to| format!(" on {to}")));
                let why = text("reason").map_or(String::new(), |why| format!(" ({why})"));
                format!("{} asks for {}{to}{why}: `governance approvals show {id}`", text("agent_id")?, text("action").or(text("kind"))?)
            }
            "approvers_changed" => {
                let role = if data["administrator"] == true { "administrator" } else { "approver" };
                let key = text("key").map_or(String::new(), |key| format!(", key {}", key.get(..12).unwrap_or(key)));
                match text("change")? {
                    "add" => format!("{} may approve now, as {role}, by {}{key}", text("approver")?, text("by")?),
                    "remove" => format!("{} may no longer approve, by {}{key}", text("approver")?, text("by")?),
                    other => format!("{}: {other}, by {}{key}", text("approver")?, text("by")?),
                }
            }
            "limit_low" => {
                let of = text("of").map_or(String::new(), |of| format!(" {of}"));
                let (scope, unit, used, limit) = (text("scope")?, text("unit")?, number("used")?, number("limit")?);
                let left = limit.saturating_sub(used);
                format!("{} has {left} of {limit} {unit} left in the limit of its {scope}{of} ({used} used)", text("agent_id")?)
            }
            "policy_refused" => format!("{} in {}: {}", text("file")?, text("directory")?, text("why")?),
            "profile_demoted"
            | "profile_registered"
            | "promotion_approved"
            | "promotion_lapsed"
            | "promotion_rejected"
            | "promotion_requested" => {
                let (from, to) = (text("from_tier").unwrap_or("no tier"), text("to_tier")?);
                let ask = match (self.kind.as_str(), text("approval")) {
                    ("promotion_requested", Some(id)) => format!(": `governance approvals show {id}`"),
                    (_, id) => id.map_or(String::new(), |id| format!(" ({id})")),
                };
                let (by, why) = (text("approver").unwrap_or("nobody"), text("reason").unwrap_or("no reason given"));
                format!("{}: {from} to {to}, {}, by {by}: {why}{ask}", text("profile")?, text("status")?)
            }
            "rate_limited" => {
                format!("{}: held back, it may make {} calls per minute", text("agent_id")?, number("calls_per_minute")?)
            }
            "refused_to_agent" => {
                format!("process {} belongs to {}: it tried what only people do, and was refused", number("process")?, text("process_of")?)
            }
            "stop_all" => format!("everything was stopped: {}", text("reason")?),
            "stop_lifted" => match (text("reason"), data["stop"]["reason"].as_str()) {
                (Some(why), Some(stop)) => format!("the stop \"{stop}\" was lifted: {why}"),
                (Some(why), None) => format!("a stop was lifted: {why}"),
                (None, _) => "a stop was lifted".to_owned(),
            },
            _ => return None,
        })
    }

    /// Of whom, what and why, where it says so.
    fn by_its_fields(&self) -> Option<String> {
        let said = |name: &&str| self.data[*name].as_str().filter(|text| !text.is_empty());
        let first = |names: &[&str]| names.iter().find_map(said);
        let parts = [
            first(&["agent_id", "pipeline_id", "profile"]),
            first(&["violation", "status"]),
            first(&["reason", "detail", "what", "message"]),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        (!parts.is_empty() || self.data == Value::Null).then(|| parts.join(": "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::guard::ALERT_TYPES;
    use crate::vocabulary::Millis;

    #[test]
    fn every_type_is_told_in_a_sentence_with_what_is_acted_on() {
        let changed = |status: &str| {
            json!({"profile": "deployer", "from_tier": "T1", "to_tier": "T2", "status": status, "approver": "ann", "reason": "five good runs",
                "approval": "approval-7"})
        };
        let cases = [
            (
                "agent_diagnosed",
                json!({"agent_id": "a-1", "what": "w", "why": "the key was wrong", "attempts": ["set it"]}),
                "the key was wrong; try: set it",
            ),
            ("agent_revoked", json!({"agent_id": "a-1", "type": "manual", "reason": "x"}), "a-1: manual: x"),
            (
                "approval_not_genuine",
                json!({"approval_id": "approval-7", "agent_id": "a-1", "uncounted": [{}, {}]}),
                "given (2): `governance approvals show approval-7`",
            ),
            (
                "approval_required",
                json!({"approval_id": "approval-7", "agent_id": "a-1", "action": "write_file", "target": "prod", "path": null, "reason": null}),
                "a-1 asks for write_file on prod: `governance approvals show approval-7`",
            ),
            (
                "approvers_changed",
                json!({"change": "add", "approver": "bob", "key": "0123456789abcdef", "administrator": true, "by": "ann"}),
                "bob may approve now, as administrator, by ann, key 0123456789ab",
            ),
            (
                "limit_low",
                json!({"agent_id": "a-1", "scope": "pipeline", "of": "pipeline-1", "unit": "calls", "used": 80, "limit": 100}),
                "a-1 has 20 of 100 calls left in the limit of its pipeline pipeline-1 (80 used)",
            ),
            ("pipeline_stopped", json!({"pipeline_id": "pipeline-1", "status": "STOPPED", "reason": "x"}), "pipeline-1: STOPPED: x"),
            (
                "policy_refused",
                json!({"directory": "/p", "file": "a.yaml", "code": "bad_profile", "why": "line 2: x"}),
                "a.yaml in /p: line 2: x",
            ),
            ("profile_demoted", changed("not_eligible"), "deployer: T1 to T2, not_eligible, by ann: five good runs (approval-7)"),
            ("profile_registered", changed("not_eligible"), "by ann"),
            ("promotion_approved", changed("approved"), "approved, by ann"),
            ("promotion_lapsed", changed("not_eligible"), "by ann"),
            ("promotion_rejected", changed("rejected"), "rejected, by ann"),
            ("promotion_requested", changed("pending_review"), "`governance approvals show approval-7`"),
            ("rate_limited", json!({"agent_id": "a-1", "calls_per_minute": 60}), "a-1: held back, it may make 60 calls per minute"),
            ("refused_to_agent", json!({"process_of": "`a-1` (process 7)", "process": 8}), "process 8 belongs to `a-1` (process 7)"),
            ("stop_all", json!({"reason": "x"}), "everything was stopped: x"),
            ("stop_lifted", json!({"reason": "over", "stop": {"reason": "a drill", "at": 1}}), "the stop \"a drill\" was lifted: over"),
            ("unknown", json!("what somebody wrote"), "what somebody wrote"),
            (
                "violation_detected",
                json!({"agent_id": "a-1", "violation": "lock_lost", "severity": "HIGH", "detail": "x"}),
                "a-1: lock_lost: x",
            ),
        ];
        assert_eq!(cases.each_ref().map(|(kind, ..)| *kind), ALERT_TYPES);
        for (kind, data, says) in cases {
            let told = Alert { kind: kind.to_owned(), at: Millis(7), data }.told();
            assert!(told.contains(says) && !told.contains('{'), "{kind}: {told}");
        }
    }

    #[test]
    fn what_lacks_the_usual_fields_is_shown_as_it_is() {
        let told = |kind: &str, data| Alert { kind: kind.to_owned(), at: Millis(7), data }.told();
        assert_eq!(told("rate_limited", json!({"calls_per_minute": "many"})), r#"{"calls_per_minute":"many"}"#);
        assert_eq!(told("of_a_later_version", json!({"agent_id": "a-1", "what": "x"})), "a-1: x");
        assert_eq!(told("of_a_later_version", Value::Null), "");
    }
}
