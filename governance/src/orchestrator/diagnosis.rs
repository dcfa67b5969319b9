//! x
use crate::vocabulary::{AgentId, PipelineStatus};
use serde::{Deserialize, Serialize};
/// x
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// x
    pub what: String,
    /// x
    pub why: String,
    /// x
    pub attempts: Vec<String>,
}
/// x
pub struct Failure {
    /// x
    pub agent: AgentId,
    /// x
    pub code: Option<String>,
    /// x
    pub message: String,
}
/// x
pub fn diagnose(status: PipelineStatus, reason: &str, failures: &[Failure]) -> Diagnosis {
    Diagnosis { what: status.to_string(), why: reason.into(), attempts: failures.iter().map(|f| f.message.clone()).collect() }
}
