//! `governance policy explain`: what decides, and why.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::args::Explain;
use super::printer::{BAD, DIM, GOOD, Printer, WARN};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::governance::Governance;
use crate::guard::policies::{is_file, profile};
use crate::guard::policy::{Decision, Facts, Finding, Judgement, Policy, Request, Say, Step, Verdict, visible};
use crate::store::StoreUrl;
use crate::vocabulary::{AgentId, DEFAULT_LEDGER_PATH, PipelineId, Ports, Tier};

/// What is explained, and where it is from.
struct Found {
    policy: Policy,
    /// For programs.
    from: Value,
    /// For people.
    told: String,
}

/// What is in force comes first; what is shipped stands in for it where nothing of that name ever was.
async fn find(config: Config, asked: &Explain) -> Result<Found> {
    let named = &asked.profile;
    let tier = Tier::ALL.iter().copied().find(|tier| tier.as_str().eq_ignore_ascii_case(named) || tier.rules().policy == *named);
    if asked.shipped {
        let none =
            || Error::new(ErrorKind::NotFound, "no_such_policy", format!("no profile `{}` is shipped: t0 to t4 are", visible(named)));
        return shipped(tier.ok_or_else(none)?);
    }
    if is_file(named) {
        return read(Path::new(named));
    }
    let name = tier.map_or(named.as_str(), |tier| tier.rules().policy);
    if let Ok(name) = AgentId::new(name)
        && let Some(found) = in_force(config, &name, asked.tier).await?
    {
        return Ok(found);
    }
    match tier {
        Some(tier) => shipped(tier),
        None => read(Path::new(named)),
    }
}

fn shipped(tier: Tier) -> Result<Found> {
    Ok(Found { policy: Policy::shipped(tier)?, from: json!({"kind": "shipped"}), told: "shipped".to_owned() })
}

async fn in_force(config: Config, name: &AgentId, tier: Option<Tier>) -> Result<Option<Found>> {
    // Where nothing ever ran nothing is in force, and a look makes no home. A server may hold what was put in force from another one.
    if !config.home.join(DEFAULT_LEDGER_PATH).exists() {
        if !matches!(StoreUrl::parse(&config.store_url()?)?, StoreUrl::Redis(_)) {
            return Ok(None);
        }
        let message = "what is in force is known to whoever uses the home of its ledger: name it with --home, or ask with --shipped";
        return Err(Error::new(ErrorKind::NotFound, "no_home", message));
    }
    let governance = Governance::visit(super::passing(config)).await?;
    let found = governance.policies().in_force(name, tier).await;
    governance.close().await?;
    Ok(found?.map(|(held, policy)| {
        let version = held.version;
        let withdrawn = held.text.is_none();
        let told = match withdrawn {
            true if policy.is_closed().is_none() => format!("shipped, which version {version} made way for"),
            true => format!("withdrawn in version {version}"),
            false => format!("version {version}, in force"),
        };
        Found { policy, from: json!({"kind": "in_force", "version": version, "withdrawn": withdrawn}), told }
    }))
}

fn read(file: &Path) -> Result<Found> {
    let shown = file.display().to_string();
    let policy = profile(file).map_err(|error| match error.code() {
        "file_missing" => {
            let message = format!("there is no profile `{}`: name one in force, a shipped one, t0 to t4, or a file", visible(&shown));
            Error::new(ErrorKind::NotFound, "file_missing", message).because(error)
        }
        _ => error,
    })?;
    Ok(Found { policy, from: json!({"kind": "file", "file": shown}), told: format!("in `{}`", visible(&shown)) })
}

pub async fn explain(config: Config, asked: &Explain, printer: &Printer) -> Result<ExitCode> {
    let Found { policy, from, told } = find(config, asked).await?;
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
            "profile": profile, "from": from, "policy_hash": hash, "request": request, "steps": explained.steps, "conditions": conditions, "decision": decision
        }))?;
    } else {
        printer.line(format!("{DIM}profile{DIM:#} {}, {told}  {DIM}{}{DIM:#}", policy.profile().agent_id, policy.hash()))?;
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
