//! `governance pipeline continue`, `fallback` and `give-up`.

use std::path::Path;
use std::process::ExitCode;

use super::args::How;
use super::carry::{Work, carry_out};
use super::printer::Printer;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::orchestrator::Wish;
use crate::vocabulary::FallbackAction;

pub async fn go_on(config: Config, id: Option<String>, how: How, printer: &Printer) -> Result<ExitCode> {
    carry_out(config, how, printer, Work::Resume(id, Wish::Continue)).await
}

pub async fn fall_back(config: Config, id: String, action: FallbackAction, how: How, printer: &Printer) -> Result<ExitCode> {
    match action {
        FallbackAction::DownloadLog => download(config, id, how.out.as_deref(), printer).await,
        action => carry_out(config, how, printer, Work::Resume(Some(id), Wish::Fallback(action))).await,
    }
}

pub async fn give_up(config: Config, id: String, printer: &Printer) -> Result<ExitCode> {
    carry_out(config, How::default(), printer, Work::Resume(Some(id), Wish::GiveUp)).await
}

async fn download(config: Config, id: String, out: Option<&Path>, printer: &Printer) -> Result<ExitCode> {
    let governance = super::existing(config).await?;
    let id = super::chosen(&governance, Some(id)).await?;
    let context = governance.orchestrator().context(&id).await?;
    governance.close().await?;
    match out {
        None => printer.object(&context)?,
        Some(out) => {
            let text = serde_json::to_vec_pretty(&context).map_err(|e| Error::internal("a context is not JSON").because(e))?;
            let written = tokio::fs::write(out, text).await;
            written.map_err(|e| Error::unavailable("not_written", format!("`{}` cannot be written", out.display())).because(e))?;
            printer.note(format!("written to {}", out.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
