//! `governance pipeline`.

use std::process::ExitCode;

use serde_json::json;

use super::args::Pipeline;
use super::printer::{BOLD, DIM, Printer, clock, short};
use crate::config::Config;
use crate::error::Result;
use crate::vocabulary::Millis;

pub async fn pipeline(config: Config, command: Pipeline, printer: &Printer) -> Result<ExitCode> {
    let governance = super::existing(config).await?;
    match command {
        Pipeline::Continue { .. } | Pipeline::Fallback { .. } | Pipeline::GiveUp { .. } => {}
        Pipeline::List => {
            for (id, state) in super::pipelines(&governance).await? {
                let begun = Millis(state.field("created_at").parse().unwrap_or(0));
                let object = json!({"pipeline_id": id, "status": state.field("status"), "awaiting_user": state.field("awaiting_user") == "true",
                    "objective": state.field("objective"), "created_at": begun});
                printer.either(&object, || {
                    format!("{id}  {BOLD}{:<14}{BOLD:#}  {}  {}", state.field("status"), clock(begun), short(state.field("objective"), 70))
                })?;
            }
        }
        Pipeline::Status { id } => {
            let id = super::chosen(&governance, id).await?;
            let state = governance.store().state(governance.store().keys().pipeline(&id)).await?.unwrap_or_default();
            let agents = governance.admissions().agents(&id).await?;
            if printer.json {
                printer.object(&json!({"pipeline_id": id, "state": state.fields, "agents": agents}))?;
            } else {
                printer.line(format!("{id}  {BOLD}{}{BOLD:#}  {}", state.field("status"), short(state.field("objective"), 200)))?;
                if !state.field("reason").is_empty() {
                    printer.line(format!("  {}", short(state.field("reason"), 400)))?;
                }
                for agent in agents {
                    printer.line(format!(
                        "  {:<14} {:<6} {} {:<10} {} {DIM}{}{DIM:#}",
                        agent.id, agent.role, agent.tier, agent.status, agent.phase, agent.runtime
                    ))?;
                }
            }
        }
    }
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}
