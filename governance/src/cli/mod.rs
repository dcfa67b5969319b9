//! Roof: the command line. Parses, calls, prints; decides nothing.

mod agent;
mod agents;
mod alerts;
mod approvals;
mod approver_key;
mod approvers;
mod args;
mod blackboard;
mod budget;
mod bus;
mod carry;
mod checkpoint;
mod config;
mod consensus;
mod crew;
mod explain;
mod export;
mod health;
mod ledger;
mod logs;
mod people;
mod pipeline;
mod policies;
mod policy;
mod polyglot;
mod printer;
mod progress;
mod receipts;
mod reference;
mod resume;
mod retain;
mod run;
mod signals;
mod status;
mod stop;
mod store;
mod words;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::Parser;

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::governance::Governance;
use crate::guard::runs;
use crate::orchestrator::retired;
use crate::vocabulary::{Key, PipelineId, PipelineStatus, TaskId};
use args::{Args, Command};
use printer::{Notes, Printer};
use signals::interrupted;

/// SIGXFSZ, the same number on every Unix that matters here.
const FILE_TOO_LARGE: i32 = 25;

/// How long what goes on in the background may take to let go of the files.
const CLOSED_WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

// Where this program is, if whoever started it says so.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// The whole program: parses the arguments, runs the command, and answers with the exit code that is true.
#[must_use]
pub fn main() -> ExitCode {
    run(std::env::args_os().collect(), None)
}

/// The same inside another program: with words of its own, the first of which is the name, and with what starts it as a program.
#[must_use]
pub fn run(words: Vec<OsString>, program: Option<PathBuf>) -> ExitCode {
    if let Some(program) = program {
        let _ = PROGRAM.set(program);
    }
    let json = words.iter().any(|given| given == "--json");
    if let Err(error) = words::all_text(&words, std::env::vars_os()) {
        return Printer::new(json).fail(&error);
    }
    let args = match Args::try_parse_from(words) {
        Ok(args) => args,
        Err(error) => {
            // Exit code 2 means "votes without a decision" here; wrong usage is an error like any other.
            if error.use_stderr() && json {
                let told = error.to_string();
                let sentence = told.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
                return Printer::new(true).fail(&Error::invalid("usage", format!("{sentence}; see `governance --help`")));
            }
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(1) } else { ExitCode::SUCCESS };
        }
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("GOVERNANCE_LOG").unwrap_or_else(|_| "warn".into());
    // It writes what a server sent into its log, whatever that holds; what matters of it is in our errors.
    let filter =
        "async_openai=off".parse().map_or_else(|_| tracing_subscriber::EnvFilter::new("warn"), |silent| filter.add_directive(silent));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal());
    let printer = Printer::new(args.json);
    if args.json {
        log.with_ansi(false).without_time().with_writer(move || Notes(printer)).init()
    } else {
        log.with_writer(std::io::stderr).init()
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return printer.fail(&Error::internal("the runtime cannot be started").because(error)),
    };
    let done = catch_unwind(AssertUnwindSafe(|| runtime.block_on(command(args, &printer))));
    // What still waits for a terminal or a child must not hold the program for long, nor a program that a defect ends.
    runtime.shutdown_background();
    if done.is_ok() && !crate::disk::all_closed(CLOSED_WITHIN) {
        tracing::debug!("a file is still open: its log stays beside it, and whoever opens it next takes it in");
    }
    match done.unwrap_or_else(|defect| resume_unwind(defect)) {
        Ok(code) => code,
        // Whoever reads our output has read enough.
        Err(error) if error.code() == printer::CLOSED => ExitCode::SUCCESS,
        Err(error) => printer.fail(&error),
    }
}

async fn command(args: Args, printer: &Printer) -> Result<ExitCode> {
    // A file that reached its allowed size is told as an error, not by the death of the process.
    let _too_large = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(FILE_TOO_LARGE));
    if matches!(args.command, Command::Agent) {
        return agent::agent().await;
    }
    match &args.command {
        Command::Completions(shell) => return reference::completions(shell, printer),
        Command::Man(manual) => return reference::manual(manual, printer),
        Command::Config { command } => return config::config(&args.flags(), command, printer),
        _ => {}
    }
    let env = |name: &str| std::env::var(name).ok();
    let config = Config::load(args.flags(), env)?;
    let config = people::admit(&args.command, &args.flags(), config, env).await?;
    match args.command {
        Command::Run(run) => run::run(config, run, printer).await,
        Command::Pipeline { command } => pipeline::pipeline(config, command, printer).await,
        Command::Blackboard { command } => blackboard::blackboard(config, command, printer).await,
        Command::Bus { command } => bus::bus(config, command, printer).await,
        Command::Budget { command } => budget::budget(config, command, printer).await,
        Command::Agents { command } => agents::agents(config, command, printer).await,
        Command::Checkpoint { command } => checkpoint::checkpoint(&config, command, printer),
        Command::Alerts(asked) => alerts::alerts(config, asked, printer).await,
        Command::Approvals { command } => approvals::approvals(config, command, printer).await,
        Command::Approvers { command } => approvers::approvers(config, command, printer).await,
        Command::Revoke(revoke) => stop::revoke(config, revoke, printer).await,
        Command::Stop(stop) => stop::stop(config, stop, printer).await,
        Command::Ledger { command } => ledger::ledger(config, command, printer).await,
        Command::Health(args) => health::health(config, args, printer).await,
        Command::Policy { command } => policy::policy(config, command, printer).await,
        Command::Store { command } => store::store(config, command, printer).await,
        Command::Agent | Command::Completions(_) | Command::Man(_) | Command::Config { .. } => Ok(ExitCode::SUCCESS),
    }
}

/// Where this program is: what agents in processes of their own are started with.
fn program() -> Result<PathBuf> {
    let unknown = |e| Error::internal("this program does not know where it is").because(e);
    PROGRAM.get().cloned().map_or_else(|| std::env::current_exe().map_err(unknown), Ok)
}

/// Opens what is there; a command that only looks makes nothing.
async fn existing(config: Config) -> Result<Governance> {
    must_exist(&config)?;
    Governance::open(passing(config)).await
}

/// Refuses where nothing was begun yet.
fn must_exist(config: &Config) -> Result<()> {
    if !config.home.join(crate::vocabulary::DEFAULT_LEDGER_PATH).exists() {
        let message =
            format!("there is nothing in `{}` yet: run `governance run \"…\"` first, or name another --home", config.home.display());
        return Err(Error::new(ErrorKind::NotFound, "no_home", message));
    }
    Ok(())
}

/// The same for a command that soon ends: it leaves a directory of policies to those that stay.
fn passing(config: Config) -> Config {
    Config { policies: None, ..config }
}

/// The runs of the tenant, oldest first, with their states.
async fn pipelines(governance: &Governance) -> Result<Vec<(PipelineId, crate::store::Fields)>> {
    listed(governance, governance.store().keys().pipelines()).await
}

/// The runs of a list, oldest first, with their states.
async fn listed(governance: &Governance, list: Key) -> Result<Vec<(PipelineId, crate::store::Fields)>> {
    let mut pipelines = runs(governance.store(), list).await?;
    pipelines.sort_by_key(|(id, state)| (state.field("created_at").parse::<u64>().unwrap_or(0), id.clone()));
    Ok(pipelines)
}

/// The run that was named, or the newest.
async fn chosen(governance: &Governance, named: Option<String>) -> Result<PipelineId> {
    match named {
        Some(named) => {
            let id = PipelineId::new(named)?;
            if governance.store().state(governance.store().keys().pipeline(&id)).await?.is_some() {
                return Ok(id);
            }
            let (code, message) = match retired(governance.ledger(), &id).await? {
                Some(was) => ("retired", format!("`{id}` ended as {} long ago and was retired: {}", was.status, status::record_of(&id))),
                None => ("no_such_pipeline", format!("there is no run `{id}`: see `governance pipeline list`")),
            };
            Err(Error::new(ErrorKind::NotFound, code, message))
        }
        None => {
            let newest = pipelines(governance).await?.pop().map(|(id, _)| id);
            newest.ok_or_else(|| Error::new(ErrorKind::NotFound, "no_run", "there is no run yet: start one with `governance run \"…\"`"))
        }
    }
}

/// The run to follow: the one that was named, one that is under way, or the next one that begins.
async fn followed(governance: &Governance, named: Option<String>, printer: &Printer) -> Result<TaskId> {
    if named.is_some() {
        return chosen(governance, named).await.map(|id| id.task());
    }
    let mut told = false;
    loop {
        let open = listed(governance, governance.store().keys().pipelines_open()).await?;
        if let Some((id, _)) = open.into_iter().rev().find(|(_, state)| under_way(state)) {
            return Ok(id.task());
        }
        if !std::mem::replace(&mut told, true) {
            printer.note("waiting for a run to begin; name one to see what it did, or press Ctrl-C")?;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

fn under_way(state: &crate::store::Fields) -> bool {
    let waits = state.field("awaiting_user") == "true";
    !waits && state.field("status").parse::<PipelineStatus>().is_ok_and(|status| !status.is_final())
}

/// Whether a run that is followed has ended.
async fn ended(governance: &Governance, task: &TaskId) -> Result<bool> {
    let state = governance.store().state(governance.store().keys().pipeline(&task.pipeline())).await?;
    Ok(!state.is_some_and(|state| under_way(&state)))
}
