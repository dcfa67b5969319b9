//! Agents that gave no sign of life: a heartbeat that stopped, an execution lock that lapsed.

use async_trait::async_trait;

use super::living;
use crate::coordination::{Alarm, Charge, ChargeKind, Chore, Keeper, Look};
use crate::error::Result;
use crate::guard::heartbeat::Beat;
use crate::guard::limits::Standstill;
use crate::guard::{Recorder, RevocationEngine};
use crate::store::Store;
use crate::vocabulary::{AgentId, Key, Millis, ViolationType};

/// How long something that is there although its time is up may still be: times are whole milliseconds, and renewals are on their way.
const MOMENT: std::time::Duration = std::time::Duration::from_millis(50);

/// Revokes agents whose heartbeat stopped.
pub struct Heartbeats {
    store: Store,
    recorder: Recorder,
}

impl Heartbeats {
    /// For the agents of a store.
    #[must_use]
    pub fn new(store: &Store, recorder: &Recorder) -> Self {
        Self { store: store.clone(), recorder: recorder.clone() }
    }
}

#[async_trait]
impl Chore for Heartbeats {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Heartbeat
    }

    async fn look(&self, charge: &Charge, now: Millis) -> Result<Look> {
        let agent = charge.agent()?;
        let beat: Option<(u64, Beat)> = self.store.json(self.store.keys().agent_heartbeat(&agent)).await?;
        look(&self.store, &agent, beat.map(|(_, beat)| beat.until), now).await
    }

    async fn act(&self, charge: &Charge, keeper: &Keeper) -> Result<()> {
        let agent = charge.agent()?;
        let sign = self.store.keys().agent_heartbeat(&agent);
        revoke(&self.store, &self.recorder, &agent, ViolationType::HeartbeatLost, sign, keeper).await
    }
}

/// Revokes agents whose execution lock lapsed.
pub struct Locks {
    store: Store,
    recorder: Recorder,
}

impl Locks {
    /// For the agents of a store.
    #[must_use]
    pub fn new(store: &Store, recorder: &Recorder) -> Self {
        Self { store: store.clone(), recorder: recorder.clone() }
    }
}

#[async_trait]
impl Chore for Locks {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Lock
    }

    fn alarm(&self, charge: &Charge) -> Alarm {
        // It may also be given up without a word.
        charge.agent().map_or(Alarm::Silent, |agent| Alarm::Keys(vec![self.store.keys().agent_lock(&agent)]))
    }

    async fn look(&self, charge: &Charge, now: Millis) -> Result<Look> {
        let agent = charge.agent()?;
        let held = self.store.cell(self.store.keys().agent_lock(&agent)).await?.is_some();
        // Each renewal says anew until when.
        let until = if held { charge.due(&self.store).await?.or(Some(now)) } else { None };
        look(&self.store, &agent, until, now).await
    }

    async fn act(&self, charge: &Charge, keeper: &Keeper) -> Result<()> {
        let agent = charge.agent()?;
        let sign = self.store.keys().agent_lock(&agent);
        revoke(&self.store, &self.recorder, &agent, ViolationType::LockLost, sign, keeper).await
    }
}

/// `until` is how long the sign of life lasts, if it is there.
async fn look(store: &Store, agent: &AgentId, until: Option<Millis>, now: Millis) -> Result<Look> {
    if let Some(until) = until {
        return Ok(Look::Due(Some(until.max(now.after(MOMENT)))));
    }
    // While its run waits for its user nobody is expected to be there, and whoever is there again when it goes on says so anew.
    let missed = living(store, agent).await?.is_some_and(|run| Standstill::of(&run).is_none());
    Ok(if missed { Look::Due(Some(now)) } else { Look::Done })
}

async fn revoke(store: &Store, recorder: &Recorder, agent: &AgentId, violation: ViolationType, sign: Key, keeper: &Keeper) -> Result<()> {
    let engine = RevocationEngine::open(store).recorded(recorder);
    match engine.lapsed(agent, violation, sign, &keeper.actor).await {
        Ok(receipt) => {
            tracing::warn!(%agent, %violation, epoch = receipt.epoch, "an agent gave no sign of life and was revoked");
            Ok(())
        }
        // It gave one after all, or was revoked by somebody else.
        Err(error) if error.code() == "version_conflict" => Ok(()),
        Err(error) => Err(error),
    }
}
