//! Models for the stories: they think as the local one does, but wait where the story wants them to.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use governance::error::Result;
use governance::llm::{self, Analysis, ChatMessage, Evaluation, Idea, LocalModel, Model, Said, Scored};
use governance::vocabulary::{AgentRole, GammaReason};
use tokio::sync::Semaphore;

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// ALPHA says what the objective is about.
    Analyse,
    /// An agent proposes.
    Propose(AgentRole),
    /// An agent judges.
    Evaluate(AgentRole),
    /// BETA joins the proposals.
    Combine,
}

/// The local model, held at one call until it is let go.
pub struct Held {
    at: Call,
    reached: Semaphore,
    pass: Semaphore,
    calls: AtomicU32,
}

impl Held {
    /// Held whenever this is called.
    pub fn at(call: Call) -> Self {
        Self { at: call, reached: Semaphore::new(0), pass: Semaphore::new(0), calls: AtomicU32::new(0) }
    }

    /// Waits until the call is made.
    pub async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    /// Lets one call go on.
    pub fn step(&self) {
        self.pass.add_permits(1);
    }

    /// Lets every call go on from now on.
    pub fn let_go(&self) {
        self.pass.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// How many calls of any kind were made.
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn hold(&self, call: Call) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if call == self.at {
            self.reached.add_permits(1);
            self.pass.acquire().await.unwrap().forget();
        }
    }
}

#[async_trait]
impl Model for Held {
    fn name(&self) -> &str {
        "held"
    }

    async fn analyse(&self, call: &llm::Call<'_>, objective: &str) -> Result<Said<Analysis>> {
        self.hold(Call::Analyse).await;
        LocalModel.analyse(call, objective).await
    }

    async fn propose(&self, call: &llm::Call<'_>, objective: &str, others: &[Idea]) -> Result<Said<Vec<Idea>>> {
        self.hold(Call::Propose(call.role)).await;
        LocalModel.propose(call, objective, others).await
    }

    async fn evaluate(&self, call: &llm::Call<'_>, objective: &str, idea: &Idea) -> Result<Said<Evaluation>> {
        self.hold(Call::Evaluate(call.role)).await;
        LocalModel.evaluate(call, objective, idea).await
    }

    async fn combine(&self, call: &llm::Call<'_>, objective: &str, ideas: &[Idea]) -> Result<Said<Idea>> {
        self.hold(Call::Combine).await;
        LocalModel.combine(call, objective, ideas).await
    }

    async fn mediate(&self, call: &llm::Call<'_>, objective: &str, proposals: &[Scored], reason: GammaReason) -> Result<Said<Idea>> {
        LocalModel.mediate(call, objective, proposals, reason).await
    }

    async fn chat(&self, call: &llm::Call<'_>, messages: &[ChatMessage]) -> Result<Said<String>> {
        LocalModel.chat(call, messages).await
    }
}
