//! What says what an agent may do, and what keeps it, is out of its tools' reach, wherever it lies.

use std::os::unix::fs::symlink;
use std::path::Path;

use governance::guard::policy::{Request, Verdict};
use governance::vocabulary::{AgentRole, ViolationType};
use governance::{Agent, Config, Governance, Joining};

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
