//! Profiles in force: one truth, versions, a conflict where two are first, and nobody raised by one.

use std::time::Duration;

use governance::Error;
use governance::guard::policies::{Difference, KEPT, MAX_LIVE, Policies, Text, Wish};
use governance::guard::policy::{Policy, Request, Verdict};
use governance::guard::{Arguments, Guard, Recorder};
use governance::store::{Actor, Admission, Commit, Store};
use governance::vocabulary::{AgentId, PipelineId, Tier};
use governance_tests::world::{Backend, World, until};
use serde_json::json;

governance_tests::on_every_backend! {
    of_two_administrators_at_once_one_is_told_of_the_other
    each_version_is_kept_with_who_when_and_why_up_to_the_bound
    a_profile_never_raises_an_agent_above_its_tier
    one_that_this_process_cannot_read_denies_and_holds_it_against_nobody
    no_call_is_decided_by_a_policy_that_was_replaced_longer_than_d_ago
    what_is_in_force_is_told_apart_by_what_it_says
    what_a_profile_says_of_breakers_holds_a_running_agent
}

const D: Duration = Duration::from_millis(40);

fn name(of: &str) -> AgentId {
    AgentId::new(of).unwrap()
}

fn text(name: &str, tier: &str, targets: &[&str]) -> Text {
    let constraints = json!({"allowed_actions": ["write_file"], "allowed_targets": targets});
    Text::new(json!({"agent_id": name, "agent_version": "1", "tier": tier, "constraints": constraints}).to_string())
}

async fn policies(world: &World) -> (Store, Policies) {
    let (store, (_, recorder)) = (world.store().await, world.ledger().await);
    (store.clone(), Policies::new(&store, &recorder))
}

/// A guard of a fresh agent of T1 that follows what is in force for `alpha`.
async fn guard(world: &World, policies: &Policies) -> Guard {
    let pipeline = PipelineId::new("pipe").unwrap();
    let admission = world.pipeline(&pipeline).await;
    let (store, actor) = world.agent(&admission, &pipeline, "alpha-7f3k2q").await;
    let source = policies.source(&actor, Tier::T1).await.unwrap();
    Guard::open(&store, &actor, &Recorder::default(), source).believing(D)
}

async fn verdict(guard: &Guard, target: &str) -> Verdict {
    guard.decide(&Request::new("write_file").on(target)).await.unwrap().verdict()
}

fn of_two_administrators_at_once_one_is_told_of_the_other(backend: Backend) {
    backend.story(async |world| {
        let ((_, ann), (_, bob)) = (policies(&world).await, policies(&world).await);
        ann.apply(&text("alpha", "T1", &["a-*"]), &Wish::of("ann")).await.unwrap();
        let over = |by: &str| Wish { over: Some(1), ..Wish::of(by) };
        // Both have looked at version 1.
        let (one, two) = (text("alpha", "T1", &["b-*"]), text("alpha", "T1", &["c-*"]));
        let (ann_wish, bob_wish) = (over("ann"), over("bob"));
        let done = tokio::join!(ann.apply(&one, &ann_wish), bob.apply(&two, &bob_wish));
        let (won, lost) = match done {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            both => panic!("one of them: {both:?}"),
        };
        assert_eq!((won.version.version, won.changed), (2, true));
        assert_eq!((lost.code(), lost.kind().as_str()), ("policy_conflict", "conflict"), "{lost}");
        assert!(lost.to_string().contains("somebody else changed `alpha`"), "{lost}");
        assert_eq!(bob.version(&name("alpha"), None).await.unwrap().unwrap(), won.version);
        // The same once more changes nothing, and is no version.
        let again = ann.apply(&won.version.text.clone().unwrap(), &Wish::of("eve")).await.unwrap();
        assert_eq!((again.version, again.changed), (won.version, false));
        let late = ann.withdraw(&name("alpha"), &over("ann")).await.unwrap_err();
        assert_eq!((late.code(), late.details()["found"].as_u64()), ("policy_conflict", Some(2)));
    });
}

fn each_version_is_kept_with_who_when_and_why_up_to_the_bound(backend: Backend) {
    backend.story(async |world| {
        let (_, policies) = policies(&world).await;
        let alpha = name("alpha");
        assert_eq!(policies.rollback(&alpha, None, &Wish::of("ann")).await.unwrap_err().code(), "no_such_policy");
        let last = KEPT + 3;
        for number in 1..=last {
            let wish = Wish { note: Some(format!("for {number}")), ..Wish::of("ann") };
            let applied = policies.apply(&text("alpha", "T1", &[&format!("t-{number}")]), &wish).await.unwrap();
            assert_eq!(applied.version.version, number);
        }
        let history = policies.history(&alpha).await.unwrap();
        assert_eq!((history.len() as u64, history[0].version, history.last().unwrap().version), (KEPT, 4, last));
        assert!(history.iter().all(|kept| kept.by == "ann" && kept.note == Some(format!("for {}", kept.version)) && kept.text.is_some()));
        let gone = policies.rollback(&alpha, Some(1), &Wish::of("bob")).await.unwrap_err();
        assert!(gone.code() == "no_such_policy" && gone.to_string().contains(&KEPT.to_string()), "{gone}");
        let back = policies.rollback(&alpha, Some(7), &Wish::of("bob")).await.unwrap().version;
        assert_eq!((back.version, back.of, back.by.as_str(), &back.hash), (last + 1, Some(7), "bob", &history[3].hash));
        let large = Text::new(format!("{}{}", text("alpha", "T1", &["x"]).profile, " ".repeat(MAX_LIVE)));
        assert_eq!(policies.apply(&large, &Wish::of("ann")).await.unwrap_err().code(), "bad_profile");
        // A note is cut, and what could steer a terminal is the printer's to show.
        let wish = Wish { note: Some("x".repeat(10_000)), ..Wish::of("\u{1b}[31m") };
        assert_eq!(policies.apply(&text("alpha", "T1", &["y"]), &wish).await.unwrap().version.note.unwrap().len(), 500);
    });
}

fn a_profile_never_raises_an_agent_above_its_tier(backend: Backend) {
    backend.story(async |world| {
        let (_, policies) = policies(&world).await;
        let guard = guard(&world, &policies).await;
        assert_eq!((verdict(&guard, "sandbox-1").await, verdict(&guard, "prod-1").await), (Verdict::Allow, Verdict::Deny));
        // Of the tier's own name, in the shipped one's place.
        policies.apply(&text("t1-operator", "T1", &["prod-*"]), &Wish::of("ann")).await.unwrap();
        assert_eq!((verdict(&guard, "sandbox-1").await, verdict(&guard, "prod-1").await), (Verdict::Deny, Verdict::Allow));
        // Of the agent's own profile: before that of the tier.
        policies.apply(&text("alpha", "T3", &["*"]), &Wish::of("ann")).await.unwrap();
        let decision = guard.decide(&Request::new("write_file").on("prod-1")).await.unwrap();
        assert_eq!((decision.verdict(), decision.violation()), (Verdict::Deny, None));
        assert!(decision.reason().contains("made for T3"), "{}", decision.reason());
        let refused = policies.may_join(&name("alpha"), Tier::T1).await.unwrap_err();
        assert!(refused.code() == "policy_closed" && refused.kind().as_str() == "denied", "{refused}");
        policies.may_join(&name("alpha"), Tier::T3).await.unwrap();
        policies.may_join(&name("beta"), Tier::T1).await.unwrap();
        policies.apply(&text("alpha", "T0", &["prod-*"]), &Wish::of("ann")).await.unwrap();
        assert_eq!(verdict(&guard, "prod-1").await, Verdict::Allow, "a lower one may");
        policies.withdraw(&name("alpha"), &Wish::of("ann")).await.unwrap();
        let decision = guard.decide(&Request::new("write_file").on("prod-1")).await.unwrap();
        assert!(decision.verdict() == Verdict::Deny && decision.reason().contains("withdrawn"), "{}", decision.reason());
        assert_eq!(policies.may_join(&name("alpha"), Tier::T1).await.unwrap_err().code(), "policy_closed");
        // The shipped one is itself again.
        policies.withdraw(&name("t1-operator"), &Wish::of("ann")).await.unwrap();
        policies.apply(&text("alpha", "T1", &["x"]), &Wish::of("ann")).await.unwrap();
        policies.may_join(&name("t1-operator"), Tier::T1).await.unwrap();
        let source = policies
            .source(&Actor { id: name("t1-operator-7f3k2q"), pipeline: None, admission: Admission::default() }, Tier::T1)
            .await
            .unwrap();
        assert_eq!(source.now(), Policy::shipped(Tier::T1).unwrap());
    });
}

fn one_that_this_process_cannot_read_denies_and_holds_it_against_nobody(backend: Backend) {
    backend.story(async |world| {
        let (store, policies) = policies(&world).await;
        let guard = guard(&world, &policies).await;
        let mut version = policies.apply(&text("alpha", "T1", &["sandbox-*"]), &Wish::of("ann")).await.unwrap().version;
        assert_eq!(verdict(&guard, "sandbox-1").await, Verdict::Allow);
        // As a newer version of this library might write it.
        let newer = version.text.clone().unwrap().profile.replace("\"tier\"", "\"moods\":[],\"tier\"");
        (version.text, version.hash, version.version) = (Some(Text::new(newer)), Some("of another form".to_owned()), 2);
        let cell = governance::store::Cell::field(store.keys().policies(), "alpha");
        let put = Commit::default().put(cell, serde_json::to_vec(&version).unwrap()).raise(store.keys().policies_epoch());
        store.apply(put).await.unwrap();
        until("it is seen", async || verdict(&guard, "sandbox-1").await == Verdict::Deny).await;
        let decision = guard.decide(&Request::new("write_file").on("sandbox-1")).await.unwrap();
        assert!(decision.violation().is_none() && decision.reason().contains("cannot be read here"), "{}", decision.reason());
        assert_eq!(policies.may_join(&name("alpha"), Tier::T1).await.unwrap_err().code(), "policy_closed");
    });
}

/// Also where no wake comes: the first call that has not looked for D asks.
fn no_call_is_decided_by_a_policy_that_was_replaced_longer_than_d_ago(backend: Backend) {
    backend.story(async |world| {
        let ((_, here), (_, there)) = (policies(&world).await, policies(&world).await);
        let guard = guard(&world, &here).await.believing(Duration::ZERO);
        for number in 0..10 {
            let allowed = format!("sandbox-{number}");
            there.apply(&text("alpha", "T1", &[&allowed]), &Wish::of("ann")).await.unwrap();
            assert_eq!(verdict(&guard, &allowed).await, Verdict::Allow, "with nothing believed, at once");
            assert_eq!(verdict(&guard, "sandbox-x").await, Verdict::Deny);
        }
        let guard = guard.believing(D);
        there.apply(&text("alpha", "T1", &["none"]), &Wish::of("ann")).await.unwrap();
        tokio::time::sleep(D).await;
        assert_eq!(verdict(&guard, "sandbox-9").await, Verdict::Deny);
    });
}

fn what_a_profile_says_of_breakers_holds_a_running_agent(backend: Backend) {
    backend.story(async |world| {
        let (_, policies) = policies(&world).await;
        let said = |breaker: serde_json::Value| {
            let constraints = json!({"allowed_actions": ["web.search"]});
            Text::new(
                json!({"agent_id": "alpha", "agent_version": "1", "tier": "T1", "constraints": constraints, "governance": {"breaker": breaker}})
                    .to_string(),
            )
        };
        policies.apply(&said(json!(null)), &Wish::of("ann")).await.unwrap();
        let guard = guard(&world, &policies).await.believing(Duration::ZERO).counting_failures(false);
        let fails = async || {
            let away = Error::unavailable("away", "it does not answer");
            guard.govern(&Request::new("web.search"), &json!({}), async |_| Err::<(), _>(away)).await.unwrap_err().code()
        };
        for _ in 0..4 {
            assert_eq!(fails().await, "away", "nothing is said of breakers");
        }
        policies.apply(&said(json!({"by": "action", "failures": 2, "pause": 600})), &Wish::of("ann")).await.unwrap();
        assert_eq!((fails().await, fails().await, fails().await), ("away", "away", "breaker_open"));
        // A call that does not wait is refused as well.
        assert!(guard.try_begin(&Request::new("web.search"), &Arguments::of(&json!({}))).unwrap().is_none());
        policies.apply(&said(json!(null)), &Wish::of("ann")).await.unwrap();
        assert_eq!(fails().await, "away");
    });
}

fn what_is_in_force_is_told_apart_by_what_it_says(backend: Backend) {
    backend.story(async |world| {
        let (_, policies) = policies(&world).await;
        let one = Text::new("agent_id: alpha\nagent_version: '1'\ntier: T1\nconstraints:\n  allowed_targets: [a, b]\n");
        let same =
            Text::new(r#"{"tier": "T1", "agent_version": "1", "agent_id": "alpha", "constraints": {"allowed_targets": ["a", "b"]}}"#);
        let other = Text::new("agent_id: alpha\nagent_version: '2'\ntier: T1\nconstraints:\n  allowed_targets: [b, c]\n");
        policies.apply(&one, &Wish::of("ann")).await.unwrap();
        assert!(!policies.apply(&same, &Wish::of("ann")).await.unwrap().changed, "one profile has one hash, however it is written");
        assert!(Difference::between(Some(&one), Some(&same)).unwrap().changes.is_empty());
        let difference = Difference::between(Some(&one), Some(&other)).unwrap();
        let told = serde_json::to_value(&difference.changes).unwrap();
        assert_eq!(
            told,
            json!([
                {"field": "agent_version", "removed": ["1"], "added": ["2"]},
                {"field": "constraints.allowed_targets", "removed": ["a"], "added": ["c"]},
            ])
        );
        assert!(Difference::between(None, Some(&one)).unwrap().changes.iter().all(|change| change.removed.is_empty()));
    });
}
