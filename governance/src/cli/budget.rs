//! `governance budget`.

use std::process::ExitCode;

use serde_json::json;

use super::args::Budget;
use super::printer::{BOLD, Printer};
use crate::config::Config;
use crate::error::Result;
use crate::guard::Unit;
use crate::store::Actor;

pub async fn budget(config: Config, command: Budget, printer: &Printer) -> Result<ExitCode> {
    let Budget::Show { id } = command;
    let governance = super::existing(config).await?;
    let pipeline = super::chosen(&governance, id).await?;
    for agent in governance.admissions().agents(&pipeline).await? {
        let actor = Actor { id: agent.id.clone(), pipeline: agent.pipeline.clone(), ..governance.actor("operator").await? };
        let budget = governance.budget(&actor);
        let mut usages = Vec::new();
        for unit in Unit::ALL {
            usages.extend(budget.usage(*unit).await?);
        }
        let (faults, limits) = (budget.faults().await?, budget.fault_limits());
        printer.either(&json!({"agent_id": agent.id, "spend": usages, "faults": faults, "fault_limits": limits}), || {
            let spent: Vec<_> = usages.iter().map(|u| format!("{} of {} {} left", u.remaining(), u.limit, u.unit)).collect();
            let spent = if spent.is_empty() { "nothing granted".to_owned() } else { spent.join(", ") };
            format!(
                "{BOLD}{}{BOLD:#}  {spent}; {} of {} errors, {} of {} procedure violations",
                agent.id, faults.total_errors, limits.max_total_errors, faults.procedure_violations, limits.max_procedure_violations
            )
        })?;
    }
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}
