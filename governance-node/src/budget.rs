//! The native half of `ErrorBudget`.

use ::governance::guard::{self, Fault, Reservation, Spend};
use ::governance::store::Actor;
use napi_derive::napi;
use serde::Serialize;
use serde_json::Value;

use crate::allowance::Allowance;
use crate::error::Result;
use crate::house::House;
use crate::json::{given, shaped, span, text as written, whole};

#[napi]
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
    pub async fn grant(&self, text: String) -> Result<()> {
        given!(text => unit: String, limit: Value);
        self.house.ask(self.core.grant(&self.giver, unit.parse()?, whole(&limit)?)).await
    }

    #[napi]
    pub async fn usage(&self, text: String) -> Result<String> {
        given!(text => unit: String);
        self.house.answer(self.core.usage(unit.parse()?)).await
    }

    #[napi]
    pub async fn remaining(&self, text: String) -> Result<String> {
        given!(text => unit: String);
        self.house.answer(self.core.remaining(unit.parse()?)).await
    }

    #[napi]
    pub async fn spend(&self, text: String) -> Result<String> {
        given!(text => unit: String, amount: Value);
        self.house.answer(self.core.spend(unit.parse()?, whole(&amount)?)).await
    }

    #[napi]
    pub async fn reserve(&self, text: String) -> Result<String> {
        given!(text => unit: String, amount: Value, ttl: Value);
        let reserved = self.house.ask(self.core.reserve(unit.parse()?, whole(&amount)?, span(&ttl)?)).await?;
        written(&reserved.map_or_else(Reserved::Refused, Reserved::Held))
    }

    #[napi]
    pub async fn settle(&self, text: String) -> Result<String> {
        given!(text => reservation: Value, used: Value);
        self.house.answer(self.core.settle(&shaped::<Reservation>(reservation)?, whole(&used)?)).await
    }

    #[napi]
    pub async fn allowance(&self, text: String) -> Result<Allowance> {
        given!(text => unit: String, piece: Value, ttl: Value);
        self.house.check()?;
        Ok(Allowance { house: self.house.clone(), core: self.core.allowance(unit.parse()?, whole(&piece)?, span(&ttl)?) })
    }

    #[napi]
    pub async fn error(&self, text: String) -> Result<String> {
        given!(text => kind: String, message: String);
        self.house.answer(self.core.fault(&Fault::Error { kind, message })).await
    }

    #[napi]
    pub async fn procedure_violation(&self) -> Result<String> {
        self.house.answer(self.core.fault(&Fault::ProcedureViolation)).await
    }

    #[napi]
    pub async fn faults(&self) -> Result<String> {
        self.house.answer(self.core.faults()).await
    }
}
