//! Floor 5: what operators keep and look at beside a run.

mod checkpoint;

pub use checkpoint::{CheckpointSummary, Checkpoints, checkpoint_of};
