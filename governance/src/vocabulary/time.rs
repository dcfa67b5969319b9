//! Time and chance as ports: the whole library runs under a simulated clock and a seeded source.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970, on the clock it came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// This time and a span later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// The span from an earlier time, zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A span in nanoseconds.
#[must_use]
pub fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A span in whole milliseconds.
#[must_use]
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// The time of day, which may jump.
    fn now(&self) -> Millis;

    /// Time since some start: never goes back, and goes on while the machine sleeps. Deadlines are counted on it.
    fn elapsed(&self) -> Duration;
}

/// Where randomness comes from.
pub trait Chance: Send + Sync {
    /// Fills a buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// The machine's clock and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time of day")]
    fn now(&self) -> Millis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Millis(millis(since))
    }

    fn elapsed(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    }
}

impl Chance for System {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for randomness")]
    #[expect(clippy::expect_used, reason = "a machine without randomness must not hand out guessable tokens")]
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the operating system gives randomness");
    }
}

/// Clock and chance together, cheap to clone.
#[derive(Clone)]
pub struct Ports {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub chance: Arc<dyn Chance>,
}

impl Default for Ports {
    fn default() -> Self {
        Self { clock: Arc::new(System), chance: Arc::new(System) }
    }
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}
