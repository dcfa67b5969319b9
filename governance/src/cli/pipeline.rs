//! `governance pipeline`.

use std::process::ExitCode;

use serde_json::json;

use super::args::{Pipeline, RevokeRun};
use super::printer::{Printer, moment, short};
use super::resume::{fall_back, give_up, go_on};
use super::status::coloured;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::governance::Governance;
use crate::vocabulary::{AgentId, Millis, PipelineId};

pub async fn pipeline(config: Config, command: Pipeline, printer: &Printer) -> Result<ExitCode> {
    // A wrong id is told before anything is opened.
    if let Pipeline::Stop { id, .. } | Pipeline::Revoke(RevokeRun { id, .. }) = &command {
        PipelineId::new(id)?;
    }
    match command {
        Pipeline::Continue { id, how } => go_on(config, id, how, printer).await,
        Pipeline::Fallback { id, action, how } => fall_back(config, id, action, how, printer).await,
        Pipeline::GiveUp { id } => give_up(config, id, printer).await,
        Pipeline::List => with(config, async |governance| list(governance, printer).await).await,
        Pipeline::Status { id } => with(config, async |governance| super::status::status(governance, id, printer).await).await,
        Pipeline::Stop { id, reason, waiting } => {
            with(config, async |governance| super::stop::stop_run(governance, &PipelineId::new(id)?, &reason, waiting, printer).await).await
        }
        Pipeline::Revoke(args) => with(config, async |governance| revoke(governance, args, printer).await).await,
        Pipeline::Logs(args) => with(config, async |governance| super::logs::logs(governance, args, printer).await).await,
        Pipeline::Consensus { id } => {
            with(config, async |governance| super::consensus::consensus(governance, &super::chosen(governance, id).await?, printer).await)
                .await
        }
    }
}

/// Does something with what is there.
async fn with(config: Config, work: impl AsyncFnOnce(&Governance) -> Result<()>) -> Result<ExitCode> {
    let governance = super::existing(config).await?;
    work(&governance).await?;
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}

async fn list(governance: &Governance, printer: &Printer) -> Result<()> {
    let pipelines = super::pipelines(governance).await?;
    if pipelines.is_empty() {
        printer.note("there is no run yet: start one with `governance run \"…\"`")?;
    }
    for (id, state) in pipelines {
        let (begun, waits) = (Millis(state.field("created_at").parse().unwrap_or(0)), state.field("awaiting_user") == "true");
        let object = json!({"pipeline_id": id, "status": state.field("status"), "awaiting_user": waits,
            "objective": state.field("objective"), "created_at": begun});
        printer.either(&object, || {
            let waits = if waits { "waits for you: " } else { "" };
            let status = coloured(state.field("status"), !waits.is_empty());
            format!("{id}  {status}  {}  {waits}{}", moment(begun), short(state.field("objective"), 70))
        })?;
    }
    Ok(())
}

async fn revoke(governance: &Governance, args: RevokeRun, printer: &Printer) -> Result<()> {
    let id = super::chosen(governance, Some(args.id)).await?;
    if let Some(agent) = args.agent {
        let agent = AgentId::new(agent)?;
        let known = governance.admissions().agent(&agent).await?.is_some_and(|agent| agent.pipeline.as_ref() == Some(&id));
        if !known {
            let message = format!("there is no agent `{agent}` in `{id}`: see `governance pipeline status {id}`");
            return Err(Error::new(ErrorKind::NotFound, "no_such_agent", message));
        }
        return super::stop::revoke_agent(governance, &agent, args.kind, &args.reason, args.waiting, printer).await;
    }
    super::stop::revoke_run(governance, &id, args.kind, &args.reason, args.waiting, printer).await
}
