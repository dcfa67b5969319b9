//! Somebody waits for people: that is said in its state, where its clocks stand still, and taken back when the wait ends, however it ends.

use std::time::Duration;

use tokio::runtime::Handle;

use crate::error::Result;
use crate::guard::limits::{Scope, Standstill};
use crate::store::{Actor, Outcome, Refused, Store};
use crate::vocabulary::{AgentStatus, ApprovalId, millis};

/// How long a wait counts as progress …
const BUSY: Duration = Duration::from_secs(15);
/// … and after how long that is said again: what else the agent does meanwhile may have taken it back.
const AGAIN: Duration = Duration::from_secs(10);

/// What is said of somebody that waits. Dropped, as when whoever called stops waiting, it is taken back all the same.
pub(super) struct Sign {
    store: Store,
    actor: Actor,
    of: ApprovalId,
    // What it was before; none before anything is said.
    was: Option<AgentStatus>,
    // When that was last said.
    said: Option<Duration>,
    runtime: Option<Handle>,
}

impl Sign {
    pub fn new(store: &Store, actor: &Actor, of: &ApprovalId) -> Self {
        let (store, actor, runtime) = (store.clone(), actor.clone(), Handle::try_current().ok());
        Self { store, actor, of: of.clone(), was: None, said: None, runtime }
    }

    /// Says that it waits, for so long at most, unless that was said a moment ago.
    pub async fn waits(&mut self, left: Duration) -> Result<()> {
        let now = self.store.ports().clock.elapsed();
        if self.said.is_some_and(|said| now.saturating_sub(said) < AGAIN) {
            return Ok(());
        }
        let key = self.store.keys().agent_state(&self.actor.id);
        loop {
            // A part of the system that asks is no agent, and nobody counts its progress.
            let Some(state) = self.store.state(key.clone()).await? else { return Ok(()) };
            let status: AgentStatus = state.field("status").parse()?;
            if status.is_final() {
                return Ok(());
            }
            let mut fields = vec![("busy_for_ms", millis(left.min(BUSY)).to_string()), ("waits_for", self.of.to_string())];
            if status != AgentStatus::Waiting {
                fields.push(("status", AgentStatus::Waiting.to_string()));
                fields.extend(Standstill::begins(self.store.now().await?));
            }
            // INVARIANT: known before it is said, so that whoever is dropped while it is being said takes it back; and said on top of what was read, so
            // that it does not land behind that.
            if self.said.is_none() {
                self.was = Some(if status == AgentStatus::Waiting { AgentStatus::Running } else { status });
            }
            match self.store.commit(self.actor.commit().version(key.clone(), state.version).merge(key.clone(), fields)).await? {
                Outcome::Accepted(_) => break,
                // Something else was written meanwhile.
                Outcome::Refused(Refused::Conflict { .. }) => {}
                Outcome::Refused(refused) => return Err(refused.into()),
            }
        }
        self.said = Some(now);
        Ok(())
    }

    /// It waits no more: it is what it was, and the time is not counted.
    pub async fn over(mut self) -> Result<()> {
        let Some(was) = self.was else { return Ok(()) };
        over(&self.store, &self.actor, was).await?;
        // INVARIANT: forgotten only now, so that whoever is dropped while it is being taken back takes it back all the same.
        self.was = None;
        Ok(())
    }
}

impl Drop for Sign {
    fn drop(&mut self) {
        let (Some(was), Some(runtime)) = (self.was.take(), &self.runtime) else { return };
        let (store, actor) = (self.store.clone(), self.actor.clone());
        runtime.spawn(async move {
            if let Err(error) = over(&store, &actor, was).await {
                // What it said lapses by itself.
                tracing::debug!(agent = %actor.id, %error, "the end of a wait could not be said");
            }
        });
    }
}

async fn over(store: &Store, actor: &Actor, was: AgentStatus) -> Result<()> {
    let key = store.keys().agent_state(&actor.id);
    loop {
        let state = store.state(key.clone()).await?.unwrap_or_default();
        let mut commit = actor.commit().version(key.clone(), state.version);
        let mut fields = vec![("busy_for_ms", "0".to_owned())];
        // Another of its calls may have said already that it goes on; who has left or was ended stays so.
        if state.field("status") == AgentStatus::Waiting.as_str() {
            fields.extend([("status", was.to_string()), ("waits_for", String::new())]);
            if let Some(still) = Standstill::of(&state) {
                let scope = Scope::Agent(actor.id.clone());
                fields.push(Standstill::ends());
                commit = commit.write(still.counted(store.keys(), &scope, store.now().await?));
            }
        }
        match store.commit(commit.merge(key.clone(), fields)).await? {
            Outcome::Accepted(_) => return Ok(()),
            // Something else was written meanwhile.
            Outcome::Refused(Refused::Conflict { .. }) => {}
            Outcome::Refused(refused) => return Err(refused.into()),
        }
    }
}
