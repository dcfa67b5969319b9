//! An agent in a process of its own. Who it is comes privately, by its standard input; the store is all it shares with its governor.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};

use crate::agent::{Desk, built_in, live};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::governance::Governance;
use crate::llm::LocalModel;
use crate::store::Actor;
use crate::vocabulary::AgentRole;

/// What a process needs to sit down as an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seat {
    /// The shared state.
    pub store_url: String,
    /// Where the ledger's segments are.
    pub home: PathBuf,
    /// Who it is, with its admission.
    pub actor: Actor,
    /// What for.
    pub role: AgentRole,
}

pub(super) struct Running {
    child: Child,
    // Stays open for the child's life: when it closes, the child ends.
    stdin: Option<ChildStdin>,
    seat: Vec<u8>,
}

/// Starts `program agent`.
pub(super) fn start(program: &Path, seat: &Seat) -> Result<Running> {
    let mut child = Command::new(program)
        .arg("agent")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| Error::unavailable("agent_not_started", format!("`{}` could not be started", program.display())).because(e))?;
    let mut line = serde_json::to_vec(seat).map_err(|e| Error::internal("a seat is not JSON").because(e))?;
    line.push(b'\n');
    Ok(Running { stdin: child.stdin.take(), child, seat: line })
}

impl Running {
    /// Hands it its seat and waits for its end.
    pub async fn end(mut self) -> Result<()> {
        if let Some(stdin) = &mut self.stdin {
            // A child that is dead already says so by its status.
            let _ = stdin.write_all(&self.seat).await;
        }
        match self.child.wait().await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Error::unavailable("agent_died", format!("its process ended with {status}"))),
            Err(error) => Err(Error::internal("a child process cannot be waited for").because(error)),
        }
    }
}

/// Sits down as the agent that standard input names, and lives until told to leave, revoked, or until that input closes.
pub async fn serve() -> Result<()> {
    let mut stdin = tokio::io::stdin();
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        if stdin.read_buf(&mut line).await.map_err(|e| Error::invalid("no_seat", "standard input cannot be read").because(e))? == 0 {
            break;
        }
    }
    let seat: Seat = serde_json::from_slice(&line)
        .map_err(|e| Error::invalid("no_seat", "`governance agent` is started by a run, which tells it who it is").because(e))?;
    let config = Config { home: seat.home, store: Some(seat.store_url), ..Config::default() };
    let governance = Governance::open(config).await?;
    let desk = Desk::new(governance.store(), seat.actor, governance.recorder(), Arc::new(LocalModel)).await?;
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
    lived
}
