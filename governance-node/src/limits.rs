//! The native half of `Limits`.

use ::governance::guard::limits::Scope;
use napi_derive::napi;
use serde_json::Value;

use crate::desk::{Desk, Told};
use crate::error::Result;
use crate::governance::OPERATOR;
use crate::house::House;
use crate::json::{given, whole};

#[napi]
#[derive(Clone)]
pub struct Limits {
    pub(crate) house: House,
    /// Where they are set: by its operator.
    pub(crate) core: ::governance::Governance,
}

#[napi]
impl Limits {
    #[napi]
    pub fn set(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => scope: Scope, unit: String, limit: Value);
            let (unit, limit) = (unit.parse()?, whole(&limit)?);
            own.house.done(async { own.core.limits().set(&own.core.actor(OPERATOR).await?, &scope, unit, limit).await }).await
        })
    }

    #[napi]
    pub fn unset(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => scope: Scope, unit: String);
            let unit = unit.parse()?;
            own.house.done(async { own.core.limits().unset(&own.core.actor(OPERATOR).await?, &scope, unit).await }).await
        })
    }

    #[napi]
    pub fn usage(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => scopes: Vec<Scope>);
            own.house.answer(own.core.limits().usage(&scopes)).await
        })
    }
}
