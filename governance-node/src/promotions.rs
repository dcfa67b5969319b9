//! The native half of `Promotions`.

use ::governance::agent;
use ::governance::vocabulary::PromotionTerms;
use napi_derive::napi;

use crate::desk::{Desk, Told};
use crate::error::Result;
use crate::house::House;
use crate::json::given;

#[napi]
#[derive(Clone)]
pub struct Promotions {
    pub(crate) house: House,
    pub(crate) core: agent::Promotions,
}

#[napi]
impl Promotions {
    #[napi]
    pub fn standings(&self, _text: Option<String>, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move { own.house.answer(own.core.standings()).await })
    }

    #[napi]
    pub fn standing(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move {
            given!(text => profile: String);
            own.house.answer(own.core.standing(&profile.parse()?)).await
        })
    }

    #[napi]
    pub fn eligibility(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move {
            given!(text => profile: String);
            own.house.answer(own.core.eligibility(&profile.parse()?)).await
        })
    }

    #[napi]
    pub fn register(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move {
            given!(text => profile: String, tier: String, by: String, reason: String, terms: Option<PromotionTerms>);
            own.house.answer(own.core.register(&profile.parse()?, tier.parse()?, terms.as_ref(), &by, &reason)).await
        })
    }

    #[napi]
    pub fn promote(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move {
            given!(text => profile: String, by: String, reason: String, to: Option<String>);
            let to = to.map(|to| to.parse()).transpose()?;
            own.house.answer(own.core.promote(&profile.parse()?, to, &by, &reason)).await
        })
    }

    #[napi]
    pub fn demote(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move {
            given!(text => profile: String, by: String, reason: String, to: Option<String>);
            let to = to.map(|to| to.parse()).transpose()?;
            own.house.answer(own.core.demote(&profile.parse()?, to, &by, &reason)).await
        })
    }
}
