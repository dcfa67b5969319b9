//! What an agent's own process sees it do, counted without a clock and without a round trip; and for how long it has done nothing. Progress is a
//! blackboard or bus write, a phase change, a tool's or a model's outcome; an open call counts until its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::vocabulary::millis;

/// What an agent does, as it does it. Cheap enough for each call.
#[derive(Debug, Default)]
pub struct Progress {
    // What was done.
    done: Arc<AtomicU64>,
    // Calls under way, and the longest that one of them may take, in milliseconds.
    open: AtomicU64,
    lasting: AtomicU64,
}

/// A call under way. Dropped, it has ended.
#[derive(Debug)]
pub struct Underway(Arc<super::Gate>);

/// What there was to see at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    done: u64,
    open: bool,
    lasting: Duration,
}

impl Progress {
    /// Something was done.
    pub fn made(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what was done, for who does it elsewhere.
    #[must_use]
    pub fn counter(&self) -> Arc<AtomicU64> {
        self.done.clone()
    }

    fn begins(&self, within: Duration) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.lasts(within);
    }

    fn lasts(&self, within: Duration) {
        self.lasting.fetch_max(millis(within), Ordering::Relaxed);
    }

    fn ends(&self) {
        self.made();
        if self.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.lasting.store(0, Ordering::Relaxed);
        }
    }

    fn seen(&self) -> Seen {
        let lasting = Duration::from_millis(self.lasting.load(Ordering::Relaxed));
        Seen { done: self.done.load(Ordering::Relaxed), open: self.open.load(Ordering::Relaxed) > 0, lasting }
    }
}

impl Underway {
    pub(super) fn begin(gate: &Arc<super::Gate>, within: Duration) -> Self {
        gate.progress().begins(within);
        Self(gate.clone())
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.0.progress().ends();
    }
}

/// For how long an agent has made no progress, from looks at what it does. Pure but for the looks.
#[derive(Debug)]
pub(crate) struct Stillness {
    seen: Seen,
    // Since when nothing was done, and until when what is under way counts.
    since: Duration,
    until: Duration,
}

impl Stillness {
    /// From now on.
    pub fn new(progress: &Progress, now: Duration) -> Self {
        let mut begun = Self { seen: progress.seen(), since: now, until: now };
        begun.again(now);
        begun
    }

    /// It is not expected to do anything, or did something that nobody counts.
    pub fn again(&mut self, now: Duration) {
        self.since = now;
        self.until = if self.seen.open { now + self.seen.lasting } else { now };
    }

    /// Looks: for so long it has done nothing.
    pub fn look(&mut self, progress: &Progress, now: Duration) -> Duration {
        let seen = progress.seen();
        if seen != self.seen {
            self.seen = seen;
            self.again(now);
        }
        now.saturating_sub(self.since.max(self.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Gate;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn whoever_does_nothing_is_still_since_it_was_last_seen_to_do_something() {
        let progress = Progress::default();
        let mut still = Stillness::new(&progress, seconds(10));
        assert_eq!(still.look(&progress, seconds(70)), seconds(60));
        progress.made();
        assert_eq!(still.look(&progress, seconds(75)), Duration::ZERO);
        assert_eq!(still.look(&progress, seconds(80)), seconds(5));
        // What is done elsewhere counts as well.
        progress.counter().fetch_add(1, Ordering::Relaxed);
        assert_eq!(still.look(&progress, seconds(90)), Duration::ZERO);
    }

    #[test]
    fn an_open_call_counts_until_its_deadline_and_no_longer() {
        let gate = Arc::new(Gate::default());
        let mut still = Stillness::new(gate.progress(), seconds(0));
        let call = gate.under_way(seconds(100));
        assert_eq!(still.look(gate.progress(), seconds(1)), Duration::ZERO);
        assert_eq!(still.look(gate.progress(), seconds(101)), Duration::ZERO);
        assert_eq!(still.look(gate.progress(), seconds(131)), seconds(30));
        // A shorter one beside it takes nothing from it.
        drop(gate.under_way(seconds(1)));
        assert_eq!(still.look(gate.progress(), seconds(140)), Duration::ZERO);
        assert_eq!(still.look(gate.progress(), seconds(240)), Duration::ZERO);
        assert_eq!(still.look(gate.progress(), seconds(250)), seconds(10));
        // Its end is progress, and afterwards nothing is under way.
        drop(call);
        assert_eq!(still.look(gate.progress(), seconds(260)), Duration::ZERO);
        assert_eq!(still.look(gate.progress(), seconds(270)), seconds(10));
    }
}
