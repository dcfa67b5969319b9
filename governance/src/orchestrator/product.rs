//! The product of a run, as Markdown: the decided solution, who proposed what, how the vote went.

use std::fmt::Write;

use super::outcome::RunOutcome;
use crate::coordination::{Choice, Outcome};

/// The run's document.
#[must_use]
pub fn markdown(run: &RunOutcome) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, run);
    text
}

fn write(text: &mut String, run: &RunOutcome) -> std::fmt::Result {
    match &run.decision {
        Some(decision) => {
            writeln!(text, "# {}\n\n> {}\n\n{}\n", line(&decision.solution.title), line(&run.objective), decision.solution.summary)?;
            writeln!(text, "## What to do\n")?;
            for (number, step) in (1..).zip(&decision.solution.steps) {
                writeln!(text, "{number}. {}", line(step))?;
            }
        }
        None => {
            let reason = run.reason.as_deref().unwrap_or("no reason was given");
            writeln!(text, "# No decision\n\n> {}\n\n{}: {}", line(&run.objective), run.status, line(reason))?;
        }
    }
    writeln!(text, "\n## Who proposed what\n")?;
    let judges: Vec<_> = run.agents.iter().map(|agent| &agent.id).collect();
    write!(text, "| Proposal | By |")?;
    judges.iter().try_for_each(|judge| write!(text, " Score of {judge} |"))?;
    writeln!(text, "\n|---|---|{}", "---:|".repeat(judges.len()))?;
    for proposal in &run.proposals {
        write!(text, "| `{}`: {} | {} |", proposal.name, cell(&proposal.idea.title), proposal.author)?;
        for judge in &judges {
            let score = proposal.scores.get(*judge).map_or("–".to_owned(), u32::to_string);
            write!(text, " {score} |")?;
        }
        writeln!(text)?;
    }
    writeln!(text, "\n## How the vote went\n")?;
    for (voter, choice) in &run.votes {
        let said = match choice {
            Some(Choice::One(option)) => format!("for `{option}`"),
            Some(Choice::Abstain) => "abstained".to_owned(),
            Some(other) => serde_json::to_string(other).unwrap_or_default(),
            None => "sealed".to_owned(),
        };
        writeln!(text, "- {voter}: {said}")?;
    }
    match run.decision.as_ref().map(|decision| (&decision.proposal, &decision.outcome)) {
        Some((_, Some(Outcome::Decided { option, counts }))) => {
            writeln!(text, "\n`{option}` won with {} of {} votes.", counts.get(option).unwrap_or(&0), counts.values().sum::<u64>())?;
        }
        Some((proposal, None)) => writeln!(text, "\n`{proposal}` was accepted by the user, without a decision.")?,
        _ => {}
    }
    writeln!(text, "\n---\n\nRun `{}`, model `{}`.", run.pipeline_id, run.model)?;
    match &run.ledger_head {
        Some(head) => writeln!(text, "Ledger `{}` at {} entries, root `{}`.", head.ledger, head.size, head.root)?,
        None => writeln!(text, "The ledger has no signed head yet.")?,
    }
    match run.unrecorded {
        0 => Ok(()),
        waiting => writeln!(text, "The end of this run is not in the record: {waiting} entries wait for it."),
    }
}

fn line(text: &str) -> String {
    let shown: String = text.chars().take(2_000).map(|c| if c.is_control() { ' ' } else { c }).collect();
    shown.trim().to_owned()
}

fn cell(text: &str) -> String {
    line(text).replace('|', "\\|")
}
