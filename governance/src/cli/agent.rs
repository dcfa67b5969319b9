//! `governance agent`: an agent in a process of its own, started by a run. Who it is comes privately, by its standard input.

use std::process::ExitCode;

use tokio::io::AsyncReadExt;

use crate::agent::{Desk, built_in, live};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::governance::Governance;
use crate::orchestrator::Seat;
use crate::vocabulary::Ports;

/// Sits down as the agent that standard input names, and lives until told to leave, revoked, or until that input closes.
pub async fn agent() -> Result<ExitCode> {
    let mut stdin = tokio::io::stdin();
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        if stdin.read_buf(&mut line).await.map_err(|e| Error::invalid("no_seat", "standard input cannot be read").because(e))? == 0 {
            break;
        }
    }
    let seat: Seat = serde_json::from_slice(&line)
        .map_err(|e| Error::invalid("no_seat", "`governance agent` is started by a run, which tells it who it is").because(e))?;
    let config = Config { home: seat.address.home, store: Some(seat.address.store_url), ..Config::default() };
    let governance = Governance::open(config).await?;
    let model = seat.model.open(&Ports::default(), |name| std::env::var(name).ok())?;
    let desk = Desk::new(governance.store(), seat.actor, governance.recorder(), model).await?;
    let desk = desk.with_model(|model| model.within(seat.model.deadline));
    let worker = built_in(seat.role)?;
    let alone = async {
        let mut rest = [0; 64];
        while stdin.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    };
    let lived = tokio::select! {
        lived = live(&desk, &*worker) => lived,
        () = alone => Err(Error::unavailable("governor_gone", "the run that started this agent is gone")),
    };
    governance.close().await?;
    lived.map(|()| ExitCode::SUCCESS)
}
