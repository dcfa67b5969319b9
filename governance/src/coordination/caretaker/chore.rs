//! What somebody must do now and then, and how it is told apart from looking.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::charge::{Charge, ChargeKind};
use super::schedule::Look;
use crate::error::Result;
use crate::store::Actor;
use crate::vocabulary::{Key, Millis};

/// Looks after everything of one kind. A later part of the system that has something to look after adds its own.
#[async_trait]
pub trait Chore: Send + Sync {
    /// What it looks after.
    fn kind(&self) -> ChargeKind;

    /// Whether there is always exactly one such thing, which nobody announces.
    fn is_standing(&self) -> bool {
        false
    }

    /// What wakes who looks after this, besides the time. Asked once, before the first look.
    fn alarm(&self, _charge: &Charge) -> Alarm {
        Alarm::Silent
    }

    /// Whether nobody is worse off where it is done late: a count that whoever needs it brings up to date. It is never called overdue while nobody keeps
    /// house.
    fn can_wait(&self) -> bool {
        false
    }

    /// How long a thing that stirs all the time is left alone between two looks.
    fn rest(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// When something is to be done for this. Changes nothing. `now` is the store's time.
    async fn look(&self, charge: &Charge, now: Millis) -> Result<Look>;

    /// Does what is due.
    async fn act(&self, charge: &Charge, keeper: &Keeper) -> Result<()>;
}

/// Who acts. Every commit by its actor is refused once another has taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeper {
    /// The caretaker, admitted by its fence too.
    pub actor: Actor,
    /// The fence of its lease.
    pub fence: u64,
}

/// What wakes, besides the time.
#[derive(Debug, Clone)]
pub enum Alarm {
    /// Nothing.
    Silent,
    /// A change of one of these keys, also by another process.
    Keys(Vec<Key>),
    /// Something in this process.
    Bell(Arc<Notify>),
}
