//! What happens to a run half-way: proposals that change, agents that are revoked, time that runs out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use governance::coordination::Choice;
use governance::error::ErrorKind;
use governance::ledger::{Action, EntryKind, Filter};
use governance::llm::{Idea, LocalModel, Model, Scenario, ScriptedModel, Traits};
use governance::orchestrator::{RunOptions, RunOutcome};
use governance::vocabulary::{AgentId, AgentRole, AgentStatus, ExitCode, PipelineId, PipelineStatus, RevocationType, Section, System};
use governance::{Config, Governance};
use governance_tests::models::{Call, Held};
use governance_tests::program::User;
use governance_tests::servers::{Product, Server};
use governance_tests::world::until;
use tokio::task::JoinHandle;

const CACHE: &str = "Design a caching strategy";

fn options(model: Arc<dyn Model>, timeout: Duration) -> RunOptions {
    let interrupt = tokio_util::sync::CancellationToken::new();
    RunOptions { timeout, interrupt, ..RunOptions::new(model) }
}

/// A run that goes on beside its test until the model is reached.
async fn begun(governance: &Governance, model: &Arc<Held>, timeout: Duration) -> (JoinHandle<RunOutcome>, PipelineId, Vec<AgentId>) {
    begun_with(governance, model, options(model.clone(), timeout)).await
}

async fn begun_with(governance: &Governance, model: &Arc<Held>, options: RunOptions) -> (JoinHandle<RunOutcome>, PipelineId, Vec<AgentId>) {
    let orchestrator = governance.orchestrator();
    let run = tokio::spawn(async move { orchestrator.run(CACHE, options).await.unwrap() });
    model.reached().await;
    let store = governance.store();
    let pipeline = PipelineId::new(store.set(store.keys().pipelines()).await.unwrap().pop().unwrap()).unwrap();
    let agents = governance.admissions().agents(&pipeline).await.unwrap();
    let mut ids: Vec<_> = agents.into_iter().map(|agent| agent.id).collect();
    ids.sort();
    (run, pipeline, ids)
}

async fn opened(user: &User) -> Governance {
    Governance::open(user.config()).await.unwrap()
}

/// Ends a story: what was written is intact.
async fn told(governance: Governance, user: User) {
    governance.close().await.unwrap();
    user.verified();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_that_is_changed_between_evaluation_and_vote_changes_the_votes() {
    let user = User::default();
    let governance = opened(&user).await;
    let before = governance.orchestrator().run(CACHE, options(Arc::new(LocalModel), Duration::from_secs(60))).await.unwrap();
    assert!(before.votes.values().all(|vote| *vote == Some(Choice::One("combined".into()))), "{:?}", before.votes);

    // BETA has judged everything and is about to put the joint solution on the board …
    let model = Arc::new(Held::at(Call::Combine));
    let (run, pipeline, ids) = begun(&governance, &model, Duration::from_secs(60)).await;
    // … when somebody makes ALPHA's proposal perfect.
    let operator = governance.actor("operator").await.unwrap();
    let board = governance.blackboard(&pipeline.task(), &operator);
    let entry = board.entry(Section::Solutions, ids[0].as_str()).await.unwrap().unwrap();
    let mut idea: Idea = serde_json::from_value(entry.content).unwrap();
    idea.traits = Traits { simplicity: 10, speed: 10, correctness: 10, safety: 10, economy: 10 };
    board.put_if(Section::Solutions, ids[0].as_str(), &idea, entry.version).await.unwrap();
    model.let_go();

    let after = run.await.unwrap();
    assert!(after.votes.values().all(|vote| *vote == Some(Choice::One(ids[0].to_string()))), "{:?}", after.votes);
    assert_eq!(after.decision.unwrap().proposal.as_str(), ids[0].as_str());
    told(governance, user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_runs_out_ends_a_run_as_timeout() {
    let user = User::default();
    let governance = opened(&user).await;
    let model = Arc::new(Held::at(Call::Combine));
    // Longer than a busy machine needs to get there.
    let (run, pipeline, _) = begun(&governance, &model, Duration::from_secs(6)).await;
    let outcome = run.await.unwrap();
    assert_eq!((outcome.status, outcome.exit_code()), (PipelineStatus::Timeout, ExitCode::Error));
    assert!(outcome.agents.iter().any(|agent| agent.status == AgentStatus::TimedOut), "{:?}", outcome.agents);
    // What there was is kept.
    assert!(outcome.decision.is_none() && !outcome.proposals.is_empty());
    let kept = governance.store().cell(governance.store().keys().pipeline_failure_context(&pipeline)).await.unwrap();
    assert!(kept.is_some(), "the failure context is kept");
    told(governance, user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_may_decide_by_one_ballot_goes_on_alone_when_one_agent_is_revoked() {
    let user = User::default();
    let governance = opened(&user).await;
    let model = Arc::new(Held::at(Call::Propose(AgentRole::Alpha)));
    let mut alone = options(model.clone(), Duration::from_secs(60));
    alone.limits.quorum = 1;
    let (run, _, ids) = begun_with(&governance, &model, alone).await;
    governance.revocations().revoke(&ids[0], RevocationType::Manual, "a drill").await.unwrap();
    model.let_go();
    let outcome = run.await.unwrap();
    assert_eq!(outcome.status, PipelineStatus::Completed, "{outcome:?}");
    assert_eq!(outcome.agents.iter().map(|agent| agent.status).collect::<Vec<_>>(), [AgentStatus::Revoked, AgentStatus::Completed]);
    assert_eq!(outcome.votes.keys().collect::<Vec<_>>(), [&ids[1]], "only BETA votes");
    told(governance, user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_03_a_revoked_agent_that_wakes_up_writes_nothing_more() {
    let user = User::default();
    let governance = opened(&user).await;
    let model = Arc::new(Held::at(Call::Propose(AgentRole::Alpha)));
    let (run, pipeline, ids) = begun(&governance, &model, Duration::from_secs(60)).await;
    governance.revocations().revoke(&ids[0], RevocationType::Manual, "a drill").await.unwrap();
    model.let_go();
    run.await.unwrap();
    let operator = governance.actor("operator").await.unwrap();
    let late = governance.blackboard(&pipeline.task(), &operator).entry(Section::Solutions, ids[0].as_str()).await.unwrap();
    assert!(late.is_none(), "its proposal was made before the revocation and offered after it");
    told(governance, user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_fails_when_all_of_its_agents_are_revoked() {
    let user = User::default();
    let governance = opened(&user).await;
    let model = Arc::new(Held::at(Call::Propose(AgentRole::Beta)));
    let (run, pipeline, ids) = begun(&governance, &model, Duration::from_secs(60)).await;
    // ALPHA waits for BETA, which is held: neither gets further.
    for id in &ids {
        governance.revocations().revoke(id, RevocationType::Manual, "a drill").await.unwrap();
    }
    model.let_go();
    let outcome = run.await.unwrap();
    assert!(matches!(outcome.status, PipelineStatus::Failed | PipelineStatus::OrchestrationFailed), "{outcome:?}");
    assert_eq!(outcome.exit_code(), ExitCode::Error);
    assert!(outcome.reason.unwrap().contains("a drill"));
    let state = governance.store().state(governance.store().keys().pipeline(&pipeline)).await.unwrap().unwrap();
    assert_eq!(state.field("status"), outcome.status.as_str());
    told(governance, user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_revoked_before_it_votes_has_no_ballot() {
    let user = User::default();
    let governance = opened(&user).await;
    let model = Arc::new(Held::at(Call::Evaluate(AgentRole::Alpha)));
    let (run, pipeline, ids) = begun(&governance, &model, Duration::from_secs(60)).await;
    let operator = governance.actor("operator").await.unwrap();
    let board = governance.blackboard(&pipeline.task(), &operator);
    let evaluated = format!("evaluation-{}", ids[0]);
    until("ALPHA has judged", async || {
        model.step();
        board.entry(Section::Progress, &evaluated).await.unwrap().is_some()
    })
    .await;
    governance.revocations().revoke(&ids[0], RevocationType::Manual, "a drill").await.unwrap();
    model.let_go();
    let outcome = run.await.unwrap();
    assert!(!outcome.votes.contains_key(&ids[0]), "{:?}", outcome.votes);
    told(governance, user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_01_every_model_call_has_its_intent_in_the_record_before_it_is_made() {
    let user = User::default();
    let governance = opened(&user).await;
    let model = Arc::new(Held::at(Call::Analyse));
    let (run, pipeline, _) = begun(&governance, &model, Duration::from_secs(60)).await;
    let written = governance.recorder().segment().unwrap().unwrap();
    let entries = governance.ledger().entries_of(written.id()).await.unwrap();
    let announced = entries.iter().any(|(_, entry)| entry.kind == EntryKind::Intent && entry.payload.contains("analyse"));
    assert!(announced, "the call is under way and was not announced");
    model.let_go();
    run.await.unwrap();
    governance.catch_up(Duration::from_secs(10)).await.unwrap();
    let calls = Filter { pipeline: Some(pipeline), action: Some(Action::ModelCall), ..Filter::default() };
    let listed = governance.ledger().list(&calls).await.unwrap().actions;
    let intents = listed.iter().filter(|action| action.kind == EntryKind::Intent).count();
    assert_eq!(intents, model.calls() as usize, "each call has one intent");
    told(governance, user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_02_a_store_that_dies_half_way_ends_the_run_and_nothing_more_is_done() {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let mut server = Server::start(Product::Redis, folder.path(), "server", &[]);
    let user = User::of(format!("redis://127.0.0.1:{}", server.port));
    let governance = opened(&user).await;
    let model = Arc::new(Held::at(Call::Propose(AgentRole::Alpha)));
    let (orchestrator, given) = (governance.orchestrator(), options(model.clone(), Duration::from_secs(60)));
    let run = tokio::spawn(async move { orchestrator.run(CACHE, given).await });
    model.reached().await;
    server.kill();
    let calls = model.calls();
    model.let_go();
    let died = Instant::now();
    let error = run.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(died.elapsed() < Duration::from_secs(9), "one patience with the store, not one a call: {:?}", died.elapsed());
    assert!(model.calls() <= calls + 1, "only what was admitted before was done");
    let closing = Instant::now();
    drop(governance.close().await);
    assert!(closing.elapsed() < Duration::from_secs(4), "{:?}", closing.elapsed());
    user.verified();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_panics_is_gone_at_once_and_its_partner_goes_on() {
    let user = User::default();
    let governance = opened(&user).await;
    let crash = Scenario::parse("crash", "version: 1\nsteps: [{agent: beta, on: propose, do: crash}]").unwrap();
    let model = ScriptedModel::new(crash, Arc::new(LocalModel), Arc::new(System));
    let outcome = governance.orchestrator().run(CACHE, options(Arc::new(model), Duration::from_secs(60))).await.unwrap();
    assert_eq!(outcome.status, PipelineStatus::Completed, "{outcome:?}");
    assert!(outcome.reason.unwrap().contains("panicked"));
    // Its partner and the mediator that came for it decide without it.
    let decided = outcome.decision.unwrap().proposal;
    assert!(!decided.as_str().starts_with("beta"), "{decided}");
    told(governance, user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_comes_with_the_last_ballot_is_never_told_as_completed() {
    // Stopped at every moment of the end: what the run tells and what the store holds agree.
    for moment in 0..12 {
        let user = User::default();
        let governance = opened(&user).await;
        let model = Arc::new(Held::at(Call::Evaluate(AgentRole::Beta)));
        let (run, pipeline, _) = begun(&governance, &model, Duration::from_secs(60)).await;
        model.let_go();
        let board = governance.blackboard(&pipeline.task(), &governance.actor("operator").await.unwrap());
        let verdicts =
            async || board.entries(Section::Progress).await.unwrap().iter().filter(|e| e.name.as_str().starts_with("verdict-")).count();
        until("the vote is near its end", async || verdicts().await > moment % 2).await;
        for _ in 0..moment / 2 {
            governance.store().now().await.unwrap();
        }
        governance.revocations().stop_all("a drill").await.unwrap();
        let outcome = run.await.unwrap();
        let state = governance.store().state(governance.store().keys().pipeline(&pipeline)).await.unwrap().unwrap();
        assert_eq!(state.field("status"), outcome.status.as_str(), "at moment {moment}");
        assert!(matches!(outcome.status, PipelineStatus::Stopped | PipelineStatus::Completed), "{outcome:?}");
        if outcome.status == PipelineStatus::Stopped {
            assert!(outcome.reason.unwrap().contains("a drill"));
        }
        told(governance, user).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_runs_at_once_each_decide_once_and_the_record_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let governance = Governance::open(Config { home: home.path().to_owned(), ..Config::default() }).await.unwrap();
    let runs: Vec<_> = (0..100)
        .map(|number| {
            let (governance, options) = (governance.clone(), options(Arc::new(LocalModel), Duration::from_secs(300)));
            tokio::spawn(async move { governance.run(&format!("Design a caching strategy, number {number}"), options).await.unwrap() })
        })
        .collect();
    let mut ids = std::collections::BTreeSet::new();
    for run in runs {
        let outcome = run.await.unwrap();
        assert_eq!(outcome.status, PipelineStatus::Completed, "{:?}", outcome.reason);
        ids.insert(outcome.pipeline_id);
    }
    assert_eq!(ids.len(), 100);
    assert!(governance.catch_up(Duration::from_secs(60)).await.unwrap());
    for id in ids {
        let decided = Filter { pipeline: Some(id), action: Some(Action::Decision), limit: 10, ..Filter::default() };
        let entries = governance.ledger().list(&decided).await.unwrap().actions;
        assert_eq!(entries.len(), 2, "an intent and its outcome: {entries:?}");
    }
    assert!(governance.ledger().verify(None).await.unwrap().is_intact());
    governance.close().await.unwrap();
}
