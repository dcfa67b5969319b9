//! `governance budget`.

use std::process::ExitCode;

use serde_json::json;

use super::args::{Budget, Whose};
use super::printer::{BAD, BOLD, DIM, GOOD, Printer, WARN, short};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::governance::Governance;
use crate::guard::limits::{Scope, ScopeUsage};
use crate::guard::{Agent, ErrorBudget, Faults, Unit, Usage};
use crate::store::Actor;
use crate::vocabulary::{AgentId, FaultLimits, PipelineId};

pub async fn budget(config: Config, command: Budget, printer: &Printer) -> Result<ExitCode> {
    // What is wrong with the words is told before anything is opened.
    let wanted = match &command {
        Budget::Set { whose, words } => Some(wanted(whose, words)?),
        Budget::Show { .. } | Budget::List => None,
    };
    let governance = super::existing(config).await?;
    match (command, wanted) {
        (Budget::Set { .. }, Some((named, unit, limit))) => {
            let scope = scope(&governance, named).await?;
            set(&governance, &scope, unit, limit, printer).await?;
        }
        (Budget::Show { id, whose }, _) => match Named::of(&whose) {
            Some(Named::Agent(id)) => show(&governance, &agent(&governance, &AgentId::new(id)?).await?, printer).await?,
            Some(named) => {
                let scope = scope(&governance, named).await?;
                if !limits(&governance, &scope, printer).await? {
                    printer.note(format!("nothing limits the {scope}"))?;
                }
            }
            None => run(&governance, super::chosen(&governance, id).await?, printer).await?,
        },
        _ => list(&governance, printer).await?,
    }
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}

/// Whose limit is meant.
enum Named {
    Agent(String),
    Pipeline(String),
    Tenant,
}

impl Named {
    fn of(whose: &Whose) -> Option<Self> {
        match whose {
            Whose { agent: Some(id), .. } => Some(Self::Agent(id.clone())),
            Whose { pipeline: Some(id), .. } => Some(Self::Pipeline(id.clone())),
            Whose { tenant: true, .. } => Some(Self::Tenant),
            _ => None,
        }
    }
}

/// Whose limit of what is set to how much; none takes it away.
fn wanted(whose: &Whose, words: &[String]) -> Result<(Named, Unit, Option<u64>)> {
    let wrong = |what: String| Error::invalid("usage", format!("{what}; see `governance --help`"));
    let (named, unit, limit) = match (Named::of(whose), words) {
        (Some(named), [unit, limit]) => (named, unit, limit),
        (None, [agent, unit, limit]) => (Named::Agent(agent.clone()), unit, limit),
        _ => {
            let message = "say whose limit it is once, of what and how much, as in `governance budget set alpha-7f3k2q calls 100` or \
                           `governance budget set --tenant calls_per_minute 600`";
            return Err(wrong(message.to_owned()));
        }
    };
    let unit = unit.parse::<Unit>().map_err(|error| wrong(error.to_string()))?;
    let number = |_| wrong(format!("`{}` is neither a whole number nor `none`", limit.escape_debug()));
    Ok((named, unit, if limit == "none" { None } else { Some(limit.parse().map_err(number)?) }))
}

async fn agent(governance: &Governance, id: &AgentId) -> Result<Agent> {
    let missing =
        || Error::new(ErrorKind::NotFound, "no_such_agent", format!("there is no agent `{id}`: see `governance pipeline status`"));
    governance.admissions().agent(id).await?.ok_or_else(missing)
}

/// The scope that was named.
async fn scope(governance: &Governance, named: Named) -> Result<Scope> {
    match named {
        Named::Agent(id) => Ok(Scope::Agent(AgentId::new(id)?)),
        Named::Pipeline(id) => Ok(Scope::Pipeline(super::chosen(governance, Some(id)).await?)),
        Named::Tenant => Ok(Scope::Tenant),
    }
}

async fn budget_of(governance: &Governance, agent: &Agent) -> Result<ErrorBudget> {
    let actor = Actor { id: agent.id.clone(), pipeline: agent.pipeline.clone(), ..governance.actor("operator").await? };
    Ok(governance.budget(&actor))
}

async fn run(governance: &Governance, pipeline: PipelineId, printer: &Printer) -> Result<()> {
    limits(governance, &Scope::Tenant, printer).await?;
    limits(governance, &Scope::Pipeline(pipeline.clone()), printer).await?;
    let mut agents = governance.admissions().agents(&pipeline).await?;
    agents.sort_by_key(|agent| (agent.role, agent.id.clone()));
    if agents.is_empty() {
        printer.note(format!("no agent has begun in `{pipeline}` yet"))?;
    }
    for agent in agents {
        show(governance, &agent, printer).await?;
    }
    Ok(())
}

async fn list(governance: &Governance, printer: &Printer) -> Result<()> {
    let mut any = limits(governance, &Scope::Tenant, printer).await?;
    for (id, state) in super::listed(governance, governance.store().keys().pipelines_open()).await? {
        if !super::under_way(&state) {
            continue;
        }
        any |= limits(governance, &Scope::Pipeline(id.clone()), printer).await?;
        for agent in governance.admissions().agents(&id).await?.into_iter().filter(|agent| !agent.status.is_final()) {
            any |= limits(governance, &Scope::Agent(agent.id), printer).await?;
        }
    }
    if !any {
        printer.note("no limit was set")?;
    }
    Ok(())
}

/// Prints the limits that were set for a scope. False if none was.
async fn limits(governance: &Governance, scope: &Scope, printer: &Printer) -> Result<bool> {
    let usages: Vec<_> = governance.limits().usage(std::slice::from_ref(scope)).await?.into_iter().map(|found| found.usage).collect();
    if usages.is_empty() {
        return Ok(false);
    }
    printer.either(&json!({"scope": scope.name(), "of": scope.id(), "spend": usages}), || {
        let mut lines = vec![format!("{BOLD}{scope}{BOLD:#}")];
        lines.extend(usages.iter().map(spent));
        lines.join("\n")
    })?;
    Ok(true)
}

async fn show(governance: &Governance, agent: &Agent, printer: &Printer) -> Result<()> {
    let budget = budget_of(governance, agent).await?;
    let found = governance.limits().usage(&[Scope::Agent(agent.id.clone())]).await?;
    let usages: Vec<_> = found.into_iter().map(|found| found.usage).collect();
    let (faults, limits) = (budget.faults().await?, governance.agent_record(&agent.id).await?.fault_limits);
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

async fn set(governance: &Governance, scope: &Scope, unit: Unit, limit: Option<u64>, printer: &Printer) -> Result<()> {
    let (limits, by) = (governance.limits(), governance.actor("operator").await?);
    match limit {
        Some(limit) => limits.set(&by, scope, unit, limit).await?,
        None => limits.unset(&by, scope, unit).await?,
    }
    let found: Vec<ScopeUsage> = limits.usage(std::slice::from_ref(scope)).await?;
    let usage = found.into_iter().map(|found| found.usage).find(|usage| usage.unit == unit);
    let mut object = json!({"scope": scope.name(), "of": scope.id(), "unit": unit, "usage": usage});
    if let Scope::Agent(id) = scope {
        object["agent_id"] = json!(id);
    }
    printer.either(&object, || {
        let now = usage.as_ref().map_or_else(|| format!("  {unit} is not limited there"), spent);
        format!("{GOOD}set{GOOD:#} {scope}\n{now}")
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
        "  {:<16} {style}{} left{style:#}  {} of {} used or reserved ({percent} %){closed}",
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
