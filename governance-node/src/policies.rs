//! The native half of `Policies`.

use ::governance::guard::policies::{self, Text, Wish};
use napi_derive::napi;
use serde_json::Value;

use crate::desk::{Desk, Told};
use crate::error::Result;
use crate::house::House;
use crate::json::{given, whole};

#[napi]
#[derive(Clone)]
pub struct Policies {
    pub(crate) house: House,
    pub(crate) core: policies::Policies,
}

fn number(given: Option<Value>) -> Result<Option<u64>> {
    given.as_ref().map(whole).transpose()
}

fn wish(by: String, note: Option<String>, over: Option<Value>) -> Result<Wish> {
    Ok(Wish { note, over: number(over)?, ..Wish::of(by) })
}

#[napi]
impl Policies {
    #[napi]
    pub fn list(&self, _text: Option<String>, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move { own.house.answer(own.core.list()).await })
    }

    #[napi]
    pub fn version(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => name: String, version: Option<Value>);
            own.house.answer(own.core.version(&name.parse()?, number(version)?)).await
        })
    }

    #[napi]
    pub fn history(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move {
            given!(text => name: String);
            own.house.answer(own.core.history(&name.parse()?)).await
        })
    }

    #[napi]
    pub fn apply(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move {
            given!(text => text: String, by: String, note: Option<String>, over: Option<Value>);
            own.house.answer(own.core.apply(&Text::new(text), &wish(by, note, over)?)).await
        })
    }

    #[napi]
    pub fn rollback(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move {
            given!(text => name: String, by: String, to: Option<Value>, note: Option<String>, over: Option<Value>);
            own.house.answer(own.core.rollback(&name.parse()?, number(to)?, &wish(by, note, over)?)).await
        })
    }

    #[napi]
    pub fn withdraw(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => name: String, by: String, note: Option<String>, over: Option<Value>);
            own.house.answer(own.core.withdraw(&name.parse()?, &wish(by, note, over)?)).await
        })
    }
}
