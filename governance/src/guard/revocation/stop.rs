//! Stopping everything, and lifting a stop.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Receipt, RevocationEngine};
use crate::error::Result;
use crate::guard::runs::{orchestrated, runs};
use crate::ledger::Action;
use crate::store::{Fields, Write, to_json};
use crate::vocabulary::{Millis, PipelineId, PipelineStatus};

/// A stop that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Why, for people.
    pub reason: String,
    /// When.
    pub at: Millis,
}

/// A stop that was lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifted {
    /// The lift, which store and ledger both hold.
    pub receipt: Receipt,
    /// The stop that was in force; none if none was.
    pub stop: Option<Stop>,
    /// The runs that it does not bring back: those that it ended in the middle of their work, and those that were stopped by themselves. Each must be
    /// continued by itself. A pipeline whose agents join by themselves is none of them: others may join it.
    pub stays_stopped: Vec<PipelineId>,
}

impl RevocationEngine {
    /// Stops everything of this tenant, also what is being begun at this moment. Nothing begins until [`lift`](Self::lift).
    pub async fn stop_all(&self, reason: &str) -> Result<Receipt> {
        let keys = self.store.keys();
        let stop = Stop { reason: reason.to_owned(), at: self.store.ports().clock.now() };
        let data = json!({"reason": reason});
        let commit = self
            .raising(keys.epoch())
            .put(keys.stop(), to_json(&stop)?)
            .write(self.alert("stop_all", &data)?)
            .write(self.broadcast("stop_all", &data)?);
        self.carry_out(Action::Stop, (None, None), &data, commit).await
    }

    /// Lifts a stop: what was stopped stays so, but new work may begin. Changes nothing where no stop is in force.
    pub async fn lift(&self) -> Result<Receipt> {
        self.lift_because("lifted").await.map(|lifted| lifted.receipt)
    }

    /// Lifts a stop for a reason, which is recorded. Answers what was lifted, and what stays stopped.
    pub async fn lift_because(&self, reason: &str) -> Result<Lifted> {
        let keys = self.store.keys();
        // Again and again, because another stop may come in between.
        while let Some((version, stop)) = self.store.json::<Stop>(keys.stop()).await? {
            let data = json!({"reason": reason, "stop": stop});
            let commit = self
                .raising(keys.epoch())
                .version(keys.stop(), version)
                .write(Write::Delete(keys.stop().into()))
                .write(self.alert("stop_lifted", &data)?)
                .write(self.broadcast("stop_lifted", &data)?);
            match self.carry_out(Action::Lift, (None, None), &data, commit).await {
                Err(error) if error.code() == "version_conflict" => {}
                other => {
                    let (receipt, stays_stopped) = (other?, self.stays_stopped(Some(&stop)).await?);
                    return Ok(Lifted { receipt, stop: Some(stop), stays_stopped });
                }
            }
        }
        Ok(Lifted { receipt: self.standing(keys.epoch()).await?, stop: None, stays_stopped: self.stays_stopped(None).await? })
    }

    /// The runs that were stopped, and those that a stop ended in the middle of their work.
    async fn stays_stopped(&self, stop: Option<&Stop>) -> Result<Vec<PipelineId>> {
        let keys = self.store.keys();
        let mut stopped = runs(&self.store, keys.pipelines_stopped()).await?;
        if let Some(stop) = stop {
            // What waits for its user was not at work, and goes on as it would have.
            let at_work =
                |state: &Fields| state.field("awaiting_user") != "true" && state.field("status") != PipelineStatus::Report.as_str();
            let begun = |state: &Fields| Millis(state.field("created_at").parse().unwrap_or(0));
            let open = runs(&self.store, keys.pipelines_open()).await?;
            stopped.extend(open.into_iter().filter(|(_, state)| at_work(state) && begun(state) <= stop.at));
        }
        let mut stopped: Vec<_> = orchestrated(&self.store, stopped).await?.into_iter().map(|(id, _)| id).collect();
        stopped.sort_unstable();
        stopped.dedup();
        Ok(stopped)
    }

    /// The stop that is in force, if one is.
    pub async fn stop_in_force(&self) -> Result<Option<Stop>> {
        Ok(self.store.json(self.store.keys().stop()).await?.map(|(_, stop)| stop))
    }
}
