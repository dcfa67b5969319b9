//! The native half of `Consensus`.

use ::governance::coordination::{self, Cursor, Opening, VoteEvent};
use napi_derive::napi;
use serde_json::Value;

use crate::desk::{Desk, Told};
use crate::error::Result;
use crate::house::House;
use crate::json::{exact, given, shaped, small, span};
use crate::stream::Stream;

#[napi]
#[derive(Clone)]
pub struct Consensus {
    pub(crate) house: House,
    pub(crate) core: coordination::Consensus,
}

#[napi]
impl Consensus {
    #[napi]
    pub fn propose(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
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
            own.house.answer(own.core.propose(&id.parse()?, opening)).await
        })
    }

    #[napi]
    pub fn proposal(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => id: String);
            own.house.answer(own.core.proposal(&id.parse()?)).await
        })
    }

    #[napi]
    pub fn vote(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => id: String, choice: Value);
            own.house.answer(own.core.vote(&id.parse()?, shaped(choice)?)).await
        })
    }

    #[napi]
    pub fn commitment(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => id: String, choice: Value, nonce: String);
            let (id, choice) = (id.parse()?, shaped(choice)?);
            own.house.answer(async { own.core.commitment(&id, &choice, &nonce) }).await
        })
    }

    #[napi]
    pub fn commit_vote(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => id: String, commitment: String);
            own.house.answer(own.core.commit_vote(&id.parse()?, commitment)).await
        })
    }

    #[napi]
    pub fn reveal(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => id: String, choice: Value, nonce: String);
            own.house.answer(own.core.reveal(&id.parse()?, shaped(choice)?, &nonce)).await
        })
    }

    #[napi]
    pub fn settle(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => id: String);
            own.house.answer(own.core.settle(&id.parse()?)).await
        })
    }

    #[napi]
    pub fn settled(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => id: String);
            own.house.answer(own.core.settled(&id.parse()?)).await
        })
    }

    #[napi]
    pub fn outcome(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => id: String);
            own.house.answer(own.core.outcome(&id.parse()?)).await
        })
    }

    #[napi]
    pub fn votes(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => id: String);
            own.house.answer(own.core.votes(&id.parse()?)).await
        })
    }

    #[napi]
    pub fn events(&self, text: String) -> Result<Stream> {
        given!(text => after: Option<Cursor>);
        Stream::new(&self.house, self.core.events(after.unwrap_or_default()).told::<VoteEvent>())
    }
}
