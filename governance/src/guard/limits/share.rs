//! What this process holds of its agent's limits. Drawn from under one lock, without I/O.

use std::sync::Arc;
use std::time::Duration;

use super::terms::{Asked, Plan};
use crate::guard::budget::Unit;
use crate::ledger::Segment;
use crate::store::Cell;
use crate::vocabulary::{Key, Token};

/// The first piece that a process takes; later ones are as large as what it used lately.
const FIRST: u64 = 8;
const MOST: u64 = 1 << 20;

/// So much of every limit, for so long.
pub(super) struct Share {
    pub id: Token,
    /// No call is started from it after that, on the suspend-aware clock. INVARIANT: earlier than the store's own time.
    pub until: Duration,
    /// When it was asked for.
    pub sent: Duration,
    pub plan: Plan,
    /// Whether tokens or cost are limited, so that a call which uses them needs a share of its own.
    pub metered: bool,
    /// Calls that it was drawn for.
    pub used: u64,
    /// Calls of it that are under way.
    pub running: u64,
    /// What its calls used besides.
    pub spent: Asked,
    pub failed: bool,
    /// Proves what was started from it. One that is not in use means that this process is a fork, or writes another by now.
    pub segment: Option<Arc<Segment>>,
    /// Whether the store keeps it, for whoever takes it back.
    pub kept: bool,
    pub counters: Vec<(Key, Unit)>,
    pub windows: Vec<Key>,
    pub errors: Vec<Key>,
    /// Where the limits are set that an overrun closes.
    pub limits: Vec<(Cell, Unit)>,
}

impl Share {
    fn is_over(&self, now: Duration) -> bool {
        self.running == 0 && (now >= self.until || self.used >= self.plan.calls || (self.plan.single && self.used > 0))
    }

    fn gives(&self, plain: bool, now: Duration) -> bool {
        (plain || !self.metered)
            && now < self.until
            && self.used < self.plan.calls
            && self.running < self.plan.places
            && !(self.plan.single && self.used > 0)
    }

    fn start(&mut self) -> Started {
        self.used += 1;
        self.running += 1;
        Started { id: self.id.clone(), until: self.until, asked: Asked { tokens: self.plan.tokens, cost: self.plan.cost } }
    }
}

/// A call that was started from a share.
pub(super) struct Started {
    pub id: Token,
    pub until: Duration,
    pub asked: Asked,
}

/// All that is held.
#[derive(Default)]
pub(super) struct Shares {
    held: Vec<Share>,
    appetite: Option<u64>,
}

impl Shares {
    /// Starts a call from what is held.
    pub fn start(&mut self, plain: bool, now: Duration) -> Option<Started> {
        let own = |share: &Share| share.segment.as_ref().is_none_or(|segment| segment.is_in_use());
        // INVARIANT: a share is drawn from only by the process that took it: a fork leaves it to its parent.
        if let Some(share) = self.held.iter_mut().find(|share| own(share) && share.gives(plain, now)) {
            return Some(share.start());
        }
        self.held.retain(own);
        None
    }

    /// Starts a call from a share that was just taken.
    pub fn begin(&mut self, mut share: Share) -> Started {
        let started = share.start();
        self.held.push(share);
        started
    }

    /// A call has ended. Answers the share that is to be given back at once, because it was for this call alone, or because somebody must hear of
    /// the failure.
    pub fn end(&mut self, id: &Token, spent: Asked, failed: bool) -> Option<Share> {
        self.mark(id, spent, failed)
            .then(|| self.held.iter().position(|share| share.id == *id).map(|at| self.held.swap_remove(at)))
            .flatten()
    }

    /// The same, but leaves such a share where it is: nothing is drawn from it any more.
    pub fn mark(&mut self, id: &Token, spent: Asked, failed: bool) -> bool {
        let Some(at) = self.held.iter().position(|share| share.id == *id) else { return false };
        let share = &mut self.held[at];
        share.running = share.running.saturating_sub(1);
        share.spent = Asked { tokens: share.spent.tokens.saturating_add(spent.tokens), cost: share.spent.cost.saturating_add(spent.cost) };
        if failed && !share.errors.is_empty() {
            // What is left of others is asked for anew: the limit may be reached.
            share.failed = true;
            self.held.iter_mut().for_each(|share| share.until = Duration::ZERO);
        }
        let share = &self.held[at];
        share.running == 0 && (share.plan.single || share.failed)
    }

    /// Takes out what nothing can be drawn from any more.
    pub fn ended(&mut self, now: Duration) -> Vec<Share> {
        let ended: Vec<_> = self.held.extract_if(.., |share| share.is_over(now)).collect();
        for share in ended.iter().filter(|share| !share.plan.single && share.plan.calls != u64::MAX) {
            let wanted = if share.used >= share.plan.calls { share.used.saturating_mul(2) } else { share.used };
            self.appetite = Some(wanted.clamp(1, MOST));
        }
        ended
    }

    /// Takes out what no call is under way of.
    pub fn idle(&mut self) -> Vec<Share> {
        self.held.extract_if(.., |share| share.running == 0).collect()
    }

    /// How much was used lately.
    pub fn appetite(&self) -> u64 {
        self.appetite.unwrap_or(FIRST)
    }
}
