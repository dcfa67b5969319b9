//! The native half of `Blackboard`. Contents and answers cross the boundary as JSON texts: twice as fast as walking objects.

use ::governance::coordination;
use napi_derive::napi;
use serde_json::Value;

use crate::error::{Result, whole};

#[napi]
pub struct Blackboard(pub(crate) coordination::Blackboard);

#[napi]
impl Blackboard {
    #[napi]
    pub async fn post(&self, section: String, name: String, content: String) -> Result<String> {
        let content: Value = serde_json::from_str(&content)?;
        Ok(self.0.post(section.parse()?, &name, &content).await?.to_string())
    }

    #[napi]
    pub async fn put_if(&self, section: String, name: String, content: String, version: f64) -> Result<String> {
        let content: Value = serde_json::from_str(&content)?;
        let written = self.0.put_if(section.parse()?, &name, &content, whole(version)?).await?;
        Ok(serde_json::to_string(&written)?)
    }

    #[napi]
    pub async fn entry(&self, section: String, name: String) -> Result<String> {
        Ok(serde_json::to_string(&self.0.entry(section.parse()?, &name).await?)?)
    }

    #[napi]
    pub async fn entries(&self, section: String) -> Result<String> {
        Ok(serde_json::to_string(&self.0.entries(section.parse()?).await?)?)
    }
}
