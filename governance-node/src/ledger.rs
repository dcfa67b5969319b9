//! The native half of `Ledger`.

use ::governance::ledger::{self, Filter, Head, Report};
use napi_derive::napi;
use serde::Serialize;
use serde_json::Value;

use crate::error::Result;
use crate::house::House;
use crate::json::{given, shaped, small, text as written, whole};

#[napi]
pub struct Ledger {
    pub(crate) house: House,
    pub(crate) core: ledger::Ledger,
}

#[derive(Serialize)]
struct Verified {
    intact: bool,
    #[serde(flatten)]
    report: Report,
}

#[napi]
impl Ledger {
    #[napi(getter)]
    pub fn id(&self) -> String {
        self.core.id().to_string()
    }

    #[napi(getter)]
    pub fn home(&self) -> String {
        self.core.home().display().to_string()
    }

    #[napi]
    pub async fn list(&self, text: String) -> Result<String> {
        given!(text => pipeline: Option<String>, agent: Option<String>, action: Option<String>, after: Option<Value>,
            limit: Option<Value>, newest_first: Option<bool>);
        let filter = Filter {
            pipeline: pipeline.map(|id| id.parse()).transpose()?,
            agent: agent.map(|id| id.parse()).transpose()?,
            action: action.map(|action| action.parse()).transpose()?,
            after: after.map_or(Ok(0), |after| whole(&after))?,
            limit: limit.map_or(Ok(0), |limit| small(&limit))?,
            newest_first: newest_first.unwrap_or_default(),
        };
        self.house.answer(self.core.list(&filter)).await
    }

    #[napi]
    pub async fn head(&self) -> Result<String> {
        self.house.answer(self.core.head()).await
    }

    #[napi]
    pub async fn verify(&self, text: String) -> Result<String> {
        given!(text => head: Option<Value>);
        let report = self.house.ask(self.core.verify(head.map(shaped::<Head>).transpose()?)).await?;
        written(&Verified { intact: report.is_intact(), report })
    }
}
