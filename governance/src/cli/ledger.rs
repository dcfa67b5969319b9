//! `governance ledger`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::args::Ledger;
use super::printer::{BAD, BOLD, DIM, GOOD, Printer, clock, moment, short};
use crate::config::Config;
use crate::disk::reading;
use crate::error::{Error, ErrorKind, Result};
use crate::governance::Governance;
use crate::ledger::{Backlog, EMPTY, Filter, Head};
use crate::vocabulary::{AgentId, DEFAULT_LEDGER_PATH, PipelineId};

/// How long to wait for the entries of processes that died: their lease must lapse first.
pub const CATCH_UP: Duration = Duration::from_secs(4);
/// So long an entry may wait for the record where everything is as it should be and much is to be done.
const USUAL: Duration = Duration::from_secs(1);
/// The largest file of heads that is read.
const MAX_HEADS: u64 = 64 << 20;

pub async fn ledger(config: Config, command: Ledger, printer: &Printer) -> Result<ExitCode> {
    match command {
        Ledger::List { pipeline, agent, action, after, limit } => {
            let (pipeline, agent) = (pipeline.map(PipelineId::new).transpose()?, agent.map(AgentId::new).transpose()?);
            list(config, Filter { pipeline, agent, action, after, limit, newest_first: after == 0 }, printer).await
        }
        Ledger::Retain(args) => super::retain::retain(config, args, printer).await,
        Ledger::Export(args) => super::export::export(config, args, printer).await,
        Ledger::Verify { head, file } => {
            let outside = head.map(|given| outside_head(&given)).transpose()?;
            match file {
                Some(file) => super::export::verify(&config, &file, outside.as_ref(), printer),
                None => verify(&config, outside.as_ref(), printer),
            }
        }
        Ledger::Head => {
            let governance = super::existing(config).await?;
            governance.catch_up(CATCH_UP).await?;
            let left_out = left_out(&governance).await?;
            let head = governance.ledger().head().await?;
            governance.close().await?;
            let head = head.ok_or_else(|| Error::new(ErrorKind::NotFound, "no_head", "nothing is in the record yet"))?;
            printer.object(&head)?;
            note(left_out, printer)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn list(config: Config, filter: Filter, printer: &Printer) -> Result<ExitCode> {
    let governance = super::existing(config).await?;
    governance.catch_up(CATCH_UP).await?;
    let left_out = left_out(&governance).await?;
    let mut listing = governance.ledger().list(&filter).await?;
    governance.close().await?;
    if filter.newest_first {
        listing.actions.reverse();
    }
    for entry in &listing.actions {
        printer.either(entry, || {
            let who = entry.agent_id.as_ref().map(AgentId::as_str).or(entry.pipeline_id.as_ref().map(PipelineId::as_str)).unwrap_or("–");
            let result = entry.result.map_or(String::new(), |result| format!(" {result}"));
            format!(
                "{DIM}{:>6} {}{DIM:#} {:<8} {BOLD}{}{BOLD:#}{result}  {who}  {DIM}{}{DIM:#}",
                entry.seq,
                clock(entry.at),
                entry.kind,
                entry.action,
                entry.payload.as_deref().map_or_else(|| "its payload was dropped".to_owned(), |payload| short(payload, 90))
            )
        })?;
    }
    note(left_out, printer)?;
    Ok(ExitCode::SUCCESS)
}

/// What is missing in what is about to be shown of the record; nothing where no more waits than usually does.
pub async fn left_out(governance: &Governance) -> Result<Backlog> {
    let backlog = governance.ledger().backlog().await?;
    let now = governance.store().ports().clock.now();
    Ok(if backlog.oldest.is_some_and(|oldest| now.since(oldest) > USUAL) { backlog } else { Backlog::default() })
}

/// Says what is missing.
pub fn note(left_out: Backlog, printer: &Printer) -> Result<()> {
    let Backlog { entries, oldest: Some(oldest) } = left_out else { return Ok(()) };
    let since = moment(oldest);
    printer.note(format!(
        "written but not in the record yet: {entries}, the first at {since}; `governance health` says what is wrong, if anything is"
    ))
}

/// Reads only: neither the ledger nor the store is opened for writing.
fn verify(config: &Config, outside: Option<&Head>, printer: &Printer) -> Result<ExitCode> {
    let path = config.home.join(DEFAULT_LEDGER_PATH);
    let report = match crate::ledger::verify(&path, outside) {
        // With a head from outside, an empty ledger has lost everything that the head covers.
        Err(error) if error.code() == EMPTY && outside.is_none() => {
            printer.either(&json!({"intact": true, "entries": 0}), || error.to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
        other => other?,
    };
    let intact = report.is_intact();
    printer.either(&json!({"intact": intact, "report": report}), || {
        if intact { format!("{GOOD}intact{GOOD:#}: {}", report) } else { format!("{BAD}not intact{BAD:#}: {}", report) }
    })?;
    Ok(if intact { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn outside_head(given: &str) -> Result<Head> {
    if given.trim_start().starts_with('{') {
        return Head::parse(given);
    }
    let text = reading::read_given(Path::new(given), MAX_HEADS)
        .map_err(|e| Error::invalid("head_unreadable", format!("the head `{given}` cannot be read: {e}")))?;
    // A file of heads, one a line: the newest counts.
    let newest = text.lines().rev().find(|line| !line.trim().is_empty());
    Head::parse(newest.unwrap_or_default())
}
