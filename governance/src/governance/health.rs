//! How every part is, looked at where all of them can be seen. Each look has its own deadline, so this never hangs.

use std::time::Duration;

use tokio::time::timeout;

use super::Governance;
use crate::config::Config;
use crate::coordination::{CARETAKER_LEASE, CaretakerStatus, Charge, ChargeKind};
use crate::error::{Error, Result};
use crate::guard::health::{self, Component, Finding, Health, HealthState, Seen};
use crate::ledger::{Backlog, Ledger};
use crate::llm::Mode;
use crate::store::{Store, Write};
use crate::vocabulary::{Millis, Ports};

/// How long a look at one part may take.
const LOOK: Duration = Duration::from_secs(2);
/// How long opening everything may take.
const OPEN: Duration = Duration::from_secs(4);
/// Slower than this is not as it should be.
const SLOW: Duration = Duration::from_millis(500);
/// So many entries that wait for the record are too many.
const WAITING: u64 = 10_000;
/// Whoever keeps house brings an entry into the record within 100 ms, and whoever takes over once a lease has lapsed. One that waits for longer than this while
/// somebody keeps house is stuck.
const STUCK: Duration = CARETAKER_LEASE.saturating_add(Duration::from_secs(1));
/// What was tried in vain so often does not go away by itself.
const REPEATED: u32 = 2;
/// How long is waited for a store to say who keeps house, where the record is looked at.
const ASIDE: Duration = Duration::from_millis(500);
/// How long a probe stays in the store.
const PROBE: Duration = Duration::from_secs(60);

impl Governance {
    /// How every part is. Never fails and never hangs: a part that does not answer is said to be ill.
    pub async fn health(&self) -> Health {
        let store = self.store().within(LOOK);
        let clock = &self.store().ports().clock;
        let looked = tokio::join!(
            look(self, Component::Store, self.look_at_store(&store)),
            look(self, Component::Ledger, self.look_at_ledger()),
            look(self, Component::Disk, self.look_at_disk()),
            look(self, Component::Model, self.look_at_model(&store)),
            look(self, Component::Tools, health::tools(&store)),
            look(self, Component::Agents, health::agents(&store)),
            look(self, Component::Caretaker, self.look_at_caretaker()),
        );
        let looked = [looked.0, looked.1, looked.2, looked.3, looked.4, looked.5, looked.6];
        let storeless = looked[0].1.state == HealthState::Unhealthy;
        let mut seen = self.inner.seen.lock().await;
        let now = clock.now();
        let components = looked.into_iter().map(|(component, mut found, took)| {
            let stands_on_it = !matches!(component, Component::Store | Component::Ledger | Component::Disk);
            if storeless && stands_on_it && found.state == HealthState::Unhealthy {
                found = Finding::unknown("the store does not answer");
            }
            seen.note(component, found, took, now)
        });
        Health::new(now, components.collect())
    }

    /// How every part is of what cannot even be opened.
    pub async fn diagnose(config: &Config) -> Health {
        let ports = Ports::default();
        let mut seen = Seen::default();
        let mut note = |component, found| seen.note(component, found, Duration::ZERO, ports.clock.now());
        let opened = async {
            let ledger = Ledger::open(&config.home, Ports::default(), config.durability).await?;
            let sound = ledger.examine().await;
            ledger.close().await.and(sound)
        };
        let ledger = match timeout(LOOK, opened).await {
            Ok(Ok(())) => Finding::healthy("it opens"),
            Ok(Err(error)) => Finding::failed(&error),
            Err(_) => Finding::late(LOOK),
        };
        let opened = async {
            let store = Store::open_as(&config.store_url()?, &config.tenant, Ports::default()).await?;
            probe(&store.within(LOOK)).await
        };
        let store = match timeout(OPEN, opened).await {
            Ok(Ok(())) => Finding::healthy("it answers"),
            Ok(Err(error)) => Finding::failed(&error),
            Err(_) => Finding::late(OPEN),
        };
        let mut components = vec![note(Component::Store, store), note(Component::Ledger, ledger)];
        let home = config.home.clone();
        let disk = timeout(LOOK, tokio::task::spawn_blocking(move || health::disk(&home))).await;
        components.push(note(Component::Disk, disk.ok().and_then(Result::ok).unwrap_or_else(|| Finding::late(LOOK))));
        let unknown = [Component::Model, Component::Tools, Component::Agents, Component::Caretaker];
        components.extend(unknown.map(|component| note(component, Finding::unknown("what it is kept in could not be opened"))));
        Health::new(ports.clock.now(), components)
    }

    /// Opens what a configuration says, for a look; how ill it is where that fails or takes too long.
    pub async fn examine(config: Config) -> std::result::Result<Self, Health> {
        match timeout(OPEN, Self::visit(config.clone())).await {
            Ok(Ok(governance)) => Ok(governance),
            Ok(Err(error)) => {
                let mut health = Self::diagnose(&config).await;
                if health.is_healthy() || health.components.iter().all(|part| part.state != HealthState::Unhealthy) {
                    // Each opens alone, and both together do not: they do not belong together, or the store has lost what the ledger knows.
                    let found = Seen::default().note(Component::Store, Finding::failed(&error), Duration::ZERO, health.at);
                    health.components[0] = found;
                    health = Health::new(health.at, health.components);
                }
                Err(health)
            }
            Err(_) => Err(Self::diagnose(&config).await),
        }
    }

    async fn look_at_store(&self, store: &Store) -> Result<Finding> {
        let began = store.ports().clock.elapsed();
        probe(store).await?;
        let took = store.ports().clock.elapsed().saturating_sub(began);
        if let Some(stop) = self.revocations().stop_in_force().await? {
            let advice = "lift it once its cause is gone: `governance stop --lift --reason \"…\"`";
            return Ok(Finding::of(HealthState::Degraded, format!("everything was stopped: {}", stop.reason), advice).since(stop.at));
        }
        if took > SLOW {
            let reason = format!("a write takes {} ms", took.as_millis());
            return Ok(Finding::of(HealthState::Degraded, reason, "see what slows it: every governed write waits for it"));
        }
        Ok(Finding::healthy(format!("{} takes writes", self.store_url())))
    }

    async fn look_at_ledger(&self) -> Result<Finding> {
        let ledger = self.ledger();
        ledger.head().await?;
        let backlog = ledger.backlog().await?;
        let sound = ledger.examine().await;
        // The record does not depend on the store: who does not answer keeps no house.
        let kept = kept(&self.store().within(ASIDE)).await.unwrap_or_default();
        Ok(judged(backlog, sound, kept.as_ref(), self.store().ports().clock.now()))
    }

    async fn look_at_disk(&self) -> Result<Finding> {
        let home = self.config().home.clone();
        let looked = tokio::task::spawn_blocking(move || health::disk(&home)).await;
        looked.map_err(|error| Error::internal("the look at the disk broke").because(error))
    }

    async fn look_at_model(&self, store: &Store) -> Result<Finding> {
        if self.config().model.mode == Mode::Local {
            return Ok(Finding::healthy("the local model needs nobody"));
        }
        let model = self.config().model.open(store.ports(), |_| Some("none".to_owned()))?;
        health::model(store, &self.actor("health").await?, model.name()).await
    }

    async fn look_at_caretaker(&self) -> Result<Finding> {
        let house = self.housekeeping().await?;
        let advice = "the next handle that opens takes over; `governance store check` shows what waits";
        if let Some(first) = house.overdue.first() {
            let reason = format!("{} things are overdue, as {}", house.overdue.len(), first.what);
            let found = Finding::of(HealthState::Degraded, reason, advice);
            return Ok(match first.since {
                Some(since) => found.since(since),
                None => found,
            });
        }
        Ok(match &house.caretaker {
            Some(keeper) if house.awake => Finding::healthy(format!("process {} looks after {} things", keeper.pid, house.charges)),
            Some(keeper) => {
                let reason = format!("process {} fell silent, and nobody looks after {} things", keeper.pid, house.charges);
                Finding::of(HealthState::Degraded, reason, advice).since(keeper.until)
            }
            None => Finding::healthy("nobody keeps house, and nothing is overdue"),
        })
    }
}

/// Shows that the store takes a write.
async fn probe(store: &Store) -> Result<()> {
    let cell = store.keys().health_probe().into();
    let put = Write::Put { cell, value: "1".into(), ttl: Some(PROBE), event: None };
    store.apply(crate::store::Commit::default().write(put)).await.map(drop)
}

/// Who keeps house now, and for how long.
async fn kept(store: &Store) -> Result<Option<(CaretakerStatus, Duration)>> {
    let now = store.now().await?;
    let keeper = CaretakerStatus::of(store).await?.filter(|keeper| keeper.is_awake(now));
    Ok(keeper.map(|keeper| {
        let span = now.since(keeper.since);
        (keeper, span)
    }))
}

/// How the record is: whether it could go on, whether whoever keeps house says that it does not, and how long entries wait. Pure.
fn judged(backlog: Backlog, sound: Result<()>, kept: Option<&(CaretakerStatus, Duration)>, now: Millis) -> Finding {
    let waits = format!("{} entries wait for the record", backlog.entries);
    if let Err(error) = sound {
        return Finding::failed(&error).and(&waits);
    }
    let charge = Charge::standing(ChargeKind::Ledger).to_string();
    let fails = kept.and_then(|(keeper, _)| keeper.overdue.iter().find(|overdue| overdue.what == charge && overdue.failures >= REPEATED));
    if let Some(why) = fails.and_then(|fails| fails.why.as_ref()) {
        let advice = "nothing comes into the record until then; docs/operations.md says what this error asks for";
        return Finding::of(HealthState::Unhealthy, format!("{why}; {waits}"), advice);
    }
    // Who has just begun to keep house has not had the time yet.
    let stuck = kept.zip(backlog.oldest).map(|((_, kept), oldest)| now.since(oldest).min(*kept));
    let advice = "see that whoever keeps house gets on: `governance store check`";
    match stuck {
        Some(span) if span > STUCK => {
            let reason = format!("{waits}, the oldest for {} s, although somebody keeps house", span.as_secs());
            Finding::of(HealthState::Degraded, reason, advice)
        }
        _ if backlog.entries > WAITING => Finding::of(HealthState::Degraded, waits, advice),
        _ => Finding::healthy(waits),
    }
}

async fn look(of: &Governance, component: Component, looking: impl Future<Output = Result<Finding>>) -> (Component, Finding, Duration) {
    let clock = &of.store().ports().clock;
    let began = clock.elapsed();
    let found = match timeout(LOOK, looking).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => Finding::failed(&error),
        Err(_) => Finding::late(LOOK),
    };
    (component, found, clock.elapsed().saturating_sub(began))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordination::Overdue;

    fn kept(span: u64, failures: u32) -> (CaretakerStatus, Duration) {
        let why = Some("`state` could not grow (disk_full)".to_owned());
        let overdue = vec![Overdue { what: "ledger/".into(), since: None, failures, why }];
        let overdue = if failures > 0 { overdue } else { Vec::new() };
        let status = CaretakerStatus { name: "c".into(), pid: 1, den: None, since: Millis(0), until: Millis(99_000), charges: 1, overdue };
        (status, Duration::from_millis(span))
    }

    fn state(waits: u64, sound: Result<()>, kept: Option<(CaretakerStatus, Duration)>) -> HealthState {
        let backlog = Backlog { entries: 3, oldest: Some(Millis(90_000 - waits)) };
        judged(backlog, sound, kept.as_ref(), Millis(90_000)).state
    }

    #[test]
    fn entries_that_wait_although_somebody_keeps_house_are_no_health() {
        assert_eq!(state(80_000, Ok(()), None), HealthState::Healthy, "whoever keeps house next brings them in");
        assert_eq!(state(80_000, Ok(()), Some(kept(4_000, 0))), HealthState::Healthy, "who has just begun needs a moment");
        assert_eq!(state(4_000, Ok(()), Some(kept(80_000, 0))), HealthState::Healthy);
        assert_eq!(state(5_001, Ok(()), Some(kept(80_000, 0))), HealthState::Degraded);
        let idle = judged(Backlog::default(), Ok(()), Some(&kept(80_000, 0)), Millis(90_000));
        assert_eq!(idle.state, HealthState::Healthy, "nothing to do is no trouble");
    }

    #[test]
    fn what_stops_the_record_is_told_with_its_code_also_by_who_keeps_house() {
        assert_eq!(state(1, Ok(()), Some(kept(9_000, 1))), HealthState::Healthy, "once may go away by itself");
        assert_eq!(state(1, Ok(()), Some(kept(9_000, 2))), HealthState::Unhealthy);
        let lost = Error::new(crate::error::ErrorKind::NotFound, "signing_key_lost", "it is gone");
        let found = judged(Backlog { entries: 3, oldest: None }, Err(lost), None, Millis(0));
        assert_eq!((found.state, &*found.reason), (HealthState::Unhealthy, "it is gone (signing_key_lost); 3 entries wait for the record"));
        assert!(found.advice.unwrap().contains("backup"));
    }
}
