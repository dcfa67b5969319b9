//! How a run ends: its last words, the farewell of its agents, and what came of it.

use std::time::Duration;

use serde_json::json;

use super::broadcast::Broadcast;
use super::driver::{Driver, LAST_WORDS};
use super::outcome::RunOutcome;
use super::run::Event;
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{AgentStatus, PipelineStatus};

/// How long agents may take to leave.
const FAREWELL: Duration = Duration::from_secs(3);

impl Driver {
    /// Lets the agents leave, says how it ended, and gathers what came of it.
    pub async fn close(mut self, done: Result<()>) -> Result<RunOutcome> {
        if let Err(error) = done {
            if error.code() == "superseded" {
                return Err(error);
            }
            self.parts.store = self.parts.store.within(LAST_WORDS);
            self.journal.within(LAST_WORDS);
            let event = self.ended_by(&error).await;
            if let Err(later) = self.happen(event).await {
                // What cannot be written down is told as the error that it is.
                tracing::debug!(error = %later, "the end of a broken run could not be written down");
                return Err(error);
            }
        }
        self.farewell().await?;
        let outcome = self.gather().await?;
        let results = json!({"decision": outcome.decision.as_ref().map(|decision| &decision.proposal)});
        let (pipeline_id, status) = (self.pipeline.clone(), outcome.status);
        self.tell(Broadcast::OrchestrationComplete { pipeline_id, status, results }).await?;
        // A stopped run's owner may not even let go; its time is over soon.
        drop(self.owner.release().await);
        Ok(outcome)
    }

    /// What an error means for the run.
    async fn ended_by(&mut self, error: &Error) -> Event {
        if error.kind() != ErrorKind::Revoked {
            return Event::Broken(error.to_string());
        }
        match self.stopped().await {
            Ok(Some(why)) => Event::Stopped(why),
            _ => Event::Stopped("the pipeline was stopped".to_owned()),
        }
    }

    /// Waits for those who were told to leave. Who was stopped, or has no time left, is ended.
    async fn farewell(&mut self) -> Result<()> {
        let mut staying = std::mem::take(&mut self.leaving);
        if !matches!(self.run.status, PipelineStatus::Stopped | PipelineStatus::Timeout) {
            staying.retain(|id| self.crew.has(id));
            let all = async {
                while !staying.is_empty() {
                    let (id, ended) = self.crew.ended().await;
                    staying.retain(|other| *other != id);
                    if let Err(error) = ended {
                        tracing::debug!(agent = %id, %error, "an agent did not leave by itself");
                    }
                }
            };
            if tokio::time::timeout(FAREWELL, all).await.is_err() {
                tracing::warn!("some agents did not leave in time and were ended");
            }
        }
        self.crew.end().await;
        if self.run.status == PipelineStatus::Timeout {
            for id in staying {
                let state = self.parts.store.keys().agent_state(&id);
                let timed_out = self.governor.commit().merge(state, [("status", AgentStatus::TimedOut)]);
                // Refused where it was stopped meanwhile.
                self.parts.store.commit(timed_out).await?;
            }
        }
        Ok(())
    }
}
