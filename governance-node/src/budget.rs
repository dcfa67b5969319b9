//! The native half of `ErrorBudget`.

use std::sync::Arc;

use ::governance::guard::{self, Fault, Reservation, Spend};
use ::governance::store::Actor;
use napi_derive::napi;
use serde::Serialize;
use serde_json::Value;

use crate::allowance::Allowance;
use crate::desk::{Desk, Told};
use crate::error::Result;
use crate::house::House;
use crate::json::{given, shaped, span, text as written, whole};

#[napi]
#[derive(Clone)]
pub struct ErrorBudget {
    pub(crate) house: House,
    pub(crate) core: guard::ErrorBudget,
    /// Who grants through this handle.
    pub(crate) giver: Actor,
}

/// A reservation, or why there is none.
#[derive(Serialize)]
#[serde(untagged)]
enum Reserved {
    Held(Reservation),
    Refused(Spend),
}

#[napi]
impl ErrorBudget {
    #[napi]
    pub fn grant(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => unit: String, limit: Value);
            own.house.done(own.core.grant(&own.giver, unit.parse()?, whole(&limit)?)).await
        })
    }

    #[napi]
    pub fn usage(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => unit: String);
            own.house.answer(own.core.usage(unit.parse()?)).await
        })
    }

    #[napi]
    pub fn remaining(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => unit: String);
            own.house.answer(own.core.remaining(unit.parse()?)).await
        })
    }

    #[napi]
    pub fn spend(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => unit: String, amount: Value);
            own.house.answer(own.core.spend(unit.parse()?, whole(&amount)?)).await
        })
    }

    #[napi]
    pub fn reserve(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => unit: String, amount: Value, ttl: Value);
            let reserved = own.house.ask(own.core.reserve(unit.parse()?, whole(&amount)?, span(&ttl)?)).await?;
            written(&reserved.map_or_else(Reserved::Refused, Reserved::Held))
        })
    }

    #[napi]
    pub fn settle(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => reservation: Value, used: Value);
            own.house.answer(own.core.settle(&shaped::<Reservation>(reservation)?, whole(&used)?)).await
        })
    }

    #[napi]
    pub async fn allowance(&self, text: String) -> Result<Allowance> {
        given!(text => unit: String, piece: Value, ttl: Value);
        self.house.check()?;
        Ok(Allowance { house: self.house.clone(), core: Arc::new(self.core.allowance(unit.parse()?, whole(&piece)?, span(&ttl)?)) })
    }

    #[napi]
    pub fn error(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => kind: String, message: String);
            own.house.answer(own.core.fault(&Fault::Error { kind, message })).await
        })
    }

    #[napi]
    pub fn procedure_violation(&self, _text: Option<String>, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move { own.house.answer(own.core.fault(&Fault::ProcedureViolation)).await })
    }

    #[napi]
    pub fn faults(&self, _text: Option<String>, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move { own.house.answer(own.core.faults()).await })
    }
}
