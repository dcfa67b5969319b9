//! `governance policy`: checking and explaining, which reads files only, neither the store nor the ledger.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::args::{Explain, Policy as Command};
use super::policies;
use super::printer::{BAD, BOLD, DIM, GOOD, Printer, WARN};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::policies::{MAX_LIVE, Text, profiles};
use crate::guard::policy::{Decision, Facts, Finding, Judgement, Policy, Request, SCHEMA, Say, Step, Verdict, visible};
use crate::vocabulary::{AgentId, PipelineId, Ports, Tier};

pub async fn policy(config: Config, command: Command, printer: &Printer) -> Result<ExitCode> {
    match command {
        Command::Check { files } => {
            for file in &files {
                profiles(file)?.iter().try_for_each(|(name, text)| check(name, text, printer))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Schema => {
            printer.either(&json!({"schema": SCHEMA}), || SCHEMA.trim_end().to_owned())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Explain(asked) => explain(&asked, printer),
        in_force => policies::policies(config, in_force, printer).await,
    }
}

fn check(file: &str, text: &Text, printer: &Printer) -> Result<()> {
    let policy = text.policy(file)?;
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
    let warnings = warnings(text, &policy);
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

fn explain(asked: &Explain, printer: &Printer) -> Result<ExitCode> {
    let tier = Tier::ALL.iter().find(|tier| tier.as_str().eq_ignore_ascii_case(&asked.profile) || tier.rules().policy == asked.profile);
    let policy = tier.map_or_else(|| read(Path::new(&asked.profile)), |tier| Policy::shipped(*tier))?;
    let risks: Vec<&str> = asked.risk.iter().map(String::as_str).collect();
    let (target, path) = (asked.target.as_deref(), asked.path.as_deref());
    let request = Request { action: &asked.action, target, path, risks: &risks };
    let agent = AgentId::new(asked.agent.clone().unwrap_or_else(|| format!("{}-asked", policy.profile().agent_id)))?;
    let arguments: Value =
        asked.argument.iter().map(|argument| (argument.name.clone(), argument.value.clone())).collect::<Map<_, _>>().into();
    let pipeline = asked.pipeline.as_ref().map(PipelineId::new).transpose()?;
    let mut facts = Facts::of(&agent, asked.tier.unwrap_or(policy.profile().tier)).with(&arguments);
    (facts.role, facts.phase, facts.pipeline) = (asked.role, asked.phase, pipeline.as_ref());
    facts.now = Some(asked.at.unwrap_or_else(|| Ports::default().clock.now()));
    let explained = policy.explain_for(&request, &facts);
    let decision = &explained.decision;
    if printer.json {
        let (profile, hash, conditions) = (&policy.profile().agent_id, policy.hash(), &explained.conditions);
        printer.object(&json!({
            "profile": profile, "policy_hash": hash, "request": request, "steps": explained.steps, "conditions": conditions, "decision": decision
        }))?;
    } else {
        printer.line(format!("{DIM}profile{DIM:#} {} {DIM}{}{DIM:#}", policy.profile().agent_id, policy.hash()))?;
        explained.steps.iter().try_for_each(|step| printer.line(line(step)))?;
        explained.conditions.iter().try_for_each(|judgement| printer.line(judged(judgement)))?;
        printer.line(conclusion(decision))?;
    }
    Ok(if decision.verdict() == Verdict::Allow { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn judged(judgement: &Judgement) -> String {
    let by = judgement.by.iter().map(|name| format!("`{}`", visible(name))).collect::<Vec<_>>().join(", ");
    let why = judgement.why.as_ref().map_or_else(String::new, |why| format!(": {}", visible(why)));
    match judgement.says {
        Say::Permit => format!("  conditions  permitted by {by}"),
        Say::StepUp => format!("  conditions  {WARN}an approval is asked for{WARN:#} by {by}{why}"),
        Say::Forbid if by.is_empty() => format!("  conditions  {BAD}not permitted{BAD:#}{why}"),
        Say::Forbid => format!("  conditions  {BAD}forbidden{BAD:#} by {by}{why}"),
    }
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
    let shown = file.display().to_string();
    let mut texts = profiles(file).map_err(|error| match error.code() {
        "file_missing" => {
            let message = format!("there is no profile `{}`: name a file, or a shipped one, t0 to t4", visible(&shown));
            Error::new(ErrorKind::NotFound, "file_missing", message).because(error)
        }
        _ => error,
    })?;
    match (texts.pop(), texts.is_empty()) {
        (Some((name, text)), true) => text.policy(&name),
        _ => Err(Error::invalid("bad_profile", format!("`{}` is a directory: name one profile", visible(&shown)))),
    }
}
