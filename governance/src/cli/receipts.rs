//! Who has confirmed a revocation or a stop.

use serde_json::json;

use super::args::Waiting;
use super::printer::{BAD, BOLD, DIM, GOOD, Printer, WARN, short};
use crate::error::Result;
use crate::governance::Governance;
use crate::guard::{ProcessReceipt, ReceiptState, Receipts, Roll};

/// Waits for the confirmations and shows them. None where nobody was to be waited for.
pub async fn gather(
    governance: &Governance,
    roll: &Roll,
    generation: u64,
    waiting: Waiting,
    printer: &Printer,
) -> Result<Option<Receipts>> {
    if waiting.no_wait {
        return Ok(None);
    }
    let mut shown: Vec<ProcessReceipt> = Vec::new();
    let mut failed = Ok(());
    let told = |receipts: &Receipts| {
        for receipt in &receipts.receipts {
            if waiting.watch && failed.is_ok() && !shown.contains(receipt) {
                failed = printer.either(&json!({"receipt": receipt}), || line(receipt));
                shown.push(receipt.clone());
            }
        }
    };
    let receipts = governance.revocations().confirmed(roll, generation, waiting.within, told).await?;
    failed?;
    Ok(Some(receipts))
}

/// Shows the receipts that were not shown as they came, and fails if one is overdue.
pub fn show(receipts: Option<&Receipts>, waiting: Waiting, printer: &Printer) -> Result<()> {
    let Some(receipts) = receipts else { return Ok(()) };
    if !printer.json {
        if !waiting.watch {
            receipts.receipts.iter().try_for_each(|receipt| printer.line(line(receipt)))?;
        }
        if receipts.receipts.is_empty() {
            printer.note("no process works for agents now: nobody had to confirm")?;
        }
    }
    receipts.confirmed()
}

fn line(receipt: &ProcessReceipt) -> String {
    let style = match receipt.state {
        ReceiptState::Confirmed => GOOD,
        ReceiptState::Overdue => BAD,
        ReceiptState::Issued => WARN,
        ReceiptState::Gone => DIM,
    };
    let ended: Vec<_> = receipt.ended.iter().map(ToString::to_string).collect();
    let more = receipt.ended_count.saturating_sub(ended.len() as u64);
    let ended = match (ended.is_empty(), more) {
        (true, _) => String::new(),
        (_, 0) => format!("  ended {}", ended.join(", ")),
        _ => format!("  ended {} and {more} more", ended.join(", ")),
    };
    let left: Vec<_> = receipt.unfinished.iter().map(|left| format!("{} of {}", left.what, left.agent)).collect();
    let left = if left.is_empty() { String::new() } else { format!("  still runs: {}", left.join(", ")) };
    let who = format!("process {} on {} ({})", receipt.pid, receipt.host, receipt.runtime);
    format!("  {style}{:<9}{style:#} {BOLD}{}{BOLD:#}{}{}", receipt.state, short(&who, 120), short(&ended, 300), short(&left, 300))
}
