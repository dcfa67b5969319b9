//! How every part is, looked at where all of them can be seen. Each look has its own deadline, so this never hangs.

use std::time::Duration;

use tokio::time::timeout;

use super::Governance;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::guard::health::{self, Component, Finding, Health, HealthState, Seen};
use crate::ledger::{Filter, Ledger};
use crate::llm::Mode;
use crate::store::{Store, Write};
use crate::vocabulary::Ports;

/// How long a look at one part may take.
const LOOK: Duration = Duration::from_secs(2);
/// How long opening everything may take.
const OPEN: Duration = Duration::from_secs(4);
/// Slower than this is not as it should be.
const SLOW: Duration = Duration::from_millis(500);
/// So many entries that wait for the record are too many.
const WAITING: u64 = 10_000;
/// How long a probe stays in the store.
const PROBE: Duration = Duration::from_secs(60);

impl Governance {
    /// How every part is. Never fails and never hangs: a part that does not answer is said to be ill.
    pub async fn health(&self) -> Health {
        let (store, ledger) = (self.store().within(LOOK), self.ledger().clone());
        let clock = &self.store().ports().clock;
        let looked = tokio::join!(
            look(self, Component::Store, self.look_at_store(&store)),
            look(self, Component::Ledger, look_at_ledger(&ledger)),
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
        let opened = async { Ledger::open(&config.home, Ports::default(), config.durability).await?.close().await };
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

async fn look_at_ledger(ledger: &Ledger) -> Result<Finding> {
    ledger.head().await?;
    let waiting = ledger.list(&Filter { limit: 1, ..Filter::default() }).await?.unsequenced;
    if waiting > WAITING {
        let advice = "see that somebody keeps house: `governance store check`";
        return Ok(Finding::of(HealthState::Degraded, format!("{waiting} entries are not in the record yet"), advice));
    }
    Ok(Finding::healthy(format!("{waiting} entries wait for the record")))
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
