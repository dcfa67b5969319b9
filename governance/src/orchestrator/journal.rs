//! A run's journal: what it began with, and every event that led somewhere, in order. From it the run is made again, the same.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::run::{Event, Run, Setup};
use crate::coordination::Lease;
use crate::error::{Error, Result};
use crate::store::{Actor, Commit, Store, Write, from_json, to_json};
use crate::vocabulary::PipelineId;

/// How many lines are read at once.
const PIECE: u64 = 1_000;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// What the run began with.
    Setup(Setup),
    /// What happened.
    Event(Event),
}

/// Makes a run again from its journal; none if it had not begun.
#[must_use]
pub fn replay(pipeline: &PipelineId, lines: impl IntoIterator<Item = Line>) -> Option<Run> {
    lines.into_iter().fold(None, |run, line| match (run, line) {
        (None, Line::Setup(setup)) => Some(Run::new(pipeline.clone(), setup)),
        (Some(run), Line::Event(event)) => Some(run.apply(event).0),
        (run, _) => run,
    })
}

/// The journal of a run, as its owner writes it.
pub(super) struct Journal {
    store: Store,
    pipeline: PipelineId,
    #[cfg(feature = "testing")]
    written: u64,
}

impl Journal {
    pub fn new(store: &Store, pipeline: &PipelineId) -> Self {
        Self {
            store: store.clone(),
            pipeline: pipeline.clone(),
            #[cfg(feature = "testing")]
            written: 0,
        }
    }

    /// Waits only so long for the store from now on.
    pub fn within(&mut self, deadline: Duration) {
        self.store = self.store.within(deadline);
    }

    /// Every line, from the first.
    pub async fn read(&self) -> Result<Vec<Line>> {
        let key = self.store.keys().pipeline_journal(&self.pipeline);
        let (mut lines, mut after) = (Vec::new(), 0);
        loop {
            let page = self.store.log(key.clone(), after, PIECE).await?;
            if after == 0 && page.first > 1 {
                return Err(Error::corrupt("journal_cut", format!("the journal of `{}` lacks its beginning", self.pipeline)));
            }
            let Some(last) = page.entries.last() else { return Ok(lines) };
            after = last.position;
            for entry in &page.entries {
                lines.push(from_json("a journal", &entry.value)?);
            }
        }
    }

    /// Writes a line, as long as this process owns the run. A stop was written by whoever stopped it, whose epoch this process no longer has.
    pub async fn append(&mut self, governor: &Actor, owner: &Lease, line: &Line) -> Result<()> {
        let stopped = matches!(line, Line::Event(Event::Stopped(_)));
        let commit = if stopped { Commit::default().urgent() } else { governor.commit() };
        let append = Write::Append { log: self.store.keys().pipeline_journal(&self.pipeline), value: to_json(line)?, bound: 0 };
        self.store.apply(commit.check(owner.check()).write(append)).await?;
        #[cfg(feature = "testing")]
        self.die_where_told();
        Ok(())
    }

    /// A test says behind which line this process dies, as by `kill -9`.
    #[cfg(feature = "testing")]
    fn die_where_told(&mut self) {
        self.written += 1;
        let told = std::env::var("GOVERNANCE_TESTING_DIE_AFTER_LINE").ok().and_then(|line| line.parse().ok());
        if told == Some(self.written) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}
