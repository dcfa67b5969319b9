//! The store's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::vocabulary::{Clock, Millis, millis};

/// Runs on the suspend-aware clock, from the furthest point that the time of day or the file has ever shown. It never goes back: a wall clock
/// that is set back revives nothing, and leases go on lapsing at their pace. A wall clock that jumps *forward* takes the store's time with it
/// for good: leases lapse early, and setting the clock right again does not undo that.
pub(super) struct StoreClock {
    clock: Arc<dyn Clock>,
    // Store time minus elapsed time. INVARIANT: only rises.
    offset: AtomicU64,
}

impl StoreClock {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, offset: AtomicU64::new(0) }
    }

    /// The time, which is no earlier than any that was shown before.
    pub fn now(&self) -> Millis {
        let elapsed = millis(self.clock.elapsed());
        let offset = self.clock.now().0.saturating_sub(elapsed);
        Millis(elapsed + self.raise(offset))
    }

    /// The time, given what the file says.
    pub fn now_after(&self, written: Millis) -> Millis {
        self.raise(written.0.saturating_sub(millis(self.clock.elapsed())));
        self.now()
    }

    fn raise(&self, offset: u64) -> u64 {
        // A load is enough nearly always: the wall clock and the elapsed time go at one pace.
        let held = self.offset.load(Ordering::Acquire);
        if offset <= held { held } else { self.offset.fetch_max(offset, Ordering::AcqRel).max(offset) }
    }
}
