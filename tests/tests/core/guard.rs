//! A governed call runs after it was allowed and recorded, or not at all; and a violation has its consequence.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use governance::guard::path::Root;
use governance::guard::policy::{Policy, Request, Verdict};
use governance::guard::{Granted, Guard};
use governance::ledger::{Action, AgentAction, EntryKind, Filter, OutcomeResult};
use governance::vocabulary::{Clock, Millis, PipelineId, RevocationType, System, Tier, ViolationType};
use governance::{Error, ErrorKind, Result, RevocationEngine};
use governance_tests::world::{Backend, World, until};
use serde_json::{Value, json};

governance_tests::on_every_backend! {
    promise_1_no_governed_action_runs_without_a_prior_allow_record
    promise_2_any_failure_of_the_governor_denies
    promise_3_nothing_is_admitted_later_than_d_after_a_revocation
    a_critical_violation_revokes_at_once_and_the_ledger_tells_the_story
    each_denial_has_the_consequence_of_the_violation_that_it_is
    what_needs_an_approval_waits_and_is_held_against_nobody
    a_tool_gets_the_place_that_a_path_really_leads_to_and_nothing_outside
    who_may_not_go_there_does_not_learn_what_is_there
    every_end_of_a_tool_is_recorded_as_what_it_is
    a_tool_whose_agent_is_revoked_is_dropped
}

const D: Duration = Duration::from_millis(40);

fn pipe() -> PipelineId {
    PipelineId::new("pipe").unwrap()
}

/// A guard of a fresh agent, with a handle of its own on the state.
async fn guard(world: &World, tier: Tier) -> Guard {
    guard_with(world, tier, Arc::new(System)).await
}

async fn guard_with(world: &World, tier: Tier, clock: Arc<dyn Clock>) -> Guard {
    let admission = world.pipeline(&pipe()).await;
    let (_, actor) = world.agent(&admission, &pipe(), "alpha-1").await;
    let store = world.store_with(clock).await;
    Guard::open(&store, &actor, &world.ledger().await.1, Policy::shipped(tier).unwrap())
}

fn write(target: &str) -> Request<'_> {
    Request::new("write_file").on(target)
}

async fn revoke(world: &World) {
    let engine = RevocationEngine::open(&world.store().await);
    engine.revoke(&"alpha-1".parse().unwrap(), RevocationType::Manual, "a drill").await.unwrap();
}

async fn is_revoked(world: &World) -> bool {
    let engine = RevocationEngine::open(&world.store().await);
    engine.revocation_of(&"alpha-1".parse().unwrap()).await.unwrap().is_some()
}

/// What the record says of the agent, in order.
async fn told(world: &World) -> Vec<AgentAction> {
    let (ledger, _) = world.ledger().await;
    ledger.sequence(1).await.unwrap();
    let listed = ledger.list(&Filter { limit: 1_000, ..Filter::default() }).await.unwrap();
    listed.actions.into_iter().filter(|action| action.agent_id.as_ref().is_some_and(|id| id.as_str() == "alpha-1")).collect()
}

fn payload(action: &AgentAction) -> Value {
    serde_json::from_str(action.payload.as_deref().unwrap()).unwrap()
}

/// A tool that says whether it ran.
struct Tool(AtomicBool);

impl Tool {
    fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    async fn run(&self) -> Result<u32> {
        self.0.store(true, Ordering::SeqCst);
        Ok(7)
    }

    fn ran(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

fn promise_1_no_governed_action_runs_without_a_prior_allow_record(on: Backend) {
    on.story(async |world| {
        let guard = guard(&world, Tier::T1).await;
        let arguments = json!({"text": "hunter2", "mode": 6, "append": true, "at": null});
        let seen = guard
            .govern(&write("sandbox-1"), &arguments, async |granted: Granted| {
                // The intent is there while the tool runs.
                let calls: Vec<_> = told(&world).await.into_iter().filter(|action| action.action == Action::ToolCall).collect();
                assert_eq!(calls.len(), 1);
                assert_eq!((granted.decision.verdict(), granted.decision.epochs().unwrap().0.len()), (Verdict::Allow, 3));
                Ok((calls[0].kind, payload(&calls[0]), granted.token))
            })
            .await
            .unwrap();
        assert_eq!(
            (seen.0, &seen.1["action"], &seen.1["target"], &seen.1["verdict"]),
            (EntryKind::Intent, &"write_file".into(), &"sandbox-1".into(), &"allow".into())
        );
        assert_eq!(seen.1["policy"], guard.policy().hash());
        let story = told(&world).await;
        let outcome = story.last().unwrap();
        assert_eq!((outcome.kind, outcome.result, outcome.intent.as_ref()), (EntryKind::Outcome, Some(OutcomeResult::Ok), Some(&seen.2)));
        assert!(
            !story.iter().any(|action| action.payload.as_deref().is_some_and(|text| text.contains("hunter2"))),
            "arguments may be secrets"
        );
        // The same arguments in another order have the same hash.
        let again = json!({"at": null, "append": true, "mode": 6, "text": "hunter2"});
        guard.govern(&write("sandbox-1"), &again, async |_| Ok(())).await.unwrap();
        let story = told(&world).await;
        let hashes: Vec<_> = story
            .iter()
            .filter(|a| a.kind == EntryKind::Intent && a.action == Action::ToolCall)
            .map(|a| payload(a)["arguments"].clone())
            .collect();
        assert!(hashes.len() == 2 && hashes[0] == hashes[1] && hashes[0].as_str().unwrap().len() == 64, "{hashes:?}");
    });
}

/// A clock that goes wrong once it is told to: it fails, or each of its looks is ten seconds after the last.
struct Bad {
    fails: AtomicBool,
    runs_away: AtomicBool,
    looks: AtomicU64,
}

impl Bad {
    fn new() -> Arc<Self> {
        Arc::new(Self { fails: AtomicBool::new(false), runs_away: AtomicBool::new(false), looks: AtomicU64::new(0) })
    }
}

impl Clock for Bad {
    fn now(&self) -> Millis {
        System.now()
    }

    fn elapsed(&self) -> Duration {
        assert!(!self.fails.load(Ordering::SeqCst), "a defect in the guard");
        let looks = if self.runs_away.load(Ordering::SeqCst) { self.looks.fetch_add(1, Ordering::SeqCst) } else { 0 };
        System.elapsed() + Duration::from_secs(10 * looks)
    }
}

fn promise_2_any_failure_of_the_governor_denies(on: Backend) {
    on.story(async |world| {
        let (clock, tool) = (Bad::new(), Tool::new());
        let guard = guard_with(&world, Tier::T1, clock.clone()).await;
        let call = async |request: Request<'_>| guard.govern(&request, &json!({}), async |_| tool.run().await).await.unwrap_err();
        clock.fails.store(true, Ordering::SeqCst);
        let denied = call(write("localhost")).await;
        assert_eq!((denied.kind(), denied.code(), tool.ran()), (ErrorKind::Denied, "guard_failed", false));
        clock.fails.store(false, Ordering::SeqCst);
        let denied = call(write("localhost").at("a.md")).await;
        assert_eq!((denied.kind(), denied.code(), tool.ran()), (ErrorKind::Denied, "no_root", false));
        // Each answer of the store is ten seconds old when it comes: nobody knows whether it still holds.
        clock.runs_away.store(true, Ordering::SeqCst);
        let denied = call(write("localhost")).await;
        assert_eq!((denied.kind(), denied.code(), tool.ran()), (ErrorKind::Unavailable, "undecided", false));
        assert_eq!(denied.details()["decision"]["verdict"], "defer");
        clock.runs_away.store(false, Ordering::SeqCst);
        assert!(!is_revoked(&world).await, "it asked rightly");
        assert!(told(&world).await.iter().any(|action| payload(action)["verdict"] == "defer"));
    });
}

tokio::task_local! {
    /// In it the clock's looks are counted: those of the call, and not of who looks in the background.
    static WITHIN: ();
}

/// A clock that, at its n-th look, is frozen for an hour; what happens meanwhile is done then.
struct Freezing {
    left: AtomicU64,
    frozen: AtomicBool,
    engine: RevocationEngine,
}

impl Clock for Freezing {
    fn now(&self) -> Millis {
        System.now()
    }

    fn elapsed(&self) -> Duration {
        let look = || self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(1))).unwrap();
        if WITHIN.try_with(|()| ()).is_ok() && look() == 1 {
            let id = "alpha-1".parse().unwrap();
            let revoked = self.engine.revoke(&id, RevocationType::Manual, "a drill");
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(revoked)).unwrap();
            self.frozen.store(true, Ordering::SeqCst);
        }
        System.elapsed() + Duration::from_secs(if self.frozen.load(Ordering::SeqCst) { 3_600 } else { 0 })
    }
}

fn promise_3_nothing_is_admitted_later_than_d_after_a_revocation(on: Backend) {
    // Frozen at any moment: nothing starts that was revoked meanwhile.
    for look in 1..40 {
        let mut done = false;
        on.story(async |world| {
            let engine = RevocationEngine::open(&world.store().await);
            let clock = Arc::new(Freezing { left: AtomicU64::new(0), frozen: AtomicBool::new(false), engine });
            let guard = guard_with(&world, Tier::T1, clock.clone()).await;
            let tool = Tool::new();
            clock.left.store(look, Ordering::SeqCst);
            let ran = WITHIN.scope((), guard.govern(&write("localhost"), &json!({}), async |_| tool.run().await)).await;
            done = !clock.frozen.load(Ordering::SeqCst);
            assert_eq!((ran.is_ok(), tool.ran()), (done, done), "frozen at look {look}: {ran:?}");
        });
        if done {
            assert!(look > 2, "it looked at the clock only {look} times");
            break;
        }
        assert!(look < 39, "it never ran");
    }
    on.story(async |world| {
        let guard = guard(&world, Tier::T1).await;
        let (believing, asking) = (guard.clone().believing(D), guard.believing(Duration::ZERO));
        let tool = Tool::new();
        let call = async |guard: &Guard| guard.govern(&write("localhost"), &json!({}), async |_| tool.run().await).await;
        assert!(call(&believing).await.is_ok() && call(&asking).await.is_ok() && tool.ran());
        revoke(&world).await;
        let refused = call(&asking).await.unwrap_err();
        assert_eq!((refused.kind(), tool.ran()), (ErrorKind::Revoked, false), "zero: not one more");
        tokio::time::sleep(D).await;
        assert_eq!((call(&believing).await.unwrap_err().kind(), tool.ran()), (ErrorKind::Revoked, false));
        assert_eq!(believing.decide(&write("localhost")).await.unwrap_err().kind(), ErrorKind::Revoked);
    });
}

fn a_critical_violation_revokes_at_once_and_the_ledger_tells_the_story(on: Backend) {
    on.story(async |world| {
        let guard = guard(&world, Tier::T1).await;
        let tool = Tool::new();
        let denied = guard.govern(&write("prod-db"), &json!({}), async |_| tool.run().await).await.unwrap_err();
        assert_eq!((denied.kind(), denied.code(), tool.ran()), (ErrorKind::Denied, "not_allowed", false));
        assert!(denied.to_string().contains("`prod-*` in `forbidden_targets` of the profile `t1-operator`"), "{denied}");
        let decision = &denied.details()["decision"];
        assert_eq!((&decision["violation"], &decision["rule"]["pattern"]), (&"forbidden_target_access".into(), &"prod-*".into()));
        assert!(is_revoked(&world).await);
        // Neither a call of its own process, nor a write of it from anywhere.
        assert_eq!(guard.govern(&write("localhost"), &json!({}), async |_| tool.run().await).await.unwrap_err().kind(), ErrorKind::Revoked);
        let (ledger, _) = world.ledger().await;
        let story = told(&world).await;
        let of = |action| story.iter().filter(move |entry| entry.action == action).collect::<Vec<_>>();
        let (calls, violations, revokes) = (of(Action::ToolCall), of(Action::Violation), of(Action::Revoke));
        assert_eq!((calls.len(), payload(calls[0])["verdict"].clone()), (1, "deny".into()));
        assert_eq!(payload(violations[0])["type"], "forbidden_target_access");
        assert_eq!(
            (payload(violations[0])["severity"].clone(), payload(violations[0])["revocation"].clone()),
            ("CRITICAL".into(), "policy".into())
        );
        assert_eq!(revokes.iter().map(|entry| entry.result).collect::<Vec<_>>(), [None, Some(OutcomeResult::Ok)]);
        assert!(calls[0].seq < violations[0].seq && violations[0].seq < revokes[0].seq, "first what was asked, then what came of it");
        assert!(ledger.verify(ledger.head().await.unwrap()).await.unwrap().is_intact());
    });
}

fn each_denial_has_the_consequence_of_the_violation_that_it_is(on: Backend) {
    let cases: [(Request<'static>, ViolationType, bool); 5] = [
        (Request::new("modify_governance"), ViolationType::GovernanceTampering, true),
        (Request::new("access_vault_root"), ViolationType::UnauthorizedSecretAccess, true),
        (Request::new("delete_production"), ViolationType::ForbiddenAction, true),
        (Request::new("frobnicate"), ViolationType::ProcedureViolation, false),
        (Request::new("write_file").on("prod-db."), ViolationType::ProcedureViolation, false),
    ];
    for (request, violation, revokes) in cases {
        on.story(async |world| {
            let guard = guard(&world, Tier::T1).await;
            let call = async || guard.govern(&request, &json!({}), async |_| Ok(())).await.unwrap_err();
            assert_eq!(call().await.details()["decision"]["violation"], violation.as_str(), "{request:?}");
            assert_eq!(is_revoked(&world).await, revokes, "{request:?}");
            if !revokes {
                // The procedure may be broken once; the second time is one too many.
                guard.govern(&write("localhost"), &json!({}), async |_| Ok(())).await.unwrap();
                assert_eq!(call().await.code(), "not_allowed");
                assert!(is_revoked(&world).await);
                assert_eq!(call().await.kind(), ErrorKind::Revoked);
            }
        });
    }
}

fn what_needs_an_approval_waits_and_is_held_against_nobody(on: Backend) {
    on.story(async |world| {
        let guard = guard(&world, Tier::T2).await;
        let tool = Tool::new();
        for _ in 0..3 {
            let asked = guard.govern(&write("prod-db"), &json!({}), async |_| tool.run().await).await.unwrap_err();
            assert_eq!((asked.kind(), asked.code(), tool.ran()), (ErrorKind::Denied, "approval_required", false));
        }
        assert_eq!(guard.decide(&write("prod-db")).await.unwrap().verdict(), Verdict::StepUp);
        assert_eq!(guard.govern(&write("sandbox-1"), &json!({}), async |_| tool.run().await).await.unwrap(), 7);
        let story = told(&world).await;
        assert_eq!(story.iter().filter(|action| payload(action)["verdict"] == "step_up").count(), 3);
        assert!(!story.iter().any(|action| action.action == Action::Violation));
        // Nobody is asked to approve what is forbidden anyway.
        let folder = tempfile::tempdir().unwrap();
        let guard = guard.rooted(Root::open(folder.path()).unwrap());
        assert_eq!(guard.decide(&write("prod-db").at("a.md")).await.unwrap().verdict(), Verdict::StepUp);
        assert_eq!(guard.decide(&write("prod-db").at(".governance")).await.unwrap().verdict(), Verdict::Deny);
    });
}

fn a_tool_gets_the_place_that_a_path_really_leads_to_and_nothing_outside(on: Backend) {
    on.story(async |world| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("root/docs")).unwrap();
        std::fs::write(folder.path().join("secret"), "outside").unwrap();
        std::os::unix::fs::symlink("../secret", folder.path().join("root/link")).unwrap();
        std::os::unix::fs::symlink("docs", folder.path().join("root/short")).unwrap();
        let guard = guard(&world, Tier::T1).await.rooted(Root::open(folder.path().join("root")).unwrap());
        let put = async |granted: Granted| {
            use std::io::Write;
            let place = granted.place.unwrap();
            place.create()?.write_all(b"hello").map_err(|e| Error::internal("not written").because(e))?;
            Ok((place.relative().to_owned(), granted.decision.verdict()))
        };
        let done = guard.govern(&write("localhost").at("short/../short/a.md"), &json!({}), put).await.unwrap();
        assert_eq!(done, ("docs/a.md".to_owned(), Verdict::Modify));
        let recorded = payload(told(&world).await.iter().find(|entry| entry.action == Action::ToolCall).unwrap());
        assert_eq!((&recorded["path"], &recorded["asked"]), (&"docs/a.md".into(), &"short/../short/a.md".into()));
        assert_eq!(std::fs::read_to_string(folder.path().join("root/docs/a.md")).unwrap(), "hello");
        // A mistake of the caller is no violation, and nothing ran.
        let nowhere = guard.govern(&write("localhost").at("nowhere/a.md"), &json!({}), async |_| Ok(())).await.unwrap_err();
        assert_eq!(nowhere.code(), "file_missing");
        assert!(!is_revoked(&world).await);
        let out = guard.govern(&write("localhost").at("link"), &json!({}), async |_| Ok(())).await.unwrap_err();
        assert_eq!((out.code(), &out.details()["decision"]["violation"]), ("not_allowed", &"path_out_of_scope".into()));
        assert!(is_revoked(&world).await);
    });
}

fn who_may_not_go_there_does_not_learn_what_is_there(on: Backend) {
    on.story(async |world| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("docs")).unwrap();
        let guard = guard(&world, Tier::T0).await.rooted(Root::open(folder.path()).unwrap());
        let ask = async |path: &str| guard.decide(&Request::new("read_file").at(path)).await;
        assert_eq!(ask("docs/none/a.md").await.unwrap_err().code(), "file_missing", "there it may look");
        let denied = ask("src/none/a.rs").await.unwrap();
        assert_eq!((denied.verdict(), denied.violation()), (Verdict::Deny, Some(ViolationType::PathOutOfScope)));
    });
}

fn every_end_of_a_tool_is_recorded_as_what_it_is(on: Backend) {
    on.story(async |world| {
        let guard = guard(&world, Tier::T1).await;
        let (request, none) = (write("localhost"), json!({}));
        let failed =
            guard.govern(&request, &none, async |_| Err::<(), _>(Error::invalid("no_such_thing", "there is none"))).await.unwrap_err();
        let silent =
            guard.govern(&request, &none, async |_| Err::<(), _>(Error::unavailable("gone", "it does not answer"))).await.unwrap_err();
        let hasty = guard.clone().within(D);
        let late = hasty.govern(&request, &none, async |_| std::future::pending::<Result<()>>().await).await.unwrap_err();
        let panicked = guard.govern(&request, &none, async |_| -> Result<()> { panic!("a defect of the tool") }).await.unwrap_err();
        let runs = tokio::sync::Notify::new();
        let pending = async |_| {
            runs.notify_one();
            std::future::pending::<Result<()>>().await
        };
        tokio::select! {
            done = guard.govern(&request, &none, pending) => panic!("it never ends: {done:?}"),
            () = runs.notified() => {}
        }
        let codes = [&failed, &silent, &late, &panicked].map(Error::code);
        assert_eq!(codes, ["no_such_thing", "gone", "tool_timed_out", "tool_panicked"]);
        let story = told(&world).await;
        let outcomes: Vec<_> = story.iter().filter(|entry| entry.kind == EntryKind::Outcome && entry.action == Action::ToolCall).collect();
        let ends: Vec<_> =
            outcomes.iter().map(|entry| (entry.result.unwrap(), payload(entry)["code"].as_str().unwrap().to_owned())).collect();
        use OutcomeResult::{Error as Failed, Unknown};
        let expected = [(Failed, codes[0]), (Unknown, codes[1]), (Unknown, codes[2]), (Unknown, codes[3]), (Unknown, "cancelled")];
        assert_eq!(ends, expected.map(|(result, code)| (result, code.to_owned())));
    });
}

fn a_tool_whose_agent_is_revoked_is_dropped(on: Backend) {
    on.story(async |world| {
        let guard = guard(&world, Tier::T1).await.believing(D);
        let started = Arc::new(AtomicBool::new(false));
        let (running, seen) = (guard.clone(), started.clone());
        let call = tokio::spawn(async move {
            let tool = async |_| {
                seen.store(true, Ordering::SeqCst);
                std::future::pending::<Result<()>>().await
            };
            running.govern(&write("localhost"), &json!({}), tool).await
        });
        until("the tool runs", async || started.load(Ordering::SeqCst)).await;
        revoke(&world).await;
        assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Revoked);
        let story = told(&world).await;
        assert!(story.iter().any(|entry| entry.result == Some(OutcomeResult::Unknown) && payload(entry)["code"] == "revoked"));
    });
}
