//! The native half of `Blackboard`.

use ::governance::coordination::{self, Cursor};
use napi_derive::napi;
use serde_json::Value;

use crate::error::Result;
use crate::house::House;
use crate::json::{exact, given, whole};
use crate::stream::Stream;

#[napi]
pub struct Blackboard {
    pub(crate) house: House,
    pub(crate) core: coordination::Blackboard,
}

#[napi]
impl Blackboard {
    #[napi]
    pub async fn post(&self, text: String) -> Result<String> {
        given!(text => section: String, name: String, content: Value);
        self.house.answer(self.core.post(section.parse()?, &name, &exact(content)?)).await
    }

    #[napi]
    pub async fn put_if(&self, text: String) -> Result<String> {
        given!(text => section: String, name: String, content: Value, version: Value);
        self.house.answer(self.core.put_if(section.parse()?, &name, &exact(content)?, whole(&version)?)).await
    }

    #[napi]
    pub async fn remove_if(&self, text: String) -> Result<String> {
        given!(text => section: String, name: String, version: Value);
        self.house.answer(self.core.remove_if(section.parse()?, &name, whole(&version)?)).await
    }

    #[napi]
    pub async fn entry(&self, text: String) -> Result<String> {
        given!(text => section: String, name: String);
        self.house.answer(self.core.entry(section.parse()?, &name)).await
    }

    #[napi]
    pub async fn entries(&self, text: String) -> Result<String> {
        given!(text => section: String);
        self.house.answer(self.core.entries(section.parse()?)).await
    }

    #[napi]
    pub async fn history(&self, text: String) -> Result<String> {
        given!(text => section: String, name: String);
        self.house.answer(self.core.history(section.parse()?, &name)).await
    }

    #[napi]
    pub fn events(&self, text: String) -> Result<Stream> {
        given!(text => after: Option<Cursor>);
        Stream::new(&self.house, self.core.events(after.unwrap_or_default()))
    }
}
