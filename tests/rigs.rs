//! The backends under test.

mod cluster;
mod dragonfly;
mod redis;
mod sentinel;
mod sqlite;

use std::sync::Arc;

use governance::testing::{MemoryRig, Rig};

pub use self::cluster::cluster;
pub use self::dragonfly::lua54;
pub use self::sentinel::{SentinelRig, sentinel};
pub use self::sqlite::sqlite;
pub use redis::{RedisRig, redis7, redis7_strict_keys, valkey9};

/// Memory.
pub fn memory() -> Arc<dyn Rig> {
    Arc::new(MemoryRig::default())
}
