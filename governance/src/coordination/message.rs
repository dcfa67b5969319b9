//! What is said on a bus.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::vocabulary::{AgentId, Millis, Token};

/// The largest message, in bytes of its JSON. Well below the largest value of a store, so that it also fits into a dead letter.
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BusMessage {
    /// Its id.
    pub id: Token,
    /// From whom.
    pub from: AgentId,
    /// To whom; none for everybody on the bus.
    pub to: Option<AgentId>,
    /// When, on the sender's clock.
    pub at: Millis,
    /// What.
    pub body: Value,
    /// The message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Token>,
}

/// A message that nobody could process, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// 1, 2, 3, … within the task: where the oldest one that is kept does not say 1, older ones were dropped.
    #[serde(default)]
    pub position: u64,
    /// The message.
    pub message: BusMessage,
    /// In whose inbox it lay.
    pub inbox: AgentId,
    /// Why it was given up.
    pub reason: String,
}
