//! `governance revoke` and `governance stop`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{Revoke, Stop, Waiting};
use super::printer::{GOOD, Printer};
use super::receipts::{gather, show};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::governance::Governance;
use crate::guard::Roll;
use crate::store::Store;
use crate::vocabulary::{AgentId, PipelineId, PipelineStatus, RevocationType};

/// How many of the runs that stay stopped are named.
const NAMED: usize = 5;

pub async fn revoke(config: Config, args: Revoke, printer: &Printer) -> Result<ExitCode> {
    let agent = AgentId::new(&args.what)?;
    let governance = super::existing(config).await?;
    let pipeline = PipelineId::new(&args.what)?;
    let done = if is_run(governance.store(), &pipeline).await? && governance.admissions().agent(&agent).await?.is_none() {
        revoke_run(&governance, &pipeline, args.kind, &args.reason, args.waiting, printer).await
    } else {
        revoke_agent(&governance, &agent, args.kind, &args.reason, args.waiting, printer).await
    };
    governance.close().await?;
    done.map(|()| ExitCode::SUCCESS)
}

async fn is_run(store: &Store, id: &PipelineId) -> Result<bool> {
    Ok(store.state(store.keys().pipeline(id)).await?.is_some())
}

pub async fn revoke_agent(
    governance: &Governance,
    agent: &AgentId,
    kind: RevocationType,
    reason: &str,
    waiting: Waiting,
    printer: &Printer,
) -> Result<()> {
    let roll = governance.revocations().roll().await?;
    let receipt = governance.revocations().revoke(agent, kind, reason).await?;
    let text =
        format!("{GOOD}revoked{GOOD:#} {agent}: in force, no write that it was admitted to lands any more (epoch {})", receipt.epoch);
    let object = json!({"revoked": agent, "receipt": receipt});
    tell(governance, InForce { roll, generation: receipt.generation, object, text }, waiting, printer).await
}

/// What has come into force, and by which generation.
struct InForce {
    roll: Roll,
    generation: u64,
    object: Value,
    text: String,
}

/// Says what is in force before anybody is waited for, then who has confirmed it; for programs the whole is the last object.
async fn tell(governance: &Governance, done: InForce, waiting: Waiting, printer: &Printer) -> Result<()> {
    let InForce { roll, generation, mut object, text } = done;
    let mut first = object.clone();
    first["in_force"] = true.into();
    printer.either(&first, || text)?;
    let receipts = gather(governance, &roll, generation, waiting, printer).await?;
    if printer.json {
        object["receipts"] = json!(receipts);
        printer.object(&object)?;
    }
    show(receipts.as_ref(), waiting, printer)
}

pub async fn revoke_run(
    governance: &Governance,
    id: &PipelineId,
    kind: RevocationType,
    reason: &str,
    waiting: Waiting,
    printer: &Printer,
) -> Result<()> {
    let roll = governance.revocations().roll().await?;
    let revoked = governance.revocations().revoke_pipeline(id, kind, reason).await?;
    let mut lines = vec![format!("{GOOD}revoked{GOOD:#} {id}: in force, no write that it or its agents were admitted to lands any more")];
    lines.extend(revoked.revoked.iter().map(|agent| format!("  {agent}")));
    lines.extend(revoked.ended.iter().map(|agent| format!("  {agent} had ended")));
    let object = json!({"pipeline_id": id, "receipt": revoked.pipeline, "revoked": revoked.revoked, "ended": revoked.ended});
    let done = InForce { roll, generation: revoked.pipeline.generation, object, text: lines.join("\n") };
    tell(governance, done, waiting, printer).await
}

pub async fn stop_run(governance: &Governance, id: &PipelineId, reason: &str, waiting: Waiting, printer: &Printer) -> Result<()> {
    let roll = governance.revocations().roll().await?;
    let receipt = governance.revocations().stop_pipeline(id, reason).await?;
    let state = governance.store().state(governance.store().keys().pipeline(id)).await?.unwrap_or_default();
    let status = state.field("status");
    let ended =
        if status == PipelineStatus::Stopped.as_str() { String::new() } else { format!("; it had ended as {status}, and stays so") };
    let text = format!("{GOOD}stopped{GOOD:#} {id} with all of its agents: in force{ended}");
    let object = json!({"stopped": id, "status": status, "receipt": receipt});
    tell(governance, InForce { roll, generation: receipt.generation, object, text }, waiting, printer).await
}

pub async fn stop(config: Config, args: Stop, printer: &Printer) -> Result<ExitCode> {
    let reason = args.reason.as_deref().unwrap_or("stopped by an operator");
    if let Some(id) = args.pipeline {
        let id = PipelineId::new(id)?;
        let governance = super::existing(config).await?;
        let done = stop_run(&governance, &id, reason, args.waiting, printer).await;
        governance.close().await?;
        return done.map(|()| ExitCode::SUCCESS);
    }
    // Stopping everything must also work before anything has run here.
    let governance = Governance::open(super::passing(config)).await?;
    let done =
        if args.lift { lift(&governance, reason, printer).await } else { stop_all(&governance, reason, args.waiting, printer).await };
    governance.close().await?;
    done.map(|()| ExitCode::SUCCESS)
}

async fn stop_all(governance: &Governance, reason: &str, waiting: Waiting, printer: &Printer) -> Result<()> {
    let roll = governance.revocations().roll().await?;
    let receipt = governance.revocations().stop_all(reason).await?;
    let text = format!(
        "{GOOD}stopped{GOOD:#} everything: in force, nothing that was admitted can write; lift it with `governance stop --lift --reason …`"
    );
    let object = json!({"stopped": "all", "receipt": receipt});
    tell(governance, InForce { roll, generation: receipt.generation, object, text }, waiting, printer).await
}

async fn lift(governance: &Governance, reason: &str, printer: &Printer) -> Result<()> {
    if reason.trim().is_empty() {
        return Err(Error::invalid("no_reason", "say why the stop is lifted: `governance stop --lift --reason …`"));
    }
    let lifted = governance.revocations().lift_because(reason).await?;
    printer.either(
        &json!({"lifted": lifted.stop.is_some(), "receipt": lifted.receipt, "stop": lifted.stop, "stays_stopped": lifted.stays_stopped}),
        || {
            let Some(stop) = &lifted.stop else { return format!("{GOOD}nothing to lift{GOOD:#}: no stop is in force") };
            let line = |id| format!("\n  {id} stays stopped: `governance pipeline continue {id}`");
            let mut stays: Vec<_> = lifted.stays_stopped.iter().take(NAMED).map(line).collect();
            let more = lifted.stays_stopped.len().saturating_sub(NAMED);
            if more > 0 {
                stays.push(format!("\n  and {more} more: `governance pipeline list`"));
            }
            format!(
                "{GOOD}lifted{GOOD:#} the stop \"{}\": new runs may begin; what was stopped stays stopped{}",
                super::printer::short(&stop.reason, 200),
                stays.concat()
            )
        },
    )
}
