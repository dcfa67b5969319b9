//! Waiting, for many things at once, until one of them stirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use crate::coordination::caretaker::{Alarm, Charge};
use crate::error::Result;
use crate::store::{Store, Watch};

/// An alarm that remembers what rang since it was last asked.
pub(super) enum Armed {
    Watch(Watch),
    Bell(Arc<Notify>),
}

impl Armed {
    /// Rings for everything that happens after this returns; none if nothing ever does.
    pub async fn arm(store: &Store, alarm: Alarm) -> Result<Option<Self>> {
        Ok(match alarm {
            Alarm::Silent => None,
            Alarm::Keys(keys) => Some(Self::Watch(store.watch(&keys).await?)),
            Alarm::Bell(bell) => Some(Self::Bell(bell)),
        })
    }

    async fn rings(&mut self) {
        match self {
            Self::Watch(watch) => watch.changed().await,
            Self::Bell(bell) => bell.notified().await,
        }
    }
}

/// The alarms of everything that is looked after. One that rang is silent until its thing is looked at.
#[derive(Default)]
pub(super) struct Alarms {
    waiting: JoinSet<(Charge, Armed)>,
    handles: BTreeMap<Charge, AbortHandle>,
    rung: BTreeMap<Charge, Armed>,
}

impl Alarms {
    /// Adds an alarm.
    pub fn add(&mut self, charge: &Charge, mut armed: Armed) {
        let of = charge.clone();
        let waiting = async move {
            armed.rings().await;
            (of, armed)
        };
        self.handles.insert(charge.clone(), self.waiting.spawn(waiting));
    }

    /// Lets an alarm ring again. False if there is none.
    pub fn rings_again(&mut self, charge: &Charge) -> bool {
        if let Some(armed) = self.rung.remove(charge) {
            self.add(charge, armed);
        }
        self.handles.contains_key(charge)
    }

    /// Drops an alarm.
    pub fn forget(&mut self, charge: &Charge) {
        self.rung.remove(charge);
        if let Some(handle) = self.handles.remove(charge) {
            handle.abort();
        }
    }

    /// What stirs next. Cancel safe.
    pub async fn next(&mut self) -> Charge {
        loop {
            match self.waiting.join_next().await {
                Some(Ok((charge, armed))) if self.handles.remove(&charge).is_some() => {
                    self.rung.insert(charge.clone(), armed);
                    return charge;
                }
                // Dropped meanwhile.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}
