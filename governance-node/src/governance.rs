//! The native half of `Governance`.

use ::governance::Config;
use ::governance::config::Flags;
use ::governance::vocabulary::TaskId;
use napi_derive::napi;

use crate::blackboard::Blackboard;
use crate::error::Result;

#[napi]
pub struct Governance(::governance::Governance);

#[napi]
impl Governance {
    /// What the arguments leave open is read from the environment and the home directory's `config.toml`.
    #[napi]
    pub async fn open(home: Option<String>, store: Option<String>) -> Result<Self> {
        let flags = Flags { home: home.map(Into::into), store, ..Flags::default() };
        let config = Config::load(flags, |name| std::env::var(name).ok())?;
        Ok(Self(::governance::Governance::open(config).await?))
    }

    #[napi]
    pub async fn blackboard(&self, task: String, author: String) -> Result<Blackboard> {
        let (task, actor) = (TaskId::new(task)?, self.0.actor(&author).await?);
        Ok(Blackboard(self.0.blackboard(&task, &actor)))
    }

    #[napi(getter)]
    pub fn store_url(&self) -> String {
        self.0.store_url().to_owned()
    }

    #[napi]
    pub async fn close(&self) -> Result<()> {
        Ok(self.0.close().await?)
    }
}
