//! `governance budget`.

use std::process::ExitCode;

use serde_json::json;

use super::args::Budget;
use super::printer::{BAD, BOLD, DIM, GOOD, Printer, WARN, short};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::governance::Governance;
use crate::guard::{Agent, ErrorBudget, Faults, Unit, Usage};
use crate::ledger::Action;
use crate::store::Actor;
use crate::vocabulary::{AgentId, FaultLimits};

pub async fn budget(config: Config, command: Budget, printer: &Printer) -> Result<ExitCode> {
    let governance = match command {
        Budget::Show { id } => {
            let governance = super::existing(config).await?;
            let pipeline = super::chosen(&governance, id).await?;
            let mut agents = governance.admissions().agents(&pipeline).await?;
            agents.sort_by_key(|agent| (agent.role, agent.id.clone()));
            if agents.is_empty() {
                printer.note(format!("no agent has begun in `{pipeline}` yet"))?;
            }
            for agent in agents {
                show(&governance, &agent, printer).await?;
            }
            governance
        }
        Budget::Set { agent, unit, limit } => {
            let agent = AgentId::new(agent)?;
            let governance = super::existing(config).await?;
            set(&governance, &agent, unit, limit, printer).await?;
            governance
        }
    };
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}

async fn budget_of(governance: &Governance, agent: &Agent) -> Result<ErrorBudget> {
    let actor = Actor { id: agent.id.clone(), pipeline: agent.pipeline.clone(), ..governance.actor("operator").await? };
    Ok(governance.budget(&actor))
}

async fn show(governance: &Governance, agent: &Agent, printer: &Printer) -> Result<()> {
    let budget = budget_of(governance, agent).await?;
    let mut usages = Vec::new();
    for unit in Unit::ALL {
        usages.extend(budget.usage(*unit).await?);
    }
    let (faults, limits) = (budget.faults().await?, budget.fault_limits());
    let object = json!({"agent_id": agent.id, "status": agent.status, "spend": usages, "faults": faults, "fault_limits": limits});
    printer.either(&object, || {
        let mut lines = vec![format!("{BOLD}{}{BOLD:#}  {DIM}{} {} {}{DIM:#}", agent.id, agent.role, agent.tier, agent.status)];
        lines.extend(usages.iter().map(spent));
        if usages.is_empty() {
            lines.push("  nothing granted".to_owned());
        }
        lines.extend(faulty(&faults, &limits));
        lines.join("\n")
    })
}

async fn set(governance: &Governance, id: &AgentId, unit: Unit, limit: u64, printer: &Printer) -> Result<()> {
    let missing =
        || Error::new(ErrorKind::NotFound, "no_such_agent", format!("there is no agent `{id}`: see `governance pipeline status`"));
    let agent = governance.admissions().agent(id).await?.ok_or_else(missing)?;
    if agent.status.is_final() {
        let message = format!("`{id}` has ended ({}), and spends nothing more", agent.status);
        return Err(Error::new(ErrorKind::Conflict, "agent_ended", message));
    }
    let (budget, by) = (budget_of(governance, &agent).await?, governance.actor("operator").await?);
    let payload = json!({"unit": unit, "limit": limit});
    let (recorder, subject) = (governance.recorder(), (Some(&agent.id), agent.pipeline.as_ref()));
    recorder.record(governance.store(), Action::Policy, subject, &payload, async |_| budget.grant(&by, unit, limit).await).await?;
    let usage = budget.usage(unit).await?;
    printer.either(&json!({"agent_id": id, "usage": usage}), || {
        format!("{GOOD}set{GOOD:#} {id}\n{}", usage.as_ref().map(spent).unwrap_or_default())
    })
}

fn spent(usage: &Usage) -> String {
    let percent = usage.used.saturating_mul(100).checked_div(usage.limit).unwrap_or(100);
    let style = match percent {
        _ if usage.closed => BAD,
        100.. => BAD,
        80.. => WARN,
        _ => GOOD,
    };
    let closed = if usage.closed { ", closed by an overrun" } else { "" };
    format!(
        "  {:<12} {style}{} left{style:#}  {} of {} used or reserved ({percent} %){closed}",
        usage.unit.as_str(),
        usage.remaining(),
        usage.used,
        usage.limit
    )
}

fn faulty(faults: &Faults, limits: &FaultLimits) -> Vec<String> {
    let counted = |what: &str, count: u32, limit: u32| {
        let style = if count > limit {
            BAD
        } else if u64::from(count) * 5 >= u64::from(limit) * 4 && count > 0 {
            WARN
        } else {
            GOOD
        };
        format!("  {what:<12} {style}{count}{style:#} of {limit}")
    };
    let mut lines = vec![
        counted("errors", faults.total_errors, limits.max_total_errors),
        counted("violations", faults.procedure_violations, limits.max_procedure_violations),
    ];
    if let Some((print, count)) = faults.by_fingerprint.iter().max_by_key(|(_, count)| **count) {
        lines.push(format!("{}  {DIM}{}{DIM:#}", counted("same error", *count, limits.max_same_error_repeats), short(print, 80)));
    }
    lines
}
