//! `pipeline status`, `logs`, `consensus` and `budget`: what is going on in a run.

use governance::vocabulary::FallbackAction;
use governance_tests::program::{Living, User};
use serde_json::{Value, json};

use super::{CACHE, DISPUTED, NOBODY, agents, begun, redis, settled, under_way};

#[test]
fn a_run_that_waits_tells_its_user_what_can_be_done() {
    let (user, id) = settled(DISPUTED);
    let shown = user.object(&["pipeline", "show", &id]);
    assert_eq!(shown["awaiting_user"], true);
    assert_eq!(shown["fallbacks"], json!(["rerun_same", "rerun_gamma", "escalate_tier", "accept_partial", "download_log"]));
    assert_eq!(shown["failure_context"]["proposals"].as_array().unwrap().len(), 3, "{shown}");
    let told = user.does(&["pipeline", "status"]).out;
    assert!(FallbackAction::ALL.iter().all(|choice| told.contains(choice.as_str())), "{told}");
    assert!(told.contains("without a decision") && told.contains("begun 20"), "{told}");
    assert!(user.does(&["pipeline", "list"]).out.contains("waits for you"));
}

#[test]
fn a_run_that_has_ended_waits_for_nothing() {
    let (user, id) = settled(CACHE);
    let shown = user.object(&["pipeline", "status", &id]);
    assert_eq!((&shown["awaiting_user"], &shown["fallbacks"], &shown["failure_context"]), (&json!(false), &json!([]), &Value::Null));
    for agent in shown["agents"].as_array().unwrap() {
        assert_eq!((&agent["phase"], &agent["status"], &agent["tier"]), (&"EXIT".into(), &"completed".into(), &"T0".into()), "{agent}");
    }
    assert!(!user.does(&["pipeline", "show", &id]).out.contains("rerun_same"));
    assert!(!user.does(&["pipeline", "show", &id]).out.contains('\u{1b}'), "no colours in a pipe");
    let mut forced = user.command(["pipeline", "logs", &id]);
    forced.env("CLICOLOR_FORCE", "1");
    assert!(Living::spawn(forced).end().out.contains("\u{1b}["), "colours where they are wanted");
}

async fn logged(user: User) {
    let (user, outcome, seen) = under_way(user, |user, _, model| {
        let mut follower = user.start(&["pipeline", "logs", "--follow", "--json"]);
        let spawned = follower.until("agent_spawned");
        assert!(follower.goes(), "the run goes on, and so does who follows it");
        model.let_go();
        let answer = follower.end();
        assert_eq!(answer.code, Some(0), "{answer:?}");
        assert!(answer.out.contains(&spawned));
        answer.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    })
    .await;
    tokio::task::spawn_blocking(move || {
        let id = outcome.pipeline_id.to_string();
        assert_eq!(seen.last().unwrap()["type"], "orchestration_complete", "it was followed to its end");
        assert_eq!(user.objects(&["pipeline", "logs", &id]), seen, "whoever comes later sees the same");
        assert_eq!(user.objects(&["pipeline", "logs", &id, "--follow"]), seen, "following what has ended ends");
        assert_eq!(user.objects(&["pipeline", "logs", "--last", "2"]), seen[seen.len() - 2..]);
        assert_eq!(user.objects(&["pipeline", "logs", "--last", "0"]), Vec::<Value>::new());
        let told = user.does(&["pipeline", "logs", &id]).out;
        assert_eq!(told.lines().count(), seen.len());
        for words in ["orchestration begins", "decided: ", "the run has ended: COMPLETED", ": evaluate done"] {
            assert!(told.contains(words), "`{words}` is missing in {told}");
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_run_on_the_file_is_followed_to_its_end() {
    logged(User::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_run_on_redis_is_followed_to_its_end() {
    let (_folder, _server, user) = redis();
    logged(user).await;
}

/// Lines as an older version, a newer one or another program writes them.
#[tokio::test(flavor = "multi_thread")]
async fn lines_of_other_writers_are_shown_with_their_time_and_steer_no_terminal() {
    let (user, id) = settled(CACHE);
    let governance = governance::Governance::open(user.config()).await.unwrap();
    let list = governance.store().keys().pipeline_logs(&governance::vocabulary::PipelineId::new(&id).unwrap());
    let timed = r#"{"type":"pipeline_status","data":{"pipeline_id":"pipeline-1","status":"REPORT","reason":null},"at":3723004}"#;
    for line in [timed, r#"{"type":"of_tomorrow","data":7}"#, "45296789 by hand \u{1b}[2J", "no time"] {
        let push = governance::store::Write::Push { list: list.clone(), value: line.as_bytes().to_vec().into(), bound: 2_000 };
        governance.store().apply(governance::store::Commit::default().write(push)).await.unwrap();
    }
    governance.close().await.unwrap();
    tokio::task::spawn_blocking(move || {
        let told = user.does(&["pipeline", "logs", &id, "--last", "4"]).out;
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines[0], "01:02:03.004 pipeline-1 REPORT");
        assert!(lines[1].contains("of_tomorrow") && lines[3].ends_with("– no time"), "{told}");
        assert!(lines[2].starts_with("12:34:56.789 by hand") && !told.contains('\u{1b}'), "{told}");
        let objects = user.objects(&["pipeline", "logs", &id, "--last", "4"]);
        assert_eq!(objects[2], json!({"at": 45_296_789, "type": "text", "data": "by hand \u{1b}[2J"}));
        assert_eq!(objects[0]["at"], 3_723_004);
    })
    .await
    .unwrap();
}

#[test]
fn a_vote_is_shown_with_its_proposals_ballots_and_outcome() {
    let (user, id) = settled(CACHE);
    let shown = user.objects(&["pipeline", "consensus", &id]);
    assert_eq!(shown.len(), 1, "nothing stood in the way: {shown:?}");
    let decided = &shown[0]["proposal"]["state"]["closed"];
    assert_eq!(decided["outcome"], "decided", "{shown:?}");
    assert_eq!(shown[0]["ballots"].as_object().unwrap().len(), 2);
    let told = user.does(&["pipeline", "consensus"]).out;
    assert!(told.contains(&format!("decided: {}", decided["option"].as_str().unwrap())), "{told}");
    assert!(agents(&user).iter().all(|agent| told.contains(&format!("{agent} for "))), "{told}");
}

#[test]
fn a_vote_without_a_decision_says_why_and_what_is_kept_for_the_next_try() {
    let (user, id) = settled(DISPUTED);
    let shown = user.objects(&["pipeline", "consensus", &id]);
    assert_eq!(shown[0]["proposal"]["state"]["closed"]["outcome"], "undecided", "{shown:?}");
    assert_eq!(shown[1]["failure_context"]["status"], "ORCHESTRATING", "{shown:?}");
    let told = user.does(&["pipeline", "consensus", &id]).out;
    assert!(told.contains("undecided: a tie between") && told.contains("kept for the next try"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_vote_there_is_none_and_an_open_one_says_who_has_not_voted() {
    let (user, outcome, ()) = under_way(User::default(), |user, _, model| {
        let answer = user.does(&["pipeline", "consensus"]);
        assert!(answer.code == Some(0) && answer.out.is_empty() && answer.err.contains("nothing was put to the vote"), "{answer:?}");
        model.let_go();
    })
    .await;
    let governance = governance::Governance::open(user.config()).await.unwrap();
    let (actor, task) = (governance.actor("operator").await.unwrap(), outcome.pipeline_id.task());
    let opening = governance::coordination::Opening {
        question: json!("once more?"),
        options: vec!["yes".into(), "no".into()],
        rule: governance::coordination::DecisionRule::Majority,
        quorum: None,
        electorate: outcome.agents.iter().map(|agent| (agent.id.clone(), 1)).collect(),
        within: std::time::Duration::from_secs(60),
        sealed: false,
    };
    governance.consensus(&task, &actor).propose(&governance::vocabulary::ProposalId::new("again").unwrap(), opening).await.unwrap();
    tokio::task::spawn_blocking(move || {
        let told = user.does(&["pipeline", "consensus"]).out;
        assert!(told.contains("again  open") && told.matches("has not voted").count() == 2, "{told}");
        let shown = user.objects(&["pipeline", "consensus"]);
        let ids: Vec<_> = shown.iter().map(|shown| shown["proposal_id"].as_str().unwrap().to_owned()).collect();
        assert!(ids.len() == 2 && ids[1] == "again", "oldest first: {ids:?}");
    })
    .await
    .unwrap();
    governance.close().await.unwrap();
}

/// A run in a process of its own: below one in which agents sit, nobody sets a budget.
#[test]
fn a_budget_is_raised_lowered_and_recorded_while_its_agent_works() {
    let user = User::default();
    let script = user.path("slow.yaml");
    std::fs::write(&script, "version: 1\nsteps:\n  - {agent: alpha, on: propose, do: {slow: 6s}}\n").unwrap();
    let mut run = user.start(&["run", CACHE, "--json", "--script", script.to_str().unwrap()]);
    while run.object().is_some_and(|object| object["data"]["status"] != "RUNNING") {}
    let alpha = agents(&user).swap_remove(0);
    let set = user.object(&["budget", "set", &alpha, "calls", "100"]);
    assert_eq!((&set["usage"]["limit"], &set["usage"]["closed"]), (&100.into(), &false.into()), "{set}");
    user.object(&["budget", "set", &alpha, "tokens", "5000"]);
    let shown = user.objects(&["budget", "show"]);
    let spend = shown.iter().find(|shown| shown["agent_id"] == alpha.as_str()).unwrap()["spend"].clone();
    assert_eq!((&spend[0]["limit"], &spend[1]["limit"]), (&100.into(), &5000.into()), "{spend}");
    assert!(user.does(&["budget", "show"]).out.contains("of 5000 used or reserved"));
    user.does(&["budget", "set", &alpha, "hours", "1"]).explains("calls");
    user.does(&["budget", "set", &alpha, "calls", "-1"]).explains("");
    user.does(&["budget", "set", &alpha, "calls", "99999999999999999"]).explains("at most");
    user.does(&["budget", "set", "alpha-nobody", "calls", "1"]).explains("pipeline status");
    assert!(run.goes(), "all of that while it worked");
    assert_eq!(run.end().code, Some(0));
    let recorded = user.objects(&["ledger", "list", "--action", "policy"]);
    assert!(recorded.iter().any(|entry| entry["result"] == "ok") && recorded[0]["payload"].as_str().unwrap().contains("100"));
    user.does(&["budget", "set", &alpha, "calls", "1"]).explains("has ended");
}

#[test]
fn what_is_not_there_is_said_to_be_not_there() {
    let user = begun();
    assert!(user.does(&["pipeline", "list"]).err.contains("governance run"));
    for command in [["pipeline", "status"], ["pipeline", "logs"], ["pipeline", "consensus"], ["budget", "show"]] {
        user.does(&command).explains("governance run");
        user.does(&[command[0], command[1], NOBODY]).explains("pipeline list");
        user.does(&[command[0], command[1], "a:b"]).explains("`:`");
        User::default().does(&command).explains("governance run");
    }
    user.does(&["pipeline", "logs", "--last", "many"]).explains("");
}
