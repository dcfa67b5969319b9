//! The backends under test.

use std::sync::Arc;

use governance::testing::{MemoryRig, Rig};

/// Memory.
pub fn memory() -> Arc<dyn Rig> {
    Arc::new(MemoryRig::default())
}
