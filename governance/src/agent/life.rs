//! An agent's life on the bus: it does what its governor says until it is told to leave, or revoked.

use std::time::Duration;

use super::protocol::{Instruction, Report, Said, Stage};
use super::{Desk, Worker};
use crate::coordination::{Delivery, MailboxOptions, MessageBus};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{Fault, FaultCount};
use crate::vocabulary::{AgentId, AgentPhase, AgentStatus};

/// The governor's name on every bus.
pub const GOVERNOR: &str = "governor";

/// How long a stage may take before its instruction is delivered again.
const STAGE: Duration = Duration::from_secs(600);

/// Lives as an agent. Ends well when told to leave; with a `revoked` error when the admission was ended.
pub async fn live(desk: &Desk, worker: &dyn Worker) -> Result<()> {
    let mut bus = desk.bus();
    bus.take_over(MailboxOptions { redeliver_after: STAGE, ..MailboxOptions::default() }).await?;
    let heartbeat = desk.heartbeat().await?;
    desk.set_status(AgentStatus::Running).await?;
    desk.enter(AgentPhase::Preflight).await?;
    report(&bus, Report::Done(Stage::Ready)).await?;
    let mut done_last = None;
    loop {
        let delivery = bus.receive().await?;
        // Who was started again hears what it was told before, and once more.
        let Some(instruction) = instruction(&delivery).filter(|instruction| Some(instruction) != done_last.as_ref()) else {
            bus.acknowledge(&delivery).await?;
            continue;
        };
        if instruction == Instruction::Leave {
            desk.clear().await?;
            leave(desk).await?;
            heartbeat.stop().await?;
            bus.acknowledge(&delivery).await?;
            report(&bus, Report::Done(Stage::Leave)).await?;
            bus.leave().await?;
            return Ok(());
        }
        let done = match &instruction {
            Instruction::Work => worker.work(desk).await,
            Instruction::Evaluate => worker.evaluate(desk).await,
            Instruction::Mediate(reason) => worker.mediate(desk, *reason).await,
            Instruction::Vote(proposal) => worker.vote(desk, proposal).await,
            Instruction::Leave => Ok(()),
        };
        let said = match done {
            Ok(()) => {
                let stage = instruction.stage();
                done_last = Some(instruction);
                Report::Done(stage)
            }
            Err(error) => failed(desk, instruction.stage(), error).await?,
        };
        report(&bus, said).await?;
        bus.acknowledge(&delivery).await?;
    }
}

/// EXIT, by way of PACKAGE, which is never skipped.
async fn leave(desk: &Desk) -> Result<()> {
    for phase in [AgentPhase::Package, AgentPhase::Exit] {
        match desk.enter(phase).await {
            Err(error) if error.code() == "phase_order" => {}
            other => other?,
        }
    }
    desk.set_status(AgentStatus::Completed).await
}

/// Counts a failure. One too many, or a revocation, ends this life.
async fn failed(desk: &Desk, stage: Stage, error: Error) -> Result<Report> {
    if error.kind() == ErrorKind::Revoked {
        return Err(error);
    }
    tracing::warn!(agent = %desk.actor().id, %stage, %error, "a stage failed");
    let fault = Fault::Error { kind: error.code().to_owned(), message: error.to_string() };
    match desk.budget().fault(&fault).await? {
        FaultCount::Exceeded(_) => Err(error),
        FaultCount::Counted | FaultCount::Low => Ok(Report::Failed { stage, error: error.to_string() }),
    }
}

async fn report(bus: &MessageBus, report: Report) -> Result<()> {
    bus.send(&AgentId::new(GOVERNOR)?, &Said::Report(report)).await.map(drop)
}

fn instruction(delivery: &Delivery) -> Option<Instruction> {
    match serde_json::from_value(delivery.message.body.clone()) {
        Ok(Said::Instruction(instruction)) if delivery.message.from.as_str() == GOVERNOR => Some(instruction),
        _ => None,
    }
}
