//! How a run was begun, and everything that is known of it, as one JSON document: what `download_log` exports.

use serde_json::{Value, json};

use super::driver::{Driver, Orchestrator};
use super::journal::Journal;
use super::options::RunContext;
use crate::coordination::{Blackboard, Consensus};
use crate::error::{Error, ErrorKind, Result};
use crate::llm::ModelSettings;
use crate::store::{Actor, from_json};
use crate::vocabulary::{PipelineId, Section};

/// How many log lines are exported.
const LINES: u64 = 2_000;

impl Orchestrator {
    /// How a run was begun; none of one that agents joined by themselves, or that does not exist.
    pub async fn begun_with(&self, pipeline: &PipelineId) -> Result<Option<RunContext>> {
        let store = &self.parts.store;
        let state = store.state(store.keys().pipeline(pipeline)).await?.unwrap_or_default();
        let kept = state.field("context");
        let unread = |e| Error::corrupt("wrong_kind", format!("the context of `{pipeline}` cannot be read")).because(e);
        if kept.is_empty() { Ok(None) } else { serde_json::from_str(kept).map(Some).map_err(unread) }
    }

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

impl Driver {
    /// Keeps how the run was begun, for whoever takes it up.
    pub(super) async fn keep_context(&self) -> Result<()> {
        let model = ModelSettings { script: None, ..self.options.runtimes.model.clone() };
        let context = RunContext { task_id: self.pipeline.task(), model, timeout: self.options.timeout };
        let context = serde_json::to_string(&context).map_err(|e| Error::internal("a run's context is not JSON").because(e))?;
        let key = self.parts.store.keys().pipeline(&self.pipeline);
        self.parts.store.apply(self.governor.commit().merge(key, [("context", context)])).await.map(drop)
    }
}
