//! `governance pipeline status`.

use serde_json::json;

use super::consensus::failure_context;
use super::printer::{BAD, BOLD, DIM, GOOD, Printer, WARN, moment, short};
use crate::error::Result;
use crate::governance::Governance;
use crate::guard::{Agent, Revocation};
use crate::orchestrator::retired;
use crate::store::Fields;
use crate::vocabulary::{AgentStatus, FallbackAction, Millis, PipelineId, PipelineStatus};

/// What an agent is shown as. One whose run is over before it ended is `stopped`, which is never stored.
pub fn shown_as(status: AgentStatus, is_over: bool) -> &'static str {
    if is_over && !status.is_final() { "stopped" } else { status.as_str() }
}

pub async fn status(governance: &Governance, named: Option<String>, printer: &Printer) -> Result<()> {
    let chosen = super::chosen(governance, named.clone()).await;
    let id = &match (chosen, named) {
        (Err(error), Some(named)) if error.code() == "retired" => return let_go(governance, &PipelineId::new(named)?, printer).await,
        (chosen, _) => chosen?,
    };
    let state = governance.store().state(governance.store().keys().pipeline(id)).await?.unwrap_or_default();
    let (mut agents, mut revocations) = (governance.admissions().agents(id).await?, Vec::new());
    agents.sort_by_key(|agent| (agent.role, agent.id.clone()));
    for agent in &agents {
        revocations.extend(governance.revocations().revocation_of(&agent.id).await?);
    }
    // Where the run is over, an agent is no longer what it was last, and waits for nobody.
    let is_over = state.field("status").parse().is_ok_and(PipelineStatus::is_final);
    let mut shown = json!(agents);
    for (object, agent) in shown.as_array_mut().into_iter().flatten().zip(&mut agents) {
        object["status"] = shown_as(agent.status, is_over).into();
        if is_over && !agent.status.is_final() {
            object.as_object_mut().map(|object| object.remove("waits_for"));
            agent.waits_for = None;
        }
    }
    let orphaned = is_orphaned(governance, id, &state).await?;
    let mut diagnoses = Vec::new();
    for revoked in &revocations {
        diagnoses.extend(governance.revocations().diagnosis_of(&revoked.agent_id).await?);
    }
    let waits = state.field("awaiting_user") == "true";
    let choices: &[FallbackAction] = if waits { FallbackAction::ALL } else { &[] };
    if printer.json {
        let context = failure_context(governance, id).await?;
        return printer.object(
            &json!({"pipeline_id": id, "state": state.fields, "agents": shown, "revocations": revocations, "diagnoses": diagnoses,
            "orphaned": orphaned, "awaiting_user": waits, "fallbacks": choices, "failure_context": context}),
        );
    }
    printer.line(format!("{id}  {}  {}", coloured(state.field("status"), waits), short(state.field("objective"), 200)))?;
    for (field, told) in [("created_at", "begun"), ("orchestration_started_at", "orchestration begun")] {
        if let Ok(at) = state.field(field).parse() {
            printer.line(format!("  {DIM}{told} {}{DIM:#}", moment(Millis(at))))?;
        }
    }
    if !state.field("reason").is_empty() {
        printer.line(format!("  {}", short(state.field("reason"), 400)))?;
    }
    for agent in &agents {
        printer.line(sits(agent, is_over, revocations.iter().find(|revocation| revocation.agent_id == agent.id)))?;
    }
    for diagnosis in &diagnoses {
        printer.line(format!("  {BOLD}diagnosis of {}{BOLD:#}: {}", diagnosis.agent_id, short(&diagnosis.why, 400)))?;
        diagnosis.attempts.iter().try_for_each(|attempt| printer.line(format!("    {DIM}try:{DIM:#} {}", short(attempt, 200))))?;
    }
    if orphaned {
        printer.line(format!(
            "{WARN}nobody carries this run out any more, its process has ended: go on with `governance pipeline continue {id}`{WARN:#}"
        ))?;
    }
    told(id, &state, choices, printer)
}

/// Whether a run should be carried out and is not: whoever did has lost its lease, which lapses a few seconds after its process.
async fn is_orphaned(governance: &Governance, id: &PipelineId, state: &Fields) -> Result<bool> {
    let (store, keys) = (governance.store(), governance.store().keys());
    // At its report a run may wait for its user, which is told as that.
    let should = super::under_way(state) && state.field("status") != PipelineStatus::Report.as_str();
    // The agents of a pipeline that nobody ever owned join by themselves.
    Ok(should && store.number(keys.pipeline_owner_fence(id)).await? > 0 && store.cell(keys.pipeline_owner(id)).await?.is_none())
}

/// A run that the shared state has let go of: what the record says of it.
async fn let_go(governance: &Governance, id: &PipelineId, printer: &Printer) -> Result<()> {
    let Some(was) = retired(governance.ledger(), id).await? else { return Ok(()) };
    let object = json!({"pipeline_id": id, "retired": true, "state": {"status": was.status, "created_at": was.created_at,
        "ended_at": was.ended_at, "retired_at": was.retired_at}, "agents": [], "revocations": [], "diagnoses": [], "orphaned": false, "awaiting_user": false,
        "fallbacks": [], "failure_context": null});
    printer.either(&object, || {
        let times = [("begun", was.created_at), ("ended", was.ended_at), ("retired", was.retired_at)];
        let times: Vec<_> = times.iter().map(|(told, at)| format!("  {DIM}{told} {}{DIM:#}", moment(*at))).collect();
        format!("{id}  {}  {WARN}retired{WARN:#}\n{}\n  {}", coloured(was.status.as_str(), false), times.join("\n"), record_of(id))
    })
}

/// Where to find what a retired run did.
pub fn record_of(id: &PipelineId) -> String {
    format!("what it did is in the record: `governance ledger list --pipeline {id}`")
}

/// What the run waits for, and what its user can do about it.
fn told(id: &PipelineId, state: &Fields, choices: &[FallbackAction], printer: &Printer) -> Result<()> {
    if !choices.is_empty() {
        printer.line(format!("{WARN}the votes closed without a decision: choose with `governance pipeline fallback {id} ACTION`, or `pipeline give-up {id}`{WARN:#}"))?;
    } else if state.field("status") == PipelineStatus::Report.as_str() {
        printer.line(format!("{WARN}the reports are written: go on with `governance pipeline continue {id}`{WARN:#}"))?;
    }
    choices.iter().try_for_each(|choice| printer.line(format!("  {BOLD}{choice:<15}{BOLD:#} {}", does(*choice))))
}

fn sits(agent: &Agent, is_over: bool, revocation: Option<&Revocation>) -> String {
    let style = match is_over || agent.status.is_final() {
        _ if revocation.is_some() => BAD,
        true => DIM,
        false => BOLD,
    };
    let why = revocation.map_or(String::new(), |why| format!("  {}: {}", why.kind, short(&why.reason, 200)));
    let waits = agent.waits_for.as_ref().map_or(String::new(), |approval| format!("  waits for {WARN}{approval}{WARN:#}"));
    let again = match agent.restarts {
        0 => String::new(),
        1 => "  started again once".to_owned(),
        restarts => format!("  started again {restarts} times"),
    };
    format!(
        "  {:<14} {:<6} {} {style}{:<10}{style:#} {:<9} {DIM}{}{DIM:#}{again}{waits}{why}",
        agent.id,
        agent.role,
        agent.tier,
        shown_as(agent.status, is_over),
        agent.phase,
        agent.runtime
    )
}

/// A run's state in the colour of what it means.
pub fn coloured(status: &str, waits: bool) -> String {
    let style = match status.parse::<PipelineStatus>() {
        _ if waits => WARN,
        Ok(PipelineStatus::Completed) => GOOD,
        Ok(status) if status.is_final() => BAD,
        _ => BOLD,
    };
    format!("{style}{status:<14}{style:#}")
}

fn does(choice: FallbackAction) -> &'static str {
    match choice {
        FallbackAction::RerunSame => "fresh ALPHA and BETA, told what stood in the way",
        FallbackAction::RerunGamma => "the same, with the mediator GAMMA",
        FallbackAction::EscalateTier => "more permissions, then another try",
        FallbackAction::AcceptPartial => "take the best proposal as the decision: COMPLETED",
        FallbackAction::DownloadLog => "write the full context out; the run goes on waiting",
    }
}
