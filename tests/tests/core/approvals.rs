//! What was approved is what runs: once, by exactly who asked, with signatures of people who are registered.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governance::guard::approval::{
    Approval, ApprovalKind, ApprovalState, ApprovalVerdict, Approvals, ApproverKey, Asked, Registration, RegistryChange, Signed, Statement,
    governed_by,
};
use governance::guard::path::Root;
use governance::guard::policy::{Policy, Request};
use governance::guard::{Gate, Guard, Recorder};
use governance::ledger::{Action, Filter};
use governance::store::{Actor, Store, Write, to_json};
use governance::vocabulary::{
    AgentPhase, AgentProfile, ApprovalId, ApprovalRules, ApproverName, PipelineId, RevocationType, System, Tier, Token,
};
use governance::{Error, ErrorKind, Result, RevocationEngine};
use governance_tests::world::{Backend, World, until};
use serde_json::{Value, json};

governance_tests::on_every_backend! {
    promise_6_what_was_approved_is_what_executes_and_it_executes_once
    one_byte_more_is_another_call_and_presenting_the_approval_for_it_is_a_bypass
    a_path_that_leads_elsewhere_by_now_is_not_what_was_approved
    forged_foreign_and_self_made_approvals_count_for_nothing
    a_quorum_counts_people_and_a_denial_ends_it
    a_denial_outlives_a_store_that_lost_it
    two_approvers_at_once_are_both_heard
    of_two_processes_that_use_one_approval_exactly_one_runs
    whoever_is_revoked_in_between_runs_nothing
    a_policy_that_forbids_it_by_now_outranks_an_approval
    nothing_is_used_after_its_deadline
    a_request_that_was_written_again_is_neither_decided_nor_used
    a_use_is_remembered_by_the_ledger_where_the_store_forgot_it
    an_emptied_store_asks_anew
    who_waits_runs_once_approved_and_its_clocks_stand_still
    the_first_approver_is_trusted_once_and_every_later_one_is_signed_for
    a_register_written_into_the_store_is_not_believed
    what_nobody_could_read_is_not_asked_and_an_agent_cannot_flood_the_queue
    plans_and_promotions_are_approved_the_same_way
    who_asks_again_with_the_token_of_a_use_hears_what_was_answered_first
    a_use_is_a_use_although_somebody_died_who_was_superseding_it
    what_a_call_risks_and_where_in_its_life_it_is_asked_is_shown_to_who_decides
    what_takes_an_administrator_is_approved_by_no_one_else
    arguments_are_never_in_the_ledger_and_leave_the_store
}

const HOUR: u32 = 3_600;

fn pipe() -> PipelineId {
    PipelineId::new("pipe").unwrap()
}

fn name(text: &str) -> ApproverName {
    ApproverName::new(text).unwrap()
}

fn key(text: &str) -> ApproverKey {
    ApproverKey::fresh(&name(text), &System)
}

fn rules(quorum: u32, deadline: u32) -> ApprovalRules {
    ApprovalRules { quorum: NonZeroU32::new(quorum).unwrap(), deadline: NonZeroU32::new(deadline).unwrap(), administrator: false }
}

fn policy(rules: ApprovalRules) -> Policy {
    let mut profile: AgentProfile = Policy::shipped(Tier::T2).unwrap().profile().clone();
    profile.governance.approval = rules;
    Policy::new(profile).unwrap()
}

fn apply() -> Request<'static> {
    Request::new("terraform_apply").on("prod-db")
}

/// An agent with its guard, and the people who may approve.
struct Scene {
    world: World,
    guard: Guard,
    actor: Actor,
    store: Store,
    recorder: Recorder,
    ann: ApproverKey,
    ran: AtomicU32,
}

impl Scene {
    async fn new(world: World, rules: ApprovalRules) -> Self {
        let admission = world.pipeline(&pipe()).await;
        let (store, actor) = world.agent(&admission, &pipe(), "alpha-1").await;
        let (_, recorder) = world.ledger().await;
        let guard = Guard::open(&store, &actor, &recorder, policy(rules));
        let ann = key("ann");
        register(&Approvals::open(&store, &recorder), &ann, &ann).await.unwrap();
        Self { world, guard, actor, store, recorder, ann, ran: AtomicU32::new(0) }
    }

    /// A queue as the approver's own process would have it.
    async fn queue(&self) -> Approvals {
        Approvals::open(&self.world.store().await, &self.world.ledger().await.1)
    }

    async fn call(&self, guard: &Guard, arguments: &Value) -> Result<u32> {
        guard.govern(&apply(), arguments, async |_| Ok(self.ran.fetch_add(1, Ordering::SeqCst) + 1)).await
    }

    /// A call that is refused for want of an approval; the request's id.
    async fn asked(&self, arguments: &Value) -> ApprovalId {
        let refused = self.call(&self.guard, arguments).await.unwrap_err();
        assert_eq!(refused.code(), "approval_required", "{refused}");
        id_of(&refused)
    }

    async fn say(&self, key: &ApproverKey, id: &ApprovalId, verdict: ApprovalVerdict) -> Result<Approval> {
        let queue = self.queue().await;
        let approval = queue.approval(id).await?;
        queue.submit(&signed(key, &approval, verdict)).await
    }

    async fn approve(&self, id: &ApprovalId) {
        // Who waits for it may have used it already.
        let state = self.say(&self.ann, id, ApprovalVerdict::Approve).await.unwrap().state;
        assert!(matches!(state, ApprovalState::Approved | ApprovalState::Used), "{state}");
    }

    fn ran(&self) -> u32 {
        self.ran.load(Ordering::SeqCst)
    }

    async fn is_revoked(&self) -> bool {
        RevocationEngine::open(&self.store).revocation_of(&self.actor.id).await.unwrap().is_some()
    }

    /// What somebody with the store's credential writes into it, past this library.
    async fn write(&self, write: Write) {
        self.store.apply(governance::store::Commit::default().write(write)).await.unwrap();
    }
}

fn id_of(error: &Error) -> ApprovalId {
    ApprovalId::new(error.details()["approval"]["id"].as_str().unwrap()).unwrap()
}

fn signed(key: &ApproverKey, approval: &Approval, verdict: ApprovalVerdict) -> Signed<Statement> {
    key.sign(Statement::of(&approval.request, verdict, key.name(), None, approval.request.asked_at))
}

/// A registration as the signer's own process would make it: this one holds agents, and would be refused.
async fn register(queue: &Approvals, new: &ApproverKey, by: &ApproverKey) -> Result<()> {
    change(queue, RegistryChange::Add, new, by).await
}

async fn register_administrator(queue: &Approvals, new: &ApproverKey, by: &ApproverKey) -> Result<()> {
    let said = queue.registration(RegistryChange::Add, new.name(), &new.public(), by.name())?;
    queue.enroll(&by.sign(Registration { administrator: true, ..said })).await
}

async fn change(queue: &Approvals, change: RegistryChange, whose: &ApproverKey, by: &ApproverKey) -> Result<()> {
    queue.enroll(&by.sign(queue.registration(change, whose.name(), &whose.public(), by.name())?)).await
}

fn promise_6_what_was_approved_is_what_executes_and_it_executes_once(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let arguments = json!({"plan": "a.tfplan", "parallel": 4});
        let id = scene.asked(&arguments).await;
        // The same again is the same request, also written in another order.
        assert_eq!(scene.asked(&json!({"parallel": 4, "plan": "a.tfplan"})).await, id);
        let shown = scene.queue().await.approval(&id).await.unwrap();
        assert_eq!(shown.arguments.as_deref(), Some(r#"{"parallel":4,"plan":"a.tfplan"}"#));
        assert_eq!((shown.state, scene.ran()), (ApprovalState::Pending, 0));
        scene.approve(&id).await;
        assert_eq!(scene.call(&scene.guard, &arguments).await.unwrap(), 1);
        let used = scene.queue().await.approval(&id).await.unwrap();
        assert_eq!((used.state, used.arguments), (ApprovalState::Used, None));
        // The use bears the token of the intent, which names the approval.
        let (ledger, _) = scene.world.ledger().await;
        ledger.sequence(1).await.unwrap();
        let record = ledger.list(&Filter::default()).await.unwrap().actions;
        let intent =
            record.iter().find(|entry| entry.action == Action::ToolCall && entry.payload.as_deref().unwrap().contains(id.as_str()));
        let told: Value = serde_json::from_str(intent.unwrap().payload.as_deref().unwrap()).unwrap();
        assert_eq!((&told["approval"], &told["verdict"]), (&id.as_str().into(), &"step_up".into()));
        let token = used.used.unwrap().token;
        assert!(record.iter().any(|entry| entry.intent.as_ref() == Some(&token)), "the use is of that intent");
        // Presented again it is refused, and no violation; asked again it is a fresh request.
        let replayed = scene.call(&scene.guard.clone().presenting(&id), &arguments).await.unwrap_err();
        assert_eq!((replayed.kind(), replayed.code(), scene.ran()), (ErrorKind::Denied, "approval_used", 1));
        assert!(!scene.is_revoked().await);
        assert_ne!(scene.asked(&arguments).await, id);
        assert!(ledger.verify(ledger.head().await.unwrap()).await.unwrap().is_intact());
    });
}

fn one_byte_more_is_another_call_and_presenting_the_approval_for_it_is_a_bypass(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let id = scene.asked(&json!({"count": "1"})).await;
        scene.approve(&id).await;
        // Asked for without presenting anything, it is a request of its own; what was approved stays.
        let other = scene.asked(&json!({"count": "11"})).await;
        assert_ne!(other, id);
        assert!(!scene.is_revoked().await);
        let presenting = scene.guard.clone().presenting(&id);
        let refused = scene.call(&presenting, &json!({"count": "11"})).await.unwrap_err();
        assert_eq!((refused.code(), scene.ran()), ("approval_bypass", 0));
        assert!(refused.to_string().contains("arguments"), "{refused}");
        assert!(scene.is_revoked().await);
        let (ledger, _) = scene.world.ledger().await;
        ledger.sequence(1).await.unwrap();
        let record = ledger.list(&Filter { action: Some(Action::Violation), ..Filter::default() }).await.unwrap().actions;
        let told: Value = serde_json::from_str(record[0].payload.as_deref().unwrap()).unwrap();
        assert_eq!((&told["type"], &told["severity"]), (&"approval_bypass".into(), &"HIGH".into()));
        assert_eq!(scene.call(&presenting, &json!({"count": "1"})).await.unwrap_err().kind(), ErrorKind::Revoked);
        assert_eq!(scene.ran(), 0);
    });
    // Another target or another action with the same arguments is another call too.
    for request in [Request::new("terraform_apply").on("prod-web"), Request::new("terraform_destroy").on("prod-db")] {
        on.story(async |world| {
            let scene = Scene::new(world, rules(1, HOUR)).await;
            let id = scene.asked(&json!({})).await;
            scene.approve(&id).await;
            let refused = scene.guard.clone().presenting(&id).govern(&request, &json!({}), async |_| Ok(())).await.unwrap_err();
            assert_eq!(refused.code(), "approval_bypass", "{request:?}: {refused}");
        });
    }
}

fn a_path_that_leads_elsewhere_by_now_is_not_what_was_approved(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let folder = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let link = folder.path().join("here");
        std::os::unix::fs::symlink("one", &link).unwrap();
        let guard = scene.guard.clone().rooted(Root::open(folder.path()).unwrap());
        let request = apply().at("here/main.tf");
        let call = async |guard: &Guard| {
            guard.govern(&request, &json!({}), async |granted| Ok(granted.place.unwrap().relative().to_owned())).await
        };
        let id = id_of(&call(&guard).await.unwrap_err());
        assert_eq!(scene.queue().await.approval(&id).await.unwrap().request.path.as_deref(), Some("one/main.tf"));
        scene.approve(&id).await;
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("two", &link).unwrap();
        let other = call(&guard).await.unwrap_err();
        assert_eq!(other.code(), "approval_required");
        assert_ne!(id_of(&other), id);
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("one", &link).unwrap();
        assert_eq!(call(&guard).await.unwrap(), "one/main.tf");
    });
}

fn forged_foreign_and_self_made_approvals_count_for_nothing(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let arguments = json!({"n": 1});
        let (id, other) = (scene.asked(&arguments).await, scene.asked(&json!({"n": 2})).await);
        let (request, queue) = (scene.queue().await.approval(&id).await.unwrap(), scene.queue().await);
        let mallory = key("mallory");
        let as_ann = ApproverKey::fresh(&name("ann"), &System);
        let good = signed(&scene.ann, &request, ApprovalVerdict::Approve);
        let mut renamed = signed(&mallory, &request, ApprovalVerdict::Approve);
        renamed.said.approver = name("ann");
        let mut claimed = signed(&as_ann, &request, ApprovalVerdict::Approve);
        claimed.key = scene.ann.public();
        let mut flipped = signed(&scene.ann, &request, ApprovalVerdict::Deny);
        flipped.said.verdict = ApprovalVerdict::Approve;
        let mut broken = good.clone();
        broken.signature.replace_range(..2, if broken.signature.starts_with("00") { "01" } else { "00" });
        let elsewhere = scene.queue().await.approval(&other).await.unwrap();
        let mut moved = signed(&scene.ann, &elsewhere, ApprovalVerdict::Approve);
        moved.said = good.said.clone();
        let late = scene.ann.sign(Statement { at: governance::vocabulary::Millis(u64::MAX), ..good.said.clone() });
        let forged = [
            signed(&mallory, &request, ApprovalVerdict::Approve),
            renamed,
            signed(&as_ann, &request, ApprovalVerdict::Approve),
            claimed,
            flipped,
            broken,
            moved,
            late,
        ];
        for bad in &forged {
            assert_eq!(queue.submit(bad).await.unwrap_err().code(), "unregistered_approver", "{bad:?}");
        }
        // Of another request, with a good signature: not about this one.
        let stray = signed(&scene.ann, &elsewhere, ApprovalVerdict::Approve);
        let mut misplaced = stray.clone();
        misplaced.said.request = id.clone();
        assert_eq!(queue.submit(&misplaced).await.unwrap_err().code(), "not_this_request");
        // Nor do they where somebody writes them into the store by hand, all of them at once.
        let keys = scene.store.keys();
        let value = to_json(&forged.iter().chain([&stray, &misplaced]).collect::<Vec<_>>()).unwrap();
        scene.write(Write::Put { cell: keys.approval_decisions(&id).into(), value, ttl: None, event: None }).await;
        let found = queue.approval(&id).await.unwrap();
        assert_eq!((found.state, found.approved.len(), found.uncounted.len()), (ApprovalState::Pending, 0, forged.len() + 2));
        assert_eq!(scene.call(&scene.guard, &arguments).await.unwrap_err().code(), "approval_required");
        assert_eq!(scene.ran(), 0);
        // The real one still counts among them.
        scene.approve(&id).await;
        scene.call(&scene.guard, &arguments).await.unwrap();
        let alerts = scene.store.list(keys.alerts_queue(), 100).await.unwrap();
        assert!(alerts.iter().any(|alert| String::from_utf8_lossy(alert).contains("approval_not_genuine")));
    });
}

fn a_quorum_counts_people_and_a_denial_ends_it(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(2, HOUR)).await;
        let (bob, queue) = (key("bob"), scene.queue().await);
        register(&queue, &bob, &scene.ann).await.unwrap();
        let id = scene.asked(&json!({})).await;
        let request = queue.approval(&id).await.unwrap();
        for at in 0..3 {
            let mut said = signed(&scene.ann, &request, ApprovalVerdict::Approve).said;
            said.at.0 += at;
            let found = queue.submit(&scene.ann.sign(said)).await.unwrap();
            assert_eq!((found.state, found.approved.len()), (ApprovalState::Pending, 1), "one person, however often");
        }
        // Nor where both of her signatures are written into the store.
        let twice: Vec<_> = [0, 1]
            .map(|at| {
                scene.ann.sign(Statement {
                    at: governance::vocabulary::Millis(at),
                    ..signed(&scene.ann, &request, ApprovalVerdict::Approve).said
                })
            })
            .into();
        let cell = scene.store.keys().approval_decisions(&id).into();
        scene.write(Write::Put { cell, value: to_json(&twice).unwrap(), ttl: None, event: None }).await;
        assert_eq!(scene.call(&scene.guard, &json!({})).await.unwrap_err().code(), "approval_required");
        assert_eq!(scene.say(&bob, &id, ApprovalVerdict::Approve).await.unwrap().state, ApprovalState::Approved);
        // She takes it back, before it was used.
        assert_eq!(scene.say(&scene.ann, &id, ApprovalVerdict::Deny).await.unwrap().state, ApprovalState::Denied);
        let denied = scene.call(&scene.guard, &json!({})).await.unwrap_err();
        assert_eq!((denied.code(), scene.ran()), ("approval_denied", 0));
        assert!(denied.to_string().contains("ann"), "{denied}");
        assert_eq!(scene.say(&bob, &id, ApprovalVerdict::Approve).await.unwrap_err().code(), "approval_denied");
        // Who is taken out of the register no longer counts.
        let id = scene.asked(&json!({"n": 2})).await;
        scene.say(&bob, &id, ApprovalVerdict::Approve).await.unwrap();
        assert_eq!(scene.say(&scene.ann, &id, ApprovalVerdict::Approve).await.unwrap().state, ApprovalState::Approved);
        change(&queue, RegistryChange::Remove, &bob, &scene.ann).await.unwrap();
        assert_eq!(scene.call(&scene.guard, &json!({"n": 2})).await.unwrap_err().code(), "approval_required");
        assert_eq!(scene.ran(), 0);
    });
}

fn a_denial_outlives_a_store_that_lost_it(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let id = scene.asked(&json!({})).await;
        let keys = scene.store.keys();
        let arguments = scene.store.cell(keys.approval_arguments(&id)).await.unwrap().unwrap().value;
        let request = scene.queue().await.approval(&id).await.unwrap();
        scene.say(&scene.ann, &id, ApprovalVerdict::Deny).await.unwrap();
        let yes = to_json(&[signed(&scene.ann, &request, ApprovalVerdict::Approve)]).unwrap();
        scene.write(Write::Put { cell: keys.approval_decisions(&id).into(), value: yes, ttl: None, event: None }).await;
        scene.write(Write::Put { cell: keys.approval_arguments(&id).into(), value: arguments, ttl: None, event: None }).await;
        assert_eq!(scene.call(&scene.guard, &json!({})).await.unwrap_err().code(), "approval_denied", "the ledger has it");
        assert_eq!(scene.ran(), 0);
    });
}

fn two_approvers_at_once_are_both_heard(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(3, HOUR)).await;
        let (bob, eve) = (key("bob"), key("eve"));
        for new in [&bob, &eve] {
            register(&scene.queue().await, new, &scene.ann).await.unwrap();
        }
        let id = scene.asked(&json!({})).await;
        let say = |key| scene.say(key, &id, ApprovalVerdict::Approve);
        let (a, b, c) = tokio::join!(say(&scene.ann), say(&bob), say(&eve));
        assert!(a.is_ok() && b.is_ok() && c.is_ok(), "{a:?} {b:?} {c:?}");
        let found = scene.queue().await.approval(&id).await.unwrap();
        assert_eq!((found.state, found.approved.len()), (ApprovalState::Approved, 3));
    });
}

fn of_two_processes_that_use_one_approval_exactly_one_runs(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        for round in 0..5 {
            let arguments = json!({"round": round});
            let id = scene.asked(&arguments).await;
            scene.approve(&id).await;
            // Each with handles of its own, as processes have them.
            let mut guards = Vec::new();
            for _ in 0..4 {
                let (store, recorder) = (scene.world.store().await, scene.world.ledger().await.1);
                guards.push(Guard::open(&store, &scene.actor, &recorder, policy(rules(1, HOUR))).presenting(&id));
            }
            let calls = guards.iter().map(|guard| scene.call(guard, &arguments));
            let ends = futures_util::future::join_all(calls).await;
            let codes: Vec<_> = ends.iter().map(|end| end.as_ref().map_or_else(Error::code, |_| "ran")).collect();
            assert_eq!(codes.iter().filter(|code| **code == "ran").count(), 1, "{codes:?}");
            assert!(codes.iter().all(|code| ["ran", "approval_used"].contains(code)), "{codes:?}");
            assert_eq!(scene.ran(), round + 1);
        }
        assert!(!scene.is_revoked().await);
    });
}

fn whoever_is_revoked_in_between_runs_nothing(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let (id, later) = (scene.asked(&json!({})).await, scene.asked(&json!({"n": 2})).await);
        scene.approve(&id).await;
        let engine = RevocationEngine::open(&scene.store).recorded(&scene.recorder);
        engine.revoke(&scene.actor.id, RevocationType::Manual, "a drill").await.unwrap();
        let refused = scene.call(&scene.guard, &json!({})).await.unwrap_err();
        assert_eq!((refused.kind(), scene.ran()), (ErrorKind::Revoked, 0));
        assert_eq!(scene.queue().await.approval(&id).await.unwrap().state, ApprovalState::Void);
        assert_eq!(scene.say(&scene.ann, &later, ApprovalVerdict::Approve).await.unwrap_err().code(), "approval_void");
        // Nor does the same name under another epoch.
        let parent = governance::store::Admission(scene.actor.admission.0[..2].into());
        let epoch = scene.store.keys().agent_epoch(&scene.actor.id);
        let now = scene.store.number(epoch.clone()).await.unwrap();
        let again = Actor { admission: parent.and(epoch, now), ..scene.actor.clone() };
        assert_ne!(again.admission, scene.actor.admission);
        let guard = Guard::open(&scene.store, &again, &scene.recorder, policy(rules(1, HOUR))).presenting(&id);
        assert_eq!(scene.call(&guard, &json!({})).await.unwrap_err().code(), "approval_void");
        assert_eq!(scene.ran(), 0);
    });
}

fn a_policy_that_forbids_it_by_now_outranks_an_approval(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let id = scene.asked(&json!({})).await;
        scene.approve(&id).await;
        // More people are wanted by now: one is not enough any more.
        let two = scene.guard.clone().with_policy(policy(rules(2, HOUR)));
        assert_eq!(scene.call(&two.clone().presenting(&id), &json!({})).await.unwrap_err().code(), "approval_required");
        assert_ne!(id_of(&scene.call(&two, &json!({})).await.unwrap_err()), id);
        let forbids = scene.guard.clone().with_policy(Policy::shipped(Tier::T1).unwrap()).presenting(&id);
        assert_eq!((scene.call(&forbids, &json!({})).await.unwrap_err().code(), scene.ran()), ("not_allowed", 0));
    });
}

fn nothing_is_used_after_its_deadline(on: Backend) {
    on.story(async |world| {
        // Long enough that it is approved in time on a busy machine.
        let scene = Scene::new(world, rules(1, 3)).await;
        let plan = Asked::plan(json!({"steps": ["stop"]}), rules(1, 3));
        let planned = scene.queue().await.ask(&scene.actor, &plan).await.unwrap().request.id;
        let id = scene.asked(&json!({})).await;
        let request = scene.queue().await.approval(&id).await.unwrap();
        scene.approve(&planned).await;
        scene.approve(&id).await;
        governance_tests::world::until_after(&scene.store, request.request.deadline).await;
        let late = scene.call(&scene.guard.clone().presenting(&id), &json!({})).await.unwrap_err();
        assert_eq!((late.code(), scene.ran()), ("approval_expired", 0));
        assert_eq!(scene.say(&scene.ann, &id, ApprovalVerdict::Approve).await.unwrap_err().code(), "approval_expired");
        // Nor by whoever writes a use into the store.
        let (keys, token) = (scene.store.keys(), scene.store.fresh_token());
        let used = to_json(&json!({"token": token, "at": 1})).unwrap();
        scene.write(Write::Put { cell: keys.approval_use(&planned).into(), value: used, ttl: None, event: None }).await;
        let forged = scene.queue().await.redeem(&scene.actor, &planned, &plan, &token).await.unwrap_err();
        assert_eq!(forged.code(), "approval_used");
        // Whoever writes the arguments back has not moved the deadline, which is signed.
        scene.write(Write::Put { cell: keys.approval_arguments(&id).into(), value: "{}".into(), ttl: None, event: None }).await;
        assert_eq!(scene.call(&scene.guard.clone().presenting(&id), &json!({})).await.unwrap_err().code(), "approval_expired");
        let mut moved = request.request.clone();
        moved.deadline.0 += 3_600_000;
        scene.write(Write::Put { cell: keys.approval(&id).into(), value: to_json(&moved).unwrap(), ttl: None, event: None }).await;
        assert_eq!(scene.call(&scene.guard.clone().presenting(&id), &json!({})).await.unwrap_err().code(), "approval_required");
        assert_eq!(scene.ran(), 0);
    });
}

fn a_request_that_was_written_again_is_neither_decided_nor_used(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let [approved, open] = [json!({"n": 1}), json!({"n": 2})];
        let (used, decided) = (scene.asked(&approved).await, scene.asked(&open).await);
        scene.approve(&used).await;
        for id in [&used, &decided] {
            let request = scene.queue().await.approval(id).await.unwrap().request;
            let cell = scene.store.keys().approval(id).into();
            scene.write(Write::Put { cell, value: to_json(&request).unwrap(), ttl: None, event: None }).await;
        }
        assert_eq!(scene.call(&scene.guard, &approved).await.unwrap_err().code(), "approval_damaged");
        assert_eq!(scene.say(&scene.ann, &decided, ApprovalVerdict::Approve).await.unwrap_err().code(), "approval_damaged");
        assert_eq!(scene.ran(), 0);
    });
}

fn a_use_is_remembered_by_the_ledger_where_the_store_forgot_it(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let id = scene.asked(&json!({})).await;
        scene.approve(&id).await;
        scene.call(&scene.guard, &json!({})).await.unwrap();
        let keys = scene.store.keys();
        scene.write(Write::Delete(keys.approval_use(&id).into())).await;
        scene.write(Write::Put { cell: keys.approval_arguments(&id).into(), value: "{}".into(), ttl: None, event: None }).await;
        let replayed = scene.call(&scene.guard.clone().presenting(&id), &json!({})).await.unwrap_err();
        assert_eq!((replayed.code(), scene.ran()), ("approval_used", 1));
    });
}

fn an_emptied_store_asks_anew(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let id = scene.asked(&json!({})).await;
        scene.approve(&id).await;
        scene.world.rig().flush().await.unwrap();
        assert!(scene.call(&scene.guard, &json!({})).await.is_err());
        assert!(scene.call(&scene.guard.clone().presenting(&id), &json!({})).await.is_err());
        assert_eq!(scene.ran(), 0);
    });
}

fn who_waits_runs_once_approved_and_its_clocks_stand_still(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let state = scene.store.keys().agent_state(&scene.actor.id);
        let busy = async || scene.store.state(state.clone()).await.unwrap().unwrap().field("busy_for_ms").to_owned();
        let waiting = scene.guard.clone().waiting(Duration::from_secs(30));
        let arguments = json!({});
        let person = async {
            let queue = scene.queue().await;
            until("somebody is asked", async || !queue.list(10).await.unwrap().is_empty()).await;
            until("it counts as busy", async || busy().await.parse::<u64>().unwrap_or(0) > 0).await;
            let id = queue.list(10).await.unwrap()[0].request.id.clone();
            scene.approve(&id).await;
        };
        let (done, ()) = tokio::join!(scene.call(&waiting, &arguments), person);
        assert_eq!((done.unwrap(), busy().await.as_str()), (1, "0"));
        // Whom nobody answers is refused when its patience ends, and whom somebody denies at once.
        let short = scene.guard.clone().waiting(Duration::from_millis(50));
        assert_eq!(scene.call(&short, &json!({"n": 2})).await.unwrap_err().code(), "approval_required");
        let person = async {
            let id = scene.asked(&json!({"n": 3})).await;
            scene.say(&scene.ann, &id, ApprovalVerdict::Deny).await.unwrap();
        };
        let arguments = json!({"n": 3});
        let (denied, ()) = tokio::join!(scene.call(&waiting, &arguments), person);
        assert_eq!((denied.unwrap_err().code(), scene.ran()), ("approval_denied", 1));
        // And a revocation ends the wait.
        let engine = RevocationEngine::open(&scene.store);
        let arguments = json!({"n": 4});
        let revoke = async {
            until("it waits", async || busy().await.parse::<u64>().unwrap_or(0) > 0).await;
            engine.revoke(&scene.actor.id, RevocationType::Manual, "a drill").await.unwrap();
        };
        let (ended, ()) = tokio::join!(scene.call(&waiting, &arguments), revoke);
        assert_eq!((ended.unwrap_err().kind(), scene.ran()), (ErrorKind::Revoked, 1));
    });
}

fn the_first_approver_is_trusted_once_and_every_later_one_is_signed_for(on: Backend) {
    on.story(async |world| {
        let (store, (_, recorder)) = (world.store().await, world.ledger().await);
        let queue = Approvals::open(&store, &recorder);
        // Two at once, and one is the first.
        let (ann, bob, eve) = (key("ann"), key("bob"), key("eve"));
        let other = Approvals::open(&world.store().await, &world.ledger().await.1);
        let (one, two) = tokio::join!(register(&queue, &ann, &ann), register(&other, &bob, &bob));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        let (first, second) = if one.is_ok() { (&ann, &bob) } else { (&bob, &ann) };
        assert_eq!(queue.approvers().await.unwrap().all().len(), 1);
        assert_eq!(register(&queue, second, second).await.unwrap_err().code(), "unregistered_approver");
        assert_eq!(register(&queue, second, &eve).await.unwrap_err().code(), "unregistered_approver");
        assert_eq!(queue.unregister(first.name(), &eve).await.unwrap_err().code(), "unregistered_approver");
        assert_eq!(queue.unregister(first.name(), first).await.unwrap_err().code(), "last_approver");
        register(&queue, second, first).await.unwrap();
        // One key, one name.
        assert_eq!(queue.register(&name("more"), &second.public(), false, first).await.unwrap_err().code(), "approver_taken");
        assert_eq!(queue.register(second.name(), &eve.public(), false, first).await.unwrap_err().code(), "approver_taken");
        assert_eq!(queue.register(&name("x"), "not a key", false, first).await.unwrap_err().code(), "bad_public_key");
        queue.unregister(second.name(), first).await.unwrap();
        assert_eq!(register(&queue, second, first).await.unwrap_err().code(), "approver_taken", "a removed key never comes back");
        assert_eq!(queue.unregister(&name("nobody"), first).await.unwrap_err().code(), "no_such_approver");
        // The first is an administrator, and only they make another, or unmake one; there always is one.
        let root = key("root");
        register(&queue, &eve, first).await.unwrap();
        assert_eq!(register_administrator(&queue, &root, &eve).await.unwrap_err().code(), "not_an_administrator");
        assert_eq!(change(&queue, RegistryChange::Remove, first, &eve).await.unwrap_err().code(), "not_an_administrator");
        assert_eq!(change(&queue, RegistryChange::Remove, first, first).await.unwrap_err().code(), "last_administrator");
        register_administrator(&queue, &root, first).await.unwrap();
        let known = other.approvers().await.unwrap();
        let administrators: Vec<_> = known.all().iter().filter(|known| known.administrator).map(|known| known.name.clone()).collect();
        assert_eq!(administrators, [first.name().clone(), root.name().clone()]);
        change(&queue, RegistryChange::Remove, &root, first).await.unwrap();
        change(&queue, RegistryChange::Remove, &eve, first).await.unwrap();
        // A name may come back with another key.
        register(&queue, &ApproverKey::fresh(second.name(), &System), first).await.unwrap();
        assert_eq!(queue.approvers().await.unwrap().all().len(), 2);
    });
}

fn a_register_written_into_the_store_is_not_believed(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let mallory = key("mallory");
        let id = scene.asked(&json!({})).await;
        let request = scene.queue().await.approval(&id).await.unwrap();
        let forged = json!([{"name": "mallory", "key": mallory.public(), "by": "mallory", "since": 1}]);
        let put = |cell, value| Write::Put { cell, value, ttl: None, event: None };
        scene.write(put(scene.store.keys().approvers().into(), to_json(&forged).unwrap())).await;
        let said = to_json(&[signed(&mallory, &request, ApprovalVerdict::Approve)]).unwrap();
        scene.write(put(scene.store.keys().approval_decisions(&id).into(), said)).await;
        assert_eq!((scene.call(&scene.guard, &json!({})).await.unwrap_err().code(), scene.ran()), ("approval_required", 0));
        // Nor what an agent writes into its own segment of the ledger: signed by itself, or by her with a signature that is not hers.
        let ledger = scene.recorder.ledger().unwrap();
        let segment = ledger.segment().unwrap();
        for by in ["mallory", "ann"] {
            let said = Registration {
                change: RegistryChange::Add,
                name: name("mallory"),
                public: mallory.public(),
                administrator: true,
                by: name(by),
                ledger: ledger.id().clone(),
                tenant: scene.store.keys().prefix().to_owned(),
                at: governance::vocabulary::Millis(1),
            };
            let text = serde_json::to_string(&mallory.sign(said)).unwrap();
            let intent = segment.intent(Action::Approver, None, None, &text).unwrap();
            segment.outcome(&intent, governance::ledger::OutcomeResult::Ok, "{}").unwrap();
        }
        assert_eq!(scene.queue().await.approvers().await.unwrap().all().len(), 1);
        assert_eq!((scene.call(&scene.guard, &json!({})).await.unwrap_err().code(), scene.ran()), ("approval_required", 0));
    });
}

fn what_nobody_could_read_is_not_asked_and_an_agent_cannot_flood_the_queue(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let large = json!({"text": "x".repeat(governance::guard::approval::MAX_ARGUMENTS)});
        assert_eq!(scene.call(&scene.guard, &large).await.unwrap_err().code(), "arguments_too_large");
        for n in 0..16 {
            scene.asked(&json!({"n": n})).await;
        }
        let refused = scene.call(&scene.guard, &json!({"n": 16})).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Exhausted, "too_many_approvals"));
        // One that was used makes room.
        let id = scene.asked(&json!({"n": 0})).await;
        scene.approve(&id).await;
        scene.call(&scene.guard, &json!({"n": 0})).await.unwrap();
        scene.asked(&json!({"n": 16})).await;
        assert_eq!(scene.call(&scene.guard, &json!({"n": 17})).await.unwrap_err().code(), "too_many_approvals");
        // And so does one that was denied, which stays denied: nobody has to decide it any more.
        let id = scene.asked(&json!({"n": 1})).await;
        scene.say(&scene.ann, &id, ApprovalVerdict::Deny).await.unwrap();
        scene.asked(&json!({"n": 17})).await;
        assert_eq!(scene.call(&scene.guard, &json!({"n": 1})).await.unwrap_err().code(), "approval_denied");
    });
}

fn plans_and_promotions_are_approved_the_same_way(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let queue = scene.queue().await;
        let plan = json!({"steps": ["read", "write"]});
        let approval = queue.request_plan(&scene.actor, plan.clone(), rules(1, HOUR)).await.unwrap();
        assert_eq!((approval.request.kind, approval.state), (ApprovalKind::Plan, ApprovalState::Pending));
        let asked = Asked::plan(plan, rules(1, HOUR));
        let token = scene.store.fresh_token();
        let use_it = |asked, token| queue.redeem(&scene.actor, &approval.request.id, asked, token);
        assert_eq!(use_it(&asked, &token).await.unwrap_err().code(), "approval_required");
        scene.approve(&approval.request.id).await;
        let changed = Asked::plan(json!({"steps": ["read", "write", "delete"]}), rules(1, HOUR));
        assert_eq!(use_it(&changed, &token).await.unwrap_err().code(), "approval_bypass");
        assert_eq!(use_it(&asked, &token).await.unwrap().state, ApprovalState::Used);
        assert_eq!(use_it(&asked, &scene.store.fresh_token()).await.unwrap_err().code(), "approval_used");
        // A promotion is asked for by a part of the system.
        let (_, governor) = scene.world.actor("governor").await;
        let asked =
            Asked::promotion(&"llm-planner".parse().unwrap(), json!({"runs": 25}), "T2 to T3 needs a manual review", rules(1, HOUR));
        let approval = queue.ask(&governor, &asked).await.unwrap();
        assert_eq!((approval.request.kind, approval.request.target.as_deref()), (ApprovalKind::Promotion, Some("llm-planner")));
        let id = approval.request.id;
        let (waited, ()) = tokio::join!(queue.wait(&id, Duration::from_secs(30)), scene.approve(&id));
        assert_eq!(waited.unwrap().state, ApprovalState::Approved);
        queue.redeem(&governor, &id, &asked, &scene.store.fresh_token()).await.unwrap();
    });
}

/// Same token, same answer: whoever lost the reply asks again.
fn who_asks_again_with_the_token_of_a_use_hears_what_was_answered_first(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let queue = scene.queue().await;
        let asked = Asked::plan(json!({"steps": ["read"]}), rules(1, HOUR));
        let id = queue.ask(&scene.actor, &asked).await.unwrap().request.id;
        scene.approve(&id).await;
        let token = scene.store.fresh_token();
        let first = queue.redeem(&scene.actor, &id, &asked, &token).await.unwrap();
        assert_eq!((first.state, &first.used.as_ref().unwrap().token), (ApprovalState::Used, &token));
        for _ in 0..2 {
            assert_eq!(scene.queue().await.redeem(&scene.actor, &id, &asked, &token).await.unwrap(), first);
        }
        // Where the store was made to forget it, the ledger knows.
        scene.write(Write::Delete(scene.store.keys().approval_use(&id).into())).await;
        assert_eq!(queue.redeem(&scene.actor, &id, &asked, &token).await.unwrap().state, ApprovalState::Used);
        let another = scene.store.fresh_token();
        assert_eq!(queue.redeem(&scene.actor, &id, &asked, &another).await.unwrap_err().code(), "approval_used");
        let changed = Asked::plan(json!({"steps": ["delete"]}), rules(1, HOUR));
        assert_eq!(queue.redeem(&scene.actor, &id, &changed, &token).await.unwrap_err().code(), "approval_bypass");
        // Whoever writes a use into the store with a token of their own has neither used it a second time, nor approved anything.
        let forged = |id: &ApprovalId, token: &Token| {
            let value = to_json(&json!({"token": token, "at": 1})).unwrap();
            Write::Put { cell: scene.store.keys().approval_use(id).into(), value, ttl: None, event: None }
        };
        scene.write(forged(&id, &another)).await;
        assert_eq!(queue.redeem(&scene.actor, &id, &asked, &another).await.unwrap_err().code(), "approval_used");
        let unapproved = queue.ask(&scene.actor, &changed).await.unwrap().request.id;
        scene.write(forged(&unapproved, &another)).await;
        assert_eq!(queue.redeem(&scene.actor, &unapproved, &changed, &another).await.unwrap_err().code(), "approval_used");
        // Nor where people did approve it, and one of them took that back.
        let plan = Asked::plan(json!({"steps": ["stop"]}), rules(1, HOUR));
        let denied = queue.ask(&scene.actor, &plan).await.unwrap().request.id;
        scene.approve(&denied).await;
        scene.say(&scene.ann, &denied, ApprovalVerdict::Deny).await.unwrap();
        scene.write(forged(&denied, &another)).await;
        assert_eq!(queue.redeem(&scene.actor, &denied, &plan, &another).await.unwrap_err().code(), "approval_used");
        // It is in the record once.
        let (ledger, _) = scene.world.ledger().await;
        ledger.sequence(1).await.unwrap();
        let filter = Filter { action: Some(Action::Approval), ..Filter::default() };
        let uses = ledger.list(&filter).await.unwrap().actions.into_iter();
        assert_eq!(uses.filter(|entry| entry.payload.as_deref().is_some_and(|text| text.contains("\"used\""))).count(), 1);
    });
}

fn a_use_is_a_use_although_somebody_died_who_was_superseding_it(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let asked = Asked::plan(json!({"steps": ["read"]}), rules(1, HOUR));
        let id = scene.queue().await.ask(&scene.actor, &asked).await.unwrap().request.id;
        scene.approve(&id).await;
        let (store, on_its_way) = scene.world.slow(1).await;
        let (queue, token) = (Approvals::open(&store, &scene.recorder), scene.store.fresh_token());
        let dies = async {
            let told = json!({"superseded": id, "by": "another plan"});
            let about = (Some(&scene.actor.id), scene.actor.pipeline.as_ref());
            drop(scene.recorder.intent(&scene.store, Action::Approval, about.0, about.1, &told).unwrap());
        };
        let (first, ()) = tokio::join!(queue.redeem(&scene.actor, &id, &asked, &token), on_its_way.meanwhile(dies));
        assert_eq!(first.unwrap().state, ApprovalState::Used);
        let again = scene.queue().await.redeem(&scene.actor, &id, &asked, &token).await.unwrap();
        assert_eq!((again.state, again.used.map(|used| used.token)), (ApprovalState::Used, Some(token)));
    });
}

fn what_a_call_risks_and_where_in_its_life_it_is_asked_is_shown_to_who_decides(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let gate = std::sync::Arc::new(Gate::default());
        gate.set_passed(true);
        gate.set_phase(AgentPhase::Preflight);
        let guard = scene.guard.clone().behind(gate.clone());
        let risky = apply().risking(&["irreversible", "costs money"]);
        let call = async |guard: &Guard, request: &Request<'_>| {
            guard.govern(request, &json!({}), async |_| Ok(scene.ran.fetch_add(1, Ordering::SeqCst) + 1)).await
        };
        let id = id_of(&call(&guard, &risky).await.unwrap_err());
        let shown = scene.queue().await.approval(&id).await.unwrap();
        assert_eq!(
            (&shown.request.risks[..], shown.request.phase),
            (&["irreversible".to_owned(), "costs money".to_owned()][..], Some(AgentPhase::Preflight))
        );
        // Covered by what is signed, and told where people hear of it.
        let mut other = shown.request.clone();
        other.risks.pop();
        assert_ne!(other.hash(), shown.hash);
        let alerts = scene.store.list(scene.store.keys().alerts_queue(), 10).await.unwrap();
        let alert: Value = alerts
            .iter()
            .map(|alert| serde_json::from_slice(alert).unwrap())
            .find(|alert: &Value| alert["type"] == "approval_required")
            .unwrap();
        assert_eq!((&alert["data"]["risks"], &alert["data"]["phase"]), (&json!(["irreversible", "costs money"]), &json!("PREFLIGHT")));
        // The same call without its risks is another one, and the phase is no part of what is approved.
        let plain = id_of(&call(&guard, &apply()).await.unwrap_err());
        assert_ne!(plain, id);
        assert!(scene.queue().await.approval(&plain).await.unwrap().request.risks.is_empty());
        scene.approve(&id).await;
        gate.set_phase(AgentPhase::Execute);
        assert_eq!(call(&guard, &risky).await.unwrap(), 1);
        scene.approve(&plain).await;
        let bypass = call(&guard.presenting(&plain), &risky).await.unwrap_err();
        assert_eq!((bypass.code(), scene.ran()), ("approval_bypass", 1), "{bypass}");
        assert!(bypass.to_string().contains("what differs is its risks"), "{bypass}");
    });
}

fn what_takes_an_administrator_is_approved_by_no_one_else(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, ApprovalRules { administrator: true, ..rules(1, HOUR) }).await;
        let bob = key("bob");
        register(&scene.queue().await, &bob, &scene.ann).await.unwrap();
        let id = scene.asked(&json!({})).await;
        let said = scene.say(&bob, &id, ApprovalVerdict::Approve).await.unwrap();
        assert_eq!((said.state, said.lacks_an_administrator()), (ApprovalState::Pending, true));
        let refused = scene.call(&scene.guard, &json!({})).await.unwrap_err();
        assert_eq!((refused.code(), &refused.details()["approval"]["administrator"]), ("approval_required", &json!(true)));
        scene.approve(&id).await;
        assert_eq!(scene.call(&scene.guard, &json!({})).await.unwrap(), 1);
    });
}

fn arguments_are_never_in_the_ledger_and_leave_the_store(on: Backend) {
    on.story(async |world| {
        let scene = Scene::new(world, rules(1, HOUR)).await;
        let mut told = scene.store.signals(&scene.store.keys().ws_broadcast()).await.unwrap();
        let (used, denied) = (json!({"password": "hunter2"}), json!({"password": "hunter2", "n": 2}));
        let (id, other) = (scene.asked(&used).await, scene.asked(&denied).await);
        let heard: Value = serde_json::from_slice(&told.next().await.unwrap()).unwrap();
        assert_eq!((&heard["type"], &heard["data"]["approval_id"]), (&"approval_required".into(), &id.as_str().into()));
        scene.approve(&id).await;
        scene.call(&scene.guard, &used).await.unwrap();
        scene.say(&scene.ann, &other, ApprovalVerdict::Deny).await.unwrap();
        for id in [&id, &other] {
            assert!(scene.store.cell(scene.store.keys().approval_arguments(id)).await.unwrap().is_none());
        }
        let (ledger, _) = scene.world.ledger().await;
        ledger.sequence(1).await.unwrap();
        let record = ledger.list(&Filter::default()).await.unwrap().actions;
        assert!(record.iter().any(|entry| entry.action == Action::Approval));
        assert!(!record.iter().any(|entry| entry.payload.as_deref().is_some_and(|text| text.contains("hunter2"))));
        for alert in scene.store.list(scene.store.keys().alerts_queue(), 100).await.unwrap() {
            assert!(!String::from_utf8_lossy(&alert).contains("hunter2"));
        }
        // The process that asked is known as an agent's, and signs nothing itself.
        assert!(governed_by(&scene.store).await.unwrap().unwrap().contains("alpha-1"));
        let third = scene.asked(&json!({"n": 3})).await;
        let hash = scene.queue().await.approval(&third).await.unwrap().hash;
        let refused = scene.queue().await.decide(&scene.ann, &third, &hash, ApprovalVerdict::Approve, None).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Denied, "governed_process"));
    });
}
