//! The native half of `Agent`.

use std::path::PathBuf;
use std::sync::Arc;

use ::governance::Governance;
use ::governance::agent::{AgentEvent, Exhibit};
use ::governance::llm::Idea;
use napi::bindgen_prelude::Either;
use napi_derive::napi;
use serde_json::Value;
use tokio::sync::RwLock;

use crate::blackboard::Blackboard;
use crate::budget::ErrorBudget;
use crate::bus::MessageBus;
use crate::consensus::Consensus;
use crate::error::Result;
use crate::house::House;
use crate::json::{exact, given, shaped, text as written};
use crate::model::Model;
use crate::step::Step;
use crate::stream::{Next, Source, Stream};
use crate::tool::Calls;

#[napi]
pub struct Agent {
    pub(crate) house: House,
    pub(crate) core: ::governance::Agent,
    /// What its seat was in, where it opened that itself.
    pub(crate) seat: Option<Governance>,
    /// The calls of its tools.
    pub(crate) calls: Calls,
}

#[napi]
impl Agent {
    #[napi]
    pub async fn seated(text: String) -> Result<Self> {
        given!(text => root: Option<PathBuf>);
        let (seat, core) = Governance::seated_in(root).await?;
        Ok(Self { house: House::default(), core, seat: Some(seat), calls: Calls::default() })
    }

    #[napi(getter)]
    pub fn id(&self) -> String {
        self.core.desk().actor().id.to_string()
    }

    #[napi(getter)]
    pub fn role(&self) -> String {
        self.core.desk().role().to_string()
    }

    #[napi(getter)]
    pub fn pipeline(&self) -> Option<String> {
        self.core.desk().actor().pipeline.as_ref().map(ToString::to_string)
    }

    #[napi(getter)]
    pub fn tier(&self) -> String {
        self.core.desk().tier().to_string()
    }

    #[napi(getter)]
    pub fn objective(&self) -> String {
        self.core.desk().objective().to_owned()
    }

    #[napi(getter)]
    #[allow(clippy::cast_possible_truncation, reason = "a run is tried a few times")]
    pub fn tries(&self) -> u32 {
        self.core.desk().tries() as u32
    }

    #[napi(getter)]
    pub fn blackboard(&self) -> Blackboard {
        Blackboard { house: self.house.clone(), core: self.core.desk().board().clone() }
    }

    #[napi(getter)]
    pub fn bus(&self) -> MessageBus {
        MessageBus { house: self.house.clone(), core: Arc::new(RwLock::new(self.core.desk().bus())) }
    }

    #[napi(getter)]
    pub fn consensus(&self) -> Consensus {
        Consensus { house: self.house.clone(), core: self.core.desk().consensus().clone() }
    }

    #[napi(getter)]
    pub fn budget(&self) -> ErrorBudget {
        ErrorBudget { house: self.house.clone(), core: self.core.desk().budget().clone(), giver: self.core.desk().actor().clone() }
    }

    #[napi(getter)]
    pub fn model(&self) -> Model {
        Model { house: self.house.clone(), agent: self.core.clone() }
    }

    #[napi]
    pub fn check(&self) -> Result<()> {
        self.house.check()?;
        Ok(self.core.check()?)
    }

    #[napi]
    pub async fn phase(&self) -> Result<String> {
        self.house.answer(self.core.phase()).await
    }

    #[napi]
    pub async fn enter(&self, text: String) -> Result<()> {
        given!(text => phase: String);
        self.house.ask(self.core.desk().enter(phase.parse()?)).await
    }

    #[napi]
    pub async fn output(&self, text: String) -> Result<String> {
        given!(text => content: Value);
        self.house.answer(self.core.output(exact(content)?)).await
    }

    #[napi]
    pub async fn outputs(&self) -> Result<String> {
        self.house.answer(self.core.outputs()).await
    }

    #[napi]
    pub async fn packet(&self) -> Result<String> {
        self.house.answer(self.core.packet()).await
    }

    #[napi]
    pub async fn package(&self, text: String) -> Result<String> {
        given!(text => exhibits: Value);
        let exhibits: Vec<Exhibit> = shaped(exhibits)?;
        self.house.answer(self.core.package(&exhibits)).await
    }

    #[napi]
    pub async fn demote(&self, text: String) -> Result<String> {
        given!(text => profile: String, reason: String);
        self.house.answer(self.core.desk().demote(&profile.parse()?, &reason)).await
    }

    #[napi]
    pub async fn analyse(&self) -> Result<String> {
        self.house.answer(self.core.desk().analyse()).await
    }

    #[napi]
    pub async fn propose(&self) -> Result<()> {
        self.house.ask(self.core.desk().propose_own()).await
    }

    #[napi]
    pub async fn offer(&self, text: String) -> Result<()> {
        given!(text => name: String, idea: Value);
        self.house.ask(self.core.desk().offer(&name, &shaped::<Idea>(exact(idea)?)?)).await
    }

    #[napi]
    pub async fn proposals(&self) -> Result<String> {
        self.house.answer(self.core.desk().proposals()).await
    }

    #[napi]
    pub async fn evaluate(&self) -> Result<()> {
        self.house.ask(self.core.evaluate()).await
    }

    #[napi]
    pub async fn combine(&self) -> Result<String> {
        self.house.answer(self.core.desk().combine_all()).await
    }

    #[napi]
    pub async fn mediate(&self, text: String) -> Result<()> {
        given!(text => reason: String);
        self.house.ask(self.core.mediate(reason.parse()?)).await
    }

    #[napi]
    pub async fn hand_in(&self) -> Result<()> {
        self.house.ask(self.core.desk().hand_in()).await
    }

    #[napi]
    pub async fn request_plan(&self, text: String) -> Result<String> {
        given!(text => plan: Value);
        let (desk, guard) = (self.core.desk(), self.core.desk().guard());
        let rules = guard.policy().profile().governance.approval;
        self.house.answer(guard.approvals().request_plan(desk.actor(), exact(plan)?, rules)).await
    }

    #[napi]
    pub async fn vote(&self, text: String) -> Result<String> {
        given!(text => proposal: String, choice: Value);
        self.house.answer(self.core.desk().vote(&proposal.parse()?, shaped(choice)?)).await
    }

    #[napi]
    pub async fn vote_best(&self, text: String) -> Result<String> {
        given!(text => proposal: String);
        self.house.answer(self.core.desk().vote_best(&proposal.parse()?)).await
    }

    #[napi]
    pub async fn next_step(&self) -> Result<Option<Step>> {
        let step = self.house.ask(self.core.next_step()).await?;
        Ok(step.map(|step| Step { house: self.house.clone(), agent: self.core.clone(), core: step }))
    }

    #[napi]
    pub async fn next_event(&self) -> Result<String> {
        self.house.answer(async { Ok(self.core.next_event().await) }).await
    }

    #[napi]
    pub fn steps(&self, _text: String) -> Result<Stream> {
        Stream::new(&self.house, Steps { house: self.house.clone(), agent: self.core.clone() })
    }

    #[napi]
    pub fn events(&self, _text: String) -> Result<Stream> {
        Stream::new(&self.house, Heard(self.core.clone()))
    }

    #[napi]
    pub async fn leave(&self) -> Result<()> {
        self.house.ask(self.core.leave()).await?;
        match &self.seat {
            Some(seat) => Ok(seat.close().await?),
            None => Ok(()),
        }
    }
}

struct Steps {
    house: House,
    agent: ::governance::Agent,
}

impl Source for Steps {
    fn next(&mut self) -> Next<'_> {
        Box::pin(async {
            let step = self.agent.next_step().await?;
            Ok(step.map(|step| Either::B(Step { house: self.house.clone(), agent: self.agent.clone(), core: step })))
        })
    }
}

struct Heard(::governance::Agent);

impl Source for Heard {
    fn next(&mut self) -> Next<'_> {
        Box::pin(async { self.0.next_event().await.map(|event: AgentEvent| written(&event).map(Either::A)).transpose() })
    }
}
