//! `governance pipeline status`.

use serde_json::json;

use super::consensus::failure_context;
use super::printer::{BAD, BOLD, DIM, GOOD, Printer, WARN, moment, short};
use crate::error::Result;
use crate::governance::Governance;
use crate::guard::{Agent, Revocation};
use crate::orchestrator::retired;
use crate::store::Fields;
use crate::vocabulary::{FallbackAction, Millis, PipelineId, PipelineStatus};

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
    let mut diagnoses = Vec::new();
    for revoked in &revocations {
        diagnoses.extend(governance.revocations().diagnosis_of(&revoked.agent_id).await?);
    }
    let waits = state.field("awaiting_user") == "true";
    let choices: &[FallbackAction] = if waits { FallbackAction::ALL } else { &[] };
    if printer.json {
        let context = failure_context(governance, id).await?;
        return printer.object(
            &json!({"pipeline_id": id, "state": state.fields, "agents": agents, "revocations": revocations, "diagnoses": diagnoses,
            "awaiting_user": waits, "fallbacks": choices, "failure_context": context}),
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
        printer.line(sits(agent, revocations.iter().find(|revocation| revocation.agent_id == agent.id)))?;
    }
    for diagnosis in &diagnoses {
        printer.line(format!("  {BOLD}diagnosis of {}{BOLD:#}: {}", diagnosis.agent_id, short(&diagnosis.why, 400)))?;
        diagnosis.attempts.iter().try_for_each(|attempt| printer.line(format!("    {DIM}try:{DIM:#} {}", short(attempt, 200))))?;
    }
    told(id, &state, choices, printer)
}

/// A run that the shared state has let go of: what the record says of it.
async fn let_go(governance: &Governance, id: &PipelineId, printer: &Printer) -> Result<()> {
    let Some(was) = retired(governance.ledger(), id).await? else { return Ok(()) };
    let object = json!({"pipeline_id": id, "retired": true, "state": {"status": was.status, "created_at": was.created_at,
        "ended_at": was.ended_at, "retired_at": was.retired_at}, "agents": [], "revocations": [], "diagnoses": [], "awaiting_user": false,
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

fn sits(agent: &Agent, revocation: Option<&Revocation>) -> String {
    let style = match agent.status.is_final() {
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
        agent.id, agent.role, agent.tier, agent.status, agent.phase, agent.runtime
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
