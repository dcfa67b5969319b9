//! An agent that carries its plan out and gets no further: after a while its token is revoked, with an alert. Looked at by its own process, which
//! knows what it does without asking anybody. Whoever is part of a run is left to its governor, which helps before it revokes.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Desk;
use crate::error::{ErrorKind, Result};
use crate::guard::{Admissions, Gate, Recorder, Response, RevocationEngine, Stillness, Triggers};
use crate::store::{Actor, Store};
use crate::vocabulary::{AgentPhase, AgentStatus, PipelineStatus};

/// A look costs nothing; so often it is taken within the time that an agent has, …
const LOOKS: u32 = 12;
/// … but no more often, and no less, than this.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(5));

/// Looks after one agent until it has left, was ended, or this is dropped.
pub(super) struct Watcher(JoinHandle<()>);

/// What became of a suspicion.
enum Found {
    /// It is expected to do nothing now, or others look after it.
    Excused,
    /// It is nobody's concern any more.
    Over,
}

struct Watched {
    store: Store,
    actor: Actor,
    recorder: Recorder,
    gate: Arc<Gate>,
    patience: Duration,
}

impl Watcher {
    pub fn begin(desk: &Desk) -> Self {
        let watched = Watched {
            store: desk.store().clone(),
            actor: desk.actor().clone(),
            recorder: desk.recorder.clone(),
            gate: desk.gate.clone(),
            patience: desk.patience(),
        };
        Self(tokio::spawn(async move { watched.watch().await }))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watched {
    async fn watch(self) {
        let clock = &self.store.ports().clock;
        let mut still = Stillness::new(self.gate.progress(), clock.elapsed());
        let pause = (self.patience / LOOKS).clamp(PAUSES.0, PAUSES.1);
        loop {
            tokio::time::sleep(pause).await;
            let now = clock.elapsed();
            let span = still.look(self.gate.progress(), now);
            if self.gate.phase() != Some(AgentPhase::Execute) {
                still.again(now);
                continue;
            }
            if span <= self.patience {
                continue;
            }
            match self.suspect(span).await {
                Ok(Found::Excused) => still.again(clock.elapsed()),
                Ok(Found::Over) => return,
                Err(error) if error.kind() == ErrorKind::Revoked => return,
                // Looked at again with the next pause.
                Err(error) => tracing::warn!(agent = %self.actor.id, %error, "an agent that is still could not be looked at"),
            }
        }
    }

    /// Only now is the store asked.
    async fn suspect(&self, span: Duration) -> Result<Found> {
        let (store, id) = (&self.store, &self.actor.id);
        let Some(agent) = Admissions::new(store, &self.recorder).agent(id).await? else { return Ok(Found::Over) };
        if agent.status.is_final() {
            return Ok(Found::Over);
        }
        if agent.status == AgentStatus::Waiting || agent.phase != AgentPhase::Execute {
            return Ok(Found::Excused);
        }
        if let Some(pipeline) = &agent.pipeline {
            let keys = store.keys();
            if store.cell(keys.pipeline_owner(pipeline)).await?.is_some() {
                return Ok(Found::Excused);
            }
            let state = store.state(keys.pipeline(pipeline)).await?.unwrap_or_default();
            if state.field("status").parse::<PipelineStatus>().is_ok_and(PipelineStatus::is_final) {
                return Ok(Found::Over);
            }
        }
        // Whose admission has ended anyway is not revoked once more.
        store.still_admitted(&self.actor).await?;
        let triggers = Triggers { without_progress: self.patience, ..Triggers::default() };
        let engine = RevocationEngine::open(store).recorded(&self.recorder).with_triggers(triggers);
        match engine.idle(id, span).await? {
            Response::Revoke { .. } => {
                tracing::warn!(agent = %id, seconds = span.as_secs(), "an agent made no progress for too long and was revoked");
                Ok(Found::Over)
            }
            _ => Ok(Found::Excused),
        }
    }
}
