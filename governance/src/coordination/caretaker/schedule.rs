//! What is due when: decided purely, from what is known and the time.
//!
//! ```text
//!              known, stirred, its time came
//!   waiting ────────────────────────────────▶ handed out ── looked: due later ──▶ waiting
//!                                                │ └────── looked: nothing left ──▶ gone
//!                                                └─ failed, or acted in vain ──▶ waiting, each time twice as long
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use crate::vocabulary::Millis;

/// The first pause after a failure …
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// … and the longest.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What a look at something found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// There is something to do from this time on; nothing, until it stirs, where no time is given.
    Due(Option<Millis>),
    /// There is nothing left to look after.
    Done,
}

/// What happens to a thing that is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// It is there, in this version, and is due first then; at once where no time is given.
    Known(u64, Option<Millis>),
    /// It may have changed.
    Stirred,
    /// It was looked at, perhaps acted on, and is due again then.
    Looked {
        /// When; none if nothing is to come until it stirs.
        due: Option<Millis>,
        /// Whether something was done that did not help: it was due again at once.
        in_vain: bool,
    },
    /// Looking at it or acting on it failed.
    Failed,
    /// It is no longer there.
    Gone,
}

/// One thing that is looked after.
#[derive(Debug, Clone)]
pub(super) struct Duty {
    /// As it was last known.
    pub version: u64,
    /// When it is looked at next; none while it is handed out or nothing is to come.
    next: Option<Millis>,
    /// When it became due, as far as was known.
    pub due: Option<Millis>,
    /// How often in a row it failed, or was acted on and was due again at once.
    pub failures: u32,
    handed_out: bool,
    stirred: bool,
    looked: Millis,
    rest: Duration,
}

/// The timer heap.
#[derive(Debug)]
pub(super) struct Schedule<K> {
    duties: BTreeMap<K, Duty>,
    heap: BinaryHeap<Reverse<(Millis, K)>>,
}

impl<K: Ord + Clone> Default for Schedule<K> {
    fn default() -> Self {
        Self { duties: BTreeMap::new(), heap: BinaryHeap::new() }
    }
}

impl<K: Ord + Clone> Schedule<K> {
    /// Takes note of what happened. `rest` is how long a stirring thing is left alone between two looks.
    pub fn note(&mut self, key: &K, event: Event, rest: Duration, now: Millis) {
        if event == Event::Gone {
            self.duties.remove(key);
            return;
        }
        let Some(duty) = self.duties.get_mut(key) else {
            if let Event::Known(version, due) = event {
                let next = due.unwrap_or(now);
                let fresh =
                    Duty { version, next: Some(next), due, failures: 0, handed_out: false, stirred: false, looked: Millis(0), rest };
                self.duties.insert(key.clone(), fresh);
                self.heap.push(Reverse((next, key.clone())));
            }
            return;
        };
        let before = duty.next;
        duty.note(event, now);
        if let Some(next) = duty.next.filter(|next| before != Some(*next)) {
            self.heap.push(Reverse((next, key.clone())));
        }
    }

    /// Hands out, once, what is to be looked at now: at most so many, those that waited longest first.
    pub fn take(&mut self, now: Millis, most: usize) -> Vec<K> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((at, key)) = self.first()
            && at <= now
        {
            self.heap.pop();
            if let Some(duty) = self.duties.get_mut(&key) {
                duty.next = None;
                duty.handed_out = true;
                duty.looked = now;
            }
            taken.push(key);
        }
        taken
    }

    /// When something is to be looked at next.
    pub fn next(&mut self) -> Option<Millis> {
        self.first().map(|(at, _)| at)
    }

    /// Everything that is looked after.
    pub fn duties(&self) -> impl Iterator<Item = (&K, &Duty)> {
        self.duties.iter()
    }

    /// One of them.
    pub fn duty(&self, key: &K) -> Option<&Duty> {
        self.duties.get(key)
    }

    /// The top of the heap, after what no longer holds was thrown away.
    fn first(&mut self) -> Option<(Millis, K)> {
        while let Some(Reverse((at, key))) = self.heap.peek() {
            if self.duties.get(key).is_some_and(|duty| duty.next == Some(*at)) {
                return Some((*at, key.clone()));
            }
            self.heap.pop();
        }
        None
    }
}

impl Duty {
    fn note(&mut self, event: Event, now: Millis) {
        match event {
            Event::Known(version, _) if version == self.version => {}
            Event::Known(version, due) => {
                self.version = version;
                self.stir(due.unwrap_or(now), now);
            }
            Event::Stirred => self.stir(now, now),
            Event::Looked { due, in_vain } => self.looked(due, in_vain, now),
            Event::Failed => self.wait(now),
            Event::Gone => {}
        }
    }

    /// INVARIANT: never later than a time that was known before, and by itself no sooner than its rest allows.
    fn stir(&mut self, at: Millis, now: Millis) {
        if self.handed_out {
            self.stirred = true;
        } else if self.failures == 0 {
            let at = at.max(self.looked.after(self.rest)).max(now);
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
    }

    fn looked(&mut self, due: Option<Millis>, in_vain: bool, now: Millis) {
        self.due = due;
        if in_vain {
            self.wait(now);
            return;
        }
        (self.failures, self.handed_out, self.next) = (0, false, due);
        if std::mem::take(&mut self.stirred) {
            self.stir(now, now);
        }
    }

    fn wait(&mut self, now: Millis) {
        let pause = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(self.failures.min(20)).unwrap_or(u32::MAX)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        (self.handed_out, self.stirred) = (false, false);
        self.next = Some(now.after(pause));
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
