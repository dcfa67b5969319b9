//! What says what an agent may do, and what keeps it, is out of its tools' reach, wherever it lies.

use std::os::unix::fs::symlink;
use std::path::Path;

use governance::guard::policy::{Request, Verdict};
use governance::vocabulary::{AgentRole, ViolationType};
use governance::{Agent, Config, Governance, Joining};
use serde_json::json;

const FREE: &str = r#"{"agent_id": "free", "agent_version": "1", "tier": "T1", "governance": {"preflight_required": false},
    "constraints": {"allowed_actions": ["write_file"], "allowed_targets": ["*"], "allowed_paths": ["**"]}}"#;

/// A home outside of where the agent works; everything else, in there.
async fn joined(folder: &Path) -> (Governance, Agent) {
    let work = folder.join("work");
    std::fs::create_dir_all(work.join("policies")).unwrap();
    std::fs::create_dir_all(folder.join("home")).unwrap();
    for name in ["free.json", "policies/free.json", "linked.json", "notes.txt"] {
        std::fs::write(work.join(name), FREE).unwrap();
    }
    std::fs::write(work.join("linked.json"), FREE.replace("free", "linked")).unwrap();
    std::fs::write(work.join("settings.toml"), "").unwrap();
    symlink(work.join("settings.toml"), folder.join("home/config.toml")).unwrap();
    symlink("../linked.json", work.join("policies/linked.json")).unwrap();
    symlink("policies/free.json", work.join("way-in")).unwrap();
    let store = Some(format!("sqlite:{}", work.join("state.db").display()));
    let config = Config { home: folder.join("home"), store, policies: Some(work.join("policies")), ..Config::default() };
    let governance = Governance::open(config).await.unwrap();
    let pipeline = governance.begin("be governed").await.unwrap();
    let joining = Joining { role: Some(AgentRole::Alpha), root: Some(work.clone()), ..Joining::default() };
    let agent = governance.agent(work.join("free.json").to_str().unwrap(), &pipeline, joining).await.unwrap();
    (governance, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tool_writes_the_policies_the_store_or_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (governance, agent) = joined(folder.path()).await;
    let guard = agent.desk().guard();
    let decide = async |path: &str| guard.decide(&Request::new("write_file").at(path)).await.unwrap();
    for path in ["notes.txt", "new.json", "policies-2/free.json"] {
        // A folder that is not there is an error of its own.
        if path.contains('/') {
            std::fs::create_dir(folder.path().join("work/policies-2")).unwrap();
        }
        assert_eq!(decide(path).await.verdict(), Verdict::Allow, "{path}");
    }
    let own = [
        "policies",
        "policies/free.json",
        "policies/new.json",
        "policies/new/deeper.json",
        "way-in",
        "linked.json",
        "free.json",
        "settings.toml",
    ];
    for path in own.into_iter().chain(["state.db", "state.db-wal", "state.db-shm", "state.db-journal"]) {
        assert_eq!(decide(path).await.violation(), Some(ViolationType::GovernanceTampering), "{path}");
    }
    // Where nobody can say what is to be kept from it, it touches nothing.
    let around = folder.path().join("around");
    symlink(&around, &around).unwrap();
    let lost = guard.clone().protecting([around]);
    let denied = lost.decide(&Request::new("write_file").at("notes.txt")).await.unwrap_err();
    assert_eq!((denied.code(), denied.kind().as_str()), ("own_files_unknown", "denied"), "{denied}");
    governance.close().await.unwrap();
}

const MOVER: &str = r#"{"agent_id": "mover", "agent_version": "1", "tier": "T1",
    "governance": {"preflight_required": false, "plan_approval_required": false, "reading_actions": ["count_files"]},
    "constraints": {"allowed_targets": ["*"], "allowed_paths": ["**"],
        "allowed_actions": ["rename", "remove_folder", "write_file", "list_directory", "count_files", "execute_command"]}}"#;

/// An agent whose root holds the home, the policies and the store, each in a folder of a folder.
async fn mover(work: &Path) -> (Governance, Agent) {
    for folder in ["a/b/home", "c/policies", "d/e", "f/deep", "g", "free/below", "real/policies"] {
        std::fs::create_dir_all(work.join(folder)).unwrap();
    }
    std::fs::write(work.join("free.json"), MOVER).unwrap();
    std::fs::write(work.join("f/deep/linked.json"), MOVER.replace("mover", "linked")).unwrap();
    symlink("../../f/deep/linked.json", work.join("c/policies/linked.json")).unwrap();
    // The way to the policies goes over a link, which lies elsewhere than what it leads to.
    symlink("../c", work.join("g/way")).unwrap();
    let store = Some(format!("sqlite:{}", work.join("d/e/state.db").display()));
    let config = Config { home: work.join("a/b/home"), store, policies: Some(work.join("g/way/policies")), ..Config::default() };
    let governance = Governance::open(config).await.unwrap();
    let pipeline = governance.begin("be governed").await.unwrap();
    let joining = Joining { role: Some(AgentRole::Alpha), root: Some(work.to_owned()), ..Joining::default() };
    let agent = governance.agent(work.join("free.json").to_str().unwrap(), &pipeline, joining).await.unwrap();
    (governance, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tool_moves_or_removes_a_folder_that_the_governance_lies_in() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let (governance, agent) = mover(&work).await;
    let guard = agent.desk().guard();
    let decide = async |action: &str, path: &str| guard.decide(&Request::new(action).at(path)).await.unwrap();
    // The home, the store, the policies, what a link there leads to, and a link on the way to them: whatever lies above one of them.
    for path in [".", "a", "a/b", "a/b/../b", "d", "d/e", "c", "g", "g/way", "f", "f/deep", "./a/"] {
        for action in ["rename", "remove_folder", "write_file"] {
            let decision = decide(action, path).await;
            assert!(!decision.is_allowed() && decision.reason().contains("lie below it"), "{action} {path}: {}", decision.reason());
        }
        // Looking into it, and running there, is none.
        for action in ["list_directory", "count_files", "execute_command"] {
            let decision = decide(action, path).await;
            assert!(decision.is_allowed(), "{action} {path}: {}", decision.reason());
        }
    }
    for (path, protected) in
        [("a/b/home", true), ("c/policies", true), ("free", false), ("free/below", false), ("real", false), ("a/new", false)]
    {
        for action in ["rename", "list_directory"] {
            let tampers = decide(action, path).await.violation() == Some(ViolationType::GovernanceTampering);
            assert_eq!(tampers, protected, "{action} {path}");
        }
    }
    // By a real call: the tool does not run and the folder is where it was. Who asked need not have known what lies there.
    let (request, to) = (Request::new("rename").at("a"), json!({"to": "z"}));
    let moved = agent.govern(&request, &to, async |granted| {
        std::fs::rename(granted.place.unwrap().path(), work.join("z")).unwrap();
        Ok(())
    });
    let error = moved.await.unwrap_err();
    assert_eq!(error.code(), "not_allowed", "{error}");
    assert!(error.to_string().contains("lie below it"), "{error}");
    assert!(work.join("a/b/home").is_dir() && !work.join("z").exists());
    let revoked = governance.revocations().revocation_of(&agent.desk().actor().id).await.unwrap();
    assert!(revoked.is_none(), "{revoked:?}");
    governance.close().await.unwrap();
}
