//! What runs stand on. The root opens it; the orchestrator only uses it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::coordination::{Blackboard, Consensus, MessageBus};
use crate::guard::policies::Policies;
use crate::guard::{Admissions, ErrorBudget, Recorder, RevocationEngine};
use crate::ledger::Ledger;
use crate::store::{Actor, Store};
use crate::vocabulary::TaskId;

/// A store, its ledger, and what ties them together.
#[derive(Clone)]
pub struct Parts {
    /// Shared state.
    pub store: Store,
    /// The record.
    pub ledger: Ledger,
    /// What writes intents and outcomes into it.
    pub recorder: Recorder,
    /// Which profiles are in force.
    pub policies: Policies,
    /// Where another process finds the same two.
    pub address: Address,
}

/// Where a process finds a store and its ledger.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The shared state by URL, with its password: told privately, never shown.
    pub store_url: String,
    /// Where the ledger's segments are.
    pub home: PathBuf,
    /// The directory of policies, if there is one: no agent's tool touches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<PathBuf>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address").field("home", &self.home).finish_non_exhaustive()
    }
}

impl Parts {
    pub(super) fn blackboard(&self, task: &TaskId, actor: &Actor) -> Blackboard {
        Blackboard::open(&self.store, task, actor)
    }

    pub(super) fn bus(&self, task: &TaskId, actor: &Actor) -> MessageBus {
        MessageBus::open(&self.store, task, actor)
    }

    pub(super) fn consensus(&self, task: &TaskId, actor: &Actor) -> Consensus {
        Consensus::open(&self.store, task, actor)
    }

    pub(super) fn budget(&self, actor: &Actor) -> ErrorBudget {
        ErrorBudget::open(&self.store, actor).recorded(&self.recorder)
    }

    pub(super) fn admissions(&self) -> Admissions {
        Admissions::new(&self.store, &self.recorder)
    }

    pub(super) fn revocations(&self) -> RevocationEngine {
        RevocationEngine::open(&self.store).recorded(&self.recorder)
    }
}
