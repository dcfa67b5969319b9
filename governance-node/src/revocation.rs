//! The native half of `RevocationEngine`.

use ::governance::guard;
use napi_derive::napi;
use serde_json::Value;

use crate::error::Result;
use crate::house::House;
use crate::json::{given, whole};

#[napi]
pub struct RevocationEngine {
    pub(crate) house: House,
    pub(crate) core: guard::RevocationEngine,
}

#[napi]
impl RevocationEngine {
    #[napi]
    pub async fn revoke(&self, text: String) -> Result<String> {
        given!(text => agent: String, kind: String, reason: String);
        self.house.answer(self.core.revoke(&agent.parse()?, kind.parse()?, &reason)).await
    }

    #[napi]
    pub async fn stop_pipeline(&self, text: String) -> Result<String> {
        given!(text => pipeline: String, reason: String);
        self.house.answer(self.core.stop_pipeline(&pipeline.parse()?, &reason)).await
    }

    #[napi]
    pub async fn revoke_pipeline(&self, text: String) -> Result<String> {
        given!(text => pipeline: String, kind: String, reason: String);
        self.house.answer(self.core.revoke_pipeline(&pipeline.parse()?, kind.parse()?, &reason)).await
    }

    #[napi]
    pub async fn stop_all(&self, text: String) -> Result<String> {
        given!(text => reason: String);
        self.house.answer(self.core.stop_all(&reason)).await
    }

    #[napi]
    pub async fn lift(&self) -> Result<String> {
        self.house.answer(self.core.lift()).await
    }

    #[napi]
    pub async fn stop_in_force(&self) -> Result<String> {
        self.house.answer(self.core.stop_in_force()).await
    }

    #[napi]
    pub async fn revocation_of(&self, text: String) -> Result<String> {
        given!(text => agent: String);
        self.house.answer(self.core.revocation_of(&agent.parse()?)).await
    }

    #[napi]
    pub async fn revocations(&self, text: String) -> Result<String> {
        given!(text => last: Value);
        self.house.answer(self.core.revocations(whole(&last)?)).await
    }

    #[napi]
    pub async fn violation(&self, text: String) -> Result<String> {
        given!(text => agent: String, violation: String, detail: String);
        self.house.answer(self.core.violation(&agent.parse()?, violation.parse()?, &detail)).await
    }

    #[napi]
    pub async fn error(&self, text: String) -> Result<String> {
        given!(text => agent: String, message: String);
        self.house.answer(self.core.error(&agent.parse()?, &message)).await
    }

    #[napi]
    pub async fn api_call(&self, text: String) -> Result<String> {
        given!(text => agent: String);
        self.house.answer(self.core.api_call(&agent.parse()?)).await
    }

    #[napi]
    pub async fn idle(&self, text: String) -> Result<String> {
        given!(text => agent: String, span: Value);
        self.house.answer(self.core.idle(&agent.parse()?, crate::json::span(&span)?)).await
    }
}
