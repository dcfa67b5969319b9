//! `governance blackboard`.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::args::Blackboard;
use super::printer::{BOLD, DIM, Printer, WARN, clock, short};
use crate::config::Config;
use crate::coordination::{BoardEntry, BoardEvent, Cursor, Gap};
use crate::error::Result;
use crate::vocabulary::Section;

pub async fn blackboard(config: Config, command: Blackboard, printer: &Printer) -> Result<ExitCode> {
    let governance = super::existing(config).await?;
    let actor = governance.actor("operator").await?;
    match command {
        Blackboard::Show { id } => {
            let task = super::chosen(&governance, id).await?.task();
            let board = governance.blackboard(&task, &actor);
            for section in Section::ALL {
                let entries = board.entries(*section).await?;
                if !printer.json && !entries.is_empty() {
                    printer.line(format!("{BOLD}{section}{BOLD:#}"))?;
                }
                for entry in entries {
                    printer.either(&entry, || {
                        format!("  {} {DIM}v{} by {}{DIM:#}  {}", entry.name, entry.version, entry.author, said(&entry))
                    })?;
                }
            }
        }
        Blackboard::Watch { id } => {
            let task = super::followed(&governance, id, printer).await?;
            let mut events = governance.blackboard(&task, &actor).events(Cursor::default());
            loop {
                let next = tokio::select! {
                    () = super::interrupted() => break,
                    next = tokio::time::timeout(Duration::from_millis(300), events.next()) => next,
                };
                match next {
                    Ok(event) => show(event?, printer)?,
                    Err(_) if super::ended(&governance, &task).await? => break,
                    Err(_) => {}
                }
            }
        }
    }
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}

fn show(event: std::result::Result<BoardEvent, Gap>, printer: &Printer) -> Result<()> {
    match event {
        Ok(event) => printer.either(&event, || {
            let entry = &event.entry;
            format!(
                "{DIM}{:>5} {}{DIM:#} {BOLD}{}/{}{BOLD:#} {DIM}v{} by {}{DIM:#}  {}",
                event.position,
                clock(event.at),
                entry.section,
                entry.name,
                entry.version,
                entry.author,
                said(entry)
            )
        }),
        Err(gap) => printer.either(&json!({"gap": gap}), || format!("{WARN}missed{WARN:#}: {gap:?}")),
    }
}

fn said(entry: &BoardEntry) -> String {
    let title = entry.content.get("title").and_then(Value::as_str).map(str::to_owned);
    short(&title.unwrap_or_else(|| entry.content.as_str().map_or_else(|| entry.content.to_string(), str::to_owned)), 100)
}
