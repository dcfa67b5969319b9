//! `governance checkpoint`.

use std::process::ExitCode;

use serde_json::Value;

use super::args::Checkpoint;
use super::printer::{BAD, BOLD, DIM, Printer, short};
use crate::config::Config;
use crate::error::Result;
use crate::ops::Checkpoints;

/// Reads only, and neither the ledger nor the store.
pub fn checkpoint(config: &Config, command: Checkpoint, printer: &Printer) -> Result<ExitCode> {
    let checkpoints = Checkpoints::open(&config.home);
    match command {
        Checkpoint::List => {
            let all = checkpoints.list()?;
            if all.is_empty() {
                printer.note(format!("there is no checkpoint in `{}`: a run writes one when it ends", config.home.display()))?;
            }
            for one in all {
                printer.either(&one, || match (&one.phase, &one.problem) {
                    (Some(phase), _) => format!("{}  {BOLD}{phase:<14}{BOLD:#}  {}", one.id, short(&one.notes, 90)),
                    (None, problem) => {
                        format!("{}  {BAD}unreadable{BAD:#}  {}", one.id, short(problem.as_deref().unwrap_or_default(), 200))
                    }
                })?;
            }
        }
        Checkpoint::Load { id } => {
            let loaded = checkpoints.load(&id)?;
            if printer.json {
                printer.object(&loaded)?;
                return Ok(ExitCode::SUCCESS);
            }
            printer.line(format!("{}  {BOLD}{}{BOLD:#}  {}", loaded.id, loaded.phase, short(&loaded.notes, 400)))?;
            for (what, values) in [("task", &loaded.tasks), ("output", &loaded.recent_outputs)] {
                values.iter().try_for_each(|value| printer.line(format!("  {DIM}{what}{DIM:#} {}", short(&value.to_string(), 400))))?;
            }
            for (what, texts) in [("depends on", &loaded.dependencies), ("memory", &loaded.memory_references)] {
                texts.iter().try_for_each(|text| printer.line(format!("  {DIM}{what}{DIM:#} {}", short(text, 400))))?;
            }
            for (name, value) in loaded.variables.iter().filter(|(_, value)| **value != Value::Null) {
                printer.line(format!("  {DIM}{name}{DIM:#} {}", short(&value.to_string(), 400)))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
