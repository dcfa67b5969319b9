//! `governance agents`.

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::args::{Promote, Register as Command};
use super::printer::{BAD, BOLD, DIM, GOOD, Printer, WARN, moment, short};
use super::status::shown_as;
use crate::agent::{AgentDetail, AgentFilter, AgentHealth, AgentRecord, ProfileStanding, Promotions};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::governance::Governance;
use crate::guard::approval::{Approval, MAX_WITHIN};
use crate::guard::policies;
use crate::vocabulary::{AgentId, Eligibility, PipelineId, PromotionStatus};

/// Who asks, where a person does at a terminal.
const OPERATOR: &str = "operator";

pub async fn agents(config: Config, command: Command, printer: &Printer) -> Result<ExitCode> {
    let governance = match &command {
        // What is written needs no run before it.
        Command::Register { .. } => Governance::open(super::passing(config)).await?,
        _ => super::existing(config).await?,
    };
    let promotions = governance.promotions();
    match command {
        Command::List(asked) => {
            let pipeline = asked.pipeline.map(PipelineId::new).transpose()?;
            let (tier, role, status, health, profile) = (asked.tier, asked.role, asked.status, asked.health, asked.profile);
            let mut records = governance.agents(&AgentFilter { tier, role, status, pipeline, health, profile }).await?;
            // Where its run is over, an agent is no longer what it was last.
            records.retain(|record| status.is_none() || !was_stopped(record));
            if records.is_empty() {
                printer.note("no such agent has been admitted")?;
            }
            records.iter().try_for_each(|record| printer.either(&object(record, record), || line(record)))?;
        }
        Command::Show { id } => {
            let detail = governance.agent_record(&AgentId::new(id)?).await?;
            printer.either(&object(&detail, &detail.record), || whole(&detail))?;
        }
        Command::Promotion { profile: Some(profile) } => {
            let profile = AgentId::new(profile)?;
            known(&governance, &profile).await?;
            show(&governance, promotions.standing(&profile).await?, printer).await?
        }
        Command::Promotion { profile: None } => {
            for standing in promotions.standings().await? {
                show(&governance, standing, printer).await?;
            }
        }
        Command::Register { profile, tier, file, reason } => {
            let terms = file.map(|file| policies::profile(&file)).transpose()?.and_then(|policy| policy.profile().promotion.clone());
            let standing = promotions.register(&AgentId::new(profile)?, tier, terms.as_ref(), OPERATOR, &reason).await?;
            told(&standing, printer)?;
        }
        Command::Promote(asked) => {
            known(&governance, &AgentId::new(&asked.profile)?).await?;
            let risen = promote(&promotions, asked, printer).await;
            governance.close().await?;
            return risen;
        }
        Command::Demote { profile, to, reason } => {
            let profile = AgentId::new(profile)?;
            known(&governance, &profile).await?;
            told(&promotions.demote(&profile, to, OPERATOR, &reason).await?, printer)?;
        }
    }
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses a profile that nobody knows: without a standing, a policy, and any agent that was admitted by it.
async fn known(governance: &Governance, profile: &AgentId) -> Result<()> {
    if governance.promotions().standings().await?.iter().any(|standing| standing.profile == *profile)
        || governance.policies().version(profile, None).await?.is_some()
        || !governance.agents(&AgentFilter { profile: Some(profile.to_string()), ..AgentFilter::default() }).await?.is_empty()
    {
        return Ok(());
    }
    let message = format!(
        "nobody knows a profile `{profile}`: see `governance agents promotion`, or `governance agents register {profile} --tier T0`"
    );
    Err(Error::new(ErrorKind::NotFound, "no_such_profile", message))
}

async fn promote(promotions: &Promotions, asked: Promote, printer: &Printer) -> Result<ExitCode> {
    let profile = AgentId::new(asked.profile)?;
    let mut standing = promotions.promote(&profile, asked.to, OPERATOR, &asked.reason).await?;
    let Some(target) = standing.review.as_ref().map(|review| review.target).filter(|_| asked.wait) else {
        return told(&standing, printer).map(|()| ExitCode::SUCCESS);
    };
    if !printer.json {
        told(&standing, printer)?;
    }
    standing = promotions.reviewed(&profile, asked.timeout.map_or(MAX_WITHIN, Duration::from_secs)).await?;
    told(&standing, printer)?;
    Ok(if standing.tier == Some(target) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Whether it ended with its run, which was stopped or broke off, and not by itself.
fn was_stopped(record: &AgentRecord) -> bool {
    record.health == AgentHealth::Ended && !record.status.is_final()
}

fn shown(record: &AgentRecord) -> &'static str {
    shown_as(record.status, record.health == AgentHealth::Ended)
}

/// For programs: with the state that it is in now.
fn object(whole: &impl Serialize, record: &AgentRecord) -> Value {
    let mut object = json!(whole);
    object["status"] = shown(record).into();
    object
}

fn line(record: &AgentRecord) -> String {
    let style = match record.health {
        AgentHealth::Healthy | AgentHealth::Ended => GOOD,
        AgentHealth::Starting | AgentHealth::Degraded => WARN,
        AgentHealth::Lost | AgentHealth::Revoked => BAD,
    };
    let place = match (record.pid, &record.host) {
        (Some(pid), Some(host)) => format!(" {pid}@{}", host.escape_debug()),
        _ => String::new(),
    };
    let pipeline = record.pipeline.as_ref().map_or("", PipelineId::as_str);
    let why = record.why.as_ref().map_or(String::new(), |why| format!("  {why}"));
    let waits = record.waits_for.as_ref().map_or(String::new(), |approval| format!("  waits for {WARN}{approval}{WARN:#}"));
    format!(
        "{BOLD}{:<22}{BOLD:#} {style}{:<9}{style:#} {} {:<5} {:<9} {:<9} {DIM}{pipeline}  {}{place}{DIM:#}{waits}{why}",
        record.id,
        record.health,
        record.tier,
        record.role,
        shown(record),
        record.phase,
        record.runtime.escape_debug()
    )
}

fn whole(detail: &AgentDetail) -> String {
    let record = &detail.record;
    let mut lines = vec![line(record)];
    let mut say = |what: &str, says: String| lines.push(format!("  {what:<13} {says}"));
    let version = record.version.as_deref().unwrap_or("-");
    say("profile", format!("{} {}", record.profile, version.escape_debug()));
    let able: Vec<_> = record.capabilities.iter().map(|able| able.as_str()).collect();
    say("capabilities", if able.is_empty() { "none".to_owned() } else { able.join(", ") });
    if let Some(since) = record.since {
        say("since", moment(since));
    }
    if let Some(last) = detail.last_progress {
        say("progress", moment(last));
    }
    if let Some(approval) = &record.waits_for {
        say("waits for", format!("{WARN}{approval}{WARN:#}: governance approvals show {approval}"));
    }
    for usage in &detail.spend {
        say(usage.unit.as_str(), format!("{} of {} used or reserved", usage.used, usage.limit));
    }
    let (faults, limits) = (&detail.faults, &detail.fault_limits);
    say("errors", format!("{} of {}", faults.total_errors, limits.max_total_errors));
    say("violations", format!("{} of {} of the procedure", faults.procedure_violations, limits.max_procedure_violations));
    if let Some(revocation) = &detail.revocation {
        say("revoked", format!("{BAD}{}{BAD:#}: {}", revocation.kind, short(&revocation.reason, 200)));
    }
    if let Some(packet) = &detail.packet {
        say("told", short(&packet.objective, 200));
        if let Some(deadline) = packet.deadline {
            say("deadline", moment(deadline));
        }
        if !packet.evidence_required.is_empty() {
            say("must show", short(&packet.evidence_required.join(", "), 200));
        }
    }
    if let Some(preflight) = &detail.preflight {
        let style = if preflight.passed { GOOD } else { BAD };
        say("preflight", format!("{style}{}{style:#}", if preflight.passed { "passed" } else { "failed" }));
        for check in preflight.checks.iter().filter(|check| !check.passed) {
            say("", format!("{}: {}", short(&check.name, 60), short(check.reason.as_deref().unwrap_or_default(), 200)));
        }
    }
    for output in &detail.outputs {
        say("output", format!("{} {}  {DIM}{}{DIM:#}", output.output_type, output.phase, output.content_hash));
    }
    for shown in detail.evidence.iter().flat_map(|package| &package.evidence) {
        say(
            "evidence",
            format!("{} ({}), {} bytes at {}  {DIM}{}{DIM:#}", shown.name, shown.kind, shown.bytes, shown.reference, shown.content_hash),
        );
    }
    lines.join("\n")
}

async fn show(governance: &Governance, standing: ProfileStanding, printer: &Printer) -> Result<()> {
    let eligibility = governance.promotions().eligibility(&standing.profile).await?;
    let registered = standing.tier.is_some();
    let approval = governance.promotions().review(&standing).await?;
    let object = json!({"standing": standing, "registered": registered, "eligibility": eligibility, "approval": approval});
    printer.either(&object, || {
        let mut lines = vec![headline(&standing, &eligibility)];
        for requirement in &eligibility.requirements {
            let style = if requirement.met { GOOD } else { WARN };
            let need = if requirement.name == "violations" { "none allowed".to_owned() } else { format!("of {}", requirement.need) };
            lines.push(format!("  {:<15} {style}{}{style:#} {need}", requirement.name, requirement.have));
        }
        if eligibility.review {
            let who = if eligibility.administrator { "a person, and an administrator" } else { "a person" };
            lines.push(format!("  {:<15} by {who}", "review"));
        }
        lines.extend(approval.iter().flat_map(waits));
        lines.extend(standing.changes.iter().rev().take(3).map(|change| {
            let tier = |tier: Option<crate::vocabulary::Tier>| tier.map_or("-", crate::vocabulary::Tier::as_str);
            let (by, why) = (short(&change.by, 60), short(&change.reason, 120));
            format!("  {DIM}{} {} to {}: {} by {by}: {why}{DIM:#}", moment(change.at), tier(change.from), tier(change.to), change.status)
        }));
        lines.join("\n")
    })
}

/// What a review waits for, and the command that says yes.
fn waits(approval: &Approval) -> [String; 2] {
    let (has, needs, id) = (approval.approved.len(), approval.request.quorum, &approval.request.id);
    let who: Vec<_> = approval.approved.iter().map(|given| given.approver.as_str()).collect();
    let by = if who.is_empty() { String::new() } else { format!(", by {}", who.join(", ")) };
    let lacks = if approval.lacks_an_administrator() { "; an administrator must be among them" } else { "" };
    let until = moment(approval.request.deadline);
    [
        format!("  {:<15} {WARN}{has}{WARN:#} of {needs} approvals{by}{lacks}, until {until}", "waits for"),
        format!("  {:<15} governance approvals approve {id}", "to approve"),
    ]
}

fn headline(standing: &ProfileStanding, eligibility: &Eligibility) -> String {
    let style = if standing.status == PromotionStatus::NotEligible { WARN } else { GOOD };
    let stands = match standing.tier {
        Some(tier) => format!("stands at {tier}"),
        None => "is not registered, and joins as its operator says".to_owned(),
    };
    let target = eligibility.target.map_or(String::new(), |target| format!(" for {target}"));
    format!("{BOLD}{}{BOLD:#} {stands}: {style}{}{style:#}{target}", standing.profile, standing.status)
}

fn told(standing: &ProfileStanding, printer: &Printer) -> Result<()> {
    printer.either(&json!({"profile": standing.profile, "tier": standing.tier, "status": standing.status, "standing": standing}), || {
        let waits = standing.review.as_ref().map_or(String::new(), |review| {
            format!(" for {}: it waits for people\n  to approve: governance approvals approve {}", review.target, review.approval)
        });
        let style = if matches!(standing.status, PromotionStatus::Rejected | PromotionStatus::NotEligible) { WARN } else { GOOD };
        format!("{BOLD}{}{BOLD:#} stands at {}, {style}{}{style:#}{waits}", standing.profile, standing.stands_at(), standing.status)
    })
}
