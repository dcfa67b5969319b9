//! `governance config`.

use std::process::ExitCode;

use super::args::Configuration;
use super::printer::{BOLD, DIM, Printer};
use crate::config::{Config, Flags};
use crate::error::Result;

pub fn config(flags: &Flags, command: &Configuration, printer: &Printer) -> Result<ExitCode> {
    let Configuration::Show = command;
    for setting in Config::settings(flags, |name| std::env::var(name).ok())? {
        printer.either(&setting, || {
            let value = setting.value.as_str().map_or_else(|| setting.value.to_string(), str::to_owned);
            format!("{:<21} {BOLD}{value}{BOLD:#}  {DIM}{}{DIM:#}", setting.name, setting.source)
        })?;
    }
    Ok(ExitCode::SUCCESS)
}
