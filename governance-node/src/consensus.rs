//! The native half of `Consensus`.

use ::governance::coordination::{self, Cursor, Opening, VoteEvent};
use napi_derive::napi;
use serde_json::Value;

use crate::error::Result;
use crate::house::House;
use crate::json::{exact, given, shaped, small, span};
use crate::stream::Stream;

#[napi]
pub struct Consensus {
    pub(crate) house: House,
    pub(crate) core: coordination::Consensus,
}

#[napi]
impl Consensus {
    #[napi]
    pub async fn propose(&self, text: String) -> Result<String> {
        given!(text => id: String, question: Value, options: Vec<String>, electorate: Value, within: Value,
            rule: Option<String>, quorum: Option<Value>, sealed: Option<bool>);
        let opening = Opening {
            question: exact(question)?,
            options,
            rule: rule.map(|rule| rule.parse()).transpose()?.unwrap_or_default(),
            quorum: quorum.map(|quorum| small(&quorum)).transpose()?,
            electorate: shaped(electorate)?,
            within: span(&within)?,
            sealed: sealed.unwrap_or_default(),
        };
        self.house.answer(self.core.propose(&id.parse()?, opening)).await
    }

    #[napi]
    pub async fn proposal(&self, text: String) -> Result<String> {
        given!(text => id: String);
        self.house.answer(self.core.proposal(&id.parse()?)).await
    }

    #[napi]
    pub async fn vote(&self, text: String) -> Result<String> {
        given!(text => id: String, choice: Value);
        self.house.answer(self.core.vote(&id.parse()?, shaped(choice)?)).await
    }

    #[napi]
    pub async fn commitment(&self, text: String) -> Result<String> {
        given!(text => id: String, choice: Value, nonce: String);
        let (id, choice) = (id.parse()?, shaped(choice)?);
        self.house.answer(async { self.core.commitment(&id, &choice, &nonce) }).await
    }

    #[napi]
    pub async fn commit_vote(&self, text: String) -> Result<String> {
        given!(text => id: String, commitment: String);
        self.house.answer(self.core.commit_vote(&id.parse()?, commitment)).await
    }

    #[napi]
    pub async fn reveal(&self, text: String) -> Result<String> {
        given!(text => id: String, choice: Value, nonce: String);
        self.house.answer(self.core.reveal(&id.parse()?, shaped(choice)?, &nonce)).await
    }

    #[napi]
    pub async fn settle(&self, text: String) -> Result<String> {
        given!(text => id: String);
        self.house.answer(self.core.settle(&id.parse()?)).await
    }

    #[napi]
    pub async fn settled(&self, text: String) -> Result<String> {
        given!(text => id: String);
        self.house.answer(self.core.settled(&id.parse()?)).await
    }

    #[napi]
    pub async fn outcome(&self, text: String) -> Result<String> {
        given!(text => id: String);
        self.house.answer(self.core.outcome(&id.parse()?)).await
    }

    #[napi]
    pub async fn votes(&self, text: String) -> Result<String> {
        given!(text => id: String);
        self.house.answer(self.core.votes(&id.parse()?)).await
    }

    #[napi]
    pub fn events(&self, text: String) -> Result<Stream> {
        given!(text => after: Option<Cursor>);
        Stream::new(&self.house, self.core.events(after.unwrap_or_default()).told::<VoteEvent>())
    }
}
