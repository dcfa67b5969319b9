//! How a run is carried out, from its beginning or from where it was.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::args::How;
use super::crew::runtimes;
use super::printer::{BOLD, CLOSED, DIM, GOOD, Printer, WARN, short};
use super::progress::Progress;
use crate::config::Config;
use crate::disk::reading;
use crate::error::{Error, Result};
use crate::governance::Governance;
use crate::llm::{MAX_SCRIPT, ScriptText};
use crate::orchestrator::{RunContext, RunOptions, RunOutcome, Wish, markdown};
use crate::vocabulary::{PipelineId, PipelineStatus, Ports};

/// What is to be carried out.
pub enum Work {
    Begin(String),
    Resume(Option<String>, Wish),
}

/// Begins a run or takes one up, shows how it goes, and prints what came of it.
pub async fn carry_out(mut config: Config, how: How, printer: &Printer, work: Work) -> Result<ExitCode> {
    config.model.script = how.model.script.as_deref().map(script).transpose()?;
    if let Some(out) = &how.out {
        writable(out)?;
    }
    let (opened, work) = match work {
        Work::Begin(objective) => (None, Todo::Begin(objective)),
        Work::Resume(id, wish) => {
            super::must_exist(&config)?;
            // It stays until the run has ended, so it keeps to its directory of policies as the one that began it did.
            let governance = Governance::open(config.clone()).await?;
            let id = super::chosen(&governance, id).await?;
            if let Some(context) = governance.orchestrator().begun_with(&id).await? {
                as_begun(&mut config, &how, context);
            }
            (Some(governance), Todo::Resume(id, wish))
        }
    };
    // A wrong scenario or a missing key is told before anything is begun.
    let model = config.model.open(&Ports::default(), |name| std::env::var(name).ok())?;
    let progress = Progress::new(*printer);
    let interrupt = CancellationToken::new();
    let options = RunOptions {
        call_deadline: config.model.deadline,
        runtimes: runtimes(&config, &how, printer).await?,
        auto_continue: config.auto_orchestrate,
        timeout: config.timeout,
        limits: config.limits,
        grants: config.grants,
        use_limits: config.use_limits,
        observer: Some(progress.observer()),
        interrupt: interrupt.clone(),
        ..RunOptions::new(model)
    };
    let governance = match opened {
        Some(governance) => governance,
        None => Governance::open(config).await?,
    };
    let running = async {
        match work {
            Todo::Begin(objective) => governance.run(&objective, options).await,
            Todo::Resume(id, wish) => governance.resume(&id, wish, options).await,
        }
    };
    let outcome = tokio::select! {
        outcome = running => outcome,
        () = progress.keep(&governance) => Err(Error::internal("the progress ended before the run")),
        // The run is dropped, and with it whatever it has started.
        () = stop_on_signal(&interrupt, printer) => return Ok(ExitCode::from(3)),
    };
    progress.clear();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            // The first error is the one to tell.
            drop(governance.close().await);
            return Err(error);
        }
    };
    let code = outcome.exit_code() as u8;
    if let Some(out) = &how.out {
        let written = tokio::fs::write(out, markdown(&outcome)).await;
        written.map_err(|e| Error::unavailable("not_written", format!("`{}` cannot be written", out.display())).because(e))?;
    }
    governance.close().await?;
    let shown = if printer.json { printer.object(&outcome) } else { summary(&outcome, how.out.as_deref(), printer) };
    match shown {
        // Whoever stopped reading can still ask how it ended.
        Err(error) if error.code() != CLOSED => Err(error),
        _ => Ok(ExitCode::from(code)),
    }
}

enum Todo {
    Begin(String),
    Resume(PipelineId, Wish),
}

/// Goes on as a run was begun, where the command line does not say otherwise.
fn as_begun(config: &mut Config, how: &How, context: RunContext) {
    let (said, begun) = (&how.model, context.model);
    if said.mode.is_none() {
        config.model.mode = begun.mode;
    }
    if said.model.is_none() {
        config.model.model = begun.model;
    }
    if said.base_url.is_none() {
        config.model.base_url = begun.base_url;
    }
    if said.call_timeout.is_none() {
        config.model.deadline = begun.deadline;
    }
    if how.timeout.is_none() {
        config.timeout = context.timeout;
    }
}

/// The first signal stops the run cleanly; the second ends the program.
async fn stop_on_signal(interrupt: &CancellationToken, printer: &Printer) {
    super::interrupted().await;
    let _ = printer.note("stopping the run; press Ctrl-C again to end at once");
    interrupt.cancel();
    super::interrupted().await;
}

fn script(path: &Path) -> Result<ScriptText> {
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| Error::invalid("script_unreadable", format!("the script `{name}` cannot be read: {error}"));
    let mut text = String::new();
    let file = reading::open_given(path).map_err(unreadable)?;
    file.take(MAX_SCRIPT as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    Ok(ScriptText { name, text })
}

/// A product that cannot be written is told before the work is done, not after.
fn writable(out: &Path) -> Result<()> {
    let directory = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if out.is_dir() || !directory.is_dir() {
        return Err(Error::invalid(
            "not_writable",
            format!("`{}` cannot be written: its directory is not there, or it is one", out.display()),
        ));
    }
    Ok(())
}

fn summary(outcome: &RunOutcome, out: Option<&Path>, printer: &Printer) -> Result<()> {
    match &outcome.decision {
        Some(decision) => {
            printer.line(format!("\n{GOOD}{}{GOOD:#}", decision.solution.title))?;
            printer.line(short(&decision.solution.summary, 2_000))?;
            for (number, step) in (1..).zip(&decision.solution.steps) {
                printer.line(format!("  {number}. {step}"))?;
            }
        }
        None => {
            let reason = outcome.reason.as_deref().unwrap_or("it waits for `continue`");
            let waits = if outcome.status == PipelineStatus::Orchestrating { " (waits for you)" } else { "" };
            printer.line(format!("\n{WARN}no decision{WARN:#}: {}{waits}: {}", outcome.status, short(reason, 400)))?;
        }
    }
    printer.line(format!("\n{BOLD}votes{BOLD:#}"))?;
    for proposal in &outcome.proposals {
        let votes = outcome
            .votes
            .values()
            .flatten()
            .filter(|choice| **choice == crate::coordination::Choice::One(proposal.name.to_string()))
            .count();
        let scores = proposal.scores.iter().map(|(judge, score)| format!("{judge} {score}")).collect::<Vec<_>>().join(", ");
        printer.line(format!("  {votes}  {}: {}  {DIM}{scores}{DIM:#}", proposal.name, short(&proposal.idea.title, 80)))?;
    }
    if let Some(head) = &outcome.ledger_head {
        printer.line(format!("\n{DIM}{} · ledger at {} entries, root {}{DIM:#}", outcome.pipeline_id, head.size, short(&head.root, 16)))?;
    }
    if outcome.unrecorded > 0 {
        let waiting = outcome.unrecorded;
        printer.line(format!(
            "{WARN}warning{WARN:#}: the end of this run is not in the record, and that head does not cover it: {waiting} entries wait; `governance health` says why"
        ))?;
    }
    out.map_or(Ok(()), |out| printer.line(format!("{DIM}written to {}{DIM:#}", out.display())))
}
