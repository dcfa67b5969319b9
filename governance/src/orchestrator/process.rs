//! An agent in a process of its own. Who it is comes privately, by its standard input; the store is all it shares with its governor.
//!
//! ```text
//!   Keeper ── seat, one line, then open for life ──▶ standard input ──▶ ┐
//!     │                                                                 │ child, leader of its own process group, limited
//!     │◀── lines, bounded and tagged ─── standard output and error ◀────┘
//!     │
//!     └─ its end:  told to go ▶ input closed, SIGTERM ▶ 3 s ▶ SIGKILL to the group     died ▶ started again, if it may be
//! ```

mod astray;
mod group;
mod keeper;
mod limits;
mod words;

use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

pub(super) use self::group::Group;
pub(super) use self::keeper::Keeper;
pub(super) use self::words::LastWords;
use super::parts::Address;
use super::program::Program;
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

impl Seat {
    /// As it is handed over: one line.
    fn line(&self) -> Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self).map_err(|e| Error::internal("a seat is not JSON").because(e))?;
        line.push(b'\n');
        Ok(line)
    }
}

/// Starts a program as the leader of a group of its own, with a mark of its own. Killed when dropped.
fn start(program: &Program, model: &ModelSettings, group: &Group, mark: &str) -> Result<Child> {
    let shown = program.command.display();
    let mut command = Command::new(&program.command);
    command.args(&program.arguments).env_clear().envs(program.environment(model, |name| std::env::var_os(name)));
    command.env(astray::MARK, mark);
    if let Some(directory) = &program.directory {
        if !directory.is_dir() {
            let message = format!("`{shown}` could not be started: its directory `{}` is not there", directory.display());
            return Err(Error::unavailable("agent_not_started", message));
        }
        command.current_dir(directory);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let child = command.spawn().map_err(|e| Error::unavailable("agent_not_started", format!("`{shown}` could not be started: {e}")))?;
    group.led_by(child.id(), mark);
    limits::limit(child.id(), program.quota).inspect_err(|_| group.sweep())?;
    limits::mark(child.id()).inspect_err(|_| group.sweep())?;
    Ok(child)
}
