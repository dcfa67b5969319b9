//! Plans that people approve before they are carried out, as a user meets it: a run that waits, says so, and goes on; agents of one's own.

use governance::Governance;
use governance::vocabulary::{AgentPhase, PipelineId, Tier};
use governance_tests::program::User;
use serde_json::json;

use super::{approve, join, on_both, open};

on_both! {
    a_run_whose_agent_plans_for_approval_waits_shows_it_and_goes_on
    an_agent_of_ones_own_carries_out_what_its_user_approved
}

/// What the program says, without blocking the runtime.
fn outside<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

async fn a_run_whose_agent_plans_for_approval_waits_shows_it_and_goes_on(user: &User) {
    let pipeline = outside(|| {
        user.registers_ann();
        // T1 asks for approval of its plans; BETA stays where it is.
        user.object(&["agents", "register", "alpha", "--tier", "T1", "--reason", "reviewed"]);
        // Its time is long over when somebody comes: but it stands still.
        let mut run = user.start(&["run", "Design a caching strategy", "--timeout", "10", "--json"]);
        let waits = user.awaits(&mut run);
        let [id, agent, pipeline] = ["approval_id", "agent_id", "pipeline_id"].map(|name| waits[name].as_str().unwrap());
        let status = user.object(&["pipeline", "status", pipeline]);
        let alpha = status["agents"].as_array().unwrap().iter().find(|found| found["id"] == agent).unwrap();
        assert_eq!((&alpha["status"], &alpha["waits_for"], &alpha["phase"]), (&json!("waiting"), &json!(id), &json!("PLAN")), "{status}");
        let shown = user.does(&["pipeline", "status", pipeline]);
        assert!(shown.out.contains(&format!("waits for {id}")), "{shown:?}");
        let asked = user.object(&["approvals", "show", id]);
        assert_eq!((&asked["approval"]["request"]["kind"], &asked["approval"]["state"]), (&json!("plan"), &json!("pending")));
        assert!(asked["arguments"]["steps"].is_array() && asked["arguments"]["analysis"].is_object(), "{asked}");
        std::thread::sleep(std::time::Duration::from_secs(11));
        user.approves(id);
        let answer = run.end();
        assert_eq!(answer.code, Some(0), "{answer:?}");
        let outcome = answer.last_object();
        assert_eq!(outcome["status"], "COMPLETED", "{outcome}");
        assert_eq!(user.object(&["approvals", "show", id])["approval"]["state"], "used");
        let entered = user.objects(&["ledger", "list", "--action", "phase"]);
        assert!(entered.iter().any(|entry| entry["payload"].as_str().is_some_and(|told| told.contains(id) && told.contains("EXECUTE"))));
        let lines = user.does(&["pipeline", "logs", pipeline]);
        assert!(lines.out.contains(id), "{lines:?}");
        user.verified();
        PipelineId::new(pipeline).unwrap()
    });
    // Nor does it count against the run's own limits.
    let governance = Governance::visit(user.config()).await.unwrap();
    let waited = governance.store().number(governance.store().keys().pipeline_spend(&pipeline, "waited")).await.unwrap();
    assert!((10_000..60_000).contains(&waited), "{waited} ms");
    governance.close().await.unwrap();
}

async fn an_agent_of_ones_own_carries_out_what_its_user_approved(user: &User) {
    outside(|| user.registers_ann());
    let (governance, pipeline) = open(user).await;
    let alpha = join(&governance, "alpha", &pipeline, Tier::T1).await;
    alpha.enter(AgentPhase::Plan).await.unwrap();
    alpha.output(json!({"steps": ["write hosts"]})).await.unwrap();
    let refused = alpha.enter(AgentPhase::Execute).await.unwrap_err();
    assert_eq!(refused.code(), "approval_required");
    let id = refused.details()["approval"]["id"].as_str().unwrap().to_owned();
    assert!(refused.to_string().contains(&format!("governance approvals show {id}")), "{refused}");
    approve(&governance, user, &id).await;
    // Changed since, by a word.
    alpha.output(json!({"steps": ["write host"]})).await.unwrap();
    assert_eq!(alpha.enter(AgentPhase::Execute).await.unwrap_err().code(), "approval_required");
    // And back: what was shown last is what is decided.
    alpha.output(json!({"steps": ["write hosts"]})).await.unwrap();
    let again = alpha.enter(AgentPhase::Execute).await.unwrap_err().details()["approval"]["id"].as_str().unwrap().to_owned();
    let open = outside(|| user.objects(&["approvals", "list"]));
    assert_eq!(open.iter().map(|approval| &approval["request"]["id"]).collect::<Vec<_>>(), [&json!(again)]);
    let shown = outside(|| user.does(&["approvals", "show", &id]));
    assert!(shown.out.contains("superseded") && shown.out.contains("PLAN"), "{shown:?}");
    approve(&governance, user, &again).await;
    alpha.enter(AgentPhase::Execute).await.unwrap();
    assert_eq!(outside(|| user.object(&["approvals", "show", &id]))["approval"]["state"], "superseded");
    assert_eq!(outside(|| user.object(&["approvals", "show", &again]))["approval"]["state"], "used");
    alpha.leave().await.unwrap();
    governance.close().await.unwrap();
    outside(|| user.verified());
}
