//! The native half of `Allowance`.

use std::sync::Arc;

use ::governance::guard;
use napi_derive::napi;
use serde_json::Value;

use crate::desk::{Desk, Told};
use crate::error::Result;
use crate::house::House;
use crate::json::{counted, counts, given, whole};

#[napi]
#[derive(Clone)]
pub struct Allowance {
    pub(crate) house: House,
    pub(crate) core: Arc<guard::Allowance>,
}

#[napi]
impl Allowance {
    #[napi]
    pub fn try_draw(&self, amount: f64) -> Result<bool> {
        self.house.check()?;
        Ok(self.core.try_draw(counted(amount)?)?)
    }

    #[napi]
    pub fn left(&self) -> Result<f64> {
        self.house.check()?;
        counts(self.core.left())
    }

    #[napi]
    pub fn draw(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => amount: Value);
            own.house.answer(own.core.draw(whole(&amount)?)).await
        })
    }

    #[napi]
    pub fn close(&self, _text: Option<String>, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move { own.house.done(own.core.close()).await })
    }
}
