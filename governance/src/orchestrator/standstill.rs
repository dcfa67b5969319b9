//! A run's clocks while people are waited for: they stand still. Its own time, which its agents need for their work; and its wall time, which
//! counts against its limits.

use super::broadcast::Broadcast;
use super::driver::Driver;
use crate::error::Result;
use crate::guard::limits::{Scope, Standstill};
use crate::store::{Commit, Fields, Store};
use crate::vocabulary::{Millis, PipelineId};

impl Driver {
    /// Says who of its agents waits for whom, and gives the run the time back that they wait.
    pub async fn stand_still(&mut self) -> Result<()> {
        let now = self.parts.store.ports().clock.elapsed();
        let gone = now.saturating_sub(std::mem::replace(&mut self.looked, now));
        let waiting = self.pulse.waiting().clone();
        if !self.waiting.is_empty() {
            self.until += gone;
        }
        for (agent_id, approval_id) in &waiting {
            if self.waiting.get(agent_id) != Some(approval_id) {
                let (pipeline_id, agent_id, approval_id) = (self.pipeline.clone(), agent_id.clone(), approval_id.clone());
                self.tell(Broadcast::AgentWaiting { pipeline_id, agent_id, approval_id }).await?;
            }
        }
        match (self.waiting.is_empty(), waiting.is_empty()) {
            (true, false) => self.begin_to_wait().await?,
            (false, true) => self.go_on().await?,
            _ => {}
        }
        self.waiting = waiting;
        Ok(())
    }

    async fn begin_to_wait(&self) -> Result<()> {
        let store = &self.parts.store;
        let begun = self.governor.commit().merge(store.keys().pipeline(&self.pipeline), Standstill::begins(store.now().await?));
        store.apply(begun).await.map(drop)
    }

    async fn go_on(&self) -> Result<()> {
        let store = &self.parts.store;
        let state = store.state(store.keys().pipeline(&self.pipeline)).await?.unwrap_or_default();
        let commit = waited(store, &self.pipeline, &state, store.now().await?, self.governor.commit());
        if commit.writes.is_empty() {
            return Ok(());
        }
        store.apply(commit).await.map(drop)
    }
}

/// What ends a wait that a run's state tells of, beside what a commit does.
pub(super) fn waited(store: &Store, pipeline: &PipelineId, state: &Fields, now: Millis, commit: Commit) -> Commit {
    let Some(still) = Standstill::of(state) else { return commit };
    let counted = still.counted(store.keys(), &Scope::Pipeline(pipeline.clone()), now);
    commit.write(counted).merge(store.keys().pipeline(pipeline), [Standstill::ends()])
}
