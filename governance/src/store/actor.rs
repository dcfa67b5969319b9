//! Who writes: a name with its admission. ADR 3.

use serde::{Deserialize, Serialize};

use super::{Admission, Commit, Store};
use crate::error::Result;
use crate::vocabulary::{AgentId, PipelineId};

/// A name with the epochs that it was admitted with. Everything that is written names one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Who.
    pub id: AgentId,
    /// In which pipeline, for agents.
    pub pipeline: Option<PipelineId>,
    /// Until which epochs.
    pub admission: Admission,
}

impl Actor {
    /// A person, or a part of the system: admitted with the tenant's epoch only, so a stop-all ends it too.
    pub async fn system(store: &Store, name: &str) -> Result<Self> {
        Ok(Self { id: AgentId::new(name)?, pipeline: None, admission: store.admission().await? })
    }

    /// A commit by this actor.
    #[must_use]
    pub fn commit(&self) -> Commit {
        Commit::by(&self.admission)
    }
}
