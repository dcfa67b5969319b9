//! `pipeline stop` and `pipeline revoke`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use governance::store::Commit;
use governance::vocabulary::{PipelineId, PipelineStatus};
use governance::{Governance, Joining};
use governance_tests::program::{Living, User, signal};
use rustix::process::Signal;
use serde_json::Value;

use super::{CACHE, DISPUTED, NOBODY, agents, begun, redis, run, settled, under_way};

async fn stopped_from_outside(user: User) {
    let (user, outcome, told) = under_way(user, |user, id, _| user.object(&["pipeline", "stop", id, "--reason", "wrong objective"])).await;
    assert_eq!((outcome.status, outcome.reason.as_deref()), (PipelineStatus::Stopped, Some("wrong objective")));
    assert_eq!((&told["stopped"], &told["status"]), (&outcome.pipeline_id.to_string().into(), &"STOPPED".into()));
    assert!(told["receipt"]["generation"].as_u64().unwrap() > 0, "{told}");
    tokio::task::spawn_blocking(move || {
        assert!(user.objects(&["ledger", "list", "--action", "stop"]).iter().any(|entry| entry["result"] == "ok"));
        let shown = user.object(&["pipeline", "status"]);
        assert_eq!((&shown["state"]["status"], &shown["state"]["reason"]), (&"STOPPED".into(), &"wrong objective".into()));
        user.verified();
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_the_file_is_stopped_from_another_process() {
    stopped_from_outside(User::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_redis_is_stopped_from_another_process() {
    let (_folder, _server, user) = redis();
    stopped_from_outside(user).await;
}

#[test]
fn stopping_what_has_ended_says_so_and_leaves_its_end_as_it_was() {
    let (user, id) = settled(CACHE);
    let told = user.does(&["pipeline", "stop", &id]);
    assert!(told.code == Some(0) && told.out.contains("it had ended as COMPLETED"), "{told:?}");
    assert_eq!(user.object(&["stop", &id])["status"], "COMPLETED");
    assert_eq!(user.object(&["pipeline", "status", &id])["state"]["status"], "COMPLETED");
}

#[test]
fn a_run_that_waits_for_its_user_can_be_stopped_and_waits_no_more() {
    let (user, id) = settled(DISPUTED);
    assert_eq!(user.object(&["pipeline", "status", &id])["awaiting_user"], true);
    assert_eq!(user.object(&["pipeline", "stop", &id])["status"], "STOPPED");
    let shown = user.object(&["pipeline", "status", &id]);
    assert_eq!((&shown["state"]["status"], &shown["awaiting_user"]), (&"STOPPED".into(), &false.into()));
}

async fn revoked_from_outside(user: User) {
    let (user, outcome, told) =
        under_way(user, |user, id, _| user.object(&["pipeline", "revoke", id, "--type", "policy", "--reason", "left its paths"])).await;
    assert_eq!(outcome.status, PipelineStatus::Stopped);
    assert_eq!(told["revoked"].as_array().unwrap().len(), 2, "{told}");
    tokio::task::spawn_blocking(move || {
        let shown = user.object(&["pipeline", "status"]);
        assert!(shown["agents"].as_array().unwrap().iter().all(|agent| agent["status"] == "revoked"), "{shown}");
        let why = shown["revocations"].as_array().unwrap();
        assert!(why.len() == 2 && why.iter().all(|why| why["type"] == "policy" && why["reason"] == "left its paths"), "{shown}");
        // People see it too.
        assert_eq!(user.does(&["pipeline", "show"]).out.matches("policy: left its paths").count(), 2);
        // Again changes nothing.
        let again = user.object(&["pipeline", "revoke", told["pipeline_id"].as_str().unwrap()]);
        assert_eq!(again["revoked"], told["revoked"]);
        assert_eq!(user.object(&["pipeline", "status"])["revocations"], shown["revocations"]);
        user.verified();
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_the_file_is_revoked_with_each_of_its_agents() {
    revoked_from_outside(User::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_redis_is_revoked_with_each_of_its_agents() {
    let (_folder, _server, user) = redis();
    revoked_from_outside(user).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_agent_is_revoked_and_the_other_works_on() {
    let (user, outcome, alpha) = under_way(User::default(), |user, id, model| {
        let alpha = agents(user).swap_remove(0);
        let told = user.object(&["pipeline", "revoke", id, "--agent", &alpha]);
        assert_eq!(told["revoked"], alpha.as_str());
        model.let_go();
        alpha
    })
    .await;
    assert_ne!(outcome.status, PipelineStatus::Stopped);
    let shown = tokio::task::spawn_blocking(move || user.object(&["pipeline", "status"])).await.unwrap();
    for agent in shown["agents"].as_array().unwrap() {
        assert_eq!(agent["status"] == "revoked", agent["id"] == alpha.as_str(), "{shown}");
    }
}

#[test]
fn agents_that_had_ended_are_named_and_keep_their_end() {
    let (user, id) = settled(CACHE);
    let told = user.object(&["pipeline", "revoke", &id]);
    assert_eq!((told["revoked"].as_array().unwrap().len(), told["ended"].as_array().unwrap().len()), (0, 2), "{told}");
    let shown = user.object(&["pipeline", "status", &id]);
    assert!(shown["agents"].as_array().unwrap().iter().all(|agent| agent["status"] == "completed"), "{shown}");
}

#[test]
fn what_is_not_there_is_neither_stopped_nor_revoked() {
    let (user, first) = settled(CACHE);
    let of_first = agents(&user).swap_remove(0);
    let second = run(&user, CACHE);
    user.does(&["pipeline", "stop", NOBODY]).explains("pipeline list");
    user.does(&["pipeline", "revoke", NOBODY]).explains("pipeline list");
    user.does(&["pipeline", "revoke", &second, "--agent", &of_first]).explains("pipeline status");
    user.does(&["pipeline", "revoke", &second, "--agent", "alpha-nobody"]).explains("pipeline status");
    user.does(&["pipeline", "revoke", &second, "--agent", "a:b"]).explains("`:`");
    user.does(&["pipeline", "revoke", &second, "--type", "whim"]).explains("manual");
    for id in ["a:b", "", "../x"] {
        user.does(&["pipeline", "stop", id]).explains("");
        user.does(&["pipeline", "revoke", id]).explains("");
    }
    user.does(&["pipeline", "stop"]).explains("");
    for id in [first, second] {
        assert_eq!(user.object(&["pipeline", "status", &id])["state"]["status"], "COMPLETED");
    }
    let nothing = User::default();
    nothing.does(&["pipeline", "stop", NOBODY]).explains("governance run");
    assert!(!nothing.home().exists(), "who stops nothing makes nothing");
    begun().does(&["pipeline", "revoke", NOBODY]).explains("pipeline list");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_whose_agents_join_by_themselves_is_ended_by_whoever_began_it_and_never_continued() {
    let user = User::default();
    let governance = Governance::open(user.config()).await.unwrap();
    let pipeline = governance.begin("Design a caching strategy").await.unwrap();
    let (user, id) = (std::sync::Arc::new(user), pipeline.to_string());
    let asked = user.clone();
    tokio::task::spawn_blocking(move || {
        asked.does(&["pipeline", "continue", &id]).explains("its agents join by themselves");
        asked.does(&["pipeline", "give-up", &id]).explains("its agents join by themselves");
    })
    .await
    .unwrap();
    governance.end(&pipeline).await.unwrap();
    let late = governance.agent("alpha", &pipeline, Joining::default()).await.unwrap_err();
    assert_eq!(late.code(), "already_ended");
    // Of many runs that stay stopped people are shown the first.
    for number in 0..8 {
        let run = PipelineId::new(format!("run-{number}")).unwrap();
        governance.admissions().begin_pipeline(&run, "try it").await.unwrap();
        let owned = Commit::default().raise(governance.store().keys().pipeline_owner_fence(&run));
        governance.store().apply(owned).await.unwrap();
    }
    governance.revocations().stop_all("a drill").await.unwrap();
    let told = tokio::task::spawn_blocking(move || {
        assert_eq!(user.objects(&["pipeline", "list"]).iter().filter(|run| run["status"] == "COMPLETED").count(), 1);
        user.does(&["stop", "--lift", "--reason", "it is over"])
    });
    let told = told.await.unwrap();
    assert_eq!((told.out.matches("stays stopped: ").count(), told.out.contains("and 3 more")), (5, true), "{told:?}");
    governance.close().await.unwrap();
}

/// The end of a terminal ends it, also where whoever runs the tests was told to outlive theirs.
const USUAL: &str = "exec env --default-signal=HUP";

/// A run that waits for a slow model.
fn slow(user: &User, words: &str) -> Living {
    let script = user.path("slow.yaml");
    std::fs::write(&script, "version: 1\nsteps:\n  - {agent: alpha, on: propose, do: {slow: 30s}}\n").unwrap();
    let line = format!("{words} \"$0\" run \"{CACHE}\" --json --script {}", script.display());
    let mut command = user.command([""; 0]);
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &line]).arg(command.get_program()).current_dir(user.path("."));
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command = shell;
    let mut run = Living::spawn(command);
    run.until("RUNNING");
    run
}

/// Freezes a run at a moment at which it holds no file locked.
fn freeze(user: &User, run: &Living) {
    let is_free = |name: &str| {
        let database = rusqlite::Connection::open(user.home().join(name)).unwrap();
        database.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
    };
    for _ in 0..100 {
        signal(run.pid(), Signal::STOP);
        if is_free("state.db") && is_free("governance.db") {
            return;
        }
        signal(run.pid(), Signal::CONT);
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it never lets go of its files");
}

/// Every agent of the newest run by both lists: its state and its health.
fn how_agents_are(user: &User) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let status = user.object(&["pipeline", "status"]);
    let sitting: Vec<_> = status["agents"].as_array().unwrap().iter().map(|agent| text(&agent["status"])).collect();
    let id = text(&status["pipeline_id"]);
    let listed = user.objects(&["agents", "list", "--pipeline", &id]);
    let mut listed: Vec<_> = listed.iter().map(|agent| (text(&agent["id"]), text(&agent["status"]), text(&agent["health"]))).collect();
    listed.sort();
    assert_eq!(sitting, listed.iter().map(|(_, status, _)| status.clone()).collect::<Vec<_>>(), "both say the same");
    listed.into_iter().map(|(_, status, health)| (status, health)).collect()
}

#[test]
fn the_end_of_its_terminal_stops_a_run_but_for_one_that_outlives_it() {
    let user = User::default();
    let run = slow(&user, USUAL);
    signal(run.pid(), Signal::HUP);
    let answer = run.end();
    assert_eq!((answer.code, &answer.last_object()["status"]), (Some(3), &"STOPPED".into()), "{answer:?}");
    let mut deaf = slow(&user, "trap '' HUP; exec");
    signal(deaf.pid(), Signal::HUP);
    std::thread::sleep(Duration::from_millis(500));
    assert!(deaf.goes(), "as `nohup` would have it");
    deaf.interrupt();
    assert_eq!(deaf.end().code, Some(3));
}

#[test]
fn the_agents_of_a_stopped_run_are_shown_as_stopped_until_it_goes_on() {
    let user = User::default();
    let run = slow(&user, USUAL);
    let end = Instant::now() + Duration::from_secs(30);
    while user.object(&["pipeline", "status"])["agents"].as_array().unwrap().iter().any(|agent| agent["status"] != "running") {
        assert!(Instant::now() < end, "they do not run: {:?}", how_agents_are(&user));
    }
    assert!(how_agents_are(&user).iter().all(|(status, _)| status == "running"), "{:?}", how_agents_are(&user));
    run.interrupt();
    assert_eq!(run.end().code, Some(3));
    // At once, while their last heartbeats would still count.
    assert_eq!(how_agents_are(&user), vec![("stopped".to_owned(), "ended".to_owned()); 2]);
    for shown in [user.does(&["pipeline", "status"]).out, user.does(&["agents", "list"]).out] {
        assert!(shown.matches("stopped").count() >= 2 && !shown.contains("running") && !shown.contains("healthy"), "{shown}");
    }
    assert!(user.objects(&["agents", "list", "--status", "running"]).is_empty());
    assert_eq!(user.does(&["pipeline", "continue"]).code, Some(0));
    assert!(how_agents_are(&user).iter().all(|(status, _)| status == "completed"));
}

#[test]
fn an_agent_of_a_stopped_run_waits_for_no_approval() {
    let (user, id) = settled(DISPUTED);
    user.registers_ann();
    let mut run = user.start(&["pipeline", "fallback", &id, "escalate_tier", "--json"]);
    let approval = user.awaits(&mut run)["approval_id"].as_str().unwrap().to_owned();
    assert!(user.does(&["pipeline", "status"]).out.contains(&approval));
    run.interrupt();
    assert_eq!(run.end().code, Some(3));
    for words in [["pipeline", "status"], ["agents", "list"]] {
        let (text, json) = (user.does(&words).out, user.does(&[words.as_slice(), &["--json"]].concat()).out);
        assert!(!text.contains("waits for") && !json.contains("waits_for"), "{text}{json}");
    }
}

#[test]
fn a_run_that_nobody_carries_out_any_more_says_so_and_how_it_goes_on() {
    let user = User::default();
    let mut run = slow(&user, USUAL);
    assert_eq!(user.object(&["pipeline", "status"])["orphaned"], false);
    run.kill();
    let end = Instant::now() + Duration::from_secs(30);
    // Its lease lapses first.
    while user.object(&["pipeline", "status"])["orphaned"] != true {
        assert!(Instant::now() < end, "not in time");
        std::thread::sleep(Duration::from_millis(200));
    }
    let shown = user.does(&["pipeline", "status"]).out;
    assert!(shown.contains("nobody carries this run out") && shown.contains("governance pipeline continue pipeline-"), "{shown}");
    assert_eq!(user.does(&["pipeline", "continue"]).code, Some(0));
    assert_eq!(user.object(&["pipeline", "status"])["orphaned"], false);
}

#[test]
fn what_is_in_force_is_said_before_anybody_is_waited_for() {
    let user = User::default();
    let mut run = slow(&user, USUAL);
    run.until(r#""done":"work""#);
    let id = agents(&user)[0].clone();
    // Frozen, it confirms nothing.
    freeze(&user, &run);
    for (words, said) in [(vec!["revoke", &id], "revoked"), (vec!["stop", "--all", "--json"], "in_force")] {
        let mut stop = user.start(&[words.as_slice(), &["--within", "3"]].concat());
        let first = stop.until(said);
        let began = Instant::now();
        assert!(stop.goes(), "{first}");
        let rest = stop.end();
        assert!(began.elapsed() > Duration::from_secs(1), "it was waited for: {rest:?}");
        if said == "in_force" {
            let first: Value = serde_json::from_str(&first).unwrap();
            assert_eq!((&first["in_force"], &first["stopped"]), (&true.into(), &"all".into()));
        }
    }
    signal(run.pid(), Signal::CONT);
    run.end();
    // The advice works as it stands.
    let health = user.does(&["health"]).out;
    assert!(health.contains("governance stop --lift --reason"), "{health}");
}
