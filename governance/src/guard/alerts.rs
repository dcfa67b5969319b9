//! Alerts: what a person should hear of. `alerts:queue` is a bounded list, newest last.

mod told;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::store::{Store, Watch, Write, to_json};
use crate::vocabulary::{Millis, Severity};

/// How many alerts are kept.
const KEPT: u64 = 10_000;
/// How long an alert may stay unseen where the store's own signal was lost.
const LOOK: std::time::Duration = std::time::Duration::from_secs(2);

/// Every type of alert.
pub const ALERT_TYPES: [&str; 20] = [
    "agent_diagnosed",
    "agent_revoked",
    "approval_not_genuine",
    "approval_required",
    "approvers_changed",
    "limit_low",
    "pipeline_stopped",
    "policy_refused",
    "profile_demoted",
    "profile_registered",
    "promotion_approved",
    "promotion_lapsed",
    "promotion_rejected",
    "promotion_requested",
    "rate_limited",
    "refused_to_agent",
    "stop_all",
    "stop_lifted",
    UNKNOWN,
    "violation_detected",
];
/// What somebody else wrote.
const UNKNOWN: &str = "unknown";

/// The write that raises an alert, to be made in the commit of what it tells of.
pub(crate) fn alert(store: &Store, kind: &str, data: &Value) -> Result<Write> {
    if !ALERT_TYPES.contains(&kind) {
        return Err(Error::internal(format!("`{kind}` is no type of alert")));
    }
    let at = store.ports().clock.now();
    let value = to_json(&json!({"type": kind, "at": at, "data": data}))?;
    Ok(Write::Push { list: store.keys().alerts_queue(), value, bound: KEPT })
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// What of, as `violation_detected`, `agent_revoked`, `stop_all`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub at: Millis,
    /// What it says.
    #[serde(default)]
    pub data: Value,
}

impl Alert {
    /// Whether somebody should look at once: a stop, or a violation of the gravest kinds.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        let severity = self.data["severity"].as_str().and_then(|severity| severity.parse().ok());
        self.kind == "stop_all" || severity.is_some_and(|severity: Severity| severity <= Severity::High)
    }
}

/// The alerts of a store.
#[derive(Debug, Clone)]
pub struct Alerts {
    store: Store,
}

impl Alerts {
    /// Those of a store.
    #[must_use]
    pub fn open(store: &Store) -> Self {
        Self { store: store.clone() }
    }

    /// The newest, oldest first.
    pub async fn list(&self, last: u64) -> Result<Vec<Alert>> {
        Ok(self.items(last).await?.iter().map(read).collect())
    }

    /// What comes, beginning with all that is kept.
    pub async fn follow(&self) -> Result<FollowAlerts> {
        let watch = self.store.watch(&[self.store.keys().alerts_queue()]).await?;
        Ok(FollowAlerts { alerts: self.clone(), watch, seen: Vec::new() })
    }

    async fn items(&self, last: u64) -> Result<Vec<Bytes>> {
        self.store.list(self.store.keys().alerts_queue(), last).await
    }
}

/// What somebody wrote that is no alert of this form is shown as it is.
fn read(item: &Bytes) -> Alert {
    serde_json::from_slice(item).unwrap_or_else(|_| Alert {
        kind: UNKNOWN.to_owned(),
        at: Millis(0),
        data: Value::from(String::from_utf8_lossy(item).into_owned()),
    })
}

/// Follows the alerts as they come.
pub struct FollowAlerts {
    alerts: Alerts,
    watch: Watch,
    seen: Vec<Bytes>,
}

/// Alerts that came since the last look.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewAlerts {
    /// Whether some were dropped before they were read.
    pub missed: bool,
    /// They, oldest first.
    pub alerts: Vec<Alert>,
}

impl FollowAlerts {
    /// Those that are there, without waiting.
    pub async fn next_known(&mut self) -> Result<Vec<Alert>> {
        Ok(self.look().await?.alerts)
    }

    /// Waits for the next ones. Cancel safe.
    pub async fn next(&mut self) -> Result<NewAlerts> {
        loop {
            let _ = tokio::time::timeout(LOOK, self.watch.changed()).await;
            let news = self.look().await?;
            if news.missed || !news.alerts.is_empty() {
                return Ok(news);
            }
        }
    }

    async fn look(&mut self) -> Result<NewAlerts> {
        let now = self.alerts.items(KEPT).await?;
        let come = new(&self.seen, &now);
        let missed = come == 0 && !self.seen.is_empty() && !now.is_empty();
        let alerts = now[come..].iter().map(read).collect();
        self.seen = now;
        Ok(NewAlerts { missed, alerts })
    }
}

/// Where in a bounded list what was not there before begins: behind the longest piece that both have.
fn new(before: &[Bytes], now: &[Bytes]) -> usize {
    let kept = (0..=before.len()).map(|dropped| &before[dropped..]).find(|kept| now.starts_with(kept));
    kept.map_or(0, <[Bytes]>::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_told_in_a_sentence_and_what_is_none_is_shown_as_it_is() {
        let text = |text: &'static str| read(&Bytes::from_static(text.as_bytes()));
        let violation = text(
            r#"{"type":"violation_detected","at":7,"data":{"agent_id":"a-1","violation":"lock_lost","severity":"HIGH","detail":"x"}}"#,
        );
        assert_eq!((violation.told().as_str(), violation.is_grave()), ("a-1: lock_lost: x", true));
        assert_eq!((text("not json").kind.as_str(), text("not json").told().as_str()), ("unknown", "\"not json\""));
    }

    #[tokio::test]
    async fn who_follows_sees_each_alert_once_also_those_from_before() {
        let store = Store::memory().await.unwrap();
        let alerts = Alerts::open(&store);
        let raise = async |n: u64| {
            let write = alert(&store, "stop_all", &json!({"reason": n.to_string()})).unwrap();
            store.apply(crate::store::Commit::default().write(write)).await.unwrap();
        };
        raise(1).await;
        let mut follow = alerts.follow().await.unwrap();
        assert_eq!(follow.next_known().await.unwrap()[0].data["reason"], "1");
        raise(2).await;
        let news = follow.next().await.unwrap();
        assert_eq!((news.alerts.len(), &news.alerts[0].data["reason"], news.missed), (1, &json!("2"), false));
        assert_eq!(alerts.list(1).await.unwrap()[0].data["reason"], "2");
    }
}
