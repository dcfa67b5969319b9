//! An agent that joined by itself, has something to carry out, and gets no further.

use std::time::Duration;

use governance::Governance;
use governance::agent::AgentEvent;
use governance::vocabulary::{AgentPhase, RevocationType, Tier};
use governance_tests::program::User;
use serde_json::json;

use super::{is_revoked, join, on_both};

on_both! {
    who_stands_still_in_execute_loses_its_token_and_everybody_is_told_why
}

async fn who_stands_still_in_execute_loses_its_token_and_everybody_is_told_why(user: &User) {
    let mut config = user.config();
    config.limits.patience.revoke = Duration::from_secs(1);
    let governance = Governance::open(config).await.unwrap();
    let pipeline = governance.begin("Design a caching strategy").await.unwrap();
    let alpha = join(&governance, "alpha", &pipeline, Tier::T0).await;
    for phase in [AgentPhase::Plan, AgentPhase::Execute] {
        alpha.enter(phase).await.unwrap();
    }
    let told = tokio::time::timeout(Duration::from_secs(30), alpha.next_event()).await.unwrap().unwrap();
    let AgentEvent::Revoked { reason } = told else { panic!("it is told something else: {told:?}") };
    assert!(reason.contains("no progress for 1 s"), "{reason}");
    assert_eq!(is_revoked(&governance, &alpha).await, Some(RevocationType::Heartbeat));
    assert_eq!(alpha.output(json!(1)).await.unwrap_err().code(), "phase_order", "REVOKED puts nothing out");
    let id = alpha.desk().actor().id.clone();
    let handoff = governance.store().json::<serde_json::Value>(governance.store().keys().agent_handoff(&id)).await.unwrap().unwrap().1;
    assert_eq!((&handoff["phase"], &handoff["reason"]), (&json!("EXECUTE"), &json!("no progress for 1 s")));
    governance.close().await.unwrap();
    tokio::task::block_in_place(|| {
        let alerts = user.objects(&["alerts"]);
        let alert = alerts.iter().find(|alert| alert["type"] == "agent_revoked").unwrap_or_else(|| panic!("{alerts:?}"));
        assert_eq!((&alert["data"]["agent_id"], &alert["data"]["extent"]), (&json!(id), &json!("token")));
        user.verified();
    });
}
