//! An agent's signs of life. Who gives none in time is revoked by the caretaker.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::coordination::{Charge, Comes, Lease, Recurrence, Recurring, Rounds};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Actor, Commit, Store, Write, to_json};
use crate::vocabulary::{AgentId, Millis, ttl};

/// How often a heart beats, unless told otherwise. Three beats may be missed: the last one counts for three times as long.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// How many intervals a beat counts for.
const BEATS: u32 = 3;

/// What `agent:{id}:heartbeat` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// When, on the store's clock.
    pub at: Millis,
    /// Until when it counts.
    pub until: Millis,
}

/// An agent's heart: beats in the background until it is stopped, its admission ends, or it is dropped.
///
/// A drop without [`stop`](Self::stop) is a death: the agent is revoked when its last beat no longer counts, unless it or its run has ended.
#[derive(Debug)]
pub struct Heartbeat {
    heart: Arc<Heart>,
    beats: Recurrence,
}

#[derive(Debug)]
struct Heart {
    store: Store,
    actor: Actor,
    interval: Duration,
}

impl Heartbeat {
    /// Begins to beat. Returns after the first beat.
    pub async fn start(store: &Store, actor: &Actor, interval: Duration) -> Result<Self> {
        let first = beat(store, actor, interval).await?;
        let watched = Charge::heartbeat(&actor.id).begin(store.keys(), Some(first.1));
        store.apply(first.0.write(watched)).await?;
        let heart = Arc::new(Heart { store: store.clone(), actor: actor.clone(), interval });
        Ok(Self { beats: Rounds::begin(store, heart.clone(), interval), heart })
    }

    /// Stops in order: from now on no sign of life is expected.
    pub async fn stop(self) -> Result<()> {
        drop(self.beats);
        let Heart { store, actor, .. } = &*self.heart;
        let keys = store.keys();
        let sign = Write::Delete(keys.agent_heartbeat(&actor.id).into());
        let last = actor.commit().write(sign).write(Charge::heartbeat(&actor.id).end(keys));
        store.apply(last).await.map(drop)
    }
}

impl Recurring for Heart {
    fn comes(self: Arc<Self>) -> Comes {
        Comes::Work(Box::pin(async move { self.beat_again().await }))
    }
}

impl Heart {
    /// The next beat. Answers when the one after it is due; none when no more is to come.
    async fn beat_again(&self) -> Option<Duration> {
        let Self { store, actor, interval } = self;
        let beaten = async { store.apply(beat(store, actor, *interval).await?.0).await };
        match beaten.await {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Revoked => return None,
            // The next beat may still be in time.
            Err(error) => tracing::warn!(agent = %actor.id, %error, "a heartbeat did not reach the store"),
        }
        Some(*interval)
    }
}

/// A beat that is not sent yet, and until when it counts: no later than the store's own expiry.
async fn beat(store: &Store, actor: &Actor, interval: Duration) -> Result<(Commit, Millis)> {
    let (at, lasts) = (store.now().await?, interval.saturating_mul(BEATS));
    let until = at.after(lasts);
    let cell = store.keys().agent_heartbeat(&actor.id).into();
    let write = Write::Put { cell, value: to_json(&Beat { at, until })?, ttl: Some(lasts), event: None };
    Ok((actor.commit().write(write), until))
}

/// Takes an agent's execution lock, `agent:{id}:lock`, for 300 s at a time; none if another process acts as this agent. If it lapses instead of
/// being released, the caretaker revokes the agent.
pub async fn execution_lock(store: &Store, actor: &Actor) -> Result<Option<Lease>> {
    let (keys, id) = (store.keys(), &actor.id);
    if actor.pipeline.is_none() {
        return Err(Error::invalid("no_pipeline", format!("`{id}` was not admitted to a pipeline, and has no execution to lock")));
    }
    Lease::claim_watched(store, keys.agent_lock(id), keys.agent_fence(id), actor, ttl::LOCK, Charge::lock(id)).await
}

/// Takes back the execution lock of an agent whose process is gone, so that it can be started again.
pub async fn free_execution_lock(store: &Store, by: &Actor, agent: &AgentId) -> Result<()> {
    let keys = store.keys();
    let freed = by.commit().write(Write::Delete(keys.agent_lock(agent).into())).write(Charge::lock(agent).end(keys));
    store.apply(freed).await.map(drop)
}
