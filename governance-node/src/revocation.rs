//! The native half of `RevocationEngine`.

use ::governance::guard::{self, Roll};
use napi_derive::napi;
use serde_json::Value;

use crate::desk::{Desk, Told};
use crate::error::Result;
use crate::house::House;
use crate::json::{given, span, whole};

#[napi]
#[derive(Clone)]
pub struct RevocationEngine {
    pub(crate) house: House,
    pub(crate) core: guard::RevocationEngine,
}

#[napi]
impl RevocationEngine {
    #[napi]
    pub fn revoke(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => agent: String, kind: String, reason: String);
            own.house.answer(own.core.revoke(&agent.parse()?, kind.parse()?, &reason)).await
        })
    }

    #[napi]
    pub fn stop_pipeline(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => pipeline: String, reason: String);
            own.house.answer(own.core.stop_pipeline(&pipeline.parse()?, &reason)).await
        })
    }

    #[napi]
    pub fn revoke_pipeline(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => pipeline: String, kind: String, reason: String);
            own.house.answer(own.core.revoke_pipeline(&pipeline.parse()?, kind.parse()?, &reason)).await
        })
    }

    #[napi]
    pub fn stop_all(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => reason: String);
            own.house.answer(own.core.stop_all(&reason)).await
        })
    }

    #[napi]
    pub fn receipts(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => generation: Value, within: Value);
            own.house.answer(own.core.receipts(whole(&generation)?, span(&within)?)).await
        })
    }

    #[napi]
    pub fn confirmed(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => generation: Value, within: Value);
            let (generation, within) = (whole(&generation)?, span(&within)?);
            own.house.answer(own.core.confirmed(&Roll::default(), generation, within, |_| ())).await
        })
    }

    #[napi]
    pub fn lift(&self, _text: Option<String>, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move { own.house.answer(own.core.lift()).await })
    }

    #[napi]
    pub fn stop_in_force(&self, _text: Option<String>, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move { own.house.answer(own.core.stop_in_force()).await })
    }

    #[napi]
    pub fn revocation_of(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => agent: String);
            own.house.answer(own.core.revocation_of(&agent.parse()?)).await
        })
    }

    #[napi]
    pub fn revocations(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move {
            given!(text => last: Value);
            own.house.answer(own.core.revocations(whole(&last)?)).await
        })
    }

    #[napi]
    pub fn violation(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => agent: String, violation: String, detail: String);
            own.house.answer(own.core.violation(&agent.parse()?, violation.parse()?, &detail)).await
        })
    }

    #[napi]
    pub fn error(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => agent: String, message: String);
            own.house.answer(own.core.error(&agent.parse()?, &message)).await
        })
    }

    #[napi]
    pub fn api_call(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => agent: String);
            own.house.answer(own.core.api_call(&agent.parse()?)).await
        })
    }

    #[napi]
    pub fn idle(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => agent: String, span: Value);
            own.house.answer(own.core.idle(&agent.parse()?, crate::json::span(&span)?)).await
        })
    }
}
