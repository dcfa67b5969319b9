//! x
use super::broadcast::Broadcast;
use crate::vocabulary::Millis;
use serde::{Deserialize, Serialize};
/// x
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunMetrics {
    /// x
    pub messages: u64,
}
/// x
#[derive(Default)]
pub struct MetricsCollector {
    n: u64,
}
impl MetricsCollector {
    /// x
    pub fn new() -> Self {
        Self::default()
    }
    /// x
    pub fn observe(&mut self, _at: Millis, _b: &Broadcast) {
        self.n += 1;
    }
    /// x
    pub fn report(&self, _now: Millis) -> RunMetrics {
        RunMetrics { messages: self.n }
    }
    /// x
    pub fn spent(&mut self, _c: u64, _t: u64, _m: u64) {}
}
