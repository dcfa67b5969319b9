//! Profiles rise by what their agents did, and fall by a violation: real runs, real governed calls, the real program.

use governance::agent::AgentFilter;
use governance::guard::approval::{ApprovalVerdict, ApproverKey};
use governance::guard::policies::{Text, Wish};
use governance::ledger::{Action, Filter};
use governance::store::Commit;
use governance::vocabulary::{AgentId, AgentRole, PromotionStatus, System, Tier};
use governance::{ErrorKind, Governance, Joining};
use governance_tests::program::User;
use governance_tests::world::until;
use serde_json::{Value, json};

use super::{alerts, approve, call, join, on_both, open};

on_both! {
    five_compliant_runs_make_a_profile_eligible_and_a_violation_demotes
    agents_are_counted_once_whoever_counts_and_however_often
    whoever_keeps_house_carries_out_what_people_said
}

fn profile(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn requirement<'a>(shown: &'a Value, name: &str) -> &'a Value {
    shown["eligibility"]["requirements"].as_array().unwrap().iter().find(|requirement| requirement["name"] == name).unwrap()
}

/// How often the record says that somebody wanted more trust than there is.
async fn attempts(governance: &Governance, detail: &str) -> usize {
    assert!(governance.catch_up(std::time::Duration::from_secs(30)).await.unwrap());
    let listed = governance.ledger().list(&Filter { action: Some(Action::Violation), ..Filter::default() }).await.unwrap().actions;
    let told = listed.iter().map(|entry| entry.payload.as_deref().unwrap().replace('`', ""));
    told.filter(|told| told.contains("privilege_escalation") && told.contains(detail)).count()
}

/// The program beside the library: a command's last object, without blocking the runtime.
fn object(user: &User, args: &[&str]) -> Value {
    tokio::task::block_in_place(|| user.object(args))
}

async fn five_compliant_runs_make_a_profile_eligible_and_a_violation_demotes(user: &User) {
    tokio::task::block_in_place(|| user.registers_ann());
    for _ in 0..4 {
        let ran = tokio::task::block_in_place(|| user.does(&["run", "Design a caching strategy", "--json"]));
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let shown = object(user, &["agents", "promotion", "alpha"]);
    assert_eq!((&shown["registered"], &shown["standing"]["status"]), (&json!(false), &json!("not_eligible")), "{shown}");
    assert_eq!(requirement(&shown, "runs"), &json!({"name": "runs", "have": 4, "need": 5, "met": false}));
    let refused = tokio::task::block_in_place(|| user.does(&["agents", "promote", "alpha"]));
    refused.explains("runs 4 of 5; generate_plan 0 of 1");

    // The fifth life is one of its own, and makes a plan by a governed call.
    let (governance, pipeline) = open(user).await;
    let alpha = join(&governance, "alpha", &pipeline, Tier::T0).await;
    call(&alpha, "generate_plan", None).await.unwrap();
    alpha.leave().await.unwrap();
    let found = governance.promotions().eligibility(&profile("alpha")).await.unwrap();
    assert_eq!((found.status, found.missing().count()), (PromotionStatus::Eligible, 0), "{found:?}");
    // By the library: this process is an agent's now, and the program refuses it.
    let refused = tokio::task::block_in_place(|| user.does(&["agents", "promote", "alpha", "--json"]));
    assert_eq!(refused.last_object()["error"]["code"], "governed_process", "{refused:?}");
    let (promotions, alpha) = (governance.promotions(), profile("alpha"));
    let leap = promotions.promote(&alpha, Some(Tier::T3), "ann", "at once").await.unwrap_err();
    assert!(leap.to_string().contains("can rise to T1 only"), "{leap}");
    let promoted = promotions.promote(&alpha, None, "ann", "five good runs").await.unwrap();
    assert_eq!((promoted.tier, promoted.status), (Some(Tier::T1), PromotionStatus::Approved));
    assert_eq!(alerts(&governance, "promotion_approved").await, 1);

    // Registered now, it acts at what it stands at, and never at more.
    let above = Joining { tier: Some(Tier::T2), ..Joining::default() };
    let refused = governance.agent("alpha", &pipeline, above).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Denied, "above_standing"));
    assert_eq!(attempts(&governance, "alpha stands at T1 and cannot act at T2").await, 1);
    let alpha = governance.agent("alpha", &pipeline, Joining::default()).await.unwrap();
    assert_eq!(alpha.desk().tier(), Tier::T1);
    let mut run = user.start(&["run", "Design a caching strategy", "--json"]);
    let waits = tokio::task::block_in_place(|| user.awaits(&mut run));
    approve(&governance, user, waits["approval_id"].as_str().unwrap()).await;
    let run = tokio::task::block_in_place(|| run.end().last_object());
    let agents = tokio::task::block_in_place(|| user.objects(&["agents", "list", "--pipeline", run["pipeline_id"].as_str().unwrap()]));
    let tiers: Vec<_> = agents.iter().map(|agent| (agent["role"].as_str().unwrap(), agent["tier"].as_str().unwrap())).collect();
    assert!(
        tiers.contains(&("alpha", "T1")) && tiers.contains(&("beta", "T0")),
        "a run's agents act at their profiles' standing: {tiers:?}"
    );

    // A high violation ends the agent, and its profile falls before the next one joins.
    assert_eq!(call(&alpha, "delete_production", None).await.unwrap_err().code(), "not_allowed");
    let again = Joining { tier: Some(Tier::T1), ..Joining::default() };
    assert_eq!(governance.agent("alpha", &pipeline, again).await.unwrap_err().code(), "above_standing");
    let shown = object(user, &["agents", "promotion", "alpha"]);
    assert_eq!((&shown["standing"]["tier"], requirement(&shown, "runs")["have"].as_u64()), (&json!("T0"), Some(0)), "{shown}");
    assert_eq!(
        requirement(&shown, "violations"),
        &json!({"name": "violations", "have": 3, "need": 0, "met": false}),
        "and two wanted more"
    );
    assert_eq!(alerts(&governance, "profile_demoted").await, 1);
    governance.close().await.unwrap();
    let changes = tokio::task::block_in_place(|| user.objects(&["ledger", "list", "--action", "promotion"]));
    let told: Vec<Value> = changes.iter().map(|entry| serde_json::from_str(entry["payload"].as_str().unwrap()).unwrap()).collect();
    let fell = told.iter().find(|change| change["to_tier"] == "T0").unwrap();
    assert!(fell["from_tier"] == "T1" && fell["reason"].as_str().unwrap().starts_with("forbidden_action by `alpha-"), "{fell}");
    tokio::task::block_in_place(|| user.verified());
}

async fn agents_are_counted_once_whoever_counts_and_however_often(user: &User) {
    let (governance, pipeline) = open(user).await;
    let other = Governance::open(user.config()).await.unwrap();
    for number in 0..8 {
        let agent = join(&governance, "alpha", &pipeline, Tier::T0).await;
        if number % 4 == 3 {
            // Held neither for nor against anybody: it did nothing.
            agent.leave().await.unwrap();
            continue;
        }
        call(&agent, "generate_plan", None).await.unwrap();
        call(&agent, "read_file", None).await.unwrap();
        agent.leave().await.unwrap();
    }
    let counting = [&governance, &other, &governance, &other].map(|governance| {
        let promotions = governance.promotions();
        tokio::spawn(async move { promotions.catch_up(None).await.unwrap() })
    });
    for counted in counting {
        counted.await.unwrap();
    }
    let history = other.promotions().standing(&profile("alpha")).await.unwrap().history;
    assert_eq!((history.compliant, history.consecutive, history.not_compliant), (6, 6, 0));
    assert_eq!((history.actions["generate_plan"], history.actions["read_file"], history.modifications), (6, 6, 0));
    other.close().await.unwrap();
    governance.close().await.unwrap();
}

/// Nobody looks at the profile: the caretaker hears that it was approved.
async fn whoever_keeps_house_carries_out_what_people_said(user: &User) {
    let (governance, _) = open(user).await;
    let (promotions, deployer, queue) = (governance.promotions(), profile("deployer"), governance.approvals());
    let ann = ApproverKey::fresh(&"ann".parse().unwrap(), &System);
    queue.register(ann.name(), &ann.public(), false, &ann).await.unwrap();
    promotions.register(&deployer, Tier::T2, None, "ann", "known").await.unwrap();
    // What its lives would have come to.
    let cell = governance.store().keys().profile_standing(&deployer);
    let (version, mut standing): (u64, Value) = governance.store().json(cell.clone()).await.unwrap().unwrap();
    standing["history"] = json!({
        "compliant": 25, "consecutive": 25, "modifications": 5, "actions": {"ansible_run": 3, "terraform_apply": 2},
    });
    let commit = Commit::default().version(cell.clone(), version).put(cell.clone(), standing.to_string());
    governance.store().apply(commit).await.unwrap();
    let waits = promotions.promote(&deployer, None, "ann", "it does well").await.unwrap();
    let request = promotions.review(&waits).await.unwrap().unwrap();
    queue.decide(&ann, &request.request.id, &request.hash, ApprovalVerdict::Approve, None).await.unwrap();
    until("it has risen", async || {
        let (_, standing): (u64, Value) = governance.store().json(cell.clone()).await.unwrap().unwrap();
        standing["tier"] == "T3" && standing["review"].is_null()
    })
    .await;
    let charges = governance.store().table(governance.store().keys().caretaker_charges()).await.unwrap();
    assert!(!charges.iter().any(|(charge, _)| charge.starts_with("review/")), "{charges:?}");
    governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engineer_demotes_and_whoever_may_not_is_revoked_for_trying() {
    let user = User::default();
    let (governance, pipeline) = open(&user).await;
    let promotions = governance.promotions();
    promotions.register(&profile("deployer"), Tier::T2, None, "ann", "known").await.unwrap();
    promotions.register(&profile("chief"), Tier::T3, None, "ann", "known").await.unwrap();
    let engineer = join(&governance, "alpha", &pipeline, Tier::T3).await;
    let fallen = engineer.desk().demote(&profile("deployer"), "left its sandbox").await.unwrap();
    assert_eq!((fallen.tier, fallen.changes.last().unwrap().by.as_str()), (Some(Tier::T1), engineer.desk().actor().id.as_str()));
    let operator = join(&governance, "beta", &pipeline, Tier::T1).await;
    let refused = operator.desk().demote(&profile("deployer"), "envy").await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Denied, "may_not_review"));
    assert!(super::is_revoked(&governance, &operator).await.is_some());
    assert_eq!(engineer.desk().demote(&profile("chief"), "a peer").await.unwrap_err().code(), "may_not_review");
    let below = promotions.demote(&profile("deployer"), Some(Tier::T2), "ann", "up?").await.unwrap_err();
    assert_eq!(below.code(), "not_below");
    // Nobody had registered beta: it falls from the tier that it acted at.
    assert_eq!(promotions.standing(&profile("beta")).await.unwrap().tier, Some(Tier::T0));
    governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_forgotten_everything_still_knows_who_fell() {
    let (_folder, server, user) = super::on_redis();
    let (governance, _) = open(&user).await;
    let promotions = governance.promotions();
    promotions.register(&profile("deployer"), Tier::T2, None, "ann", "known").await.unwrap();
    promotions.demote(&profile("deployer"), None, "ann", "left its sandbox").await.unwrap();
    governance.revocations().stop_all("a drill").await.unwrap();
    governance.revocations().lift().await.unwrap();
    governance.close().await.unwrap();
    server.ask(&["FLUSHALL"]);
    let recovered = Governance::recover(user.config()).await.unwrap();
    assert_eq!(recovered.promotions().standing(&profile("deployer")).await.unwrap().tier, Some(Tier::T1));
    recovered.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_above_what_its_profile_allows_is_refused_and_that_is_on_the_record() {
    let user = User::default();
    let (governance, pipeline) = open(&user).await;
    let file = user.path("deployer.yaml");
    let text = "agent_id: deployer\nagent_version: '1'\ntier: T1\nconstraints: {allowed_actions: [read_file]}\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let joining = |tier| Joining { tier, role: Some(AgentRole::Beta), ..Joining::default() };
    // By its own file, and by the profile in force of its name.
    let refused = governance.agent(file, &pipeline, joining(Some(Tier::T3))).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Denied, "above_profile"));
    assert_eq!(governance.agent(file, &pipeline, joining(Some(Tier::T0))).await.unwrap_err().code(), "other_tier");
    let text = Text::new(text);
    governance.policies().apply(&text, &Wish::of("ann")).await.unwrap();
    assert_eq!(governance.agent("deployer", &pipeline, joining(Some(Tier::T2))).await.unwrap_err().code(), "above_profile");
    assert_eq!(attempts(&governance, "the profile deployer is of T1").await, 2);
    assert_eq!(alerts(&governance, "violation_detected").await, 2);
    // Nobody was admitted, nobody is revoked, no tier was lost; two broken rules it has.
    assert_eq!(governance.agents(&AgentFilter::default()).await.unwrap().len(), 0);
    let standing = governance.promotions().standing(&profile("deployer")).await.unwrap();
    assert_eq!((standing.tier, standing.history.violations.len(), standing.history.not_compliant), (None, 2, 2));
    assert_eq!(governance.agent(file, &pipeline, joining(None)).await.unwrap().desk().tier(), Tier::T1);
    governance.close().await.unwrap();
}

#[test]
fn wrong_use_is_explained_and_terms_may_only_be_stricter() {
    let user = User::default();
    let file = user.path("deployer.yaml");
    let terms = |more: &str| {
        let text = format!("agent_id: deployer\nagent_version: '1'\ntier: T1\npromotion:\n  target: T2\n  requirements: {{{more}}}\n");
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    user.does(&["policy", "check", &terms("runs: 3")]).explains("may only be stricter");
    user.does(&["policy", "check", &terms("rums: 30")]).explains("rums");
    let told = user.object(&["agents", "register", "deployer", "--tier", "T1", "--file", &terms("runs: 30, actions: [docker_run]")]);
    assert_eq!((&told["tier"], &told["status"]), (&"T1".into(), &"not_eligible".into()));
    let shown = user.object(&["agents", "promotion", "deployer"]);
    assert_eq!((&requirement(&shown, "runs")["need"], &requirement(&shown, "docker_run")["met"]), (&json!(30), &json!(false)));
    user.does(&["agents", "promote", "deployer"]).explains("not eligible for T2");
    user.does(&["agents", "promote", "../x"]).explains("only letters");
    user.does(&["agents", "demote", "deployer", "--to", "T9"]);
    assert_eq!(user.object(&["agents", "demote", "deployer", "--reason", "a drill"])["tier"], "T0");
    user.does(&["agents", "demote", "deployer"]).explains("name a tier below");
    let people = user.does(&["agents", "promotion"]);
    assert!(people.out.contains("deployer stands at T0") && people.out.contains("T1 to T0"), "{people:?}");
    user.verified();
}
