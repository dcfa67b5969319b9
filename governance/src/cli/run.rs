//! `governance run`.

use std::io::Read;
use std::process::ExitCode;

use super::args::Run;
use super::carry::{Work, carry_out};
use super::printer::Printer;
use crate::config::Config;
use crate::disk::reading;
use crate::error::{Error, Result};
use crate::orchestrator::MAX_OBJECTIVE;

pub async fn run(config: Config, args: Run, printer: &Printer) -> Result<ExitCode> {
    let objective = objective(&args)?;
    carry_out(config, args.how, printer, Work::Begin(objective)).await
}

fn objective(args: &Run) -> Result<String> {
    let unreadable = |what: &str, error: std::io::Error| {
        Error::invalid("objective_unreadable", format!("the objective cannot be read from {what}: {error}"))
    };
    let read = |what: &str, source: &mut dyn Read| {
        let mut bytes = Vec::new();
        // One byte more than is allowed tells a large one from one too large, without reading all of it.
        source.take(MAX_OBJECTIVE as u64 + 1).read_to_end(&mut bytes).map_err(|e| unreadable(what, e))?;
        if bytes.len() > MAX_OBJECTIVE {
            let message =
                format!("the objective has more than {MAX_OBJECTIVE} bytes, which is the most: put the rest into a file it refers to");
            return Err(Error::invalid("objective_too_large", message));
        }
        String::from_utf8(bytes).map_err(|_| Error::invalid("bad_objective", format!("the objective in {what} is not UTF-8 text")))
    };
    match (&args.objective, &args.file) {
        (Some(dash), _) if dash == "-" => read("standard input", &mut std::io::stdin().lock()),
        (Some(objective), _) => Ok(objective.clone()),
        (None, Some(path)) => {
            let name = format!("`{}`", path.display());
            read(&name, &mut reading::open_given(path).map_err(|e| unreadable(&name, e))?)
        }
        (None, None) => Err(Error::invalid("empty_objective", "the objective is empty: say what is to be decided")),
    }
}
