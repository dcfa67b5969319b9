//! `governance agent`: an agent in a process of its own, started by a run. Who it is comes privately, by its standard input.

use std::process::ExitCode;

use crate::agent::built_in;
use crate::error::Result;
use crate::governance::Governance;

/// Sits down as the agent that standard input names, and lives until told to leave or revoked.
pub async fn agent() -> Result<ExitCode> {
    let (governance, agent) = Governance::seated().await?;
    let worker = built_in(agent.desk().role())?;
    let lived = agent.carry_on(&*worker).await;
    governance.close().await?;
    lived.map(|()| ExitCode::SUCCESS)
}
