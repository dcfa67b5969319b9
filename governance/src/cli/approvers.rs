//! `governance approvers`: who may approve.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::approver_key;
use super::args::{AddApprover, Approvers as Command};
use super::printer::{BOLD, DIM, GOOD, Printer, moment};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::governance::Governance;
use crate::vocabulary::ApproverName;

/// How long a change may take until it is in the record.
const RECORDED: Duration = Duration::from_secs(10);

pub async fn approvers(config: Config, command: Command, printer: &Printer) -> Result<ExitCode> {
    let home = config.home.clone();
    match command {
        Command::Key { name, with, no_passphrase } => {
            let name = ApproverName::new(&name)?;
            let (file, key) = approver_key::make(&name, &with, no_passphrase, &home, printer)?;
            printer.either(&json!({"name": name, "key": key.public(), "file": file.path()}), || {
                format!("{GOOD}made{GOOD:#} {}; its public half, to be registered by an approver:\n{}", file.path().display(), key.public())
            })?;
        }
        Command::Add(added) => {
            // The register must be there before anything has run here.
            let governance = Governance::open(super::passing(config)).await?;
            let done = add(&governance, &added, printer).await;
            governance.close().await?;
            done?;
        }
        Command::List => {
            let governance = super::existing(config).await?;
            let register = governance.approvals().approvers().await?;
            for approver in register.all() {
                printer.either(approver, || {
                    let by =
                        if approver.by == approver.name { "by themselves, the first".to_owned() } else { format!("by {}", approver.by) };
                    let role = if approver.administrator { "an administrator, " } else { "" };
                    format!("{BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}  {role}since {}, {by}", approver.name, approver.key, moment(approver.since))
                })?;
            }
            if register.all().is_empty() && !printer.json {
                printer.note("nobody may approve yet: `governance approvers add NAME`, before any agent runs")?;
            }
            governance.close().await?;
        }
        Command::Remove { name, with } => {
            let name = ApproverName::new(&name)?;
            let governance = super::existing(config).await?;
            let by = approver_key::open(with.key.as_deref(), with.passphrase_file.as_deref(), &home)?;
            governance.approvals().unregister(&name, &by).await?;
            governance.catch_up(RECORDED).await?;
            printer.either(&json!({"removed": name}), || format!("{GOOD}removed{GOOD:#} {name}: what they approved no longer counts"))?;
            governance.close().await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(governance: &Governance, added: &AddApprover, printer: &Printer) -> Result<()> {
    let (approvals, home) = (governance.approvals(), &governance.config().home);
    let name = ApproverName::new(&added.name)?;
    let register = approvals.approvers().await?;
    if added.by.is_none() && !register.is_new() {
        let message = "there are approvers already: one of them registers the next, name their key with `--by`";
        return Err(Error::new(ErrorKind::Denied, "unregistered_approver", message));
    }
    let by = added.by.as_ref().map(|by| approver_key::open(Some(by), added.by_passphrase_file.as_deref(), home)).transpose()?;
    let made = match &added.public {
        Some(_) => None,
        None => Some(approver_key::make(&name, &added.with, added.no_passphrase, home, printer)?),
    };
    let public = made.as_ref().map(|(_, key)| key.public()).or_else(|| added.public.clone()).unwrap_or_default();
    let signer = by.as_ref().or(made.as_ref().map(|(_, key)| key));
    let signer = signer.ok_or_else(|| Error::invalid("usage", "name the key of a registered approver with `--by`"))?;
    let approver = match approvals.register(&name, &public, added.administrator, signer).await {
        Ok(approver) => approver,
        Err(error) => {
            // A key that nobody registered would only be in the way.
            if let Some((file, _)) = &made {
                file.discard();
            }
            return Err(error);
        }
    };
    // In the record: from then on nobody can put another first approver before this one.
    if !governance.catch_up(RECORDED).await? {
        printer.note("registered; it is not in the record yet, which follows by itself")?;
    }
    let file = made.as_ref().map(|(file, _)| file.path());
    printer.either(
        &json!({"name": approver.name, "key": approver.key, "administrator": approver.administrator, "by": approver.by, "file": file}),
        || {
            let kept =
                file.map_or(String::new(), |file| format!("\n  their key: {} (keep a copy; agents must not read it)", file.display()));
            let public = &approver.key;
            let role = if approver.administrator { ", an administrator" } else { "" };
            format!("{GOOD}registered{GOOD:#} {BOLD}{name}{BOLD:#}{role}\n  public key: {public}{kept}")
        },
    )
}
