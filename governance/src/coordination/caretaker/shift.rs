//! A shift: what the caretaker does while it holds the lease.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};

use super::charge::{Charge, due};
use super::chore::{Chore, Keeper};
use super::den::Den;
use super::schedule::{Event, Look, Schedule};
use super::status::{CaretakerStatus, NAMED, Overdue};
use super::{CARETAKER_LEASE, Chores};
use crate::coordination::Lease;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Actor, Outcome, Refused, Store, Watch, Write, to_json};
use crate::vocabulary::{Clock, Millis};

mod alarms;

use self::alarms::{Alarms, Armed};

/// How often the lease is renewed: a renewal may be late by the rest of it.
const RENEWAL: Duration = Duration::from_secs(3);
/// How long the table of charges is left alone between two readings: no less than this, and so many times as long as reading it took.
const TABLE_REST: (Duration, u32) = (Duration::from_millis(50), 10);
/// How many things are looked after at the same time.
const HANDS: usize = 16;
/// What is late by this much is overdue.
const GRACE: Duration = Duration::from_secs(1);

/// The store's time without asking the store: as of the last renewal, and what has elapsed since, also while the machine slept.
#[derive(Clone)]
struct StoreTime {
    clock: Arc<dyn Clock>,
    at: Millis,
    then: Duration,
}

impl StoreTime {
    fn new(store: &Store, at: Millis) -> Self {
        let clock = store.ports().clock.clone();
        Self { at, then: clock.elapsed(), clock }
    }

    fn now(&self) -> Millis {
        self.at.after(self.clock.elapsed().saturating_sub(self.then))
    }
}

/// What came of looking after something.
enum Tended {
    Looked { due: Option<Millis>, in_vain: bool },
    Gone,
}

type Done = (Charge, Option<Armed>, Result<Tended>);

pub(super) struct Shift<'a> {
    store: &'a Store,
    name: &'a str,
    chores: &'a Chores,
    lease: Lease,
    keeper: Keeper,
    status: CaretakerStatus,
    // Locked as long as this lives.
    _inside: Option<File>,
    time: StoreTime,
    schedule: Schedule<Charge>,
    work: JoinSet<Done>,
    // What each task looks after, for the one that panics.
    handed_out: HashMap<Id, Charge>,
    alarms: Alarms,
    reasons: BTreeMap<Charge, String>,
    table: Watch,
    // When the table of charges is read next, and how long it is left alone after that.
    reading: Option<Millis>,
    rest: Duration,
}

impl<'a> Shift<'a> {
    /// Takes the lease; none if somebody else keeps house.
    pub async fn begin(store: &'a Store, name: &'a str, chores: &'a Chores, den: Option<&Den>) -> Result<Option<Self>> {
        let (keys, system) = (store.keys(), Actor::system(store, name).await?);
        let now = store.now().await?;
        let inside = den.and_then(|den| Some((den.place().to_owned(), den.enter()?)));
        let place = inside.as_ref().map(|(place, _)| place.clone());
        let status = CaretakerStatus::new(name, place, now);
        let says = vec![put_status(store, &status)?];
        // A store that does not answer is not waited for longer than the lease lasts.
        let impatient = store.within(CARETAKER_LEASE - RENEWAL);
        let claimed = Lease::claim_with(&impatient, keys.caretaker(), keys.caretaker_fence(), &system, CARETAKER_LEASE, says).await?;
        let Some(lease) = claimed else { return Ok(None) };
        let table = store.watch(&[keys.caretaker_charges()]).await?;
        let mut shift = Self {
            keeper: keeper(store, &system, lease.fence()),
            time: StoreTime::new(store, now),
            schedule: Schedule::default(),
            work: JoinSet::new(),
            handed_out: HashMap::new(),
            alarms: Alarms::default(),
            reasons: BTreeMap::new(),
            reading: Some(now),
            rest: TABLE_REST.0,
            _inside: inside.map(|(_, file)| file),
            status,
            store,
            name,
            chores,
            lease,
            table,
        };
        for chore in chores.values().filter(|chore| chore.is_standing()) {
            shift.schedule.note(&Charge::standing(chore.kind()), Event::Known(0, None), chore.rest(), now);
        }
        tracing::debug!(name, fence = shift.keeper.fence, "keeps house");
        Ok(Some(shift))
    }

    /// Keeps house until the lease is lost.
    pub async fn keep(mut self) -> Result<()> {
        loop {
            let mut now = self.time.now();
            if self.reading.is_some_and(|at| at <= now) {
                self.read_table().await?;
                now = self.time.now();
            }
            let free = HANDS.saturating_sub(self.work.len());
            for charge in self.schedule.take(now, free) {
                self.tend(charge);
            }
            let mut pause = self.lease.left().saturating_sub(CARETAKER_LEASE - RENEWAL);
            if self.work.len() < HANDS
                && let Some(next) = self.schedule.next()
            {
                pause = pause.min(next.since(now));
            }
            if let Some(at) = self.reading {
                pause = pause.min(at.since(now));
            }
            tokio::select! {
                Some(done) = self.work.join_next_with_id() => {
                    let done = match done {
                        Ok((id, done)) => self.handed_out.remove(&id).map(|_| done),
                        // The runtime ends under it: whoever keeps house next does it.
                        Err(error) if error.is_cancelled() => return Ok(()),
                        // Looked after again as any other that failed.
                        Err(error) => self.handed_out.remove(&error.id()).map(|charge| (charge, None, Err(panicked(error)))),
                    };
                    if let Some(done) = done && !self.note(done).await? {
                        return Ok(());
                    }
                }
                charge = self.alarms.next() => self.stirred(&charge),
                () = self.table.changed(), if self.reading.is_none() => self.reading = Some(self.time.now().after(self.rest)),
                () = tokio::time::sleep(pause) => {}
            }
            if self.lease.left() + RENEWAL <= CARETAKER_LEASE && !self.renew().await? {
                return Ok(());
            }
        }
    }

    /// Learns what is to be looked after. What is handed out is not touched.
    async fn read_table(&mut self) -> Result<()> {
        self.reading = None;
        let began = self.time.clock.elapsed();
        let found = self.store.table(self.store.keys().caretaker_charges()).await?;
        let now = self.time.now();
        let mut there = BTreeSet::new();
        for (field, value) in found {
            // What only another version knows is left to it.
            let Some(charge) = Charge::parse(&field) else { continue };
            let Some(chore) = self.chores.get(&charge.kind) else { continue };
            self.schedule.note(&charge, Event::Known(value.version, due(&value.value)), chore.rest(), now);
            there.insert(charge);
        }
        let chores = self.chores;
        let standing = |charge: &Charge| chores.get(&charge.kind).is_some_and(|chore| chore.is_standing());
        let gone = self.schedule.duties().map(|(charge, _)| charge).filter(|charge| !there.contains(*charge) && !standing(charge));
        for charge in gone.cloned().collect::<Vec<_>>() {
            self.forget(&charge);
        }
        // A long table takes no more than a tenth of the time, and what is new in it is known within a second.
        let took = self.time.clock.elapsed().saturating_sub(began);
        self.rest = (took * TABLE_REST.1).clamp(TABLE_REST.0, CARETAKER_LEASE / 4);
        Ok(())
    }

    fn forget(&mut self, charge: &Charge) {
        self.schedule.note(charge, Event::Gone, Duration::ZERO, Millis(0));
        self.alarms.forget(charge);
        self.reasons.remove(charge);
    }

    fn stirred(&mut self, charge: &Charge) {
        self.schedule.note(charge, Event::Stirred, Duration::ZERO, self.time.now());
    }

    fn tend(&mut self, charge: Charge) {
        let (Some(chore), Some(duty)) = (self.chores.get(&charge.kind).cloned(), self.schedule.duty(&charge)) else { return };
        let version = duty.version;
        let (store, keeper, time) = (self.store.clone(), self.keeper.clone(), self.time.clone());
        // It rings again from before the look on, so that nothing is slept through.
        let first = !self.alarms.rings_again(&charge);
        let of = charge.clone();
        let task = self.work.spawn(async move {
            let mut armed = None;
            let tended = async {
                if first {
                    armed = Armed::arm(&store, chore.alarm(&charge)).await?;
                }
                tend(&store, &*chore, &charge, &keeper, &time, version).await
            };
            let tended = tended.await;
            (charge, armed, tended)
        });
        self.handed_out.insert(task.id(), of);
    }

    /// Takes note of what came of something. False if the lease was lost.
    async fn note(&mut self, (charge, armed, tended): Done) -> Result<bool> {
        let now = self.time.now();
        let Some(before) = self.schedule.duty(&charge).map(|duty| duty.failures) else { return Ok(true) };
        if let Some(armed) = armed {
            self.alarms.add(&charge, armed);
        }
        let event = match tended {
            Ok(Tended::Gone) => {
                self.forget(&charge);
                return Ok(true);
            }
            Ok(Tended::Looked { due, in_vain }) => {
                if self.reasons.remove(&charge).is_some() {
                    tracing::info!(%charge, "what had failed works again");
                }
                Event::Looked { due, in_vain }
            }
            Err(error) if error.code() == "fenced" => return Ok(false),
            // Everything was stopped, or another has taken over: the lease tells which.
            Err(error) if error.kind() == ErrorKind::Revoked => {
                if !self.renew().await? {
                    return Ok(false);
                }
                Event::Failed
            }
            // Somebody else was faster.
            Err(error) if error.kind() == ErrorKind::Conflict => Event::Failed,
            Err(error) => {
                // Told once; what goes on is shown by `store check`.
                if before == 0 || !self.reasons.contains_key(&charge) {
                    tracing::warn!(%charge, %error, "a chore failed and is tried again, less and less often");
                } else {
                    tracing::debug!(%charge, %error, failures = before, "a chore failed again");
                }
                self.reasons.insert(charge.clone(), format!("{error} ({})", error.code()));
                Event::Failed
            }
        };
        self.schedule.note(&charge, event, Duration::ZERO, now);
        Ok(true)
    }

    /// False if the lease was lost.
    async fn renew(&mut self) -> Result<bool> {
        self.tell();
        let says = put_status(self.store, &self.status)?;
        match self.lease.renew_with(vec![says.clone()]).await {
            Ok(None) => Ok(false),
            Ok(Some(at)) => {
                self.time = StoreTime::new(self.store, at);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Revoked => {
                // Everything was stopped: the lease is still held.
                let system = Actor::system(self.store, self.name).await?;
                self.lease.admitted_as(&system);
                self.keeper = keeper(self.store, &system, self.keeper.fence);
                let renewed = self.lease.renew_with(vec![says]).await?;
                self.time = renewed.map_or_else(|| self.time.clone(), |at| StoreTime::new(self.store, at));
                Ok(renewed.is_some())
            }
            Err(error) => Err(error),
        }
    }

    /// Brings what it says of itself up to now.
    fn tell(&mut self) {
        let (now, reasons) = (self.time.now(), &self.reasons);
        let late = |due: Option<Millis>| due.is_some_and(|due| due.after(GRACE) <= now);
        let mut overdue: Vec<Overdue> = self
            .schedule
            .duties()
            .filter(|(charge, duty)| late(duty.due) || reasons.contains_key(*charge))
            .map(|(charge, duty)| Overdue {
                what: charge.to_string(),
                since: duty.due,
                failures: duty.failures,
                why: reasons.get(charge).cloned(),
            })
            .collect();
        overdue.sort_by_key(|overdue| overdue.since);
        overdue.truncate(NAMED);
        self.status.charges = self.schedule.duties().count() as u64;
        self.status.until = now.after(CARETAKER_LEASE);
        self.status.overdue = overdue;
    }
}

/// INVARIANT: what a keeper writes is refused as soon as a higher fence was given out.
fn keeper(store: &Store, system: &Actor, fence: u64) -> Keeper {
    let admission = system.admission.and(store.keys().caretaker_fence(), fence);
    Keeper { actor: Actor { admission, ..system.clone() }, fence }
}

async fn tend(store: &Store, chore: &dyn Chore, charge: &Charge, keeper: &Keeper, time: &StoreTime, version: u64) -> Result<Tended> {
    let is_due = |look, now| matches!(look, Look::Due(Some(due)) if due <= now);
    let mut look = chore.look(charge, time.now()).await?;
    let acts = is_due(look, time.now());
    let mut now = time.now();
    if acts {
        chore.act(charge, keeper).await?;
        now = time.now();
        look = chore.look(charge, now).await?;
    }
    match look {
        Look::Due(due) => Ok(Tended::Looked { due, in_vain: acts && is_due(look, now) }),
        Look::Done => {
            let ended = keeper.actor.commit().version(charge.cell(store.keys()), version).write(charge.end(store.keys()));
            match store.commit(ended).await? {
                Outcome::Accepted(_) => Ok(Tended::Gone),
                // It began anew meanwhile, or another ended it: the table tells.
                Outcome::Refused(refused @ Refused::Conflict { .. }) => Err(Error::from(refused)),
                Outcome::Refused(refused) => Err(refused.into()),
            }
        }
    }
}

fn panicked(error: JoinError) -> Error {
    Error::internal("the chore panicked: report it").because(error)
}

fn put_status(store: &Store, status: &CaretakerStatus) -> Result<Write> {
    Ok(Write::Put { cell: store.keys().caretaker_status().into(), value: to_json(status)?, ttl: None, event: None })
}
