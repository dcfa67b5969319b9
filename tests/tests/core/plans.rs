//! What was approved is what is carried out: an agent whose profile asks for it enters EXECUTE by an approval of exactly its plan, once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governance::agent::{Desk, GOVERNOR};
use governance::guard::approval::{
    Approval, ApprovalKind, ApprovalState, ApprovalVerdict, Approvals, ApproverKey, RegistryChange, Statement,
};
use governance::guard::policy::{Policy, Request};
use governance::ledger::{Action, AgentAction, EntryKind, Filter, OutcomeResult};
use governance::llm::LocalModel;
use governance::store::{Actor, Commit, Fields, Write, to_json};
use governance::vocabulary::{
    AgentId, AgentPhase, AgentStatus, ApprovalId, ApproverName, Millis, PipelineId, RevocationType, Section, System, Tier,
};
use governance::{Error, ErrorKind, Result, RevocationEngine};
use governance_tests::world::{Backend, World, until};
use serde_json::{Value, json};

governance_tests::on_every_backend! {
    promise_6_a_plan_is_carried_out_only_as_it_was_approved
    a_plan_that_changes_must_be_approved_again
    a_request_for_a_plan_that_changed_is_open_to_nobody_any_more
    an_approval_of_a_plan_that_nobody_registered_gave_is_none
    of_two_who_enter_with_one_approval_exactly_one_uses_it
    who_waits_for_its_plan_is_waiting_and_its_time_stands_still
    a_wait_that_is_given_up_is_taken_back
    a_plan_that_is_denied_is_not_carried_out_and_another_one_may_be
    a_plan_needs_as_many_people_as_the_profile_says
    whoever_is_planning_and_changes_something_all_the_same_is_revoked
    a_profile_that_asks_for_no_approval_lets_its_agents_go_on
}

const LONG: Duration = Duration::from_secs(30);

fn pipe() -> PipelineId {
    PipelineId::new("pipe").unwrap()
}

fn key(name: &str) -> ApproverKey {
    ApproverKey::fresh(&ApproverName::new(name).unwrap(), &System)
}

/// Its plans are approved by so many; nothing else is asked of it first.
fn policy(quorum: Option<u32>) -> Policy {
    let mut profile = Policy::shipped(Tier::T1).unwrap().profile().clone();
    profile.governance.preflight_required = false;
    profile.governance.plan_approval_required = quorum.is_some();
    profile.governance.approval.quorum = quorum.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    Policy::new(profile).unwrap()
}

/// An agent at its desk, in PLAN, and the people who may approve.
struct Scene {
    world: World,
    actor: Actor,
    desk: Desk,
    ann: ApproverKey,
    bob: ApproverKey,
}

impl Scene {
    async fn new(world: World, quorum: Option<u32>) -> Self {
        let admission = world.pipeline(&pipe()).await;
        let (store, actor) = world.agent(&admission, &pipe(), "alpha-1").await;
        let governor = Actor { id: AgentId::new(GOVERNOR).unwrap(), pipeline: Some(pipe()), admission };
        let board = governance::Blackboard::open(&store, &pipe().task(), &governor);
        board.post(Section::Problem, "objective", &"Design a caching strategy").await.unwrap();
        let (ann, bob) = (key("ann"), key("bob"));
        let queue = Approvals::open(&store, &world.ledger().await.1);
        for (new, by) in [(&ann, &ann), (&bob, &ann)] {
            let registered = queue.registration(RegistryChange::Add, new.name(), &new.public(), by.name()).unwrap();
            queue.enroll(&by.sign(registered)).await.unwrap();
        }
        let desk = desk(&world, &actor, quorum).await;
        for phase in [AgentPhase::Preflight, AgentPhase::Plan] {
            desk.enter(phase).await.unwrap();
        }
        Self { world, actor, desk, ann, bob }
    }

    /// A queue as the approver's own process would have it.
    async fn queue(&self) -> Approvals {
        Approvals::open(&self.world.store().await, &self.world.ledger().await.1)
    }

    /// An entry into EXECUTE that is refused for want of an approval; the request's id.
    async fn asked(&self) -> ApprovalId {
        let refused = self.desk.enter(AgentPhase::Execute).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Denied, "approval_required"), "{refused}");
        assert_eq!(self.desk.phase().await.unwrap(), AgentPhase::Plan, "it stays where it was");
        id_of(&refused)
    }

    async fn say(&self, key: &ApproverKey, id: &ApprovalId, verdict: ApprovalVerdict) -> Result<Approval> {
        let queue = self.queue().await;
        let approval = queue.approval(id).await?;
        queue.submit(&key.sign(Statement::of(&approval.request, verdict, key.name(), None, approval.request.asked_at))).await
    }

    async fn approve(&self, id: &ApprovalId) {
        let state = self.say(&self.ann, id, ApprovalVerdict::Approve).await.unwrap().state;
        // Who waits for it may have used it already.
        assert!(matches!(state, ApprovalState::Approved | ApprovalState::Used), "{state}");
    }

    async fn state(&self) -> Fields {
        let store = self.desk.store();
        store.state(store.keys().agent_state(&self.actor.id)).await.unwrap().unwrap()
    }

    async fn revoked(&self) -> Option<RevocationType> {
        RevocationEngine::open(self.desk.store()).revocation_of(&self.actor.id).await.unwrap().map(|revocation| revocation.kind)
    }

    /// What the record says of entries into EXECUTE: what each intended, and what came of it.
    async fn entries(&self) -> Vec<(Value, OutcomeResult)> {
        let (ledger, _) = self.world.ledger().await;
        ledger.sequence(1).await.unwrap();
        let filter = Filter { action: Some(Action::Phase), limit: 1_000, ..Filter::default() };
        let told = ledger.list(&filter).await.unwrap().actions;
        let of = |payload: &Option<String>| serde_json::from_str::<Value>(payload.as_deref().unwrap()).unwrap();
        let intents = told.iter().filter(|entry| entry.kind == EntryKind::Intent && of(&entry.payload)["to"] == "EXECUTE");
        let token = |entry: &AgentAction| format!("{}.{}", entry.segment, entry.number);
        let end = |token: String| told.iter().find(|entry| entry.intent.as_ref().is_some_and(|intent| intent.as_str() == token));
        intents.map(|entry| (of(&entry.payload), end(token(entry)).unwrap().result.unwrap())).collect()
    }
}

/// A desk of the agent, as another process of it would have it.
async fn desk(world: &World, actor: &Actor, quorum: Option<u32>) -> Desk {
    let (store, recorder) = (world.store().await, world.ledger().await.1);
    let desk = Desk::new(&store, actor.clone(), &recorder, Arc::new(LocalModel)).await.unwrap();
    desk.with_guard(|guard| guard.with_policy(policy(quorum)))
}

fn id_of(error: &Error) -> ApprovalId {
    ApprovalId::new(error.details()["approval"]["id"].as_str().unwrap()).unwrap()
}

fn promise_6_a_plan_is_carried_out_only_as_it_was_approved(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, Some(1)).await;
        let planless = scene.desk.enter(AgentPhase::Execute).await.unwrap_err();
        assert_eq!((planless.kind(), planless.code()), (ErrorKind::Denied, "plan_missing"));
        assert!(planless.to_string().contains("put it out in PLAN"), "{planless}");
        let plan = json!({"steps": ["read", "write"]});
        let put_out = scene.desk.output(plan.clone()).await.unwrap();
        let id = scene.asked().await;
        assert_eq!(scene.asked().await, id, "the same plan is the same request");
        let shown = scene.queue().await.approval(&id).await.unwrap();
        assert_eq!((shown.request.kind, shown.arguments.as_deref()), (ApprovalKind::Plan, Some(plan.to_string().as_str())));
        assert_eq!(scene.revoked().await, None, "to ask is no violation");
        scene.approve(&id).await;
        scene.desk.enter(AgentPhase::Execute).await.unwrap();
        assert_eq!(scene.desk.phase().await.unwrap(), AgentPhase::Execute);
        // The use is of the intent that the record has, which names plan and approval; nothing was entered before.
        assert_eq!(scene.queue().await.approval(&id).await.unwrap().state, ApprovalState::Used);
        let told = json!({"from": "PLAN", "to": "EXECUTE", "approval": id, "plan": put_out.content_hash});
        assert_eq!(scene.entries().await, [(told, OutcomeResult::Ok)]);
        // It is there already: nobody is asked again.
        scene.desk.enter(AgentPhase::Execute).await.unwrap();
        assert_eq!(scene.queue().await.list(100).await.unwrap().len(), 1);
    });
}

fn a_plan_that_changes_must_be_approved_again(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, Some(1)).await;
        scene.desk.output(json!({"steps": ["read"]})).await.unwrap();
        let first = scene.asked().await;
        scene.approve(&first).await;
        scene.desk.output(json!({"steps": ["read", "delete"]})).await.unwrap();
        let second = scene.asked().await;
        assert_ne!(first, second);
        // Back at the one that was approved, people are asked again: they have seen another since.
        scene.desk.output(json!({"steps": ["read"]})).await.unwrap();
        let third = scene.asked().await;
        assert!(third != first && third != second);
        scene.approve(&third).await;
        scene.desk.enter(AgentPhase::Execute).await.unwrap();
        let queue = scene.queue().await;
        for (id, state) in [(&first, ApprovalState::Superseded), (&second, ApprovalState::Superseded), (&third, ApprovalState::Used)] {
            assert_eq!(queue.approval(id).await.unwrap().state, state);
        }
    });
}

fn a_request_for_a_plan_that_changed_is_open_to_nobody_any_more(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, Some(1)).await;
        let mut told = scene.desk.store().signals(&scene.desk.store().keys().ws_broadcast()).await.unwrap();
        scene.desk.output(json!({"steps": ["read"]})).await.unwrap();
        let pending = scene.asked().await;
        // The same plan once more is the same.
        scene.desk.output(json!({"steps": ["read"]})).await.unwrap();
        assert_eq!(scene.asked().await, pending);
        let open = async || {
            let listed = scene.queue().await.list(100).await.unwrap();
            listed.into_iter().filter(|approval| !approval.is_over()).map(|approval| approval.request.id).collect::<Vec<_>>()
        };
        assert_eq!(open().await, std::slice::from_ref(&pending));
        // At once, and not when somebody is asked about the next one.
        scene.desk.output(json!({"steps": ["read", "delete"]})).await.unwrap();
        assert!(open().await.is_empty());
        loop {
            let heard: Value = serde_json::from_slice(&told.next().await.unwrap()).unwrap();
            if heard["type"] == "approval_superseded" {
                assert_eq!(heard["data"]["approval_id"], pending.as_str());
                break;
            }
        }
        let store = scene.desk.store();
        assert!(store.cell(store.keys().approval_arguments(&pending)).await.unwrap().is_none(), "nobody has to read it any more");
        for verdict in [ApprovalVerdict::Approve, ApprovalVerdict::Deny] {
            let late = scene.say(&scene.ann, &pending, verdict).await.unwrap_err();
            assert_eq!((late.kind(), late.code()), (ErrorKind::Denied, "approval_superseded"), "{late}");
        }
        // The ledger remembers it where the store was made to forget it.
        store.apply(Commit::default().write(Write::Delete(store.keys().approval_use(&pending).into()))).await.unwrap();
        let text = json!({"steps": ["read"]}).to_string().into();
        let cell = store.keys().approval_arguments(&pending).into();
        store.apply(Commit::default().write(Write::Put { cell, value: text, ttl: None, event: None })).await.unwrap();
        assert_eq!(scene.queue().await.approval(&pending).await.unwrap().state, ApprovalState::Superseded);
        // What was denied stays denied, whatever is planned in between.
        let denied = scene.asked().await;
        scene.say(&scene.ann, &denied, ApprovalVerdict::Deny).await.unwrap();
        scene.desk.output(json!({"steps": ["write"]})).await.unwrap();
        let other = scene.asked().await;
        scene.desk.output(json!({"steps": ["read", "delete"]})).await.unwrap();
        assert_eq!(scene.desk.enter(AgentPhase::Execute).await.unwrap_err().code(), "approval_denied");
        assert_eq!(scene.queue().await.approval(&other).await.unwrap().state, ApprovalState::Superseded);
        assert!(open().await.is_empty());
    });
}

fn an_approval_of_a_plan_that_nobody_registered_gave_is_none(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, Some(1)).await;
        scene.desk.output(json!({"steps": ["read"]})).await.unwrap();
        let id = scene.asked().await;
        let request = scene.queue().await.approval(&id).await.unwrap().request;
        // Written into the store, past this library: in a name of its own, and in ann's.
        let mallory = key("mallory");
        let said = ["mallory", "ann"].map(|name| {
            let name = ApproverName::new(name).unwrap();
            mallory.sign(Statement::of(&request, ApprovalVerdict::Approve, &name, None, request.asked_at))
        });
        let cell = scene.desk.store().keys().approval_decisions(&id).into();
        let forged = Write::Put { cell, value: to_json(&said).unwrap(), ttl: None, event: None };
        scene.desk.store().apply(Commit::default().write(forged)).await.unwrap();
        assert_eq!(scene.asked().await, id);
        assert_eq!(scene.entries().await, [], "nothing was begun");
    });
}

fn of_two_who_enter_with_one_approval_exactly_one_uses_it(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, Some(1)).await;
        scene.desk.output(json!({"steps": ["read"]})).await.unwrap();
        let id = scene.asked().await;
        scene.approve(&id).await;
        let other = desk(&scene.world, &scene.actor, Some(1)).await;
        let both = tokio::join!(scene.desk.enter(AgentPhase::Execute), other.enter(AgentPhase::Execute));
        assert!(both.0.is_ok() || both.1.is_ok(), "{both:?}");
        assert_eq!(scene.desk.phase().await.unwrap(), AgentPhase::Execute);
        let entered = scene.entries().await.into_iter().filter(|(_, result)| *result == OutcomeResult::Ok).count();
        assert_eq!(entered, 1, "{both:?}");
    });
}

fn who_waits_for_its_plan_is_waiting_and_its_time_stands_still(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, Some(1)).await;
        let state = scene.desk.store().keys().agent_state(&scene.actor.id);
        let running = [("status", AgentStatus::Running.to_string())];
        scene.desk.store().apply(scene.desk.actor().commit().merge(state, running)).await.unwrap();
        scene.desk.output(json!({"steps": ["read"]})).await.unwrap();
        let store = scene.desk.store().clone();
        let person = async {
            until("it says that it waits", async || scene.state().await.field("status") == "waiting").await;
            let id = ApprovalId::new(scene.state().await.field("waits_for")).unwrap();
            let since = Millis(scene.state().await.field("waits_since").parse().unwrap());
            governance_tests::world::until_after(&store, since.after(Duration::from_millis(300))).await;
            scene.approve(&id).await;
        };
        let (entered, ()) = tokio::join!(scene.desk.enter_waiting(AgentPhase::Execute, LONG), person);
        entered.unwrap();
        let state = scene.state().await;
        let told = ["phase", "status", "waits_for", "waits_since", "busy_for_ms"].map(|field| state.field(field));
        assert_eq!(told, ["EXECUTE", "running", "", "", "0"]);
        let waited = store.number(store.keys().agent_spend(&scene.actor.id, "waited")).await.unwrap();
        assert!((300..20_000).contains(&waited), "{waited} ms are not counted");
    });
}

fn a_wait_that_is_given_up_is_taken_back(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, Some(1)).await;
        scene.desk.output(json!({"steps": ["read"]})).await.unwrap();
        let waiting = async || scene.state().await.field("status") == "waiting";
        // Whoever called waits no longer, as where a task is cancelled.
        tokio::select! {
            entered = scene.desk.enter_waiting(AgentPhase::Execute, LONG) => panic!("nobody approved: {entered:?}"),
            () = until("it says that it waits", waiting) => {}
        }
        until("that is taken back", async || !waiting().await).await;
        assert_eq!(scene.state().await.field("status"), "pending", "it is what it was");
        // Its patience over, it is refused as if it had not waited.
        let refused = scene.desk.enter_waiting(AgentPhase::Execute, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!((refused.code(), waiting().await), ("approval_required", false));
        // Nor does it stay where whoever called stops waiting while it is being taken back: its second commit.
        let (slow, mut held_up) = scene.world.slow(2).await;
        let desk = Desk::new(&slow, scene.actor.clone(), &scene.world.ledger().await.1, Arc::new(LocalModel)).await.unwrap();
        let desk = desk.with_guard(|guard| guard.with_policy(policy(Some(1))));
        let on_its_way = tokio::select! {
            entered = desk.enter_waiting(AgentPhase::Execute, Duration::from_secs(1)) => panic!("nobody approved: {entered:?}"),
            on_its_way = held_up.arrives() => on_its_way,
        };
        until("that is taken back", async || !waiting().await).await;
        assert_eq!(scene.state().await.field("waits_since"), "", "its clocks go on");
        drop(on_its_way);
        // And a revocation ends the wait.
        let revoke = async {
            until("it waits", waiting).await;
            let engine = RevocationEngine::open(scene.desk.store());
            engine.revoke(&scene.actor.id, RevocationType::Manual, "a drill").await.unwrap();
        };
        let (ended, ()) = tokio::join!(scene.desk.enter_waiting(AgentPhase::Execute, LONG), revoke);
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Revoked);
        assert_eq!(scene.state().await.field("status"), "revoked");
    });
}

fn a_plan_that_is_denied_is_not_carried_out_and_another_one_may_be(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, Some(1)).await;
        scene.desk.output(json!({"steps": ["delete"]})).await.unwrap();
        let person = async {
            let queue = scene.queue().await;
            until("somebody is asked", async || !queue.list(10).await.unwrap().is_empty()).await;
            let id = queue.list(10).await.unwrap()[0].request.id.clone();
            scene.say(&scene.ann, &id, ApprovalVerdict::Deny).await.unwrap();
        };
        let (denied, ()) = tokio::join!(scene.desk.enter_waiting(AgentPhase::Execute, LONG), person);
        let denied = denied.unwrap_err();
        assert_eq!(denied.code(), "approval_denied");
        assert!(denied.to_string().contains("denied by ann") && denied.to_string().contains("another plan"), "{denied}");
        assert_eq!(scene.desk.enter(AgentPhase::Execute).await.unwrap_err().code(), "approval_denied", "it stays denied");
        assert_eq!(scene.revoked().await, None);
        scene.desk.output(json!({"steps": ["read"]})).await.unwrap();
        let id = scene.asked().await;
        scene.approve(&id).await;
        scene.desk.enter(AgentPhase::Execute).await.unwrap();
    });
}

fn a_plan_needs_as_many_people_as_the_profile_says(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, Some(2)).await;
        scene.desk.output(json!({"steps": ["read"]})).await.unwrap();
        let id = scene.asked().await;
        for _ in 0..2 {
            scene.say(&scene.ann, &id, ApprovalVerdict::Approve).await.unwrap();
        }
        assert_eq!(scene.asked().await, id, "one person is one person");
        scene.say(&scene.bob, &id, ApprovalVerdict::Approve).await.unwrap();
        scene.desk.enter(AgentPhase::Execute).await.unwrap();
    });
}

fn whoever_is_planning_and_changes_something_all_the_same_is_revoked(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, Some(1)).await;
        scene.desk.output(json!({"steps": ["read"]})).await.unwrap();
        scene.asked().await;
        let call = async |action| {
            let request = Request::new(action).on("sandbox-1");
            scene.desk.guard().govern(&request, &json!({}), async |_| Ok(())).await
        };
        call("generate_plan").await.unwrap();
        let bypassed = call("write_file").await.unwrap_err();
        assert_eq!((bypassed.code(), &bypassed.details()["decision"]["violation"]), ("not_allowed", &json!("approval_bypass")));
        assert_eq!(scene.revoked().await, Some(RevocationType::Procedure));
    });
}

fn a_profile_that_asks_for_no_approval_lets_its_agents_go_on(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, None).await;
        scene.desk.enter(AgentPhase::Execute).await.unwrap();
        assert!(scene.queue().await.list(10).await.unwrap().is_empty());
        assert_eq!(scene.entries().await, [(json!({"from": "PLAN", "to": "EXECUTE"}), OutcomeResult::Ok)]);
    });
}
