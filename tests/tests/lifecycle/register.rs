//! `governance agents list` and `show`: the register, on real runs and real agents.

use governance::Joining;
use governance::agent::{AgentFilter, AgentHealth};
use governance::guard::limits::Scope;
use governance::guard::{Fault, FaultCount, Unit};
use governance::vocabulary::{AgentRole, AgentStatus, Tier};
use governance_tests::program::User;
use governance_tests::world::until;

use super::{call, join, open};

#[test]
fn a_run_leaves_its_agents_in_the_register_with_what_they_put_out_and_showed() {
    let user = User::default();
    user.does(&["agents", "list"]).explains("governance run");
    let run = user.object(&["run", "Design a caching strategy"]);
    let agents = user.objects(&["agents", "list"]);
    assert_eq!(agents.len(), 2, "{agents:?}");
    let alpha = agents.iter().find(|agent| agent["role"] == "alpha").unwrap();
    assert_eq!((&alpha["profile"], &alpha["health"], &alpha["status"]), (&"alpha".into(), &"ended".into(), &"completed".into()));
    assert_eq!((&alpha["pipeline"], &alpha["phase"]), (&run["pipeline_id"], &"EXIT".into()));
    assert!(alpha["pid"].as_u64().is_some() && alpha["host"].as_str().is_some_and(|host| !host.is_empty()), "{alpha}");
    assert!(alpha["capabilities"].as_array().unwrap().contains(&"generate_plans".into()), "{alpha}");
    let id = alpha["id"].as_str().unwrap();
    let shown = user.object(&["agents", "show", id]);
    assert_eq!(shown["packet"]["objective"], "Design a caching strategy");
    assert_eq!((&shown["outputs"][0]["output_type"], &shown["evidence"]["evidence"][0]["name"]), (&"Gamma".into(), &"verification".into()));
    assert_eq!(shown["evidence"]["outputs"][0], shown["outputs"][0]["content_hash"]);
    assert!(shown["last_progress"].as_u64().is_some() && shown["revocation"].is_null(), "{shown}");
    let told = user.does(&["agents", "show", id]);
    for says in ["told          Design a caching strategy", "output        Gamma PACKAGE", "evidence      verification"] {
        assert!(told.out.contains(says), "{says}: {told:?}");
    }
    assert_eq!(user.objects(&["agents", "list", "--role", "beta", "--tier", "T0", "--status", "completed"]).len(), 1);
    assert_eq!(user.does(&["agents", "list", "--health", "healthy", "--json"]).out, "");
    assert_eq!(user.objects(&["agents", "list", "--pipeline", run["pipeline_id"].as_str().unwrap()]).len(), 2);
    user.does(&["agents", "show", "alpha-none"]).explains("alpha-none");
    user.does(&["agents", "list", "--health", "splendid"]);
    user.verified();
}

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_an_agents_signs_of_life() {
    let user = User::default();
    let (governance, pipeline) = open(&user).await;
    let alpha = join(&governance, "alpha", &pipeline, Tier::T1).await;
    let beta = join(&governance, "beta", &pipeline, Tier::T0).await;
    let id = alpha.desk().actor().id.clone();
    let health = async || governance.agent_record(&id).await.unwrap().record.health;
    assert_eq!(health().await, AgentHealth::Healthy);
    for number in 0..7 {
        alpha.desk().budget().fault(&Fault::Error { kind: format!("kind-{number}"), message: "x".into() }).await.unwrap();
    }
    assert_eq!(health().await, AgentHealth::Degraded);
    let only = |filter| {
        let governance = &governance;
        async move { governance.agents(&filter).await.unwrap().into_iter().map(|record| record.id).collect::<Vec<_>>() }
    };
    assert_eq!(only(AgentFilter { health: Some(AgentHealth::Degraded), ..AgentFilter::default() }).await, std::slice::from_ref(&id));
    assert_eq!(only(AgentFilter { tier: Some(Tier::T0), ..AgentFilter::default() }).await, [beta.desk().actor().id.clone()]);
    assert_eq!(
        only(AgentFilter { role: Some(AgentRole::Alpha), status: Some(AgentStatus::Running), ..AgentFilter::default() }).await.len(),
        1
    );
    // Its heartbeat is lost: the key is taken away, as its time does.
    let heartbeat = governance.store().keys().agent_heartbeat(&id);
    let gone = governance::store::Commit::default().write(governance::store::Write::Delete(heartbeat.into()));
    governance.store().apply(gone).await.unwrap();
    until("it is lost, or was revoked for it", async || matches!(health().await, AgentHealth::Lost | AgentHealth::Revoked)).await;
    beta.leave().await.unwrap();
    let ended = only(AgentFilter { health: Some(AgentHealth::Ended), ..AgentFilter::default() }).await;
    assert_eq!(ended, [beta.desk().actor().id.clone()]);
    governance.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_register_says_what_holds_for_an_agent_and_what_runs_it() {
    let user = User::default();
    let (governance, pipeline) = open(&user).await;
    let file = user.path("patient.yaml");
    let profile = "agent_id: patient\nagent_version: \"1.0\"\ntier: T1\nconstraints: {allowed_actions: [web.search]}\n\
                   governance: {error_budget: {max_total_errors: 100, max_same_error_repeats: 90, max_procedure_violations: 50}}\n";
    std::fs::write(&file, profile).unwrap();
    let joining = Joining { role: Some(AgentRole::Alpha), ..Joining::default() };
    let agent = governance.agent(file.to_str().unwrap(), &pipeline, joining).await.unwrap();
    let (id, budget) = (agent.desk().actor().id.clone(), agent.desk().budget());
    let error = Fault::Error { kind: "busy".into(), message: "try again".into() };
    for _ in 0..4 {
        assert_eq!(budget.fault(&error).await.unwrap(), FaultCount::Counted, "its profile is patient");
    }
    let scope = Scope::Agent(id.clone());
    governance.limits().set(&governance.actor("operator").await.unwrap(), &scope, Unit::CallsPerMinute, 5).await.unwrap();
    call(&agent, "web.search", None).await.unwrap();
    let usage = budget.usage(Unit::CallsPerMinute).await.unwrap().unwrap();
    assert!(usage.limit == 5 && usage.used > 0, "{usage:?}");
    let detail = governance.agent_record(&id).await.unwrap();
    assert!(detail.spend.contains(&usage), "{detail:?}");
    assert_eq!((detail.fault_limits.max_total_errors, detail.faults.total_errors), (100, 4));
    assert_eq!((detail.record.health, detail.record.runtime.as_str()), (AgentHealth::Healthy, "rust"));
    let shown = tokio::task::spawn_blocking(move || user.object(&["budget", "show", "--agent", id.as_str()])).await.unwrap();
    assert_eq!(shown["fault_limits"]["max_same_error_repeats"], 90, "{shown}");
    governance.close().await.unwrap();
}
