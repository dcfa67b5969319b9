//! `governance approvals`: what people are asked, and what they say.

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::approver_key;
use super::args::{Approvals as Command, Decide};
use super::printer::{BAD, BOLD, DIM, GOOD, Printer, WARN, moment};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::governance::Governance;
use crate::guard::approval::{Approval, ApprovalKind, ApprovalState, ApprovalVerdict, MAX_WITHIN, shown, shown_json};
use crate::vocabulary::{AgentId, ApprovalId};

/// How many requests are listed.
const LISTED: u64 = 1_000;

pub async fn approvals(config: Config, command: Command, printer: &Printer) -> Result<ExitCode> {
    let governance = super::existing(config).await?;
    let done = answer(&governance, command, printer).await;
    governance.close().await?;
    done
}

async fn answer(governance: &Governance, command: Command, printer: &Printer) -> Result<ExitCode> {
    let queue = governance.approvals();
    match command {
        Command::List { all } => {
            let found: Vec<_> = queue.list(LISTED).await?.into_iter().filter(|approval| all || !approval.is_over()).collect();
            found.iter().try_for_each(|approval| printer.either(&without_arguments(approval), || line(approval)))?;
            if found.is_empty() && !printer.json {
                printer.note("nothing waits for an approval")?;
            }
        }
        Command::Show { id } => {
            let approval = queue.approval(&ApprovalId::new(id)?).await?;
            show(&approval, printer)?;
        }
        Command::Approve(decide) => self::decide(governance, &decide, ApprovalVerdict::Approve, printer).await?,
        Command::Deny(decide) => self::decide(governance, &decide, ApprovalVerdict::Deny, printer).await?,
        Command::Wait { id, timeout } => {
            let approval = queue.wait(&ApprovalId::new(id)?, timeout.map_or(MAX_WITHIN, Duration::from_secs)).await?;
            printer.either(&without_arguments(&approval), || line(&approval))?;
            let approved = matches!(approval.state, ApprovalState::Approved | ApprovalState::Used);
            return Ok(if approved { ExitCode::SUCCESS } else { ExitCode::from(1) });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn decide(governance: &Governance, asked: &Decide, verdict: ApprovalVerdict, printer: &Printer) -> Result<()> {
    let (queue, id) = (governance.approvals(), ApprovalId::new(&asked.id)?);
    let approval = queue.approval(&id).await?;
    if !printer.json {
        show(&approval, printer)?;
    }
    // What was shown is what is signed.
    let hash = asked.hash.clone().unwrap_or_else(|| approval.hash.clone());
    if !asked.yes {
        confirm(verdict, &hash)?;
    }
    let key = approver_key::open(asked.with.key.as_deref(), asked.with.passphrase_file.as_deref(), &governance.config().home)?;
    let decided = queue.decide(&key, &id, &hash, verdict, asked.note.as_deref()).await?;
    let risen = carried_out(governance, &decided).await?;
    printer.either(&decided, || {
        let (has, needs) = (decided.approved.len(), decided.request.quorum);
        let then = match decided.state {
            ApprovalState::Pending => format!("{has} of {needs} approvals{}: it waits for more people", lacking(&decided)),
            ApprovalState::Approved => risen.unwrap_or_else(|| "it may be done, once".to_owned()),
            state => state.to_string(),
        };
        let done = if verdict == ApprovalVerdict::Approve { format!("{GOOD}approved{GOOD:#}") } else { format!("{BAD}denied{BAD:#}") };
        format!("{done} {id} as {}: {then}\n  signed: {hash}", key.name())
    })
}

/// What came of a promotion that was decided: a look at the profile carries it out, as any look would.
async fn carried_out(governance: &Governance, decided: &Approval) -> Result<Option<String>> {
    let profile = decided.request.target.as_deref().filter(|_| decided.request.kind == ApprovalKind::Promotion);
    let Some(profile) = profile.map(AgentId::new).transpose()? else { return Ok(None) };
    let standing = governance.promotions().standing(&profile).await?;
    Ok(Some(format!("`{profile}` stands at {}, {}", standing.stands_at(), standing.status)))
}

/// Asks on the terminal. Whoever cannot be asked has not said yes.
fn confirm(verdict: ApprovalVerdict, hash: &str) -> Result<()> {
    let not =
        || Error::new(ErrorKind::Denied, "not_confirmed", "nothing was signed: nobody said yes on a terminal, and `--yes` was not given");
    if !std::io::stdin().is_terminal() {
        return Err(not());
    }
    let printer = Printer::new(false);
    printer.note(format!("this signs {hash}: type `{verdict}` to {verdict} it"))?;
    let mut said = String::new();
    std::io::stdin().lock().read_line(&mut said).map_err(|e| not().because(e))?;
    if said.trim() == verdict.as_str() { Ok(()) } else { Err(not()) }
}

fn line(approval: &Approval) -> String {
    let request = &approval.request;
    let on = request.target.as_ref().map_or(String::new(), |target| format!(" on {}", shown(target)));
    let at = request.path.as_ref().map_or(String::new(), |path| format!(" at {}", shown(path)));
    let risks = if request.risks.is_empty() { String::new() } else { format!(", {WARN}{}{WARN:#}", risks(&request.risks)) };
    let (has, needs) = (approval.approved.len(), request.quorum);
    let (id, kind, action) = (&request.id, request.kind, shown(&request.action));
    let until = moment(request.deadline);
    format!(
        "{BOLD}{id}{BOLD:#}  {}  {kind} {action}{on}{at}{risks}, by {}  {DIM}{has} of {needs}{}, until {until}{DIM:#}",
        state(approval),
        request.agent,
        lacking(approval)
    )
}

fn state(approval: &Approval) -> String {
    let state = approval.state;
    match state {
        ApprovalState::Pending => format!("{WARN}{state}{WARN:#}"),
        ApprovalState::Approved | ApprovalState::Used => format!("{GOOD}{state}{GOOD:#}"),
        ApprovalState::Denied | ApprovalState::Superseded | ApprovalState::Expired | ApprovalState::Void => format!("{BAD}{state}{BAD:#}"),
    }
}

fn show(approval: &Approval, printer: &Printer) -> Result<()> {
    if printer.json {
        let arguments: Value = approval.arguments.as_ref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        return printer.object(&json!({"approval": approval, "arguments": arguments}));
    }
    let request = &approval.request;
    let none = || "none named".to_owned();
    let arguments = match approval.arguments.as_ref().and_then(|text| serde_json::from_str(text).ok()) {
        Some(value) => shown_json(&value),
        None => format!("{DIM}gone: they are kept until the deadline, a denial or the use{DIM:#}"),
    };
    let pipeline = request.pipeline.as_ref().map_or(String::new(), |pipeline| format!(" in {pipeline}"));
    let rows = [
        ("request", format!("{BOLD}{}{BOLD:#}  {}", request.id, state(approval))),
        ("asks", format!("{}{pipeline}", request.agent)),
        ("kind", request.kind.to_string()),
        ("action", shown(&request.action)),
        ("target", request.target.as_deref().map_or_else(none, shown)),
        ("path", request.path.as_deref().map_or_else(none, shown)),
        ("risks", if request.risks.is_empty() { none() } else { format!("{WARN}{}{WARN:#}", risks(&request.risks)) }),
        ("phase", request.phase.map_or_else(none, |phase| phase.to_string())),
        ("because", shown(&request.reason)),
        ("until", format!("{} UTC", moment(request.deadline))),
        ("approved", format!("{} of {}{}", approval.approved.len(), request.quorum, lacking(approval))),
        ("digest", format!("{}  {DIM}SHA-256 of the arguments{DIM:#}", request.arguments)),
        ("hash", format!("{}  {DIM}of all of this; what is signed{DIM:#}", approval.hash)),
        ("arguments", arguments),
    ];
    rows.iter().try_for_each(|(name, said)| printer.line(format!("{DIM}{name:>9}{DIM:#}  {said}")))?;
    for given in &approval.approved {
        printer.line(format!(
            "{:>9}  {GOOD}approved{GOOD:#} by {}{} at {}{}",
            "",
            given.approver,
            if given.administrator { ", an administrator," } else { "" },
            moment(given.at),
            note(given.note.as_deref())
        ))?;
    }
    if let Some(given) = &approval.denied {
        printer.line(format!(
            "{:>9}  {BAD}denied{BAD:#} by {} at {}{}",
            "",
            given.approver,
            moment(given.at),
            note(given.note.as_deref())
        ))?;
    }
    approval.uncounted.iter().try_for_each(|uncounted| {
        printer.line(format!("{:>9}  {WARN}does not count{WARN:#}: said to be by {}; {}", "", uncounted.approver, uncounted.why))
    })
}

fn risks(risks: &[String]) -> String {
    risks.iter().map(|risk| shown(risk)).collect::<Vec<_>>().join(", ")
}

/// Whom the people who have approved do not include.
fn lacking(approval: &Approval) -> &'static str {
    if approval.lacks_an_administrator() { ", and an administrator must be among them" } else { "" }
}

fn note(note: Option<&str>) -> String {
    note.map_or(String::new(), |note| format!(": {}", shown(note)))
}

/// What is listed is not shown to somebody who decides: the arguments may be secrets, and `show` has them.
fn without_arguments(approval: &Approval) -> Approval {
    Approval { arguments: None, ..approval.clone() }
}
