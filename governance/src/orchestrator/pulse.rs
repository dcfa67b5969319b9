//! Who makes progress: a blackboard or bus write, a phase change, an open model call until its deadline.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::run::{AgentRun, Event, Run};
use crate::coordination::{Blackboard, BoardEvents, Cursor, Follower, MessageBus, Step};
use crate::error::Result;
use crate::store::{Store, from_json};
use crate::vocabulary::{AgentId, AgentStatus, ApprovalId};

/// How long an agent may make no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Before a mediator is called.
    pub mediate: Duration,
    /// Before it is revoked.
    pub revoke: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { mediate: Duration::from_secs(30), revoke: Duration::from_secs(60) }
    }
}

/// Watches for signs of progress. Counts on a clock that goes on during sleep, from what this process saw.
pub(super) struct Pulse {
    store: Store,
    board: BoardEvents,
    bus: Follower,
    patience: Patience,
    agents: HashMap<AgentId, Seen>,
    // Who waits for people, and for which approval.
    waiting: BTreeMap<AgentId, ApprovalId>,
}

#[derive(Debug, Default, Clone)]
struct Seen {
    version: u64,
    last: Duration,
    // Until when an open call counts as progress.
    busy: Duration,
    mediated: bool,
}

impl Pulse {
    pub fn new(store: &Store, board: &Blackboard, bus: &MessageBus, patience: Patience) -> Self {
        let from = Cursor::default();
        Self {
            store: store.clone(),
            board: board.events(from),
            bus: bus.record(from),
            patience,
            agents: HashMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Somebody did something, or was told to.
    pub fn touch(&mut self, id: &AgentId) {
        let now = self.store.ports().clock.elapsed();
        let seen = self.agents.entry(id.clone()).or_default();
        seen.last = now;
        seen.mediated = false;
    }

    /// Who was found waiting for people, and for which approval.
    pub fn waiting(&self) -> &BTreeMap<AgentId, ApprovalId> {
        &self.waiting
    }

    /// Looks for what was done since, and answers who has been still for too long.
    pub async fn look(&mut self, run: &Run) -> Result<Option<Event>> {
        let owing: Vec<_> = run.alive().filter(|(_, agent)| AgentRun::owes(agent)).map(|(id, _)| id.clone()).collect();
        self.waiting.retain(|id, _| owing.contains(id));
        if owing.is_empty() {
            return Ok(None);
        }
        self.read().await?;
        for id in owing {
            if let Some(event) = self.judge(&id).await? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    async fn read(&mut self) -> Result<()> {
        while let Some(events) = self.board.piece().await? {
            for event in events.into_iter().flatten() {
                self.touch(&event.entry.author);
            }
        }
        while let Some(step) = self.bus.step().await? {
            let Step::Entries(entries) = step else { continue };
            for entry in entries {
                let message: serde_json::Value = from_json("a message", &entry.value)?;
                if let Some(from) = message["from"].as_str().and_then(|from| AgentId::new(from).ok()) {
                    self.touch(&from);
                }
            }
        }
        Ok(())
    }

    async fn judge(&mut self, id: &AgentId) -> Result<Option<Event>> {
        let state = self.store.state(self.store.keys().agent_state(id)).await?.unwrap_or_default();
        let now = self.store.ports().clock.elapsed();
        let seen = self.agents.entry(id.clone()).or_insert_with(|| Seen { last: now, ..Seen::default() });
        if state.version != seen.version {
            let busy = state.field("busy_for_ms").parse().map_or(Duration::ZERO, Duration::from_millis);
            *seen = Seen { version: state.version, last: now, busy: now + busy, mediated: false };
        }
        // Who died while it waited says so no more.
        let waits = state.field("status") == AgentStatus::Waiting.as_str() && now < seen.busy;
        match ApprovalId::new(state.field("waits_for")) {
            Ok(approval) if waits => drop(self.waiting.insert(id.clone(), approval)),
            _ => drop(self.waiting.remove(id)),
        }
        let still = now.saturating_sub(seen.last.max(seen.busy));
        if still >= self.patience.revoke {
            return Ok(Some(Event::Silent(id.clone())));
        }
        if still >= self.patience.mediate && !seen.mediated {
            seen.mediated = true;
            return Ok(Some(Event::Stuck(id.clone())));
        }
        Ok(None)
    }
}
