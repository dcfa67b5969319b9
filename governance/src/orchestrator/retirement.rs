//! Runs that ended long ago leave the shared state. What they did stays in the record.
//!
//! ```text
//!   ended ── so long ago ──▶ retire: epoch raised, `retired_at` ──▶ its agents counted ──▶ what is kept of them, of votes, messages goes ──▶ off the list of runs
//!                               │ taken up meanwhile, or by somebody else: left alone
//! ```
//!
//! Whoever dies in between is followed by the next round, which begins again where the run still stands in the list.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use crate::agent::{GOVERNOR, Promotions, everything_of};
use crate::coordination::{Charge, ChargeKind, Chore, Cursor, Follower, Keeper, Look, VoteEvent};
use crate::error::{ErrorKind, Result};
use crate::guard::{Recorder, Unit, runs};
use crate::ledger::{Action, Filter, Ledger};
use crate::store::{Commit, Fields, MAX_OPERATIONS, Store, Write, to_json};
use crate::vocabulary::{AgentId, Key, Keys, Millis, PipelineId, PipelineStatus, ProposalId, Section, TaskId};

/// The pause between two rounds: so many of them come into the age at which runs are retired …
const ROUNDS: u32 = 90;
/// … but no more than this often, and one a day at least.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(24 * 60 * 60));
/// How long what is kept of a retired run can still be read.
const GOING: Duration = Duration::from_secs(60);
/// How much of a step is left for what it says besides.
const PIECE: usize = MAX_OPERATIONS / 2;

/// Retires runs that ended long ago.
pub struct Retirement {
    store: Store,
    recorder: Recorder,
    age: Option<Duration>,
}

/// A run that the shared state has let go of, as the record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// How it had ended.
    pub status: PipelineStatus,
    /// When it had begun.
    pub created_at: Millis,
    /// When it had ended.
    pub ended_at: Millis,
    /// When it was retired, on the clock of whoever did.
    pub retired_at: Millis,
}

impl Retirement {
    /// For a store whose runs are kept for so long after their end; for ever where no age is given.
    #[must_use]
    pub fn new(store: &Store, recorder: &Recorder, age: Option<Duration>) -> Self {
        Self { store: store.clone(), recorder: recorder.clone(), age }
    }

    async fn retire(&self, id: &PipelineId, state: &Fields, keeper: &Keeper) -> Result<()> {
        let keys = self.store.keys();
        if state.field("retired_at").is_empty() && !self.fence(id, state, keeper).await? {
            return Ok(());
        }
        let agents = self.store.set(keys.pipeline_agents(id)).await?.into_iter().map(AgentId::new).collect::<Result<Vec<_>>>()?;
        // INVARIANT: counted before anything of them goes. Those of a run that was stopped were not: it might have gone on.
        let promotions = Promotions::open(&self.store, &self.recorder);
        for agent in &agents {
            promotions.count(agent).await?;
        }
        let mut going = self.shared(id, &agents).await?;
        for agent in &agents {
            going.extend(everything_of(keys, agent));
        }
        let ttl = self.age.unwrap_or(GOING).min(GOING);
        let mut writes: Vec<_> = going.into_iter().map(|key| Write::Expire { key, ttl }).collect();
        let leave = |set: Key, member: String| Write::Leave { set, member };
        writes.extend(agents.iter().map(|agent| leave(keys.agents(), agent.to_string())));
        for piece in writes.chunks(PIECE) {
            self.store.apply(piece.iter().cloned().fold(keeper.actor.commit(), Commit::write)).await?;
        }
        // INVARIANT: last, so that a round which was broken off is found again. The epoch stays for ever: it tells what is old from what is new.
        let last = [keys.pipeline_agents(id), keys.pipeline(id)].map(|key| Write::Expire { key, ttl });
        let lists = [keys.pipelines(), keys.pipelines_open(), keys.pipelines_stopped()].map(|set| leave(set, id.to_string()));
        self.store.apply(last.into_iter().chain(lists).fold(keeper.actor.commit(), Commit::write)).await?;
        tracing::info!(pipeline = %id, agents = agents.len(), "a run that ended long ago was retired");
        Ok(())
    }

    /// Ends what was admitted to it for good, and says so in the record. False where it was taken up, or is no longer as it was.
    async fn fence(&self, id: &PipelineId, state: &Fields, keeper: &Keeper) -> Result<bool> {
        let keys = self.store.keys();
        let now = self.store.now().await?;
        let fenced = keeper
            .actor
            .commit()
            .absent(keys.pipeline_owner(id))
            .version(keys.pipeline(id), state.version)
            .raise(keys.pipeline_epoch(id))
            .merge(keys.pipeline(id), [("retired_at", now.0)]);
        let payload = json!({"status": state.field("status"), "created_at": at(state, "created_at"), "ended_at": ended_at(state)});
        let done = self.recorder.record(&self.store, Action::Retire, (None, Some(id)), &payload, async |token| {
            self.store.apply(fenced.token(token)).await.map(drop)
        });
        match done.await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict && error.code() != "fenced" => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is kept of a run as a whole, but for what finds it again.
    async fn shared(&self, id: &PipelineId, agents: &[AgentId]) -> Result<Vec<Key>> {
        let (keys, task) = (self.store.keys(), id.task());
        let mut going = of_run(keys, id, &task);
        let everybody = agents.iter().cloned().chain([AgentId::new(GOVERNOR)?]);
        going.extend(everybody.flat_map(|who| [keys.bus_inbox(&task, &who), keys.bus_cursor(&task, &who)]));
        let mut told = Follower::new(&self.store, keys.proposal_events(&task), Cursor::default()).told::<VoteEvent>();
        let (mut proposals, mut missed) = (BTreeSet::new(), false);
        while let Some(piece) = told.piece().await? {
            missed |= piece.iter().any(std::result::Result::is_err);
            proposals.extend(piece.into_iter().flatten().map(|event| event.proposal_id));
        }
        if missed {
            // What the log no longer tells of is found by its name.
            let events = keys.proposal_events(&task);
            let start = events.as_str().trim_end_matches("events");
            let names = self.store.scan(start).await?;
            let ids = names.iter().filter(|name| **name != *events.as_str()).filter_map(|name| name[start.len()..].split(':').next());
            proposals.extend(ids.map(ProposalId::new).collect::<Result<Vec<_>>>()?);
        }
        going.extend(proposals.iter().flat_map(|proposal| [keys.proposal(&task, proposal), keys.ballots(&task, proposal)]));
        Ok(going)
    }
}

fn of_run(keys: &Keys, id: &PipelineId, task: &TaskId) -> Vec<Key> {
    let mut keys_of = vec![
        keys.pipeline_journal(id),
        keys.pipeline_vault_token(id),
        keys.pipeline_logs(id),
        keys.pipeline_failure_context(id),
        keys.pipeline_errors(id),
        keys.pipeline_limits(id),
        keys.blackboard_events(task),
        keys.bus_log(task),
        keys.bus_members(task),
        keys.bus_dead(task),
        keys.proposal_events(task),
        keys.recovery(id),
        keys.metrics(task),
        keys.readiness(task),
    ];
    keys_of.extend(Section::ALL.iter().map(|section| keys.blackboard(task, section)));
    keys_of.extend(Unit::ALL.iter().map(|unit| keys.pipeline_spend(id, unit.as_str())));
    keys_of
}

fn at(state: &Fields, field: &str) -> Millis {
    Millis(state.field(field).parse().unwrap_or(0))
}

/// When a run ended, by the store's clock. What earlier versions did not say is taken to be when it was last said to begin something.
fn ended_at(state: &Fields) -> Millis {
    match at(state, "ended_at") {
        Millis(0) => at(state, "created_at").max(at(state, "orchestration_started_at")),
        ended => ended,
    }
}

/// What the record says of a run that was retired; none where it was not, or nobody knows yet.
pub async fn retired(ledger: &Ledger, id: &PipelineId) -> Result<Option<Retired>> {
    let asked = Filter { pipeline: Some(id.clone()), action: Some(Action::Retire), newest_first: true, limit: 100, ..Filter::default() };
    let told = ledger.list(&asked).await?.actions.into_iter();
    let read = |text: String| serde_json::from_str::<serde_json::Value>(&text).ok();
    Ok(told.filter_map(|entry| Some((entry.at, read(entry.payload?)?))).find_map(|(retired_at, says)| {
        let millis = |name: &str| Some(Millis(says[name].as_u64()?));
        let status = says["status"].as_str()?.parse().ok()?;
        Some(Retired { status, created_at: millis("created_at")?, ended_at: millis("ended_at")?, retired_at })
    }))
}

#[async_trait]
impl Chore for Retirement {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Retirement
    }

    fn is_standing(&self) -> bool {
        true
    }

    fn can_wait(&self) -> bool {
        true
    }

    async fn look(&self, _charge: &Charge, now: Millis) -> Result<Look> {
        let Some(age) = self.age else { return Ok(Look::Due(None)) };
        let last: Option<(u64, Millis)> = self.store.json(self.store.keys().retirement()).await?;
        Ok(Look::Due(Some(last.map_or(now, |(_, last)| last.after((age / ROUNDS).clamp(PAUSES.0, PAUSES.1))))))
    }

    async fn act(&self, _charge: &Charge, keeper: &Keeper) -> Result<()> {
        let Some(age) = self.age else { return Ok(()) };
        let (now, mut failed) = (self.store.now().await?, None);
        for (id, state) in runs(&self.store, self.store.keys().pipelines()).await? {
            let ended = state.field("status").parse().is_ok_and(PipelineStatus::is_final);
            if ended
                && ended_at(&state).after(age) <= now
                && let Err(error) = self.retire(&id, &state, keeper).await
            {
                // One that cannot go keeps no other.
                failed = failed.or(Some(error));
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        self.store.apply(keeper.actor.commit().put(self.store.keys().retirement(), to_json(&now)?)).await.map(drop)
    }
}
