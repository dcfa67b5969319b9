//! `governance policy check`, which reads files only, neither the store nor the ledger; the other commands stand beside it.

use std::process::ExitCode;

use serde_json::json;

use super::args::Policy as Command;
use super::explain::explain;
use super::policies;
use super::printer::{BOLD, DIM, GOOD, Printer, WARN};
use crate::config::Config;
use crate::error::Result;
use crate::guard::policies::{MAX_LIVE, Text, each};
use crate::guard::policy::{Policy, SCHEMA};

pub async fn policy(config: Config, command: Command, printer: &Printer) -> Result<ExitCode> {
    match command {
        Command::Check { files } => {
            let mut bad = false;
            for file in &files {
                // Every one is told of, also behind one that is not good.
                let found = each(file).unwrap_or_else(|error| vec![(file.display().to_string(), Err(error))]);
                if found.is_empty() {
                    printer.note(format!("`{}` holds no profile: its name ends with .yaml, .yml or .json", file.display()))?;
                }
                for (name, text) in found {
                    match text.and_then(|text| Ok((text.policy(&name)?, text))) {
                        Ok((policy, text)) => check(&name, &text, &policy, printer)?,
                        Err(error) => {
                            bad = true;
                            printer.wrong(&name, &error)?;
                        }
                    }
                }
            }
            Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        Command::Schema => {
            printer.either(&json!({"schema": SCHEMA}), || SCHEMA.trim_end().to_owned())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Explain(asked) => explain(config, &asked, printer).await,
        in_force => policies::policies(config, in_force, printer).await,
    }
}

fn check(file: &str, text: &Text, policy: &Policy, printer: &Printer) -> Result<()> {
    let profile = policy.profile();
    let said = &profile.constraints;
    let counts = [
        ("allowed_actions", said.allowed_actions.len()),
        ("forbidden_actions", said.forbidden_actions.len()),
        ("allowed_targets", said.allowed_targets.len()),
        ("forbidden_targets", said.forbidden_targets.len()),
        ("approval_targets", said.approval_targets.len()),
        ("allowed_paths", said.allowed_paths.len()),
        ("forbidden_paths", said.forbidden_paths.len()),
    ];
    let warnings = warnings(text, policy);
    let told = json!({
        "file": file, "profile": profile.agent_id, "version": profile.agent_version, "tier": profile.tier, "hash": policy.hash(),
        "patterns": serde_json::Map::from_iter(counts.map(|(name, count)| (name.to_owned(), count.into()))),
        "conditions": policy.has_conditions(), "warnings": warnings,
    });
    printer.either(&told, || {
        let counts = counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}"));
        let counts = counts.chain(policy.has_conditions().then(|| "conditions".to_owned())).collect::<Vec<_>>();
        let holds = if counts.is_empty() { "it allows nothing".to_owned() } else { counts.join(", ") };
        let (name, tier, version) = (&profile.agent_id, profile.tier, profile.agent_version.escape_debug());
        let warned: String = warnings.iter().map(|warning| format!("\n      {WARN}warning{WARN:#}: {warning}")).collect();
        format!("{GOOD}good{GOOD:#}  {BOLD}{name}{BOLD:#} {version}, {tier}: {holds}\n      {DIM}{}{DIM:#}{warned}", policy.hash())
    })
}

/// What is accepted, and may not have been meant.
fn warnings(text: &Text, policy: &Policy) -> Vec<String> {
    let said = &policy.profile().constraints;
    let all = |patterns: &[String], all: &str| patterns.iter().any(|pattern| pattern == all);
    let mut warnings = Vec::new();
    if all(&said.allowed_actions, "*") {
        let on = if all(&said.allowed_targets, "*") { " on every target" } else { "" };
        warnings.push(format!("it allows every action{on} that it does not forbid, also those that come into being later: prefer a list"));
    }
    if said.allowed_actions.is_empty() {
        warnings.push("it allows no action, so nothing at all".to_owned());
    }
    if text.size() > MAX_LIVE {
        warnings.push(format!("it has {} bytes: at most {MAX_LIVE} can be in force", text.size()));
    }
    warnings
}
