//! The backends under test.

mod redis;

use std::sync::Arc;

use governance::testing::{MemoryRig, Rig};

pub use redis::{RedisRig, redis7, redis7_strict_keys, valkey9};

/// Memory.
pub fn memory() -> Arc<dyn Rig> {
    Arc::new(MemoryRig::default())
}
