//! A conversation with a model, in words: for agents of one's own.

use serde::{Deserialize, Serialize};

use super::Charge;
use crate::error::{Error, Result};
use crate::vocabulary::named;

/// The largest conversation, in bytes.
pub const MAX_CHAT: usize = 1 << 20;

named! {
    /// Who says something in a conversation.
    pub enum ChatRole {
        /// Whoever sets the task.
        System = "system",
        /// Whoever asks.
        User = "user",
        /// The model.
        Assistant = "assistant",
    }
}

/// Something said in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatMessage {
    /// By whom.
    pub role: ChatRole,
    /// What.
    pub content: String,
}

/// A model's answer, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatReply {
    /// The answer, in words.
    pub content: String,
    /// What it cost.
    pub charge: Charge,
}

impl ChatMessage {
    /// Refuses what cannot be asked.
    pub(crate) fn check(messages: &[Self]) -> Result<()> {
        if !messages.iter().any(|message| message.role == ChatRole::User && !message.content.trim().is_empty()) {
            return Err(Error::invalid("empty_chat", "the conversation asks nothing: it has no message of the role `user`"));
        }
        if messages.iter().map(|message| message.content.len()).sum::<usize>() > MAX_CHAT {
            return Err(Error::invalid("chat_too_large", format!("the conversation has more than {MAX_CHAT} bytes")));
        }
        Ok(())
    }
}
