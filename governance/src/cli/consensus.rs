//! `governance pipeline consensus`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::printer::{BOLD, DIM, GOOD, Printer, WARN, moment, short};
use crate::coordination::{Choice, Outcome, Proposal, ProposalState, Undecided};
use crate::error::Result;
use crate::governance::Governance;
use crate::vocabulary::{AgentId, PipelineId, ProposalId, Section};

pub async fn consensus(governance: &Governance, id: &PipelineId, printer: &Printer) -> Result<()> {
    let (actor, task) = (governance.actor("operator").await?, id.task());
    let consensus = governance.consensus(&task, &actor);
    let proposals = consensus.proposals().await?;
    if proposals.is_empty() {
        printer.note(format!("nothing was put to the vote in `{id}` yet"))?;
    }
    let mut titles = BTreeMap::new();
    for entry in governance.blackboard(&task, &actor).entries(Section::Solutions).await? {
        let title = entry.content.get("title").and_then(Value::as_str).unwrap_or_default();
        titles.insert(entry.name.to_string(), (title.to_owned(), entry.author));
    }
    for (vote, proposal) in proposals {
        let ballots = consensus.votes(&vote).await?;
        let object = json!({"pipeline_id": id, "proposal_id": vote, "proposal": proposal, "ballots": ballots});
        printer.either(&object, || lines(&vote, &proposal, &ballots, &titles).join("\n"))?;
    }
    if let Some(context) = failure_context(governance, id).await? {
        printer.either(&json!({"pipeline_id": id, "failure_context": context}), || {
            let why = ["reason", "context"].iter().filter_map(|name| context.get(*name).and_then(Value::as_str));
            let why: Vec<_> = why.filter(|why| !why.is_empty()).map(|why| short(why, 400)).collect();
            format!(
                "{WARN}kept for the next try{WARN:#}: {}",
                if why.is_empty() { short(&context.to_string(), 400) } else { why.join("\n  ") }
            )
        })?;
    }
    Ok(())
}

/// What made a run fail or wait, if anything did.
pub async fn failure_context(governance: &Governance, id: &PipelineId) -> Result<Option<Value>> {
    let store = governance.store();
    Ok(store.json(store.keys().pipeline_failure_context(id)).await?.map(|(_, context)| context))
}

type Titles = BTreeMap<String, (String, AgentId)>;

fn lines(id: &ProposalId, vote: &Proposal, ballots: &BTreeMap<AgentId, Option<Choice>>, titles: &Titles) -> Vec<String> {
    let voters = vote.electorate.0.len();
    let question = vote.question.as_str().map_or_else(|| vote.question.to_string(), str::to_owned);
    let mut lines = vec![
        format!("{BOLD}{id}{BOLD:#}  {}", stands(&vote.state)),
        format!("  {}", short(&question, 200)),
        format!(
            "  {DIM}{}, {} of {voters} ballots needed, {} cast, until {}, opened by {}{DIM:#}",
            vote.rule,
            vote.quorum,
            ballots.len(),
            moment(vote.deadline),
            vote.opened_by
        ),
    ];
    let counts = match &vote.state {
        ProposalState::Closed(Outcome::Decided { counts, .. } | Outcome::Undecided { counts, .. }) => Some(counts),
        _ => None,
    };
    for option in &vote.options {
        let got = counts.and_then(|counts| counts.get(option)).map_or("·".to_owned(), u64::to_string);
        let (title, author) = titles.get(option).map_or(("", ""), |(title, author)| (title, author.as_str()));
        lines.push(format!("  {got:>3}  {option}  {}  {DIM}{author}{DIM:#}", short(title, 80)));
    }
    for member in &vote.electorate.0 {
        let said = match ballots.get(&member.id) {
            None => "has not voted".to_owned(),
            Some(None) => "has voted, sealed".to_owned(),
            Some(Some(choice)) => for_what(choice),
        };
        lines.push(format!("       {} {}", member.id, short(&said, 200)));
    }
    lines
}

fn stands(state: &ProposalState) -> String {
    match state {
        ProposalState::Open => format!("{WARN}open{WARN:#}"),
        ProposalState::Revealing => format!("{WARN}open{WARN:#}: sealed ballots are being revealed"),
        ProposalState::Closing => format!("{WARN}closing{WARN:#}: being counted"),
        ProposalState::Closed(Outcome::Decided { option, .. }) => format!("{GOOD}decided{GOOD:#}: {option}"),
        ProposalState::Closed(Outcome::Undecided { reason, .. }) => format!("{WARN}undecided{WARN:#}: {}", why(reason)),
    }
}

fn why(reason: &Undecided) -> String {
    match reason {
        Undecided::NoQuorum { cast, needed } => format!("{cast} valid ballots, {needed} were needed"),
        Undecided::Tie(options) => format!("a tie between {}", options.join(" and ")),
        Undecided::ShortOf { best, got, of } => format!("{best} got {got} of {of}, which the rule does not take as a yes"),
        Undecided::NoVotes => "nobody was for anything".to_owned(),
    }
}

fn for_what(choice: &Choice) -> String {
    match choice {
        Choice::Abstain => "abstains".to_owned(),
        Choice::One(option) => format!("for {option}"),
        Choice::Approve(options) => format!("approves of {}", options.iter().cloned().collect::<Vec<_>>().join(", ")),
        Choice::Rank(options) => format!("ranks {}", options.join(" before ")),
        Choice::Points(points) => {
            let points: Vec<_> = points.iter().map(|(option, points)| format!("{points} for {option}")).collect();
            format!("gives {}", points.join(", "))
        }
    }
}
