//! Taking a run up: one process owns it, survivors of the last one are fenced, and the journal tells where it was.

use std::time::Duration;

use serde_json::json;

use super::driver::{Driver, OWNED};
use super::effects::nothing_to_accept;
use super::journal::{Journal, replay};
use super::options::{RunOptions, Wish};
use super::parts::Parts;
use super::run::{Event, Step};
use super::standstill::waited;
use crate::agent::GOVERNOR;
use crate::coordination::Lease;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Action;
use crate::store::{Actor, Fields, Write};
use crate::vocabulary::{AgentId, FallbackAction, PipelineId, PipelineStatus, Section};

/// How often a run that somebody else owns is looked at.
const LOOK: Duration = Duration::from_millis(100);

impl Driver {
    /// Takes a run up. Answers what happens first.
    pub async fn take_up(parts: Parts, pipeline: &PipelineId, wish: Wish, options: RunOptions) -> Result<(Self, Vec<Event>)> {
        let store = &parts.store;
        let unknown = || {
            let message = format!("there is no run `{pipeline}`: see `governance pipeline list`");
            Error::new(ErrorKind::NotFound, "no_such_pipeline", message)
        };
        let state = store.state(store.keys().pipeline(pipeline)).await?.ok_or_else(unknown)?;
        if state.field("status") != PipelineStatus::Spawn.as_str() && store.number(store.keys().pipeline_owner_fence(pipeline)).await? == 0
        {
            let message =
                format!("`{pipeline}` is no run: its agents join by themselves, and whoever began it ends it; nothing is carried out here");
            return Err(Error::new(ErrorKind::Conflict, "not_a_run", message));
        }
        admissible(pipeline, &state, wish)?;
        if let Some(stop) = parts.revocations().stop_in_force().await? {
            let message = format!("everything was stopped ({}): lift it with `governance stop --lift --reason …`, then go on", stop.reason);
            return Err(Error::new(ErrorKind::Denied, "stopped", message));
        }
        let operator = Actor { pipeline: Some(pipeline.clone()), ..Actor::system(store, GOVERNOR).await? };
        let owner = own(&parts, pipeline, &operator).await?;
        // It may have gone on before it was ours.
        let state = store.state(store.keys().pipeline(pipeline)).await?.ok_or_else(unknown)?;
        admissible(pipeline, &state, wish)?;
        let Some(run) = replay(pipeline, Journal::new(store, pipeline).read().await?) else {
            owner.release().await?;
            let message = format!("`{pipeline}` died before it began: start it anew with `governance run`");
            return Err(Error::new(ErrorKind::NotFound, "never_begun", message));
        };
        if wish == Wish::Fallback(FallbackAction::AcceptPartial)
            && parts.blackboard(&pipeline.task(), &operator).entries(Section::Solutions).await?.is_empty()
        {
            owner.release().await?;
            return Err(nothing_to_accept());
        }
        if let Some(vote) = run.vote().filter(|_| run.step == Step::Vote) {
            // A vote that is complete is counted as it was cast: under the epoch that ends now.
            parts.consensus(&pipeline.task(), &operator).settle(&vote).await?;
        }
        let governor = fence(&parts, pipeline, &operator, &owner, (wish, &state)).await?;
        let owner = owner.admitted(&governor);
        let waits = run.status == PipelineStatus::Report;
        let begun = !run.agents.is_empty();
        // Whoever stopped a run that nobody carried out left no line in its journal.
        let stopped = state.field("status") == PipelineStatus::Stopped.as_str() && run.status != PipelineStatus::Stopped;
        let stop = stopped.then(|| Event::Stopped(state.field("reason").to_owned()));
        let driver = Self::sit_down(&parts, &governor, owner, state.field("objective"), run, options).await?;
        let events = match wish {
            Wish::Continue if !begun => vec![Event::Begun],
            Wish::Continue if waits => vec![Event::Resumed, Event::Continue],
            Wish::Continue => vec![Event::Resumed],
            Wish::Fallback(action) => vec![Event::Fallback(action)],
            Wish::GiveUp => vec![Event::GivenUp],
        };
        Ok((driver, stop.into_iter().chain(events).collect()))
    }
}

/// Whether a run in this state can go on so.
fn admissible(pipeline: &PipelineId, state: &Fields, wish: Wish) -> Result<()> {
    let status: PipelineStatus = state.field("status").parse()?;
    let awaiting = state.field("awaiting_user") == "true" && status == PipelineStatus::Orchestrating;
    let refused = |code, message| Err(Error::new(ErrorKind::Conflict, code, message));
    match wish {
        _ if !state.field("retired_at").is_empty() => {
            refused("retired", format!("`{pipeline}` ended as {status} long ago and was retired: start another run with `governance run`"))
        }
        _ if status.is_final() && status != PipelineStatus::Stopped => {
            refused("already_ended", format!("`{pipeline}` has ended as {status}: start another run with `governance run`"))
        }
        Wish::Continue if awaiting => {
            let message = format!(
                "`{pipeline}` waits for your decision: choose with `governance pipeline fallback {pipeline} ACTION`, one of {}",
                FallbackAction::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            );
            refused("awaiting_user", message)
        }
        Wish::Continue => Ok(()),
        _ if awaiting => Ok(()),
        _ => refused(
            "not_waiting",
            format!("`{pipeline}` is {status} and waits for no decision: see `governance pipeline status {pipeline}`"),
        ),
    }
}

/// Becomes the run's owner. A process that died is waited for until its time is over; one that lives keeps it.
async fn own(parts: &Parts, pipeline: &PipelineId, operator: &Actor) -> Result<Lease> {
    let store = &parts.store;
    let keys = store.keys();
    let clock = &store.ports().clock;
    let until = clock.elapsed() + OWNED + OWNED / 2;
    loop {
        let (key, fence) = (keys.pipeline_owner(pipeline), keys.pipeline_owner_fence(pipeline));
        if let Some(lease) = Lease::claim(store, key, fence, operator, OWNED).await? {
            return Ok(lease);
        }
        if clock.elapsed() >= until {
            let message =
                format!("`{pipeline}` is being carried out by another process: follow it with `governance pipeline logs {pipeline}`");
            return Err(Error::new(ErrorKind::Conflict, "owned", message));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Raises the run's epoch, so that whoever carried it out before writes nothing more.
async fn fence(parts: &Parts, pipeline: &PipelineId, operator: &Actor, owner: &Lease, (wish, state): (Wish, &Fields)) -> Result<Actor> {
    let store = &parts.store;
    let (key, now) = (store.keys().pipeline_epoch(pipeline), store.now().await?);
    let payload = json!({"wish": match wish {
        Wish::Continue => "continue".to_owned(),
        Wish::Fallback(action) => action.to_string(),
        Wish::GiveUp => "give_up".to_owned(),
    }});
    let accepted = parts
        .recorder
        .record(store, Action::Resume, (None, Some(pipeline)), &payload, async |token| {
            let raise = operator.commit().token(token).check(owner.check()).write(Write::Raise { key: key.clone(), floor: 0 });
            // Where its user was waited for, that is over.
            store.apply(waited(store, pipeline, state, now, raise)).await
        })
        .await?;
    let admission = operator.admission.and(key.clone(), accepted.results[0]);
    Ok(Actor { id: AgentId::new(GOVERNOR)?, pipeline: Some(pipeline.clone()), admission })
}
