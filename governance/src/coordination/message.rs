//! What is said on a bus.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::vocabulary::{AgentId, Millis, Token};

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BusMessage {
    /// Its id. Sending it again under the same id sends it once.
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
    /// The message.
    pub message: BusMessage,
    /// In whose inbox it lay.
    pub inbox: AgentId,
    /// Why it was given up.
    pub reason: String,
}
