//! An agent as its handles hold it.

use std::path::PathBuf;

use ::governance::vocabulary::Tier;
use ::governance::{Error, Result};

/// An agent, and what it lives on.
#[derive(Clone)]
pub struct Living {
    pub(crate) agent: ::governance::Agent,
    pub(crate) tier: Tier,
    // Where it was seated: nobody else closes it.
    own: Option<::governance::Governance>,
}

impl Living {
    pub async fn joined(governance: &::governance::Governance, agent: ::governance::Agent) -> Result<Self> {
        let known = governance.admissions().agent(&agent.desk().actor().id).await?;
        let tier = known.ok_or_else(|| Error::internal("an agent that joined is not known"))?.tier;
        Ok(Self { agent, tier, own: None })
    }

    pub async fn seated(root: Option<PathBuf>) -> Result<Self> {
        let (governance, agent) = ::governance::Governance::seated_in(root).await?;
        Ok(Self { own: Some(governance.clone()), ..Self::joined(&governance, agent).await? })
    }

    pub async fn leave(&self) -> Result<()> {
        let left = self.agent.leave().await;
        match &self.own {
            Some(own) => left.and(own.close().await),
            None => left,
        }
    }
}
