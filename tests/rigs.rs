//! The backends under test.

mod sqlite;

use std::sync::Arc;

use governance::testing::{MemoryRig, Rig};

pub use self::sqlite::sqlite;

/// Memory.
pub fn memory() -> Arc<dyn Rig> {
    Arc::new(MemoryRig::default())
}
