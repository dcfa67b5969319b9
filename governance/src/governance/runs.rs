//! Runs of the main job, with what is kept of them beside the shared state.

use super::Governance;
use crate::error::Result;
use crate::ops::{Checkpoints, checkpoint_of};
use crate::orchestrator::{RunOptions, RunOutcome, Wish};
use crate::vocabulary::PipelineId;

impl Governance {
    /// Runs an objective to its end, or until it waits for its user. A checkpoint of the final state is written in the home directory.
    pub async fn run(&self, objective: &str, options: RunOptions) -> Result<RunOutcome> {
        self.orchestrator().run(objective, options).await.inspect(|outcome| self.keep(outcome))
    }

    /// Takes a run up that waits for its user, was stopped, or whose process died; to its end, or until it waits again. Its checkpoint is another
    /// one.
    pub async fn resume(&self, pipeline: &PipelineId, wish: Wish, options: RunOptions) -> Result<RunOutcome> {
        self.orchestrator().resume(pipeline, wish, options).await.inspect(|outcome| self.keep(outcome))
    }

    fn keep(&self, outcome: &RunOutcome) {
        let ports = self.store().ports();
        let checkpoint = checkpoint_of(outcome, ports.clock.now(), &*ports.chance);
        if let Err(error) = Checkpoints::open(&self.config().home).write(&checkpoint) {
            // The run is done all the same, and its record is the ledger.
            tracing::warn!(pipeline = %outcome.pipeline_id, %error, "no checkpoint was written");
        }
    }
}
