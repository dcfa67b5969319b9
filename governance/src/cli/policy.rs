//! `governance policy`. Reads files only, neither the store nor the ledger.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::args::{Explain, Policy as Command};
use super::printer::{BAD, BOLD, DIM, GOOD, Printer, WARN};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::policy::{Decision, Finding, MAX_PROFILE, Policy, Request, Step, Verdict};
use crate::vocabulary::Tier;

pub fn policy(command: &Command, printer: &Printer) -> Result<ExitCode> {
    match command {
        Command::Check { files } => {
            files.iter().try_for_each(|file| check(file, printer))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Explain(asked) => explain(asked, printer),
    }
}

fn check(file: &Path, printer: &Printer) -> Result<()> {
    let policy = read(file)?;
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
    let told = json!({
        "file": file, "profile": profile.agent_id, "version": profile.agent_version, "tier": profile.tier, "hash": policy.hash(),
        "patterns": serde_json::Map::from_iter(counts.map(|(name, count)| (name.to_owned(), count.into()))),
    });
    printer.either(&told, || {
        let counts = counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>();
        let holds = if counts.is_empty() { "it allows nothing".to_owned() } else { counts.join(", ") };
        let (name, tier, version) = (&profile.agent_id, profile.tier, &profile.agent_version);
        format!("{GOOD}good{GOOD:#}  {BOLD}{name}{BOLD:#} {version}, {tier}: {holds}\n      {DIM}{}{DIM:#}", policy.hash())
    })
}

fn explain(asked: &Explain, printer: &Printer) -> Result<ExitCode> {
    let tier = Tier::ALL.iter().find(|tier| tier.as_str().eq_ignore_ascii_case(&asked.profile) || tier.rules().policy == asked.profile);
    let policy = tier.map_or_else(|| read(Path::new(&asked.profile)), |tier| Policy::shipped(*tier))?;
    let request = Request { action: &asked.action, target: asked.target.as_deref(), path: asked.path.as_deref() };
    let explained = policy.explain(&request);
    let decision = &explained.decision;
    if printer.json {
        let (profile, hash) = (&policy.profile().agent_id, policy.hash());
        printer.object(
            &json!({"profile": profile, "policy_hash": hash, "request": request, "steps": explained.steps, "decision": decision}),
        )?;
    } else {
        printer.line(format!("{DIM}profile{DIM:#} {} {DIM}{}{DIM:#}", policy.profile().agent_id, policy.hash()))?;
        explained.steps.iter().try_for_each(|step| printer.line(line(step)))?;
        printer.line(conclusion(decision))?;
    }
    Ok(if decision.verdict() == Verdict::Allow { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn line(step: &Step) -> String {
    let text = step.text.escape_debug();
    let by = step.by.as_deref().unwrap_or_default();
    let found = match (step.list, step.finding) {
        (None, Finding::Malformed) => format!("{BAD}refused{BAD:#}: {by}"),
        (None, _) => "can be read in one way only".to_owned(),
        (Some(list), Finding::Matched) => format!("`{by}` in {list} stands for it"),
        (Some(list), _) => format!("{DIM}nothing in {list} ({}){DIM:#}", step.patterns.unwrap_or_default()),
    };
    format!("  {:<7} `{text}`  {found}", step.field)
}

fn conclusion(decision: &Decision) -> String {
    let verdict = decision.verdict();
    let style = match verdict {
        Verdict::Allow | Verdict::Modify => GOOD,
        Verdict::StepUp | Verdict::Defer => WARN,
        Verdict::Deny => BAD,
    };
    let counts = decision.violation().map_or(String::new(), |violation| format!("; {violation}, {}", violation.severity()));
    format!("{style}{verdict}{style:#}: {}{counts}", decision.reason())
}

pub(super) fn read(file: &Path) -> Result<Policy> {
    let shown = file.display();
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            let message = format!("there is no profile `{shown}`: name a file, or a shipped one, t0 to t4");
            Error::new(ErrorKind::NotFound, "file_missing", message).because(error)
        }
        _ => Error::invalid("bad_profile", format!("`{shown}` cannot be read: name a text file")).because(error),
    };
    let mut text = String::new();
    // One byte more than is read as a profile, so that what is too large is told as such.
    std::fs::File::open(file).and_then(|open| open.take(MAX_PROFILE as u64 + 1).read_to_string(&mut text)).map_err(unreadable)?;
    Policy::read(&shown.to_string(), &text)
}
