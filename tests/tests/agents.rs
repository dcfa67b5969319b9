//! Agents that join by themselves: in a few lines, and governed all the same.

use std::time::Duration;

use governance::agent::{AgentEvent, Stage};
use governance::coordination::DecisionRule;
use governance::guard::limits::Scope;
use governance::guard::policy::Request;
use governance::guard::{Fault, Unit};
use governance::llm::{ChatMessage, ChatRole};
use governance::store::Actor;
use governance::vocabulary::{AgentPhase, AgentStatus, PipelineId, RevocationType, Section, Tier};
use governance::{Agent, Config, ErrorKind, Governance, Joining};
use serde_json::json;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(10);

async fn open() -> (TempDir, Governance, PipelineId) {
    let home = tempfile::tempdir().unwrap();
    let governance = Governance::open(Config { home: home.path().to_owned(), ..Config::default() }).await.unwrap();
    let pipeline = governance.begin("Design a caching strategy").await.unwrap();
    (home, governance, pipeline)
}

async fn join(governance: &Governance, profile: &str, pipeline: &PipelineId) -> Agent {
    governance.agent(profile, pipeline, Joining::default()).await.unwrap()
}

async fn event(agent: &Agent) -> AgentEvent {
    tokio::time::timeout(SOON, agent.next_event()).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_propose_talk_and_vote_without_a_governor() {
    let (_home, governance, pipeline) = open().await;
    let (alpha, beta) = (join(&governance, "alpha", &pipeline).await, join(&governance, "beta", &pipeline).await);
    assert!(alpha.desk().actor().id.as_str().starts_with("alpha-"));
    for agent in [&alpha, &beta] {
        agent.desk().enter(AgentPhase::Plan).await.unwrap();
        agent.desk().enter(AgentPhase::Execute).await.unwrap();
        agent.desk().propose_own().await.unwrap();
    }
    alpha.desk().bus().send(&beta.desk().actor().id, &json!({"say": "look at mine"})).await.unwrap();
    let step = beta.next_step().await.unwrap().unwrap();
    assert_eq!((step.stage(), step.message().unwrap().body.clone()), (Stage::Message, json!({"say": "look at mine"})));
    beta.done(step).await.unwrap();
    beta.evaluate().await.unwrap();
    assert!(beta.desk().combine_all().await.unwrap().is_some());

    let options: Vec<_> = alpha.desk().proposals().await.unwrap().iter().map(|proposed| proposed.name.to_string()).collect();
    let vote = "which".parse().unwrap();
    let opening = governance::coordination::Opening {
        question: json!("which"),
        options,
        rule: DecisionRule::Plurality,
        quorum: None,
        electorate: [&alpha, &beta].map(|agent| (agent.desk().actor().id.clone(), 1)).into(),
        within: SOON,
        sealed: false,
    };
    alpha.desk().consensus().propose(&vote, opening).await.unwrap();
    alpha.desk().vote_best(&vote).await.unwrap();
    beta.desk().vote_best(&vote).await.unwrap();
    let outcome = alpha.desk().consensus().outcome(&vote).await.unwrap();
    assert!(alpha.desk().consensus().settled(&vote).await.unwrap().is_some(), "{outcome:?}");
    for agent in [alpha, beta] {
        agent.leave().await.unwrap();
        assert_eq!(agent.phase().await.unwrap(), AgentPhase::Exit);
        let state = governance.admissions().agent(&agent.desk().actor().id).await.unwrap().unwrap();
        assert_eq!((state.status, state.tier), (AgentStatus::Completed, Tier::T0));
        let keys = governance.store().keys();
        assert!(governance.store().cell(keys.agent_lock(&agent.desk().actor().id)).await.unwrap().is_none());
        // Who has left does nothing more; to leave again changes nothing.
        let late = agent.govern(&Request::new("read_file"), &json!({}), async |_| Ok(())).await.unwrap_err();
        assert_eq!((late.kind(), late.to_string().contains("it has left")), (ErrorKind::Revoked, true), "{late}");
        assert_eq!(agent.output(json!("late")).await.unwrap_err().kind(), ErrorKind::Revoked);
        assert_eq!(agent.next_event().await, None, "it knows");
        agent.leave().await.unwrap();
    }
    governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_arrives_as_an_event_and_as_an_error() {
    let (_home, governance, pipeline) = open().await;
    let alpha = join(&governance, "alpha", &pipeline).await;
    alpha.check().unwrap();
    let id = &alpha.desk().actor().id;
    governance.revocations().revoke(id, RevocationType::Manual, "a drill").await.unwrap();
    let AgentEvent::Revoked { reason } = event(&alpha).await else { panic!("no revocation") };
    assert!(reason.contains("a drill"), "{reason}");
    assert_eq!(alpha.check().unwrap_err().kind(), ErrorKind::Revoked);
    assert_eq!(alpha.desk().board().post(Section::Progress, "late", &1).await.unwrap_err().kind(), ErrorKind::Revoked);
    assert_eq!(alpha.next_step().await.unwrap_err().kind(), ErrorKind::Revoked);
    assert!(alpha.next_event().await.is_none(), "nothing more can come");
    governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_told_when_its_budget_runs_low() {
    let (_home, governance, pipeline) = open().await;
    let alpha = join(&governance, "alpha", &pipeline).await;
    let governor = Actor::system(governance.store(), "governor").await.unwrap();
    let own = Scope::Agent(alpha.desk().actor().id.clone());
    alpha.desk().budget().grant(&governor, Unit::Tokens, 100).await.unwrap();
    alpha.desk().budget().spend(Unit::Tokens, 79).await.unwrap();
    alpha.desk().budget().spend(Unit::Tokens, 1).await.unwrap();
    assert_eq!(event(&alpha).await, AgentEvent::BudgetLow { unit: "tokens".into(), scope: own.clone(), used: 80, limit: 100 });
    for number in 0..7 {
        alpha.desk().budget().fault(&Fault::Error { kind: format!("kind-{number}"), message: "x".into() }).await.unwrap();
    }
    assert_eq!(event(&alpha).await, AgentEvent::BudgetLow { unit: "errors".into(), scope: own.clone(), used: 7, limit: 8 });
    // Of its run and of its tenant it hears too.
    let run = Scope::Pipeline(pipeline.clone());
    governance.limits().set(&governor, &run, Unit::Calls, 5).await.unwrap();
    for _ in 0..4 {
        let request = governance::guard::policy::Request::new("request_review");
        alpha.govern(&request, &json!({}), async |_| Ok(())).await.unwrap();
    }
    assert_eq!(event(&alpha).await, AgentEvent::BudgetLow { unit: "calls".into(), scope: run, used: 4, limit: 5 });
    governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_waiting_for_a_step_loses_none() {
    let (_home, governance, pipeline) = open().await;
    let (alpha, beta) = (join(&governance, "alpha", &pipeline).await, join(&governance, "beta", &pipeline).await);
    for number in 0..20 {
        let waited = tokio::time::timeout(Duration::from_micros(number * 97), beta.next_step()).await;
        assert!(waited.is_err(), "nothing was said yet");
        alpha.desk().bus().send(&beta.desk().actor().id, &number).await.unwrap();
        let impatient = tokio::time::timeout(Duration::from_micros(number * 53), beta.next_step()).await;
        let step = match impatient {
            Ok(step) => step,
            Err(_) => tokio::time::timeout(SOON, beta.next_step()).await.unwrap(),
        };
        let step = step.unwrap().unwrap();
        assert_eq!(step.message().unwrap().body, json!(number));
        beta.done(step).await.unwrap();
    }
    governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_waiting_while_it_is_told_to_leave_leaves_all_the_same() {
    let (_home, governance, pipeline) = open().await;
    let alpha = join(&governance, "alpha", &pipeline).await;
    let bus = governance.bus(&pipeline.task(), &governance.actor("governor").await.unwrap());
    bus.send(&alpha.desk().actor().id, &json!({"instruction": "leave"})).await.unwrap();
    let begun = std::time::Instant::now();
    let mut patience = Duration::ZERO;
    let step = loop {
        match tokio::time::timeout(patience, alpha.next_step()).await {
            Ok(step) => break step,
            Err(_) => patience += Duration::from_micros(150),
        }
        assert!(begun.elapsed() < SOON, "it waits for ever");
    };
    assert!(step.unwrap().is_none());
    let state = governance.admissions().agent(&alpha.desk().actor().id).await.unwrap().unwrap();
    assert_eq!((state.status, state.phase), (AgentStatus::Completed, AgentPhase::Exit));
    assert!(bus.members().await.unwrap().iter().all(|(member, _)| *member != alpha.desk().actor().id));
    governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_there_when_its_process_ends_in_order_has_left_and_who_was_dropped_has_not() {
    let (home, governance, pipeline) = open().await;
    let (alpha, beta) = (join(&governance, "alpha", &pipeline).await, join(&governance, "beta", &pipeline).await);
    let [stays, dropped] = [&alpha, &beta].map(|agent| agent.desk().actor().id.clone());
    drop(beta);
    governance.close().await.unwrap();
    let late = alpha.govern(&Request::new("read_file"), &json!({}), async |_| Ok(())).await.unwrap_err();
    assert!(late.to_string().contains("it has left"), "{late}");
    let governance = Governance::open(Config { home: home.path().to_owned(), ..Config::default() }).await.unwrap();
    let status = async |id| governance.admissions().agent(id).await.unwrap().unwrap().status;
    assert_eq!(status(&stays).await, AgentStatus::Completed);
    assert_ne!(status(&dropped).await, AgentStatus::Completed, "a drop is a death");
    let keys = governance.store().keys();
    assert!(governance.store().cell(keys.agent_heartbeat(&stays)).await.unwrap().is_none());
    assert!(governance.store().cell(keys.agent_lock(&stays)).await.unwrap().is_none());
    governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_budgeted_and_recorded() {
    let (_home, governance, pipeline) = open().await;
    let alpha = join(&governance, "alpha", &pipeline).await;
    let said = |content: &str| ChatMessage { role: ChatRole::User, content: content.into() };
    let reply = alpha.desk().model().chat(&[said("Design a caching strategy")]).await.unwrap();
    assert!(!reply.content.is_empty());
    assert_eq!(alpha.desk().model().chat(&[said("  ")]).await.unwrap_err().code(), "empty_chat");
    assert!(!alpha.desk().model().breaker().is_open());
    for _ in 1..64 {
        alpha.desk().model().chat(&[said("again")]).await.unwrap();
    }
    assert_eq!(alpha.desk().model().chat(&[said("once more")]).await.unwrap_err().code(), "budget_exhausted");
    governance.catch_up(SOON).await.unwrap();
    let calls = governance.ledger().list(&governance::ledger::Filter { limit: 1_000, ..Default::default() }).await.unwrap();
    let calls = calls.actions.iter().filter(|action| action.payload.as_deref().is_some_and(|payload| payload.contains("\"chat\""))).count();
    assert_eq!(calls, 64);
    governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instance_is_run_by_one_process() {
    let (_home, governance, pipeline) = open().await;
    let alpha = join(&governance, "alpha", &pipeline).await;
    let again = governance::agent::Desk::new(
        governance.store(),
        alpha.desk().actor().clone(),
        governance.recorder(),
        std::sync::Arc::new(governance::llm::LocalModel),
    );
    assert_eq!(Agent::begin(again.await.unwrap()).await.unwrap_err().code(), "already_running");
    governance.close().await.unwrap();
}

#[tokio::test]
async fn who_joins_wrongly_is_told() {
    let (_home, governance, pipeline) = open().await;
    let refused = async |profile: &str, pipeline: &PipelineId| {
        governance.agent(profile, pipeline, Joining::default()).await.unwrap_err().code().to_owned()
    };
    assert_eq!(refused("researcher", &pipeline).await, "no_role");
    assert_eq!(refused("alpha", &"pipeline-none".parse().unwrap()).await, "no_such_pipeline");
    assert_eq!(governance.begin("  ").await.unwrap_err().code(), "empty_objective");
    governance.revocations().stop_all("a drill").await.unwrap();
    assert_eq!(refused("alpha", &pipeline).await, "stopped");
    assert_eq!(governance.begin("anything").await.unwrap_err().code(), "stopped");
    governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_tools_run_by_the_profile_of_its_tier() {
    let (_home, governance, pipeline) = open().await;
    let joining = Joining { tier: Some(Tier::T1), ..Joining::default() };
    let (alpha, beta) = (governance.agent("alpha", &pipeline, joining).await.unwrap(), join(&governance, "beta", &pipeline).await);
    let write = Request::new("write_file").on("sandbox-1");
    let ran = tokio::spawn(async move {
        let ran = alpha.govern(&write, &json!({"text": "x"}), async |granted| Ok(granted.decision.is_allowed())).await;
        (alpha, ran)
    });
    let (alpha, ran) = ran.await.unwrap();
    assert!(ran.unwrap());
    // An observer, T0, executes nothing: asking for it ends it.
    assert_eq!(beta.govern(&write, &json!({}), async |_| Ok(())).await.unwrap_err().code(), "not_allowed");
    assert_eq!(beta.desk().board().post(Section::Progress, "late", &1).await.unwrap_err().kind(), ErrorKind::Revoked);
    alpha.desk().board().post(Section::Progress, "mine", &1).await.unwrap();
    governance.close().await.unwrap();
}
