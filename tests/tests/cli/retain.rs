//! `ledger retain`, and what drops old payloads by itself.

use std::path::Path;
use std::time::Duration;

use governance::ledger::{Action, AgentAction, Filter, OutcomeResult};
use governance::vocabulary::{Clock, System};
use governance::{Config, Governance};
use governance_tests::program::User;
use governance_tests::world::until;

use super::{CACHE, redis, run, settled};

fn dropped(user: &User) -> u64 {
    user.verified()["report"]["dropped"].as_u64().unwrap()
}

/// Whether a text stands in a file of the ledger.
fn stands_in(home: &Path, text: &str) -> bool {
    let mut files: Vec<_> = std::fs::read_dir(home.join("segments")).unwrap().map(|file| file.unwrap().path()).collect();
    files.extend(["governance.db", "governance.db-wal"].map(|name| home.join(name)));
    files.iter().any(|file| std::fs::read(file).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes())))
}

fn asked_and_dropped(user: &User) {
    let (first, second) = (run(user, "Design a caching strategy"), run(user, "Protect patient records in a public API"));
    let file = user.path("record.jsonl");
    let out = file.to_str().unwrap();
    assert!(stands_in(user.home(), "Limits that explain themselves"));
    let told = user.does(&["ledger", "retain", "--older-than", "0s"]);
    assert!(told.code == Some(0) && told.out.contains("would drop") && told.out.contains("--yes"), "{told:?}");
    assert_eq!(user.object(&["ledger", "retain", "--older-than", "30d", "--yes"])["dropped"], 0, "nothing is that old");
    assert_eq!(dropped(user), 0);

    let told = user.object(&["ledger", "retain", "--older-than", "0s", "--yes"]);
    assert!(told["dropped"].as_u64().unwrap() > 100, "{told}");
    assert_eq!(dropped(user), told["dropped"].as_u64().unwrap());
    assert!(!stands_in(user.home(), "Limits that explain themselves"), "a payload survived");
    let asked = user.objects(&["ledger", "list", "--action", "retention"]);
    assert_eq!(asked.iter().map(|entry| entry["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["intent", "outcome"]);
    assert!(asked[0]["payload"].as_str().unwrap().contains("by `ledger retain`"), "{asked:?}");
    assert!(user.does(&["ledger", "retain", "--older-than", "0s", "--yes"]).out.contains("nothing to drop"));
    let calls = user.objects(&["ledger", "list", "--action", "model_call"]);
    assert!(calls.iter().all(|entry| entry["payload"].is_null() && entry["payload_hash"].is_string()), "{calls:?}");
    assert!(user.does(&["ledger", "list", "--action", "model_call"]).out.contains("its payload was dropped"));

    // The whole record, a part of it, and one run of it are still checked.
    for part in [[].as_slice(), &["--from", "40"], &["--pipeline", &first]] {
        user.object(&[&["ledger", "export", "--out", out], part].concat());
        let checked = user.object(&["ledger", "verify", "--file", out]);
        assert_eq!(checked["intact"], true, "{checked}");
        assert!(checked["report"]["dropped"].as_u64().unwrap() > 50, "{checked}");
    }
    let table = user.does(&["ledger", "export", "--pipeline", &second, "--format", "csv"]).out;
    assert!(table.lines().nth(1).unwrap().contains(",,\""), "{table}");
    // And a new run goes on from there.
    run(user, CACHE);
    user.verified();
}

#[test]
fn what_is_asked_for_by_hand_is_dropped_beside_the_embedded_file() {
    asked_and_dropped(&User::default());
}

#[test]
fn what_is_asked_for_by_hand_is_dropped_beside_a_redis() {
    let (_folder, _server, user) = redis();
    asked_and_dropped(&user);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_house_carries_out_what_another_process_asked_for() {
    let (user, _) = settled(CACHE);
    let keeper = Governance::open(user.config()).await.unwrap();
    until("it keeps house", async || keeper.housekeeping().await.unwrap().awake).await;
    let user = tokio::task::spawn_blocking(move || {
        assert!(user.object(&["ledger", "retain", "--older-than", "0s", "--yes"])["dropped"].as_u64().unwrap() > 50);
        assert!(dropped(&user) > 50);
        user
    })
    .await
    .unwrap();
    keeper.close().await.unwrap();
    user.verified();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_too_old_goes_by_itself_and_what_is_young_stays() {
    const AGE: Duration = Duration::from_secs(2);
    let user = User::default();
    let governance = Governance::open(Config { retention: Some(AGE), ..user.config() }).await.unwrap();
    let ledger = governance.ledger();
    let segment = ledger.segment().unwrap();
    let call = |text: &str| {
        let intent = segment.intent(Action::ToolCall, None, None, &format!("{{\"text\":\"{text}\"}}")).unwrap();
        segment.outcome(&intent, OutcomeResult::Ok, "{}").unwrap();
    };
    call("an old word");
    let calls = async || ledger.list(&Filter { action: Some(Action::ToolCall), ..Filter::default() }).await.unwrap().actions;
    // A busy machine may come to look when it is due already.
    let young = |entry: &AgentAction| System.now().since(entry.at) < AGE;
    let too_early = |entry: &AgentAction| entry.payload.is_none() && young(entry);
    until("it is in the record", async || calls().await.len() == 2).await;
    assert!(!calls().await.iter().any(too_early), "it went too early");
    until("it is dropped", async || calls().await.iter().all(|entry| entry.payload.is_none())).await;
    call("a young word");
    until("that is in the record", async || calls().await.len() == 4).await;
    assert!(!calls().await[2..].iter().any(too_early));
    let asked = ledger.list(&Filter { action: Some(Action::Retention), ..Filter::default() }).await.unwrap().actions;
    assert!(asked[0].payload.as_ref().unwrap().contains("caretaker-"), "{asked:?}");
    governance.close().await.unwrap();
    assert!(dropped(&user) >= 2);
    assert!(!stands_in(user.home(), "an old word"));
}

#[test]
fn an_age_that_is_none_is_refused() {
    let (user, _) = settled(CACHE);
    for wrong in ["30", "d", "1.5d", "30 days", "99999999999999999999d", "9999999999999999999d", ""] {
        user.does(&["ledger", "retain", "--older-than", wrong]).explains("is not an age");
    }
    user.does(&["ledger", "retain"]).explains("required arguments");
    User::default().does(&["ledger", "retain", "--older-than", "1d"]).explains("governance run");
    let mut bad = user.command(["config", "show"]);
    bad.env("GUVNOR_AUDIT_RETENTION_DAYS", "soon");
    governance_tests::program::Living::spawn(bad).end().explains("GUVNOR_AUDIT_RETENTION_DAYS");
    assert_eq!(dropped(&user), 0);
}
