//! `governance revoke` and `governance stop`.

use std::process::ExitCode;

use serde_json::json;

use super::args::{Revoke, Stop};
use super::printer::{GOOD, Printer};
use crate::config::Config;
use crate::error::Result;
use crate::governance::Governance;
use crate::vocabulary::{AgentId, PipelineId, PipelineStatus, RevocationType};

pub async fn revoke(config: Config, args: Revoke, printer: &Printer) -> Result<ExitCode> {
    let agent = AgentId::new(&args.agent)?;
    let governance = super::existing(config).await?;
    revoke_agent(&governance, &agent, args.kind, &args.reason, printer).await?;
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}

pub async fn revoke_agent(governance: &Governance, agent: &AgentId, kind: RevocationType, reason: &str, printer: &Printer) -> Result<()> {
    let receipt = governance.revocations().revoke(agent, kind, reason).await?;
    printer.either(&json!({"revoked": agent, "receipt": receipt}), || {
        format!("{GOOD}revoked{GOOD:#} {agent}: no write that it was admitted to lands any more (epoch {})", receipt.epoch)
    })
}

pub async fn stop_run(governance: &Governance, id: &PipelineId, reason: &str, printer: &Printer) -> Result<()> {
    let receipt = governance.revocations().stop_pipeline(id, reason).await?;
    let state = governance.store().state(governance.store().keys().pipeline(id)).await?.unwrap_or_default();
    let status = state.field("status");
    printer.either(&json!({"stopped": id, "status": status, "receipt": receipt}), || {
        let ended =
            if status == PipelineStatus::Stopped.as_str() { String::new() } else { format!("; it had ended as {status}, and stays so") };
        format!("{GOOD}stopped{GOOD:#} {id} with all of its agents{ended}")
    })
}

pub async fn stop(config: Config, args: Stop, printer: &Printer) -> Result<ExitCode> {
    if let Some(id) = args.pipeline {
        let id = PipelineId::new(id)?;
        let governance = super::existing(config).await?;
        stop_run(&governance, &id, &args.reason, printer).await?;
        governance.close().await?;
        return Ok(ExitCode::SUCCESS);
    }
    // Stopping everything must also work before anything has run here.
    let governance = Governance::open(super::passing(config)).await?;
    if args.lift {
        let receipt = governance.revocations().lift().await?;
        printer.either(&json!({"lifted": true, "receipt": receipt}), || {
            format!("{GOOD}lifted{GOOD:#}: new runs may begin; what was stopped stays stopped")
        })?;
    } else {
        let receipt = governance.revocations().stop_all(&args.reason).await?;
        printer.either(&json!({"stopped": "all", "receipt": receipt}), || {
            format!("{GOOD}stopped{GOOD:#} everything: nothing that was admitted can write; lift it with `governance stop --lift`")
        })?;
    }
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}
