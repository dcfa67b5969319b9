//! The ledger's side of an action: an intent before, an outcome after.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Action, Entry, Intent, Ledger, OutcomeResult, Segment, StoreName};
use crate::store::Store;
use crate::vocabulary::{AgentId, PipelineId, SegmentId, Token};

/// Writes intents and outcomes for one store. Without a ledger it records nothing, and tokens are random.
#[derive(Clone, Default)]
pub struct Recorder {
    ledger: Option<Arc<Bound>>,
}

struct Bound {
    ledger: Ledger,
    store: StoreName,
}

/// An intent, or nothing where there is no ledger.
#[must_use = "an intent without an outcome ends `unknown`"]
pub struct Recorded {
    // Where it stands, for the outcome to stand beside it.
    intent: Option<(Intent, Arc<Segment>)>,
    /// The token of the action: what makes its commit safe to repeat.
    pub token: Token,
}

/// An intent whose outcome is still to come. Dropped before that, as when whoever waits for the end stops waiting, it ends `unknown`.
pub(crate) struct Open {
    recorder: Recorder,
    recorded: Option<Recorded>,
}

impl Open {
    pub fn new(recorder: &Recorder, recorded: Recorded) -> Self {
        Self { recorder: recorder.clone(), recorded: Some(recorded) }
    }

    /// Says what came of it.
    pub fn end(self, result: OutcomeResult, payload: &impl Serialize) -> Result<()> {
        self.end_text(result, &text(payload))
    }

    /// The same, with details that are JSON text already.
    pub fn end_text(mut self, result: OutcomeResult, payload: &str) -> Result<()> {
        self.recorded.take().map_or(Ok(()), |recorded| self.recorder.outcome_text(&recorded, result, payload))
    }

    /// Says which error came of it.
    pub fn tell(self, result: OutcomeResult, error: &Error) -> Result<()> {
        self.end(result, &json!({"code": error.code(), "message": error.to_string()}))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(recorded) = self.recorded.take() else { return };
        let told = json!({"code": "cancelled", "message": "whoever called did not wait for the end"});
        match self.recorder.outcome(&recorded, OutcomeResult::Unknown, &told) {
            // The parent of this fork writes it.
            Err(error) if error.code() == "forked" => {}
            Err(error) => {
                tracing::warn!(token = %recorded.token, %error, "the outcome of a cancelled call could not be recorded: it ends unknown by itself");
            }
            Ok(()) => {}
        }
    }
}

impl Recorder {
    /// Records in a ledger what is done to a store.
    #[must_use]
    pub fn new(ledger: &Ledger, store: impl Into<StoreName>) -> Self {
        Self { ledger: Some(Arc::new(Bound { ledger: ledger.clone(), store: store.into() })) }
    }

    /// The segment that this process writes, where there is a ledger. Opened on first use: who only looks writes nothing.
    pub fn segment(&self) -> Result<Option<Arc<Segment>>> {
        self.ledger.as_ref().map(|bound| bound.ledger.segment()).transpose()
    }

    /// The ledger, where there is one.
    #[must_use]
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref().map(|bound| &bound.ledger)
    }

    /// The id of this process's segment.
    pub fn segment_id(&self) -> Result<Option<SegmentId>> {
        Ok(self.segment()?.map(|segment| segment.id().clone()))
    }

    /// Says what is about to be done.
    pub fn intent(
        &self,
        store: &Store,
        action: Action,
        agent: Option<&AgentId>,
        pipeline: Option<&PipelineId>,
        payload: &impl Serialize,
    ) -> Result<Recorded> {
        self.intent_text(store, action, agent, pipeline, &text(payload))
    }

    /// The same, with details that are JSON text already.
    pub(super) fn intent_text(
        &self,
        store: &Store,
        action: Action,
        agent: Option<&AgentId>,
        pipeline: Option<&PipelineId>,
        payload: &str,
    ) -> Result<Recorded> {
        let Some(ledger) = self.ledger() else { return Ok(Recorded { intent: None, token: store.fresh_token() }) };
        let (intent, segment) = ledger.write(|segment, now| segment.intent_at(now, action, (agent, pipeline), payload))?;
        Ok(Recorded { token: intent.token.clone(), intent: Some((intent, segment)) })
    }

    /// Says what came of it.
    pub fn outcome(&self, recorded: &Recorded, result: OutcomeResult, payload: &impl Serialize) -> Result<()> {
        self.outcome_text(recorded, result, &text(payload))
    }

    /// The same, with details that are JSON text already.
    pub(super) fn outcome_text(&self, recorded: &Recorded, result: OutcomeResult, payload: &str) -> Result<()> {
        let Some((intent, segment)) = &recorded.intent else { return Ok(()) };
        match segment.outcome(intent, result, payload) {
            // The ledger was closed meanwhile, or its files were moved away.
            Err(error) if error.code() == "segment_closed" => match self.segment()? {
                Some(segment) => segment.outcome(intent, result, payload).map(drop),
                None => Ok(()),
            },
            written => written.map(drop),
        }
    }

    /// Says something that is so.
    pub fn note(
        &self,
        store: &Store,
        action: Action,
        (agent, pipeline): (Option<&AgentId>, Option<&PipelineId>),
        payload: &impl Serialize,
    ) -> Result<()> {
        let Some(ledger) = self.ledger() else { return Ok(()) };
        let note = Entry { agent: agent.cloned(), pipeline: pipeline.cloned(), ..Entry::note(store.ports().clock.now(), action) };
        let note = note.payload(text(payload));
        ledger.write(|segment, _| segment.append(&note)).map(drop)
    }

    /// The highest generation that the ledger knows to be acknowledged; none where there is no ledger.
    pub async fn acknowledged(&self) -> Result<Option<u64>> {
        match &self.ledger {
            Some(bound) => Ok(Some(bound.ledger.witness(bound.store.clone()).generation().await?)),
            None => Ok(None),
        }
    }

    /// Does something between its intent and its outcome. An error of which the effect is not known is recorded as `unknown`.
    pub async fn record<T>(
        &self,
        store: &Store,
        action: Action,
        subject: (Option<&AgentId>, Option<&PipelineId>),
        payload: &impl Serialize,
        act: impl AsyncFnOnce(Token) -> Result<T>,
    ) -> Result<T> {
        self.record_saying(store, action, subject, payload, |_| json!({}), act).await
    }

    /// The same, with what the outcome says of what was done.
    pub async fn record_saying<T>(
        &self,
        store: &Store,
        action: Action,
        (agent, pipeline): (Option<&AgentId>, Option<&PipelineId>),
        payload: &impl Serialize,
        says: impl FnOnce(&T) -> serde_json::Value,
        act: impl AsyncFnOnce(Token) -> Result<T>,
    ) -> Result<T> {
        let recorded = self.intent(store, action, agent, pipeline, payload)?;
        let (token, open) = (recorded.token.clone(), Open::new(self, recorded));
        let done = act(token).await;
        match &done {
            Ok(done) => open.end(OutcomeResult::Ok, &says(done))?,
            Err(error) => {
                let unknown = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Deadline);
                open.tell(if unknown { OutcomeResult::Unknown } else { OutcomeResult::Error }, error)?;
            }
        }
        done
    }

    /// Makes the ledger remember that this generation of the store was acknowledged. ADR 2.
    pub async fn acknowledge(&self, generation: u64) -> Result<()> {
        match &self.ledger {
            Some(bound) => bound.ledger.acknowledge(bound.store.clone(), generation).await,
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("ledger", &self.ledger().map(Ledger::id)).finish()
    }
}

fn text(payload: &impl Serialize) -> String {
    serde_json::to_string(payload).unwrap_or_else(|_| "{}".to_owned())
}
