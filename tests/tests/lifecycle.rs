//! An agent's life in its phases: what it is told, what it looks at first, what it puts out and shows, and what it costs to leave something out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

#[path = "lifecycle/evidence.rs"]
mod evidence;
#[path = "lifecycle/plans.rs"]
mod plans;
#[path = "lifecycle/promotion.rs"]
mod promotion;
#[path = "lifecycle/register.rs"]
mod register;
#[path = "lifecycle/stillness.rs"]
mod stillness;

use std::time::Duration;

use governance::agent::{Check, Exhibit, Instructions, KnownCheck, Looked};
use governance::guard::approval::{ApprovalVerdict, KeyFile, Statement};
use governance::guard::path::Root;
use governance::guard::policies::{Text, Wish};
use governance::guard::policy::{Policy, Request};
use governance::ledger::{Action, Filter};
use governance::vocabulary::{AgentPhase, ApprovalId, Millis, OutputType, PipelineId, RevocationType, Tier};
use governance::{Agent, Error, ErrorKind, Governance, Joining};
use governance_tests::program::User;
use governance_tests::servers::{Product, Server};
use governance_tests::world::until;
use serde_json::{Value, json};

/// The same story on the file and on a server.
macro_rules! on_both {
    ($($story:ident)+) => {
        mod file {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(&governance_tests::program::User::default()).await;
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                let (_folder, _server, user) = $crate::on_redis();
                super::$story(&user).await;
            })+
        }
    };
}
use on_both;

fn on_redis() -> (tempfile::TempDir, Server, User) {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let server = Server::start(Product::Redis, folder.path(), "server", &[]);
    let user = User::of(format!("redis://127.0.0.1:{}", server.port));
    (folder, server, user)
}

async fn open(user: &User) -> (Governance, PipelineId) {
    let governance = Governance::open(user.config()).await.unwrap();
    let pipeline = governance.begin("Design a caching strategy").await.unwrap();
    (governance, pipeline)
}

async fn join(governance: &Governance, profile: &str, pipeline: &PipelineId, tier: Tier) -> Agent {
    governance.agent(profile, pipeline, Joining { tier: Some(tier), ..Joining::default() }).await.unwrap()
}

/// Ann approves, as from a process of her own: this one holds agents, so the program would refuse her below it.
async fn approve(governance: &Governance, user: &User, id: &str) {
    let key = KeyFile::at(&user.path("ann.key"), user.home()).unwrap().open(|| panic!("her key has no passphrase")).unwrap();
    let approvals = governance.approvals();
    let request = approvals.approval(&ApprovalId::new(id).unwrap()).await.unwrap().request;
    let said = Statement::of(&request, ApprovalVerdict::Approve, key.name(), None, request.asked_at);
    approvals.submit(&key.sign(said)).await.unwrap();
}

/// A governed call of a tool that does nothing.
async fn call(agent: &Agent, action: &str, target: Option<&str>) -> Result<(), Error> {
    let request = Request { target, ..Request::new(action) };
    agent.govern(&request, &json!({}), async |_| Ok(())).await
}

async fn is_revoked(governance: &Governance, agent: &Agent) -> Option<RevocationType> {
    governance.revocations().revocation_of(&agent.desk().actor().id).await.unwrap().map(|revocation| revocation.kind)
}

/// What the record says of an agent about an action.
async fn told(governance: &Governance, agent: &Agent, action: Action) -> Vec<Value> {
    assert!(governance.catch_up(Duration::from_secs(30)).await.unwrap());
    let filter = Filter { agent: Some(agent.desk().actor().id.clone()), action: Some(action), ..Filter::default() };
    let listed = governance.ledger().list(&filter).await.unwrap().actions;
    listed.iter().map(|action| serde_json::from_str(action.payload.as_deref().unwrap()).unwrap()).collect()
}

async fn alerts(governance: &Governance, kind: &str) -> usize {
    let queue = governance.store().list(governance.store().keys().alerts_queue(), 1_000).await.unwrap();
    queue.iter().filter(|alert| serde_json::from_slice::<Value>(alert).unwrap()["type"] == kind).count()
}

on_both! {
    each_phase_classes_what_is_put_out_in_it
    a_phase_that_is_left_out_is_a_violation_and_the_second_one_revokes
    checks_that_others_make_are_asked_for_one_by_one
    nothing_is_changed_and_nothing_executed_before_preflight_has_passed
    an_agent_reads_what_it_was_told_and_its_deadline_denies
    a_packet_says_what_the_agents_own_profile_says
    evidence_is_bound_to_outputs_never_overwritten_and_handed_over
}

async fn each_phase_classes_what_is_put_out_in_it(user: &User) {
    let (governance, pipeline) = open(user).await;
    let alpha = join(&governance, "alpha", &pipeline, Tier::T0).await;
    let mut classes = Vec::new();
    for phase in [AgentPhase::Preflight, AgentPhase::Plan, AgentPhase::Execute, AgentPhase::Verify, AgentPhase::Package] {
        alpha.enter(phase).await.unwrap();
        let output = alpha.output(json!({"in": phase})).await.unwrap();
        assert_eq!((output.phase, output.content_hash.len()), (phase, 64));
        classes.push(output.output_type);
    }
    assert_eq!(classes, [OutputType::Alpha, OutputType::Beta, OutputType::Beta, OutputType::Gamma, OutputType::Gamma]);
    let outputs = alpha.outputs().await.unwrap();
    assert_eq!(outputs.iter().map(|output| output.output_type).collect::<Vec<_>>(), classes);
    for number in 0..70 {
        alpha.output(json!(number)).await.unwrap();
    }
    let outputs = alpha.outputs().await.unwrap();
    assert_eq!((outputs.len(), &outputs.last().unwrap().content), (64, &json!(69)), "bounded, the newest are kept");
    assert_eq!(told(&governance, &alpha, Action::Output).await.iter().filter(|told| told["output_type"] == "Beta").count(), 2);
    governance.close().await.unwrap();
}

async fn a_phase_that_is_left_out_is_a_violation_and_the_second_one_revokes(user: &User) {
    let (governance, pipeline) = open(user).await;
    let alpha = join(&governance, "alpha", &pipeline, Tier::T0).await;
    let skipped = alpha.enter(AgentPhase::Execute).await.unwrap_err();
    assert_eq!((skipped.kind(), skipped.code()), (ErrorKind::Denied, "phase_order"));
    assert!(skipped.to_string().contains("leaves PLAN out"), "{skipped}");
    assert_eq!(alpha.phase().await.unwrap(), AgentPhase::Preflight, "it stays where it was");
    assert_eq!(alpha.desk().budget().faults().await.unwrap().procedure_violations, 1);
    assert_eq!(told(&governance, &alpha, Action::Violation).await[0]["type"], "procedure_violation");
    assert_eq!(alerts(&governance, "violation_detected").await, 1);
    for phase in [AgentPhase::Plan, AgentPhase::Execute, AgentPhase::Verify] {
        alpha.enter(phase).await.unwrap();
    }
    // It was there already: no violation.
    alpha.enter(AgentPhase::Plan).await.unwrap();
    assert_eq!(is_revoked(&governance, &alpha).await, None);
    let skipped = alpha.enter(AgentPhase::Report).await.unwrap_err();
    assert!(skipped.to_string().contains("leaves PACKAGE out"), "{skipped}");
    assert_eq!(is_revoked(&governance, &alpha).await, Some(RevocationType::ErrorBudget));
    assert_eq!(alpha.enter(AgentPhase::Package).await.unwrap_err().code(), "phase_order", "REVOKED is the end");
    // Who is told to leave gives up what it had not come to: nothing is left out.
    let beta = join(&governance, "beta", &pipeline, Tier::T0).await;
    beta.leave().await.unwrap();
    assert_eq!(told(&governance, &beta, Action::Violation).await, Vec::<Value>::new());
    governance.close().await.unwrap();
}

async fn checks_that_others_make_are_asked_for_one_by_one(user: &User) {
    let (governance, pipeline) = open(user).await;
    let alpha = join(&governance, "alpha", &pipeline, Tier::T1).await;
    let checks = || {
        let made = ["first", "silent", "late", "last"].map(|name| (name.to_owned(), None));
        [("sh".to_owned(), Some(KnownCheck::Dependencies(vec!["sh".to_owned()])))].into_iter().chain(made).collect::<Vec<_>>()
    };
    let mut looking = alpha.looking(checks(), Some(Duration::from_millis(1_500)));
    let mut late = None;
    let report = loop {
        match looking.next().await.unwrap() {
            Looked::Check(look) if look.name() == "silent" => drop(look),
            Looked::Check(look) if look.name() == "late" => late = Some(look),
            Looked::Check(look) if look.name() == "first" => look.tell(Some("it rains".to_owned())),
            Looked::Check(look) => {
                // The check before has failed by now, whoever still makes it.
                late.take().expect("it came before").tell(None);
                look.tell(None);
            }
            Looked::Done(report) => break report,
        }
    };
    let told: Vec<_> = report.checks[5..].iter().map(|check| (check.name.as_str(), check.reason.as_deref())).collect();
    let expected = [
        ("sh", None),
        ("first", Some("it rains")),
        ("silent", Some("nobody made the check")),
        ("late", Some("the check took longer than 1500 ms")),
        ("last", None),
    ];
    assert_eq!((report.passed, told.as_slice()), (false, &expected[..]));
    assert_eq!(looking.next().await.unwrap_err().code(), "preflight_over");
    // Given up, it comes to nothing: the last one that is written down counts.
    let kept = governance.agent_record(&alpha.desk().actor().id).await.unwrap().preflight;
    assert_eq!(kept.as_ref(), Some(&report));
    let mut looking = alpha.looking(checks(), None);
    assert!(matches!(looking.next().await.unwrap(), Looked::Check(_)));
    drop(looking);
    assert_eq!(governance.agent_record(&alpha.desk().actor().id).await.unwrap().preflight, kept);
    let nameless = alpha.preflight(vec![Check::new("", async { Ok(()) })]).await.unwrap_err();
    assert_eq!(nameless.code(), "bad_check");
    governance.close().await.unwrap();
}

async fn nothing_is_changed_and_nothing_executed_before_preflight_has_passed(user: &User) {
    let (governance, pipeline) = open(user).await;
    // T1 asks for a preflight; the usual checks are made as it begins to live.
    let alpha = join(&governance, "alpha", &pipeline, Tier::T1).await;
    call(&alpha, "write_file", Some("sandbox-1")).await.unwrap();
    let usual = &told(&governance, &alpha, Action::Preflight).await[0];
    let names: Vec<_> = usual["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!((&usual["passed"], names), (&json!(true), vec!["store", "admission", "lock", "budget", "profile"]));

    let folder = tempfile::tempdir().unwrap();
    let inventory = folder.path().join("hosts.ini");
    std::fs::write(&inventory, "[web]\nsandbox-1\nsandbox-2 ansible_port=22\n").unwrap();
    let checks = |target: &str, program: &str| {
        vec![
            Check::sandbox(folder.path()),
            Check::inventory(&inventory, vec![target.to_owned()]),
            Check::dependencies(vec![program.to_owned()]),
        ]
    };
    let passed = alpha.preflight(checks("sandbox-2", "sh")).await.unwrap();
    assert!(passed.passed && passed.checks.len() == 8, "{passed:?}");
    let mut failing = checks("sandbox-3", "no-such-program-here");
    failing.push(Check::command("own", vec!["sh".into(), "-c".into(), "echo broken >&2; exit 3".into()]));
    failing.push(Check::new("hangs", std::future::pending()).within(Duration::from_millis(20)));
    failing.push(Check::new("panics", async { panic!("a defect in a check") }));
    let failed = alpha.preflight(failing).await.unwrap();
    let why: Vec<_> = failed.checks.iter().filter_map(|check| Some((check.name.as_str(), check.reason.as_deref()?))).collect();
    assert!(!failed.passed && why.len() == 5, "{why:?}");
    for (name, says) in
        [("inventory", "sandbox-3"), ("dependencies", "no-such"), ("own", "broken"), ("hangs", "20 ms"), ("panics", "itself")]
    {
        assert!(why.iter().any(|(of, reason)| *of == name && reason.contains(says)), "{name}: {why:?}");
    }
    // What only reads goes on; what changes something revokes at once.
    call(&alpha, "read_file", None).await.unwrap();
    alpha.enter(AgentPhase::Plan).await.unwrap();
    let bypassed = call(&alpha, "write_file", Some("sandbox-1")).await.unwrap_err();
    assert_eq!(bypassed.code(), "not_allowed");
    assert_eq!(bypassed.details()["decision"]["violation"], "preflight_bypass");
    assert_eq!(is_revoked(&governance, &alpha).await, Some(RevocationType::Procedure));

    // A profile asks for a check of its own: the usual ones alone let nobody into EXECUTE.
    let beta = join(&governance, "beta", &pipeline, Tier::T1).await;
    assert!(!beta.preflight(vec![Check::new("own", async { Err("not yet".to_owned()) })]).await.unwrap().passed);
    beta.enter(AgentPhase::Plan).await.unwrap();
    assert_eq!(beta.enter(AgentPhase::Execute).await.unwrap_err().code(), "preflight_missing");
    assert_eq!(is_revoked(&governance, &beta).await, Some(RevocationType::Procedure));
    let third = join(&governance, "alpha", &pipeline, Tier::T0).await;
    third.preflight(vec![Check::new("own", async { Err("not yet".to_owned()) })]).await.unwrap();
    third.enter(AgentPhase::Plan).await.unwrap();
    third.enter(AgentPhase::Execute).await.unwrap();
    governance.close().await.unwrap();
}

async fn an_agent_reads_what_it_was_told_and_its_deadline_denies(user: &User) {
    let (governance, pipeline) = open(user).await;
    let alpha = join(&governance, "alpha", &pipeline, Tier::T1).await;
    let packet = alpha.packet().await.unwrap().unwrap();
    assert_eq!((packet.objective.as_str(), packet.tier, packet.error_budget), ("Design a caching strategy", Tier::T1, 8));
    assert!(packet.allowed_actions.contains(&"write_file".to_owned()) && packet.deadline.is_none());
    assert!(packet.constraints.iter().any(|constraint| constraint.contains("prod-*")), "{packet:?}");
    let id = &alpha.desk().actor().id;
    let now = governance.store().now().await.unwrap();
    let later = Instructions { deadline: Some(now.after(Duration::from_secs(60))), ..Instructions::default() };
    governance.instruct(id, &later).await.unwrap();
    call(&alpha, "write_file", Some("sandbox-1")).await.unwrap();
    let over = Instructions { deadline: Some(Millis(now.0 - 1)), constraints: vec!["be brief".into()], ..Instructions::default() };
    let packet = governance.instruct(id, &over).await.unwrap();
    assert_eq!(packet.constraints[0], "be brief");
    // Nobody told the agent's process: it hears of it from the store.
    until("the deadline is known", async || call(&alpha, "read_file", None).await.is_err()).await;
    let late = call(&alpha, "read_file", None).await.unwrap_err();
    assert_eq!(late.code(), "not_allowed");
    assert!(late.to_string().contains("time was over"), "{late}");
    assert_eq!(is_revoked(&governance, &alpha).await, None, "being late is held against nobody");
    let large = Instructions { constraints: vec!["x".repeat(5_000)], ..Instructions::default() };
    assert_eq!(governance.instruct(id, &large).await.unwrap_err().code(), "packet_too_large");
    assert_eq!(governance.instruct(&"nobody".parse().unwrap(), &over).await.unwrap_err().code(), "no_such_agent");
    governance.close().await.unwrap();
}

async fn a_packet_says_what_the_agents_own_profile_says(user: &User) {
    let (governance, pipeline) = open(user).await;
    let profile = |name: &str| {
        let constraints = json!({"allowed_actions": ["web.search"], "forbidden_targets": ["secret-*"]});
        let governance = json!({"error_budget": {"max_total_errors": 3}});
        json!({"agent_id": name, "agent_version": "1", "tier": "T1", "constraints": constraints, "governance": governance}).to_string()
    };
    // One that is in force, and one that an agent brings with it.
    governance.policies().apply(&Text::new(profile("alpha")), &Wish::of("ann")).await.unwrap();
    let alpha = join(&governance, "alpha", &pipeline, Tier::T1).await;
    let file = user.path("beta.json");
    std::fs::write(&file, profile("beta")).unwrap();
    let beta = governance.agent(file.to_str().unwrap(), &pipeline, Joining::default()).await.unwrap();
    for agent in [&alpha, &beta] {
        let told_anew = governance.instruct(&agent.desk().actor().id, &Instructions::default()).await.unwrap();
        for packet in [agent.packet().await.unwrap().unwrap(), told_anew] {
            assert_eq!((&packet.allowed_actions[..], packet.error_budget), (&["web.search".to_owned()][..], 3), "{packet:?}");
            assert_eq!(packet.constraints, ["never touch secret-*"]);
        }
    }
    // What is in force by now is what it is told.
    governance.policies().apply(&Text::new(profile("alpha").replace("web.search", "read_file")), &Wish::of("ann")).await.unwrap();
    let told = governance.instruct(&alpha.desk().actor().id, &Instructions::default()).await.unwrap();
    assert_eq!(told.allowed_actions, ["read_file"]);
    governance.close().await.unwrap();
}

async fn evidence_is_bound_to_outputs_never_overwritten_and_handed_over(user: &User) {
    let (governance, pipeline) = open(user).await;
    let (root, log) = (user.path("work"), user.path("work/logs/run.log"));
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::write(&log, "all green").unwrap();
    let joining = Joining { tier: Some(Tier::T0), root: Some(root.clone()), ..Joining::default() };
    let alpha = governance.agent("alpha", &pipeline, joining).await.unwrap();
    let log = log.canonicalize().unwrap();
    let exhibits = [Exhibit::file("log", "log", &log), Exhibit::inline("diff", "diff", "+ ttl: 60")];
    assert_eq!(alpha.package(&exhibits).await.unwrap_err().code(), "phase_order", "evidence comes after VERIFY");
    for phase in [AgentPhase::Plan, AgentPhase::Execute, AgentPhase::Verify] {
        alpha.enter(phase).await.unwrap();
    }
    let output = alpha.output(json!({"ttl": 60})).await.unwrap();
    let package = alpha.package(&exhibits).await.unwrap();
    assert_eq!((alpha.phase().await.unwrap(), &package.outputs), (AgentPhase::Package, &vec![output.content_hash]));
    let kept = user.home().join(&package.evidence[0].reference);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "all green");
    // Again changes nothing; the same name with another content is refused, in the record and on the disk.
    assert_eq!(alpha.package(&exhibits).await.unwrap(), package);
    std::fs::write(&log, "all red").unwrap();
    assert_eq!(alpha.package(&exhibits).await.unwrap_err().code(), "evidence_exists");
    assert_eq!(alpha.package(&[Exhibit::inline("diff", "diff", "+ ttl: 6")]).await.unwrap_err().code(), "evidence_exists");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "all green");
    for (wrong, code) in [
        (Exhibit::inline("../../escape", "log", "x"), "invalid_id"),
        (Exhibit::inline("big", "log", "x".repeat(20_000)), "evidence_too_large"),
        (Exhibit::file("gone", "log", "logs/gone"), "evidence_unreadable"),
        (Exhibit::file("folder", "log", "logs"), "evidence_unreadable"),
        (Exhibit { file: None, text: None, ..Exhibit::inline("none", "log", "") }, "wrong_evidence"),
    ] {
        assert_eq!(alpha.package(&[wrong]).await.unwrap_err().code(), code);
    }
    alpha.enter(AgentPhase::Report).await.unwrap();
    assert_eq!(alerts(&governance, "violation_detected").await, 0);
    let id = alpha.desk().actor().id.clone();
    governance.revocations().revoke(&id, RevocationType::Manual, "a drill").await.unwrap();
    let handoff = governance.store().json::<Value>(governance.store().keys().agent_handoff(&id)).await.unwrap().unwrap().1;
    assert_eq!(handoff["evidence_refs"], json!([format!("evidence/{id}/log"), format!("agent:{id}:evidence#diff")]));

    // Without evidence the report is not held up: it is logged, with an alert.
    let beta = join(&governance, "beta", &pipeline, Tier::T0).await;
    governance
        .instruct(&beta.desk().actor().id, &Instructions { evidence_required: vec!["test_report".into()], ..Instructions::default() })
        .await
        .unwrap();
    for phase in [AgentPhase::Plan, AgentPhase::Execute, AgentPhase::Verify] {
        beta.enter(phase).await.unwrap();
    }
    beta.package(&[Exhibit::inline("diff", "diff", "x")]).await.unwrap();
    beta.enter(AgentPhase::Report).await.unwrap();
    let missing = &told(&governance, &beta, Action::Violation).await[0];
    assert_eq!((&missing["type"], &missing["severity"]), (&json!("evidence_missing"), &json!("LOW")));
    assert!(missing["detail"].as_str().unwrap().contains("test_report"), "{missing}");
    assert_eq!((alerts(&governance, "violation_detected").await, beta.phase().await.unwrap()), (1, AgentPhase::Report));
    governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_cannot_be_written_to_fails_preflight_where_the_profile_writes() {
    let user = User::default();
    let (governance, pipeline) = open(&user).await;
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path()).unwrap();
    let alpha = join(&governance, "alpha", &pipeline, Tier::T1).await;
    let desk = governance::agent::Desk::new(
        governance.store(),
        alpha.desk().actor().clone(),
        governance.recorder(),
        std::sync::Arc::new(governance::llm::LocalModel),
    );
    let mut profile = Policy::shipped(Tier::T1).unwrap().profile().clone();
    profile.governance.preflight_checks = vec!["sandbox".into()];
    let desk = desk.await.unwrap().with_guard(|guard| guard.rooted(root).with_policy(Policy::new(profile).unwrap()));
    let report = desk.preflight(Vec::new()).await.unwrap();
    let named = |name: &str| report.checks.iter().find(|check| check.name == name).unwrap().clone();
    assert!(named("root").passed && !named("sandbox").passed && !report.passed, "{report:?}");
    assert!(named("sandbox").reason.unwrap().contains("nobody made it"));
    folder.close().unwrap();
    let report = desk.preflight(vec![Check::new("sandbox", async { Ok(()) })]).await.unwrap();
    assert_eq!(report.checks.iter().filter(|check| !check.passed).map(|check| check.name.as_str()).collect::<Vec<_>>(), ["root"]);
    governance.close().await.unwrap();
}
