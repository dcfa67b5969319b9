//! The native half of `Blackboard`.

use ::governance::coordination::{self, Cursor};
use napi_derive::napi;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::desk::{Desk, Told};
use crate::error::Result;
use crate::house::House;
use crate::json::{self, given, whole};
use crate::stream::Stream;

#[napi]
#[derive(Clone)]
pub struct Blackboard {
    pub(crate) house: House,
    pub(crate) core: coordination::Blackboard,
}

#[napi]
impl Blackboard {
    #[napi]
    pub fn post(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => section: String, name: String, content: Box<RawValue>);
            own.house.answer(own.core.post(section.parse()?, &name, &json::content(content)?)).await
        })
    }

    #[napi]
    pub fn put_if(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => section: String, name: String, content: Box<RawValue>, version: Value);
            own.house.answer(own.core.put_if(section.parse()?, &name, &json::content(content)?, whole(&version)?)).await
        })
    }

    #[napi]
    pub fn remove_if(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => section: String, name: String, version: Value);
            own.house.answer(own.core.remove_if(section.parse()?, &name, whole(&version)?)).await
        })
    }

    #[napi]
    pub fn entry(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => section: String, name: String);
            own.house.answer(own.core.entry(section.parse()?, &name)).await
        })
    }

    #[napi]
    pub fn entries(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move {
            given!(text => section: String);
            own.house.answer(own.core.entries(section.parse()?)).await
        })
    }

    #[napi]
    pub fn history(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move {
            given!(text => section: String, name: String);
            own.house.answer(own.core.history(section.parse()?, &name)).await
        })
    }

    #[napi]
    pub fn events(&self, text: String) -> Result<Stream> {
        given!(text => after: Option<Cursor>);
        Stream::new(&self.house, self.core.events(after.unwrap_or_default()))
    }
}
