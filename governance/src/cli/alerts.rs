//! `governance alerts`.

use std::process::ExitCode;

use serde_json::json;

use super::args::Alerts as Asked;
use super::printer::{BAD, BOLD, DIM, Printer, WARN, moment, short};
use crate::config::Config;
use crate::error::Result;
use crate::guard::Alert;
use crate::vocabulary::{Millis, millis};

pub async fn alerts(config: Config, asked: Asked, printer: &Printer) -> Result<ExitCode> {
    let governance = super::existing(config).await?;
    let alerts = governance.alerts();
    let since = asked.since.map_or(Millis(0), |age| Millis(governance.store().ports().clock.now().0.saturating_sub(millis(age))));
    let wanted = |alert: &Alert| alert.at >= since && (asked.kinds.is_empty() || asked.kinds.contains(&alert.kind));
    let mut follow = alerts.follow().await?;
    let mut known: Vec<_> = follow.next_known().await?.into_iter().filter(wanted).collect();
    let surplus = known.len().saturating_sub(usize::try_from(asked.last).unwrap_or(usize::MAX));
    known.drain(..surplus);
    if known.is_empty() && !asked.follow {
        printer.note("there is no such alert")?;
    }
    known.iter().try_for_each(|alert| show(alert, printer))?;
    if !asked.follow {
        return governance.close().await.map(|()| ExitCode::SUCCESS);
    }
    loop {
        let news = tokio::select! {
            () = super::interrupted() => break,
            news = follow.next() => news?,
        };
        if news.missed {
            printer.either(&json!({"gap": "dropped"}), || format!("{WARN}missed{WARN:#}: alerts were dropped before they were read"))?;
        }
        news.alerts.iter().filter(|alert| wanted(alert)).try_for_each(|alert| show(alert, printer))?;
    }
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}

fn show(alert: &Alert, printer: &Printer) -> Result<()> {
    printer.either(alert, || {
        let style = if alert.is_grave() { BAD } else { BOLD };
        format!("{DIM}{}{DIM:#} {style}{:<20}{style:#} {}", moment(alert.at), short(&alert.kind, 40), short(&alert.told(), 300))
    })
}
