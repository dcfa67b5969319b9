//! The native half of `Allowance`.

use ::governance::guard;
use napi_derive::napi;
use serde_json::Value;

use crate::error::Result;
use crate::house::House;
use crate::json::{counted, counts, given, whole};

#[napi]
pub struct Allowance {
    pub(crate) house: House,
    pub(crate) core: guard::Allowance,
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
    pub async fn draw(&self, text: String) -> Result<String> {
        given!(text => amount: Value);
        self.house.answer(self.core.draw(whole(&amount)?)).await
    }

    #[napi]
    pub async fn close(&self) -> Result<()> {
        self.house.ask(self.core.close()).await
    }
}
