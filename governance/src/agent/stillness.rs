//! An agent that carries its plan out and gets no further: after a while its token is revoked, with an alert. Looked at by its own process, which
//! knows what it does without asking anybody. Whoever is part of a run is left to its governor, which helps before it revokes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Desk;
use crate::coordination::{Comes, Recurrence, Recurring, Rounds};
use crate::error::{ErrorKind, Result};
use crate::guard::{Admissions, Gate, Recorder, Response, RevocationEngine, Stillness, Triggers};
use crate::store::{Actor, Store};
use crate::vocabulary::{AgentPhase, AgentStatus, PipelineStatus};

/// A look costs nothing; so often it is taken within the time that an agent has, …
const LOOKS: u32 = 12;
/// … but no more often, and no less, than this.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(5));

/// Looks after one agent until it has left, was ended, or this is dropped.
pub(super) struct Watcher {
    _looks: Recurrence,
}

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
    still: Mutex<Stillness>,
}

impl Watcher {
    pub fn begin(desk: &Desk) -> Self {
        let watched = Watched {
            store: desk.store().clone(),
            actor: desk.actor().clone(),
            recorder: desk.recorder.clone(),
            gate: desk.gate.clone(),
            patience: desk.patience(),
            still: Mutex::new(Stillness::new(desk.gate.progress(), desk.store().ports().clock.elapsed())),
        };
        let pause = watched.pause();
        Self { _looks: Rounds::begin(desk.store(), Arc::new(watched), pause) }
    }
}

impl Recurring for Watched {
    fn comes(self: Arc<Self>) -> Comes {
        let now = self.store.ports().clock.elapsed();
        let span = self.still().look(self.gate.progress(), now);
        if self.gate.phase() != Some(AgentPhase::Execute) {
            self.still().again(now);
        } else if span > self.patience {
            return Comes::Work(Box::pin(async move { self.look_into(span).await.then(|| self.pause()) }));
        }
        Comes::Again(self.pause())
    }
}

impl Watched {
    fn pause(&self) -> Duration {
        (self.patience / LOOKS).clamp(PAUSES.0, PAUSES.1)
    }

    fn still(&self) -> std::sync::MutexGuard<'_, Stillness> {
        self.still.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is to be looked after any longer.
    async fn look_into(&self, span: Duration) -> bool {
        match self.suspect(span).await {
            Ok(Found::Excused) => self.still().again(self.store.ports().clock.elapsed()),
            Ok(Found::Over) => return false,
            Err(error) if error.kind() == ErrorKind::Revoked => return false,
            // Looked at again with the next pause.
            Err(error) => tracing::warn!(agent = %self.actor.id, %error, "an agent that is still could not be looked at"),
        }
        true
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
