//! Each violation is noticed where it happens, by a real call, and has its consequence: one row each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use governance::coordination::{Charge, Lease};
use governance::guard::limits::Limits;
use governance::guard::path::Root;
use governance::guard::policy::{Policy, Request};
use governance::guard::{FaultCount, Gate, Guard, Heartbeat, Role, Triggers};
use governance::ledger::{Action, Filter};
use governance::store::Actor;
use governance::vocabulary::{AgentId, AgentRole, Extent, Section, Severity, Tier, UseLimits, ViolationType};
use governance::{Config, Error, ErrorBudget, Governance};
use serde_json::json;

/// Of an agent's whole life, so shown there: `lifecycle.rs`. INVARIANT: a type is here or has a row, never both.
const ELSEWHERE: &[ViolationType] = &[ViolationType::EvidenceMissing];

type Story = for<'a> fn(&'a Scene) -> LocalBoxFuture<'a, ()>;

/// How each comes about.
const ROWS: &[(ViolationType, Story)] = &[
    (ViolationType::UnauthorizedSecretAccess, |scene| Box::pin(scene.denied(Request::new("access_vault_root")))),
    (ViolationType::ForbiddenTargetAccess, |scene| Box::pin(scene.denied(Request::new("write_file").on("prod-db")))),
    (ViolationType::GovernanceTampering, |scene| Box::pin(scene.denied(Request::new("write_file").at(".governance/governance.db")))),
    (ViolationType::PrivilegeEscalation, |scene| Box::pin(scene.begins_a_mightier_child())),
    (ViolationType::ForbiddenAction, |scene| Box::pin(scene.denied(Request::new("delete_production")))),
    (ViolationType::PathOutOfScope, |scene| Box::pin(scene.denied(Request::new("write_file").at("../../etc/passwd")))),
    (ViolationType::LockLost, |scene| Box::pin(scene.loses_its_lock())),
    (ViolationType::ErrorBudgetExceeded, |scene| Box::pin(scene.fails_thrice_at_one_thing())),
    (ViolationType::ProcedureViolation, |scene| Box::pin(scene.denied(Request::new("frobnicate")))),
    (ViolationType::PreflightBypass, |scene| Box::pin(scene.skips_its_preflight())),
    (ViolationType::ApprovalBypass, |scene| Box::pin(scene.presents_another_approval())),
    (ViolationType::ResourceAbuse, |scene| Box::pin(scene.goes_on_although_it_is_held_back())),
    (ViolationType::HeartbeatLost, |scene| Box::pin(scene.loses_its_heartbeat())),
];

/// An agent at work, with a guard on its tools.
struct Scene {
    folder: tempfile::TempDir,
    governance: Governance,
    actor: Actor,
    guard: Guard,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { home: folder.path().join(".governance"), ..Config::default() };
        let governance = Governance::open(config).await.unwrap();
        let pipeline = governance.begin("Work").await.unwrap();
        let keys = governance.store().keys();
        let epoch = keys.pipeline_epoch(&pipeline);
        let above = governance.store().admission().await.unwrap();
        let above = above.and(epoch.clone(), governance.store().number(epoch).await.unwrap());
        let id = AgentId::new("alpha-1").unwrap();
        let role = Role { role: AgentRole::Alpha, tier: Tier::T1 };
        let actor = governance.admissions().admit(&above, &pipeline, &id, role).await.unwrap();
        let guard = Guard::open(governance.store(), &actor, governance.recorder(), Policy::shipped(Tier::T1).unwrap());
        let guard = guard.rooted(Root::open(folder.path()).unwrap());
        Self { folder, governance, actor, guard }
    }

    /// Asks for what it may not do: the tool does not run.
    async fn denied(&self, request: Request<'_>) {
        let done = self.guard.govern(&request, &json!({}), async |_| -> Result<(), Error> { panic!("the tool ran") }).await;
        assert_eq!(done.unwrap_err().code(), "not_allowed", "{request:?}");
    }

    async fn skips_its_preflight(&self) {
        let guard = self.guard.clone().behind(Arc::new(Gate::default()));
        let request = Request::new("write_file").on("localhost");
        let done = guard.govern(&request, &json!({}), async |_| -> Result<(), Error> { panic!("the tool ran") }).await;
        assert_eq!(done.unwrap_err().code(), "not_allowed");
    }

    async fn presents_another_approval(&self) {
        let guard = self.guard.clone().with_policy(Policy::shipped(Tier::T2).unwrap());
        let request = Request::new("terraform_apply").on("prod-db");
        let asked = guard.govern(&request, &json!({"replicas": 1}), async |_| Ok(())).await.unwrap_err();
        assert_eq!(asked.code(), "approval_required");
        let id = asked.details()["approval"]["id"].as_str().unwrap().parse().unwrap();
        let other = guard.presenting(&id).govern(&request, &json!({"replicas": 2}), async |_| Ok(())).await;
        assert_eq!(other.unwrap_err().code(), "approval_bypass");
    }

    async fn goes_on_although_it_is_held_back(&self) {
        let few = UseLimits { calls_per_minute: Some(10), ..UseLimits::default() };
        let limits = Limits::open(self.governance.store(), &self.actor, self.governance.recorder(), few, &Triggers::default());
        let guard = self.guard.clone().limited(limits);
        // By the minute is counted in pieces of five seconds, and what is left of a share ends with its own: the calls are made in one.
        let early = async || self.governance.store().now().await.unwrap().0 % 5_000 < 2_500;
        governance_tests::world::until("a piece has just begun", early).await;
        let request = Request::new("read_file").on("localhost");
        let mut codes = Vec::new();
        for _ in 0..13 {
            codes.push(guard.govern(&request, &json!({}), async |_| Ok(())).await.map_or_else(|error| error.code(), |()| "ran"));
        }
        assert_eq!(codes.iter().filter(|code| **code == "ran").count(), 10, "{codes:?}");
        assert_eq!(codes[10..], ["rate_limited", "revoked", "revoked"]);
    }

    async fn fails_thrice_at_one_thing(&self) {
        for _ in 0..3 {
            let request = Request::new("write_file").on("localhost");
            let failing = async |_| Err::<(), _>(Error::invalid("disk", "the disk is broken"));
            assert_eq!(self.guard.govern(&request, &json!({}), failing).await.unwrap_err().code(), "disk");
        }
    }

    async fn begins_a_mightier_child(&self) {
        let role = Role { role: AgentRole::Beta, tier: Tier::T4 };
        let child = AgentId::new("child-1").unwrap();
        let admitted = self.governance.admissions().admit(&self.actor.admission, self.pipeline(), &child, role).await;
        assert_eq!(admitted.unwrap_err().code(), "tier_too_high");
    }

    async fn loses_its_lock(&self) {
        let (store, id) = (self.governance.store(), &self.actor.id);
        let (lock, fence) = (store.keys().agent_lock(id), store.keys().agent_fence(id));
        // Nobody renews it.
        let taken = Lease::claim_watched(store, lock, fence, &self.actor, Duration::from_millis(300), Charge::lock(id)).await;
        assert!(taken.unwrap().is_some());
        self.until_revoked().await;
    }

    async fn loses_its_heartbeat(&self) {
        drop(Heartbeat::start(self.governance.store(), &self.actor, Duration::from_millis(100)).await.unwrap());
        self.until_revoked().await;
    }

    async fn until_revoked(&self) {
        let patience = Instant::now() + Duration::from_secs(30);
        while self.governance.revocations().revocation_of(&self.actor.id).await.unwrap().is_none() {
            assert!(Instant::now() < patience, "nobody revoked it");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn pipeline(&self) -> &governance::vocabulary::PipelineId {
        self.actor.pipeline.as_ref().unwrap()
    }

    /// What the severity says has come of it.
    async fn consequence(&self, violation: ViolationType) {
        let revocation = self.governance.revocations().revocation_of(&self.actor.id).await.unwrap();
        // Who is no longer there has no faults that could be counted, and who goes on although it is held back has had its warning: they are revoked
        // whatever the severity.
        let ends =
            violation.severity() <= Severity::High || matches!(violation, ViolationType::HeartbeatLost | ViolationType::ResourceAbuse);
        assert_eq!(revocation.is_some(), ends, "{violation}: {revocation:?}");
        let board = self.governance.blackboard(&self.pipeline().task(), &self.actor);
        let late = board.post(Section::Progress, "late", &1).await;
        let request = Request::new("write_file").on("localhost");
        let called = self.guard.govern(&request, &json!({}), async |_| Ok(())).await;
        if let Some(revocation) = revocation {
            // Who goes on although it is held back is ended as a whole: it had its warning.
            let full = violation.severity() == Severity::Critical || violation == ViolationType::ResourceAbuse;
            assert_eq!((revocation.kind, revocation.extent == Extent::Full), (violation.revocation(), full), "{violation}");
            assert_eq!(late.unwrap_err().code(), "revoked", "{violation}: it landed");
            assert_eq!(called.unwrap_err().code(), "revoked", "{violation}: it ran");
        } else {
            assert!(late.is_ok() && called.is_ok(), "{violation}: {late:?} {called:?}");
            let faults = ErrorBudget::open(self.governance.store(), &self.actor).faults().await.unwrap();
            assert_eq!(faults.procedure_violations, 1, "{violation}");
        }
    }

    /// The ledger tells of it, and so do the alerts.
    async fn story(&self, violation: ViolationType) {
        let filter = Filter { agent: Some(self.actor.id.clone()), ..Filter::default() };
        let patience = Instant::now() + Duration::from_secs(30);
        let (told, notes) = loop {
            assert!(self.governance.catch_up(Duration::from_secs(30)).await.unwrap());
            let told = self.governance.ledger().list(&filter).await.unwrap().actions;
            let note = |action: &&governance::ledger::AgentAction| action.action == Action::Violation;
            let notes: Vec<_> = told.iter().filter(note).filter_map(|action| action.payload.clone()).collect();
            // Who keeps house revokes first and writes it down then.
            if !notes.is_empty() || Instant::now() > patience {
                break (told, notes);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert!(notes.len() == 1 && notes[0].contains(violation.as_str()), "{violation}: {notes:?}");
        let revoked = told.iter().filter(|action| action.action == Action::Revoke).count();
        assert_eq!(revoked > 0, self.governance.revocations().revocation_of(&self.actor.id).await.unwrap().is_some(), "{violation}");
        let alerts = self.governance.alerts().list(100).await.unwrap();
        let told = |kind| alerts.iter().find(move |alert| alert.kind == kind && alert.data["agent_id"] == "alpha-1");
        let detected = told("violation_detected").unwrap_or_else(|| panic!("{violation}: {alerts:?}"));
        let severity = violation.severity();
        assert_eq!((&detected.data["violation"], &detected.data["severity"]), (&json!(violation), &json!(severity)), "{alerts:?}");
        assert_eq!(detected.is_grave(), severity <= Severity::High, "{detected:?}");
        assert_eq!(told("agent_revoked").is_some(), revoked > 0, "{violation}: {alerts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_violation_is_noticed_by_a_real_call_and_has_its_consequence() {
    for (violation, happens) in ROWS {
        let scene = Scene::new().await;
        happens(&scene).await;
        scene.consequence(*violation).await;
        scene.story(*violation).await;
        scene.governance.close().await.unwrap();
        drop(scene.folder);
    }
}

#[test]
fn no_violation_goes_without_a_row() {
    let rows: BTreeSet<_> = ROWS.iter().map(|(violation, _)| violation.as_str()).collect();
    assert_eq!(rows.len(), ROWS.len(), "one row each");
    for violation in ViolationType::ALL {
        let elsewhere = ELSEWHERE.contains(violation);
        assert_ne!(rows.contains(violation.as_str()), elsewhere, "`{violation}` has no row, or has one and is shown elsewhere");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_whose_failures_are_its_own_affair_costs_its_agent_nothing() {
    let scene = Scene::new().await;
    let guard = scene.guard.clone().counting_failures(false);
    for _ in 0..4 {
        let request = Request::new("write_file").on("localhost");
        let failing = async |_| Err::<(), _>(Error::invalid("disk", "the disk is broken"));
        assert_eq!(guard.govern(&request, &json!({}), failing).await.unwrap_err().code(), "disk");
    }
    let budget = ErrorBudget::open(scene.governance.store(), &scene.actor);
    assert_eq!(budget.faults().await.unwrap().total_errors, 0);
    assert_eq!(budget.fault(&governance::guard::Fault::ProcedureViolation).await.unwrap(), FaultCount::Low);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_five_failing_calls_within_a_minute_revoke_and_leave_a_diagnosis() {
    let scene = Scene::new().await;
    let request = Request::new("write_file").on("localhost");
    for word in ["a", "b", "c", "d", "e", "f"] {
        let failing = async |_| Err::<(), _>(Error::invalid("call_timed_out", format!("{word} did not answer")));
        assert_eq!(scene.guard.govern(&request, &json!({}), failing).await.unwrap_err().code(), "call_timed_out");
    }
    let engine = scene.governance.revocations();
    let revocation = engine.revocation_of(&scene.actor.id).await.unwrap().unwrap();
    assert!(revocation.extent == Extent::Full && revocation.reason.starts_with("6 errors within a minute"), "{revocation:?}");
    let diagnosis = engine.diagnosis_of(&scene.actor.id).await.unwrap().unwrap();
    assert!(diagnosis.what.contains("6 errors within a minute"), "{diagnosis:?}");
    let alerts = scene.governance.alerts().list(100).await.unwrap();
    assert!(alerts.iter().any(|alert| alert.kind == "agent_diagnosed" && alert.data["attempts"].is_array()), "{alerts:?}");
    let key = scene.governance.store().keys().agent_handoff(&scene.actor.id);
    let (_, handoff): (u64, governance::vocabulary::Handoff) = scene.governance.store().json(key).await.unwrap().unwrap();
    assert!(handoff.pending.iter().any(|way| way.contains("governance ledger list --agent alpha-1")), "{handoff:?}");
}
