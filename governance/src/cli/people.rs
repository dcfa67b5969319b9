//! What only people do. One place decides it, before such a command does anything: a governed agent's process, and what it starts, is refused.

use super::args::{Approvals, Approvers, Budget, Command, Policy, Register};
use crate::config::Config;
use crate::error::Result;
use crate::guard::approval::refuse_agents;
use crate::store::Store;
use crate::vocabulary::{DEFAULT_LEDGER_PATH, Ports};

impl Command {
    /// Whether it says who may do what, how much, or that a stop is over. Ending agents and stopping everything is open to all.
    fn is_for_people(&self) -> bool {
        match self {
            Self::Approvals { command } => matches!(command, Approvals::Approve(_) | Approvals::Deny(_)),
            Self::Approvers { command } => matches!(command, Approvers::Add(_) | Approvers::Remove { .. }),
            Self::Policy { command } => {
                matches!(command, Policy::Apply { .. } | Policy::Rollback { .. } | Policy::Withdraw { .. } | Policy::Watch { .. })
            }
            Self::Agents { command } => {
                matches!(command, Register::Register { .. } | Register::Promote(_) | Register::Demote { .. })
            }
            Self::Budget { command } => matches!(command, Budget::Set { .. }),
            Self::Stop(stop) => stop.lift,
            Self::Run(_)
            | Self::Pipeline { .. }
            | Self::Blackboard { .. }
            | Self::Bus { .. }
            | Self::Checkpoint { .. }
            | Self::Revoke(_)
            | Self::Alerts(_)
            | Self::Ledger { .. }
            | Self::Health(_)
            | Self::Store { .. }
            | Self::Config { .. }
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Agent => false,
        }
    }
}

/// Refuses a command that is for people in a process of a governed agent, or below one: `governed_process`.
pub async fn admit(command: &Command, config: &Config) -> Result<()> {
    if !command.is_for_people() {
        return Ok(());
    }
    // Where nothing was begun, only the process itself can tell; a look makes nothing.
    let begun = config.home.join(DEFAULT_LEDGER_PATH).exists();
    let store = if begun { Store::open_as(&config.store_url()?, &config.tenant, Ports::default()).await? } else { Store::memory().await? };
    refuse_agents(&store).await
}
