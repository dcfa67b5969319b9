//! Checkpoints with the real program: a run leaves one, whatever its end, and a user finds it again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use governance_tests::program::User;

const CACHE: &str = "Design a caching strategy";

#[test]
fn a_run_leaves_a_checkpoint_of_its_final_state() {
    let user = User::default();
    let outcome = user.object(&["run", CACHE]);
    let listed = user.objects(&["checkpoint", "list"]);
    assert_eq!(listed.len(), 1, "{listed:?}");
    let title = outcome["decision"]["solution"]["title"].as_str().unwrap();
    assert_eq!((&listed[0]["phase"], &listed[0]["notes"]), (&"COMPLETED".into(), &format!("decided: {title}").into()));
    let id = listed[0]["id"].as_str().unwrap();
    let loaded = user.object(&["checkpoint", "load", id]);
    assert_eq!(loaded["variables"]["pipeline_id"], outcome["pipeline_id"]);
    assert_eq!(loaded["recent_outputs"][0]["decision"], outcome["decision"]);
    assert_eq!(loaded["tasks"], serde_json::json!([{"task": CACHE, "done": true}]));
    let shown = user.does(&["checkpoint", "load", id]);
    assert!(shown.code == Some(0) && shown.out.contains("COMPLETED") && shown.out.contains(CACHE), "{shown:?}");
}

#[test]
fn a_run_that_ends_badly_leaves_one_too() {
    let user = User::default();
    let file = user.path("scenario.yaml");
    std::fs::write(&file, "version: 1\nsteps: [{agent: alpha, do: crash}, {agent: beta, do: crash}]\n").unwrap();
    let failed = user.does(&["run", CACHE, "--json", "--script", file.to_str().unwrap()]);
    let outcome = failed.last_object();
    assert_eq!((failed.code, &outcome["decision"]), (Some(1), &serde_json::Value::Null), "{failed:?}");
    let listed = user.objects(&["checkpoint", "list"]);
    assert_eq!(listed[0]["phase"], outcome["status"]);
    assert!(listed[0]["notes"].as_str().unwrap().starts_with("no decision: "), "{listed:?}");
}

#[test]
fn a_checkpoint_that_is_not_there_is_explained_and_looking_makes_nothing() {
    let user = User::default();
    let none = user.does(&["checkpoint", "list"]);
    assert!(none.code == Some(0) && none.out.is_empty() && none.err.contains("there is no checkpoint"), "{none:?}");
    user.does(&["checkpoint", "load", "ckpt-20260131-235959-0f3a9c21"]).explains("governance checkpoint list");
    user.does(&["checkpoint", "load", "../../secret"]).explains("is not a checkpoint's id");
    assert!(!user.home().exists(), "nothing was made");
}
