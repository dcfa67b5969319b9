//! `governance store`.

use std::process::ExitCode;

use serde_json::json;

use super::args::Store;
use super::printer::{BOLD, DIM, GOOD, Printer, WARN};
use crate::config::Config;
use crate::error::Result;
use crate::governance::Governance;

pub async fn store(config: Config, command: Store, printer: &Printer) -> Result<ExitCode> {
    match command {
        Store::Check => check(config, printer).await,
        Store::Recover => {
            let governance = Governance::recover(config).await?;
            let generation = governance.store().seen();
            printer.either(&json!({"recovered": true, "generation": generation}), || {
                format!("{GOOD}recovered{GOOD:#} at generation {generation}: everything admitted before stays refused; start runs anew")
            })?;
            governance.close().await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn check(config: Config, printer: &Printer) -> Result<ExitCode> {
    let governance = Governance::open(config).await?;
    let store = governance.store();
    let (described, now, lineage) = (store.describe().await?, store.now().await?, store.lineage().await?);
    let stop = governance.revocations().stop_in_force().await?;
    let caretaker = store.cell(store.keys().caretaker()).await?.map(|held| String::from_utf8_lossy(&held.value).into_owned());
    let object = json!({"url": governance.store_url(), "store": described, "ledger": governance.ledger().id(), "generation": store.seen(),
        "lineage": lineage, "now": now, "stop": stop, "caretaker": caretaker});
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
        lines.extend([
            format!("  ledger {}, generation {}, lineage {lineage}", governance.ledger().id(), store.seen()),
            format!("  caretaker: {}", caretaker.as_deref().unwrap_or("nobody yet")),
        ]);
        if let Some(stop) = &stop {
            lines.push(format!("  {WARN}stopped{WARN:#}: {}; lift it with `governance stop --lift`", stop.reason));
        }
        lines.extend(described.warnings.iter().map(|warning| format!("  {WARN}warning{WARN:#}: {warning}")));
        lines.join("\n")
    })?;
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}
