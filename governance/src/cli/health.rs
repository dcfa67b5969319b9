//! `governance health`.

use std::process::ExitCode;
use std::time::Duration;

use super::args;
use super::printer::{BAD, BOLD, DIM, GOOD, Printer, WARN};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::governance::Governance;
use crate::guard::health::{ComponentHealth, Health, HealthState};

/// How often it is looked at anew.
const AGAIN: Duration = Duration::from_secs(1);

pub async fn health(config: Config, args: args::Health, printer: &Printer) -> Result<ExitCode> {
    if !config.home.exists() {
        let message =
            format!("there is nothing in `{}` yet: run `governance run \"…\"` first, or name another --home", config.home.display());
        return Err(Error::new(ErrorKind::NotFound, "no_home", message));
    }
    let mut opened = None;
    let mut told: Option<Vec<HealthState>> = None;
    let mut code = ExitCode::from(1);
    let watching = async {
        loop {
            let health = look(&config, &mut opened).await;
            code = if health.is_healthy() { ExitCode::SUCCESS } else { ExitCode::from(1) };
            let states: Vec<_> = health.components.iter().map(|part| part.state).collect();
            if told.as_ref() != Some(&states) {
                printer.either(&serde_json::to_value(&health).unwrap_or_default(), || shown(&health))?;
                told = Some(states);
            }
            if !args.watch {
                return Ok::<_, Error>(());
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    tokio::select! {
        done = watching => done?,
        () = super::interrupted() => {}
    }
    if let Some(governance) = opened {
        // Only looked at: nothing waits for it, and a store that is down is not waited for.
        let _ = tokio::time::timeout(AGAIN, governance.close()).await;
    }
    Ok(code)
}

/// Looks, opening what is not open yet.
async fn look(config: &Config, opened: &mut Option<Governance>) -> Health {
    if opened.is_none() {
        match Governance::examine(config.clone()).await {
            Ok(governance) => *opened = Some(governance),
            Err(health) => return health,
        }
    }
    match opened {
        Some(governance) => governance.health().await,
        None => Governance::diagnose(config).await,
    }
}

fn shown(health: &Health) -> String {
    let mut lines = vec![format!("{}{BOLD}{}{BOLD:#}", "", styled(health.state))];
    for part in &health.components {
        let ComponentHealth { component, state, reason, latency_ms, .. } = part;
        lines.push(format!("  {:<10} {}  {reason}  {DIM}{latency_ms} ms{DIM:#}", component.as_str(), styled(*state)));
        if let Some(advice) = part.advice.as_ref().filter(|_| *state != HealthState::Healthy) {
            lines.push(format!("  {:<10} {DIM}what to do:{DIM:#} {advice}", ""));
        }
    }
    lines.join("\n")
}

fn styled(state: HealthState) -> String {
    let style = match state {
        HealthState::Healthy => GOOD,
        HealthState::Degraded | HealthState::Unknown => WARN,
        HealthState::Unhealthy => BAD,
    };
    format!("{style}{:<9}{style:#}", state.as_str())
}
