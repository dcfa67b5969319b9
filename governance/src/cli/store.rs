//! `governance store`.

use std::process::ExitCode;

use serde_json::json;

use super::args::Store;
use super::printer::{BOLD, DIM, GOOD, Printer, WARN};
use crate::config::Config;
use crate::coordination::Housekeeping;
use crate::error::Result;
use crate::governance::Governance;
use crate::ledger::Filter;
use crate::vocabulary::Millis;

pub async fn store(config: Config, command: Store, printer: &Printer) -> Result<ExitCode> {
    match command {
        Store::Check => check(config, printer).await,
        Store::Recover => {
            let governance = Governance::recover(config).await?;
            let generation = governance.store().seen();
            let stop = governance.revocations().stop_in_force().await?;
            printer.either(&json!({"recovered": true, "generation": generation, "stop": stop}), || {
                let stopped = stop.as_ref().map_or_else(String::new, |stop| {
                    let reason = &stop.reason;
                    format!("\n  {WARN}stopped{WARN:#}: {reason}; it is in force again, lift it with `governance stop --lift --reason …`")
                });
                format!("{GOOD}recovered{GOOD:#} at generation {generation}: everything admitted before stays refused{stopped}")
            })?;
            governance.close().await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn check(config: Config, printer: &Printer) -> Result<ExitCode> {
    // Only a look: whoever keeps house is shown, not replaced.
    let governance = Governance::visit(config).await?;
    let store = governance.store();
    let (described, now, lineage) = (store.describe().await?, store.now().await?, store.lineage().await?);
    let stop = governance.revocations().stop_in_force().await?;
    let house = governance.housekeeping().await?;
    let unsequenced = governance.ledger().list(&Filter { limit: 1, ..Filter::default() }).await?.unsequenced;
    let object = json!({"url": governance.store_url(), "store": described, "ledger": governance.ledger().id(), "generation": store.seen(),
        "lineage": lineage, "now": now, "stop": stop, "caretaker": house.caretaker.as_ref().filter(|_| house.awake).map(|c| &c.name),
        "housekeeping": house, "unsequenced": unsequenced});
    printer.either(&object, || {
        let mut lines = vec![
            format!("{BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}", described.name, governance.store_url()),
            format!("  shared by several processes: {}", if described.shared { "yes" } else { "no" }),
            format!("  survives its own death: {}", described.durable),
        ];
        if let Some(form) = described.form {
            let known = |told: &Option<String>| told.clone().unwrap_or_else(|| "unknown".to_owned());
            lines.push(format!("  form: {form}, tls: {}", if described.tls { "yes" } else { "no" }));
            lines.push(format!("  when its memory is full: {}, scripts: {}", known(&described.eviction), known(&described.lua)));
        }
        lines.extend([format!("  ledger {}, generation {}, lineage {lineage}", governance.ledger().id(), store.seen())]);
        lines.extend(kept(&house, now));
        if unsequenced > 0 {
            lines.push(format!("  not in the record yet: {unsequenced} entries"));
        }
        if let Some(stop) = &stop {
            lines.push(format!("  {WARN}stopped{WARN:#}: {}; lift it with `governance stop --lift --reason …`", stop.reason));
        }
        lines.extend(described.warnings.iter().map(|warning| format!("  {WARN}warning{WARN:#}: {warning}")));
        lines.join("\n")
    })?;
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}

/// Who keeps house, since when, and what is overdue.
fn kept(house: &Housekeeping, now: Millis) -> Vec<String> {
    let ago = |time: Millis| format!("{:.1} s", now.since(time).as_secs_f64());
    let mut lines = vec![match &house.caretaker {
        Some(c) if house.awake => {
            format!("  caretaker: {} (process {}) for {}, looks after {} things", c.name, c.pid, ago(c.since), house.charges)
        }
        Some(c) => format!(
            "  caretaker: {WARN}nobody{WARN:#}; {} (process {}) fell silent {} ago, the next handle that opens takes over",
            c.name,
            c.pid,
            ago(c.until)
        ),
        None => format!("  caretaker: nobody; the next handle that opens looks after {} things", house.charges),
    }];
    for overdue in &house.overdue {
        let since = overdue.since.map_or(String::new(), |since| format!(" for {}", ago(since)));
        let tried = if overdue.failures > 0 { format!(", tried {} times", overdue.failures) } else { String::new() };
        let why = overdue.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
        lines.push(format!("  {WARN}overdue{WARN:#}: {}{since}{tried}{why}", overdue.what));
    }
    lines
}
