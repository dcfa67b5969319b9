//! The native half of `Step`.

use ::governance::Agent;
use ::governance::agent;
use napi_derive::napi;

use crate::error::Result;
use crate::house::House;
use crate::json::{given, text as written};

#[napi]
pub struct Step {
    pub(crate) house: House,
    pub(crate) agent: Agent,
    pub(crate) core: agent::Step,
}

#[napi]
impl Step {
    #[napi(getter)]
    pub fn stage(&self) -> String {
        self.core.stage().to_string()
    }

    #[napi(getter)]
    pub fn reason(&self) -> Option<String> {
        self.core.reason().map(|reason| reason.to_string())
    }

    #[napi(getter)]
    pub fn proposal(&self) -> Option<String> {
        self.core.proposal().map(ToString::to_string)
    }

    /// As JSON.
    #[napi(getter)]
    pub fn message(&self) -> Result<String> {
        written(&self.core.message())
    }

    #[napi]
    pub async fn done(&self) -> Result<()> {
        self.house.ask(self.agent.done(self.core.clone())).await
    }

    #[napi]
    pub async fn failed(&self, text: String) -> Result<String> {
        given!(text => code: String, message: String);
        self.house.answer(self.agent.failed(self.core.clone(), &code, &message)).await
    }
}
