//! The full context of a run, as one JSON document: what `download_log` exports.

use serde_json::{Value, json};

use super::driver::Orchestrator;
use super::journal::Journal;
use crate::coordination::{Blackboard, Consensus};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Actor, from_json};
use crate::vocabulary::{PipelineId, Section};

/// How many log lines are exported.
const LINES: u64 = 2_000;

impl Orchestrator {
    /// Everything that is known of a run. Changes nothing.
    pub async fn context(&self, pipeline: &PipelineId) -> Result<Value> {
        let store = &self.parts.store;
        let keys = store.keys();
        let unknown = || Error::new(ErrorKind::NotFound, "no_such_pipeline", format!("there is no run `{pipeline}`"));
        let state = store.state(keys.pipeline(pipeline)).await?.ok_or_else(unknown)?;
        let (reader, task) = (Actor::system(store, "reader").await?, pipeline.task());
        let board = Blackboard::open(store, &task, &reader);
        let mut sections = serde_json::Map::new();
        for section in Section::ALL {
            sections.insert(section.to_string(), json!(board.entries(*section).await?));
        }
        let journal = Journal::new(store, pipeline).read().await?;
        let run = super::journal::replay(pipeline, journal.iter().cloned());
        let consensus = Consensus::open(store, &task, &reader);
        let mut votes = Vec::new();
        for round in 1..=run.as_ref().map_or(0, |run| run.round) {
            let Ok(id) = crate::vocabulary::ProposalId::new(format!("decision-{round}")) else { continue };
            if consensus.proposal(&id).await?.is_some() {
                votes.push(json!({"id": id, "ballots": consensus.votes(&id).await?, "outcome": consensus.settled(&id).await?}));
            }
        }
        let failure = store.cell(keys.pipeline_failure_context(pipeline)).await?;
        let failure: Option<Value> = failure.map(|found| from_json("the failure context", &found.value)).transpose()?;
        let logs = store.list(keys.pipeline_logs(pipeline), LINES).await?;
        let logs: Vec<Value> = logs.iter().map(|line| from_json("a log line", line)).collect::<Result<_>>()?;
        let agents = self.parts.admissions().agents(pipeline).await?;
        Ok(json!({
            "pipeline_id": pipeline, "state": state.fields, "run": run, "agents": agents, "blackboard": sections, "votes": votes,
            "failure_context": failure, "journal": journal, "logs": logs,
        }))
    }
}
