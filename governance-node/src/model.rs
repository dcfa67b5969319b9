//! The native half of `Model`.

use ::governance::Agent;
use ::governance::llm::ChatMessage;
use napi_derive::napi;
use serde_json::Value;

use crate::error::Result;
use crate::house::House;
use crate::json::{given, shaped};

#[napi]
pub struct Model {
    pub(crate) house: House,
    pub(crate) agent: Agent,
}

#[napi]
impl Model {
    #[napi(getter)]
    pub fn name(&self) -> String {
        self.agent.desk().model().port().name().to_owned()
    }

    #[napi]
    pub fn is_open(&self) -> Result<bool> {
        self.house.check()?;
        Ok(self.agent.desk().model().breaker().is_open())
    }

    #[napi]
    pub async fn chat(&self, text: String) -> Result<String> {
        given!(text => messages: Value);
        self.house.answer(self.agent.desk().model().chat(&shaped::<Vec<ChatMessage>>(messages)?)).await
    }
}
