//! How far an acknowledged entry survives.

use crate::vocabulary::named;

named! {
    /// What an acknowledged entry survives.
    pub enum Durability {
        /// The death of any process, not of the machine: about a microsecond.
        Process = "process",
        /// The death of the machine too: each entry waits for the disk.
        Disk = "disk",
    }
}
