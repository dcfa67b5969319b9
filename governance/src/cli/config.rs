//! `governance config`.

use std::process::ExitCode;

use serde_json::json;

use super::args::Configuration;
use super::printer::{BOLD, DIM, Printer};
use crate::config::{Config, Flags};
use crate::error::Result;

pub fn config(flags: &Flags, command: &Configuration, printer: &Printer) -> Result<ExitCode> {
    let Configuration::Show = command;
    for setting in Config::settings(flags, |name| std::env::var(name).ok())? {
        let from = setting.source.to_string();
        let object = json!({"name": setting.name, "value": setting.value, "source": setting.source.kind(), "from": from});
        printer.either(&object, || {
            let value = setting.value.as_str().map_or_else(|| setting.value.to_string(), str::to_owned);
            format!("{:<21} {BOLD}{value}{BOLD:#}  {DIM}{from}{DIM:#}", setting.name)
        })?;
    }
    Ok(ExitCode::SUCCESS)
}
