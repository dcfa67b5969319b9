//! An agent in a process of its own. Who it is comes privately, by its standard input; the store is all it shares with its governor.

use std::path::Path;
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};

use super::parts::Address;
use crate::error::{Error, Result};
use crate::llm::ModelSettings;
use crate::store::Actor;
use crate::vocabulary::AgentRole;

/// What a process needs to sit down as an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seat {
    /// Where the shared state and the ledger are.
    pub address: Address,
    /// Who it is, with its admission.
    pub actor: Actor,
    /// What for.
    pub role: AgentRole,
    /// Which model thinks for it. Its key comes from the environment.
    pub model: ModelSettings,
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
