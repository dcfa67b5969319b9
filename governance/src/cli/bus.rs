//! `governance bus`.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::args::Bus;
use super::printer::{BOLD, DIM, Printer, WARN, clock, short};
use super::progress::spoken;
use crate::config::Config;
use crate::coordination::{BusMessage, Cursor, Step};
use crate::error::Result;
use crate::store::from_json;

pub async fn bus(config: Config, command: Bus, printer: &Printer) -> Result<ExitCode> {
    let Bus::Tail { id } = command;
    let governance = super::existing(config).await?;
    let actor = governance.actor("operator").await?;
    let task = super::followed(&governance, id, printer).await?;
    let mut record = governance.bus(&task, &actor).record(Cursor::default());
    loop {
        let next = tokio::select! {
            () = super::interrupted() => break,
            next = tokio::time::timeout(Duration::from_millis(300), record.next()) => next,
        };
        match next {
            Ok(step) => show(step?, printer)?,
            Err(_) if super::ended(&governance, &task).await? => break,
            Err(_) => {}
        }
    }
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}

fn show(step: Step, printer: &Printer) -> Result<()> {
    match step {
        Step::Missed(gap) => printer.either(&json!({"gap": gap}), || format!("{WARN}missed{WARN:#}: {gap:?}")),
        Step::Entries(entries) => entries.iter().try_for_each(|entry| {
            let message: BusMessage = from_json("bus", &entry.value)?;
            printer.either(&json!({"position": entry.position, "message": message}), || {
                let to = message.to.as_ref().map_or("everybody", |to| to.as_str());
                format!(
                    "{DIM}{:>5} {}{DIM:#} {BOLD}{}{BOLD:#} to {to}: {}",
                    entry.position,
                    clock(entry.at),
                    message.from,
                    short(&spoken(&message.body), 120)
                )
            })
        }),
    }
}
