//! `governance ledger retain`.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::args::Retain;
use super::printer::{GOOD, Printer, moment};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::governance::Governance;
use crate::ledger::{Droppable, OutcomeResult};

/// How long who keeps house may take for the next piece before this one goes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says what is old enough to be dropped, and has it dropped.
pub async fn retain(config: Config, args: Retain, printer: &Printer) -> Result<ExitCode> {
    let governance = super::existing(config).await?;
    governance.catch_up(super::ledger::CATCH_UP).await?;
    let old = governance.ledger().droppable(args.older_than).await?;
    let told = match &old {
        None => printer.either(&json!({"dropped": 0, "through": null}), || "nothing to drop: no payload is that old".to_owned()),
        Some(old) if args.yes => {
            drop_payloads(&governance, old).await?;
            printer.either(&json!({"dropped": old.entries, "through": old.through, "bytes": old.bytes}), || {
                format!("{GOOD}dropped{GOOD:#} {}", described(old))
            })
        }
        Some(old) => printer.either(&json!({"dropped": 0, "would_drop": old.entries, "through": old.through, "bytes": old.bytes}), || {
            format!("would drop {}; to do so say --yes, it cannot be undone", described(old))
        }),
    };
    governance.close().await?;
    told?;
    Ok(ExitCode::SUCCESS)
}

fn described(old: &Droppable) -> String {
    let Droppable { through, before, entries, bytes } = old;
    format!("{entries} payloads ({bytes} bytes) of entries up to {through}, in the record since before {}", moment(*before))
}

/// Has the record ask for it, and waits until whoever keeps house has done it.
async fn drop_payloads(governance: &Governance, old: &Droppable) -> Result<()> {
    let (ledger, time) = (governance.ledger(), &governance.store().ports().clock);
    let intent = ledger.ask_to_drop(old, "a user, by `ledger retain`")?;
    let (mut seen, mut since) = (ledger.retention().await?, time.elapsed());
    while seen.done < old.through {
        ledger.hurry();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = ledger.retention().await?;
        if now != seen {
            (seen, since) = (now, time.elapsed());
        } else if time.elapsed() - since > PATIENCE {
            let message =
                "nobody carries it out: see `governance store check` for who keeps house; it is in the record and goes on by itself";
            let error = Error::unavailable("retention_waits", message);
            ledger.segment()?.outcome(&intent, OutcomeResult::Unknown, &json!({"code": error.code()}).to_string())?;
            return Err(error);
        }
    }
    ledger.segment()?.outcome(&intent, OutcomeResult::Ok, &json!({"dropped": old.entries}).to_string()).map(drop)
}
