//! The native half of `Governance`.

use std::path::PathBuf;
use std::sync::Arc;

use ::governance::Config;
use ::governance::Joining;
use ::governance::agent::{AgentFilter, Instructions};
use ::governance::config::Flags;
use ::governance::vocabulary::{Millis, TaskId};
use napi_derive::napi;
use serde_json::Value;
use tokio::sync::RwLock;

use crate::agent::Agent;
use crate::approval::Approvals;
use crate::blackboard::Blackboard;
use crate::budget::ErrorBudget;
use crate::bus::MessageBus;
use crate::consensus::Consensus;
use crate::error::Result;
use crate::house::House;
use crate::json::{given, span, whole};
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::policies::Policies;
use crate::promotions::Promotions;
use crate::revocation::RevocationEngine;
use crate::stream::Stream;
use crate::tool::Calls;

/// Who gives budgets where nobody else does.
pub const OPERATOR: &str = "operator";

#[napi]
pub struct Governance {
    house: House,
    core: ::governance::Governance,
}

#[napi]
impl Governance {
    /// What the arguments leave open is read from the environment and the home directory's `config.toml`.
    #[napi]
    pub async fn open(text: String) -> Result<Self> {
        given!(text => home: Option<String>, store: Option<String>);
        let flags = Flags { home: home.map(Into::into), store, ..Flags::default() };
        let config = Config::load(flags, |name| std::env::var(name).ok())?;
        Ok(Self { house: House::default(), core: ::governance::Governance::open(config).await? })
    }

    #[napi]
    pub async fn blackboard(&self, text: String) -> Result<Blackboard> {
        given!(text => task: String, author: String);
        let (task, actor) = (TaskId::new(task)?, self.house.ask(self.core.actor(&author)).await?);
        Ok(Blackboard { house: self.house.clone(), core: self.core.blackboard(&task, &actor) })
    }

    #[napi]
    pub async fn bus(&self, text: String) -> Result<MessageBus> {
        given!(text => task: String, member: String);
        let (task, actor) = (TaskId::new(task)?, self.house.ask(self.core.actor(&member)).await?);
        Ok(MessageBus { house: self.house.clone(), core: Arc::new(RwLock::new(self.core.bus(&task, &actor))) })
    }

    #[napi]
    pub async fn consensus(&self, text: String) -> Result<Consensus> {
        given!(text => task: String, member: String);
        let (task, actor) = (TaskId::new(task)?, self.house.ask(self.core.actor(&member)).await?);
        Ok(Consensus { house: self.house.clone(), core: self.core.consensus(&task, &actor) })
    }

    #[napi]
    pub async fn budget(&self, text: String) -> Result<ErrorBudget> {
        given!(text => owner: String);
        let (owner, giver) = (self.house.ask(self.core.actor(&owner)).await?, self.house.ask(self.core.actor(OPERATOR)).await?);
        Ok(ErrorBudget { house: self.house.clone(), core: self.core.budget(&owner), giver })
    }

    #[napi]
    pub async fn begin(&self, text: String) -> Result<String> {
        given!(text => objective: String);
        self.house.answer(self.core.begin(&objective)).await
    }

    #[napi]
    pub async fn end(&self, text: String) -> Result<String> {
        given!(text => pipeline: String);
        self.house.answer(async { self.core.end(&pipeline.parse()?).await }).await
    }

    #[napi]
    pub async fn agent(&self, text: String) -> Result<Agent> {
        given!(text => profile: String, pipeline: String, role: Option<String>, tier: Option<String>, root: Option<PathBuf>);
        let (role, tier) = (role.map(|role| role.parse()).transpose()?, tier.map(|tier| tier.parse()).transpose()?);
        let joining = Joining { role, tier, root };
        let core = self.house.ask(self.core.agent(&profile, &pipeline.parse()?, joining)).await?;
        Ok(Agent { house: self.house.clone(), core, seat: None, calls: Calls::default() })
    }

    #[napi]
    pub async fn instruct(&self, text: String) -> Result<String> {
        given!(
            text => agent: String, objective: Option<String>, constraints: Option<Vec<String>>, deadline: Option<Value>,
            evidence_required: Option<Vec<String>>
        );
        let instructions = Instructions {
            objective,
            constraints: constraints.unwrap_or_default(),
            deadline: deadline.as_ref().map(whole).transpose()?.map(Millis),
            evidence_required: evidence_required.unwrap_or_default(),
        };
        self.house.answer(self.core.instruct(&agent.parse()?, &instructions)).await
    }

    #[napi]
    pub async fn catch_up(&self, text: String) -> Result<String> {
        given!(text => within: Value);
        self.house.answer(self.core.catch_up(span(&within)?)).await
    }

    #[napi(getter)]
    pub fn revocations(&self) -> RevocationEngine {
        RevocationEngine { house: self.house.clone(), core: self.core.revocations() }
    }

    #[napi(getter)]
    pub fn policies(&self) -> Policies {
        Policies { house: self.house.clone(), core: self.core.policies().clone() }
    }

    #[napi(getter)]
    pub fn promotions(&self) -> Promotions {
        Promotions { house: self.house.clone(), core: self.core.promotions() }
    }

    #[napi(getter)]
    pub fn limits(&self) -> Limits {
        Limits { house: self.house.clone(), core: self.core.clone() }
    }

    #[napi]
    pub async fn health(&self) -> Result<String> {
        self.house.answer(async { Ok(self.core.health().await) }).await
    }

    #[napi]
    pub async fn agents(&self, text: String) -> Result<String> {
        given!(
            text => tier: Option<String>, role: Option<String>, status: Option<String>, pipeline: Option<String>, health: Option<String>,
            profile: Option<String>
        );
        let filter = AgentFilter {
            tier: tier.map(|tier| tier.parse()).transpose()?,
            role: role.map(|role| role.parse()).transpose()?,
            status: status.map(|status| status.parse()).transpose()?,
            pipeline: pipeline.map(|pipeline| pipeline.parse()).transpose()?,
            health: health.map(|health| health.parse()).transpose()?,
            profile,
        };
        self.house.answer(self.core.agents(&filter)).await
    }

    #[napi]
    pub async fn agent_record(&self, text: String) -> Result<String> {
        given!(text => agent: String);
        self.house.answer(self.core.agent_record(&agent.parse()?)).await
    }

    #[napi(getter)]
    pub fn approvals(&self) -> Approvals {
        Approvals { house: self.house.clone(), core: self.core.approvals(), home: self.core.config().home.clone() }
    }

    #[napi]
    pub async fn alerts(&self, text: String) -> Result<String> {
        given!(text => last: Value);
        self.house.answer(self.core.alerts().list(whole(&last)?)).await
    }

    #[napi]
    pub async fn new_alerts(&self, _text: String) -> Result<Stream> {
        Stream::new(&self.house, self.house.ask(self.core.alerts().follow()).await?)
    }

    #[napi(getter)]
    pub fn ledger(&self) -> Ledger {
        Ledger { house: self.house.clone(), core: self.core.ledger().clone() }
    }

    #[napi(getter)]
    pub fn store_url(&self) -> String {
        self.core.store_url().to_owned()
    }

    #[napi]
    pub async fn close(&self) -> Result<()> {
        self.house.close();
        Ok(self.core.close().await?)
    }
}
