//! More than a minute without progress costs an agent its token, also where it stands free; whoever gets further, waits for people, or has nothing to
//! carry out is left alone.

use std::sync::Arc;
use std::time::Duration;

use governance::agent::{Desk, GOVERNOR};
use governance::coordination::Lease;
use governance::guard::Alerts;
use governance::guard::policy::{Policy, Request};
use governance::llm::LocalModel;
use governance::store::{Actor, Admission};
use governance::vocabulary::{AgentId, AgentPhase, Extent, PipelineId, RevocationType, Section, Tier};
use governance::{Agent, Blackboard, RevocationEngine};
use governance_tests::world::{Backend, World, until};
use serde_json::json;

governance_tests::on_every_backend! {
    an_agent_that_gets_no_further_loses_its_token_and_whoever_gets_further_does_not
    whoever_has_nothing_to_carry_out_waits_for_people_or_has_a_governor_is_left_alone
}

/// What an agent may be still for. Whoever moves does so forty times as often.
const PATIENCE: Duration = Duration::from_secs(4);
const OFTEN: Duration = Duration::from_millis(100);

fn pipe() -> PipelineId {
    PipelineId::new("pipe").unwrap()
}

/// It needs neither a preflight nor an approved plan; calls on production need a person.
fn policy() -> Policy {
    let mut profile = Policy::shipped(Tier::T2).unwrap().profile().clone();
    profile.governance.preflight_required = false;
    profile.governance.plan_approval_required = false;
    Policy::new(profile).unwrap()
}

/// A pipeline that agents join by themselves.
async fn pipeline(world: &World, id: &PipelineId) -> Admission {
    let admission = world.pipeline(id).await;
    let governor = Actor { id: AgentId::new(GOVERNOR).unwrap(), pipeline: Some(id.clone()), admission: admission.clone() };
    let board = Blackboard::open(&world.store().await, &id.task(), &governor);
    board.post(Section::Problem, "objective", &"Design a caching strategy").await.unwrap();
    admission
}

/// An agent that has joined, with a process of its own.
async fn joined(world: &World, admission: &Admission, pipeline: &PipelineId, name: &str) -> Agent {
    let (store, actor) = world.agent(admission, pipeline, name).await;
    let desk = Desk::new(&store, actor, &world.ledger().await.1, Arc::new(LocalModel)).await.unwrap();
    let desk = desk.with_guard(|guard| guard.with_policy(policy()).within(PATIENCE * 4)).with_patience(PATIENCE);
    Agent::begin(desk).await.unwrap()
}

async fn executes(agent: &Agent) {
    for phase in [AgentPhase::Plan, AgentPhase::Execute] {
        agent.enter(phase).await.unwrap();
    }
}

/// So much later that who is wrongly found still is found before it.
async fn last(agent: &Agent) {
    tokio::time::sleep(PATIENCE / 4).await;
    executes(agent).await;
}

async fn revoked(agent: &Agent) -> Option<governance::guard::Revocation> {
    RevocationEngine::open(agent.desk().store()).revocation_of(&agent.desk().actor().id).await.unwrap()
}

/// Goes on with something as long as it is polled.
async fn again_and_again(does: impl AsyncFn(u32)) {
    for n in 0.. {
        does(n).await;
        tokio::time::sleep(OFTEN).await;
    }
}

fn an_agent_that_gets_no_further_loses_its_token_and_whoever_gets_further_does_not(on: Backend) {
    on.story(async |world| {
        let admission = pipeline(&world, &pipe()).await;
        let join = async |name| joined(&world, &admission, &pipe(), name).await;
        let (writes, says, calls, lasts, still) =
            (join("writes").await, join("says").await, join("calls").await, join("lasts").await, join("still").await);
        for agent in [&writes, &says, &calls, &lasts] {
            executes(agent).await;
        }
        last(&still).await;
        let bus = says.desk().bus();
        let moves = async {
            let request = Request::new("read_file");
            // An open call counts as progress until its deadline.
            let long = lasts.desk().guard().begin(&request, &governance::guard::Arguments::of(&json!({}))).await.unwrap();
            tokio::join!(
                again_and_again(async |n| assert_eq!(
                    writes.desk().board().post(Section::Progress, &format!("note-{n}"), &n).await.unwrap(),
                    1
                )),
                again_and_again(async |n| drop(bus.broadcast(&json!(n)).await.unwrap())),
                again_and_again(async |_| calls.govern(&request, &json!({}), async |_| Ok(())).await.unwrap()),
            );
            drop(long);
        };
        tokio::select! {
            () = moves => {}
            () = until("whoever does nothing is revoked", async || revoked(&still).await.is_some()) => {}
        }
        let why = revoked(&still).await.unwrap();
        assert_eq!((why.kind, why.extent), (RevocationType::Heartbeat, Extent::Token));
        assert!(why.reason.starts_with("no progress for 4 s"), "{}", why.reason);
        let alerts = Alerts::open(still.desk().store()).list(100).await.unwrap();
        assert!(alerts.iter().any(|alert| alert.kind == "agent_revoked" && alert.data["agent_id"] == "still"), "{alerts:?}");
        assert!(still.desk().board().post(Section::Progress, "late", &1).await.unwrap_err().code() == "revoked");
        for agent in [&writes, &says, &calls, &lasts] {
            assert_eq!(revoked(agent).await, None);
        }
    });
}

fn whoever_has_nothing_to_carry_out_waits_for_people_or_has_a_governor_is_left_alone(on: Backend) {
    on.story(async |world| {
        let admission = pipeline(&world, &pipe()).await;
        let join = async |name| joined(&world, &admission, &pipe(), name).await;
        let (plans, verifies, waits, still) = (join("plans").await, join("verifies").await, join("waits").await, join("still").await);
        // One whose run has an owner: that helps it before it revokes, and knows for itself when.
        let run = PipelineId::new("run").unwrap();
        let of_run = pipeline(&world, &run).await;
        let governed = joined(&world, &of_run, &run, "governed").await;
        let (store, owner) = world.actor("owner").await;
        let keys = store.keys();
        let owned = Lease::claim(&store, keys.pipeline_owner(&run), keys.pipeline_owner_fence(&run), &owner, PATIENCE * 60).await;
        assert!(owned.unwrap().is_some());
        plans.enter(AgentPhase::Plan).await.unwrap();
        for agent in [&verifies, &waits, &governed] {
            executes(agent).await;
        }
        verifies.enter(AgentPhase::Verify).await.unwrap();
        last(&still).await;
        let guard = waits.desk().guard().clone().waiting(PATIENCE * 60);
        let (request, arguments) = (Request::new("terraform_apply").on("prod-db"), json!({}));
        tokio::select! {
            called = guard.govern(&request, &arguments, async |_| Ok(())) => panic!("nobody approved: {called:?}"),
            () = until("whoever does nothing is revoked", async || revoked(&still).await.is_some()) => {}
        }
        for agent in [&plans, &verifies, &waits, &governed] {
            assert_eq!(revoked(agent).await, None, "{agent:?}");
        }
    });
}
