//! The native half of `Approvals`.

use std::path::PathBuf;

use ::governance::guard::approval::{self, KeyFile};
use ::governance::{Error as Core, Result as Answer};
use napi_derive::napi;
use serde_json::Value;

use crate::desk::{Desk, Told};
use crate::error::Result;
use crate::house::House;
use crate::json::{given, shaped, span, whole};

#[napi]
#[derive(Clone)]
pub struct Approvals {
    pub(crate) house: House,
    pub(crate) core: approval::Approvals,
    /// No approver's key may lie in it.
    pub(crate) home: PathBuf,
}

impl Approvals {
    /// Opens an approver's key.
    fn key(&self, file: PathBuf, passphrase: Option<String>) -> Answer<approval::ApproverKey> {
        let missing = || Core::invalid("no_passphrase", "the key is encrypted: give its passphrase");
        KeyFile::at(&file, &self.home)?.open(|| passphrase.map(Into::into).ok_or_else(missing))
    }
}

#[napi]
impl Approvals {
    #[napi]
    pub fn list(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move {
            given!(text => last: Value);
            own.house.answer(own.core.list(whole(&last)?)).await
        })
    }

    #[napi]
    pub fn approval(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => id: String);
            own.house.answer(own.core.approval(&id.parse()?)).await
        })
    }

    #[napi]
    pub fn wait(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => id: String, within: Value);
            own.house.answer(own.core.wait(&id.parse()?, span(&within)?)).await
        })
    }

    #[napi]
    pub fn decide(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        // Opening a key takes its time: not on a loop's thread.
        desk.carry_apart(async move {
            given!(text => id: String, hash: String, verdict: String, key_file: PathBuf, passphrase: Option<String>, note: Option<String>);
            let (id, verdict) = (id.parse()?, verdict.parse()?);
            let deciding = async { own.core.decide(&own.key(key_file, passphrase)?, &id, &hash, verdict, note.as_deref()).await };
            own.house.answer(deciding).await
        })
    }

    #[napi]
    pub fn submit(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => signed: Value);
            own.house.answer(own.core.submit(&shaped(signed)?)).await
        })
    }
}
