//! What goes over the wire: the request, and the pieces of a streamed answer. Types of our own, because OpenRouter says what a call cost in a
//! field that OpenAI does not have.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Schema;
use crate::llm::Charge;

#[derive(Serialize)]
pub(super) struct Request<'a> {
    pub model: &'a str,
    messages: Vec<Message<'a>>,
    pub max_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
    stream: bool,
    stream_options: Value,
    // OpenRouter's way to ask for the cost; others may refuse what they do not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
}

#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub role: &'static str,
    pub content: &'a str,
}

impl<'a> Request<'a> {
    /// `schema` is what the answer must be of, where it is not just words.
    pub fn new(model: &'a str, messages: Vec<Message<'a>>, max_tokens: u64, schema: Option<&Schema>, costs: bool) -> Self {
        let format = |schema: &Schema| json!({"type": "json_schema", "json_schema": {"name": schema.name, "schema": schema.json()}});
        Self {
            model,
            messages,
            max_tokens,
            response_format: schema.map(format),
            stream: true,
            stream_options: json!({"include_usage": true}),
            usage: costs.then(|| json!({"include": true})),
        }
    }
}

/// A piece of a streamed answer. What we do not use may be there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Piece {
    pub choices: Vec<Choice>,
    pub usage: Option<Told>,
    pub error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    pub delta: Option<Delta>,
    pub finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta {
    pub content: Option<String>,
}

/// What the server says that the call cost.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    prompt_tokens: u64,
    completion_tokens: u64,
    cost: Option<f64>,
}

impl From<Told> for Charge {
    fn from(told: Told) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a number of a possible size")]
        let millionths = |dollars: f64| (dollars * 1e6).ceil() as u64;
        Self {
            input_tokens: told.prompt_tokens,
            output_tokens: told.completion_tokens,
            cost: told.cost.filter(|dollars| (0.0..1e9).contains(dollars)).map(millionths),
            estimated: false,
        }
    }
}
