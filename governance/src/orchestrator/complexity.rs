//! x
use serde::{Deserialize, Serialize};
/// x
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Complexity {
    /// x
    pub score: f64,
}
/// x
pub fn complexity(objective: &str) -> Complexity {
    Complexity { score: (objective.split_whitespace().count() as f64 / 120.0).min(1.0) }
}
