//! What a run tells: to whoever watches it here, to every watcher of the store, and into its log.

use serde_json::json;

use super::broadcast::Broadcast;
use super::options::Observer;
use crate::error::Result;
use crate::store::{Commit, Store, Write, to_json};
use crate::vocabulary::PipelineId;

/// How many log lines a pipeline keeps.
const LOG_LINES: u64 = 2_000;

/// Tells what happens in one run.
#[derive(Clone)]
pub(super) struct Voice {
    store: Store,
    pipeline: PipelineId,
    observer: Option<Observer>,
}

impl Voice {
    pub fn new(store: &Store, pipeline: &PipelineId, observer: Option<Observer>) -> Self {
        Self { store: store.clone(), pipeline: pipeline.clone(), observer }
    }

    pub fn pipeline(&self) -> &PipelineId {
        &self.pipeline
    }

    pub async fn tell(&self, event: &Broadcast) -> Result<()> {
        if let Some(observer) = &self.observer {
            observer(event);
        }
        let (store, keys) = (&self.store, self.store.keys());
        let mut line = json!(event);
        line["at"] = json!(store.ports().clock.now());
        // Telling is not governed: a run that was stopped still says so.
        let commit = Commit::default().write(Write::Signal { channel: keys.ws_broadcast(), payload: to_json(event)? }).write(Write::Push {
            list: keys.pipeline_logs(&self.pipeline),
            value: to_json(&line)?,
            bound: LOG_LINES,
        });
        store.apply(commit).await.map(drop)
    }
}
