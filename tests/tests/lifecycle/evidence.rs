//! Where evidence may come from: a file is shown where the agent's tools could touch it, and nowhere else.

use std::os::unix::fs::symlink;
use std::path::Path;

use governance::agent::Exhibit;
use governance::ledger::Action;
use governance::vocabulary::{AgentPhase, PipelineId, RevocationType, Tier};
use governance::{Agent, Governance, Joining};
use governance_tests::program::User;
use rustix::fs::{CWD, FileType, Mode};

use super::{is_revoked, on_both, open, told};

on_both! {
    evidence_is_taken_from_where_the_agents_tools_could_read_it
    who_works_below_no_root_shows_no_file
    two_tasks_of_an_agent_show_what_they_have_at_once
}

/// An agent that may read `docs/**` and `logs/**` below a root, and has something to show.
pub(super) async fn verified(governance: &Governance, pipeline: &PipelineId, root: Option<&Path>) -> Agent {
    let joining = Joining { tier: Some(Tier::T0), root: root.map(Path::to_owned), ..Joining::default() };
    let agent = governance.agent("alpha", pipeline, joining).await.unwrap();
    for phase in [AgentPhase::Plan, AgentPhase::Execute, AgentPhase::Verify] {
        agent.enter(phase).await.unwrap();
    }
    agent
}

async fn evidence_is_taken_from_where_the_agents_tools_could_read_it(user: &User) {
    let (governance, pipeline) = open(user).await;
    let (root, elsewhere) = (user.path("."), tempfile::tempdir().unwrap());
    let at = |name: &str| root.join(name);
    std::fs::create_dir_all(at("logs")).unwrap();
    std::fs::write(at("logs/run.log"), "all green").unwrap();
    std::fs::write(at("logs/.env"), "TOKEN=canary").unwrap();
    std::fs::write(at("private.txt"), "canary").unwrap();
    std::fs::write(elsewhere.path().join("secret"), "canary").unwrap();
    symlink(elsewhere.path().join("secret"), at("logs/out")).unwrap();
    symlink("../home/keys/ledger.key", at("logs/in")).unwrap();
    symlink("run.log", at("logs/link")).unwrap();
    let outside = elsewhere.path().join("secret").display().to_string();
    // What is asked for, the code of the refusal, and what it is held to be.
    let refused = [
        (&outside[..], "not_allowed", "path_out_of_scope"),
        ("/etc/hostname", "not_allowed", "path_out_of_scope"),
        ("../secret", "not_allowed", "path_out_of_scope"),
        ("logs/../../secret", "not_allowed", "path_out_of_scope"),
        ("logs/out", "not_allowed", "path_out_of_scope"),
        ("private.txt", "not_allowed", "path_out_of_scope"),
        ("LOGS/run.log", "not_allowed", "path_out_of_scope"),
        ("logs/.env", "not_allowed", "path_out_of_scope"),
        ("logs/in", "not_allowed", "governance_tampering"),
        ("home/keys/ledger.key", "not_allowed", "governance_tampering"),
        ("home/governance.db", "not_allowed", "governance_tampering"),
        ("logs/%2e%2e/run.log", "not_allowed", "procedure_violation"),
        ("logs/run.log ", "not_allowed", "procedure_violation"),
        ("logs/\u{202e}run.log", "not_allowed", "procedure_violation"),
    ];
    for (asked, code, violation) in refused {
        let agent = verified(&governance, &pipeline, Some(&root)).await;
        let error = agent.package(&[Exhibit::file("shown", "log", asked)]).await.unwrap_err();
        assert_eq!(error.code(), code, "{asked}: {error}");
        let violations = told(&governance, &agent, Action::Violation).await;
        assert_eq!(violations.len(), 1, "{asked}: {violations:?}");
        assert_eq!(violations[0]["type"], violation, "{asked}");
        let id = &agent.desk().actor().id;
        assert!(!user.home().join("evidence").join(id.as_str()).exists(), "{asked}: nothing was copied");
        assert_eq!(is_revoked(&governance, &agent).await.is_some(), violation != "procedure_violation", "{asked}");
    }

    // What its tools could read it may show, by every way that leads there; what is no file is told, and held against nobody.
    rustix::fs::mknodat(CWD, at("logs/pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let big = std::fs::File::create(at("logs/big")).unwrap();
    big.set_len((256 << 20) + 1).unwrap();
    let agent = verified(&governance, &pipeline, Some(&root)).await;
    for (asked, code) in [
        ("logs/pipe", "evidence_unreadable"),
        ("logs", "evidence_unreadable"),
        ("logs/gone", "evidence_unreadable"),
        ("logs/gone/deeper", "file_missing"),
        ("logs/big", "evidence_too_large"),
    ] {
        let error = agent.package(&[Exhibit::file("shown", "log", asked)]).await.unwrap_err();
        assert_eq!(error.code(), code, "{asked}: {error}");
    }
    let absolute = at("logs/run.log").canonicalize().unwrap().display().to_string();
    for (name, asked) in [("plain", "logs/run.log"), ("detour", "logs/../logs/./run.log"), ("link", "logs/link"), ("absolute", &absolute)] {
        let package = agent.package(&[Exhibit::file(name, "log", asked)]).await.unwrap();
        let kept = user.home().join(&package.evidence.last().unwrap().reference);
        assert_eq!(std::fs::read_to_string(kept).unwrap(), "all green", "{asked}");
    }
    assert_eq!(is_revoked(&governance, &agent).await, None::<RevocationType>);
    governance.close().await.unwrap();
}

async fn who_works_below_no_root_shows_no_file(user: &User) {
    let (governance, pipeline) = open(user).await;
    let agent = verified(&governance, &pipeline, None).await;
    let error = agent.package(&[Exhibit::file("shown", "log", "/etc/hostname")]).await.unwrap_err();
    assert_eq!(error.code(), "no_root", "{error}");
    agent.package(&[Exhibit::inline("shown", "log", "a text needs none")]).await.unwrap();
    governance.close().await.unwrap();
}

async fn two_tasks_of_an_agent_show_what_they_have_at_once(user: &User) {
    let (governance, pipeline) = open(user).await;
    for _ in 0..5 {
        let agent = verified(&governance, &pipeline, None).await;
        let shows = async |name: &str| agent.package(&[Exhibit::inline(name, "log", name)]).await;
        let shown = tokio::join!(shows("one"), shows("two"), shows("three"));
        shown.0.and(shown.1).and(shown.2).unwrap();
        let package = agent.desk().evidence().await.unwrap().unwrap();
        let mut names: Vec<_> = package.evidence.iter().map(|evidence| evidence.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!((names, agent.phase().await.unwrap()), (vec!["one", "three", "two"], AgentPhase::Package));
        assert_eq!(told(&governance, &agent, Action::Violation).await.len(), 0);
    }
    governance.close().await.unwrap();
}
