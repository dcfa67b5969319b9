//! A governed agent in a few lines: its desk, its life, and what it should know of itself.

use std::sync::Arc;
use std::time::Duration;

use super::signs::{AgentEvent, Signs};
use super::{Check, Desk, Exhibit, Gamma, Life, PreflightReport, Step, Worker};
use crate::error::Result;
use crate::guard::policy::Request;
use crate::guard::{Arguments, Call, FaultCount, Granted, Terms};
use crate::llm::CallKind;
use crate::vocabulary::{AgentOutput, AgentPhase, EvidencePackage, GammaReason, InstructionPacket};

/// An agent that lives in this process. Cheap to clone.
///
/// Its execution lock and its heartbeat are kept in the background until it [leaves](Self::leave). Dropped without that, it died: its lock and what
/// it reserved come back when their time is over.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
}

struct Inner {
    desk: Desk,
    life: Life,
    signs: Signs,
}

impl Agent {
    /// Begins to live at a desk.
    pub async fn begin(desk: Desk) -> Result<Self> {
        let signs = Signs::watch(desk.store(), desk.actor()).await?;
        let life = Life::begin(&desk).await?;
        Ok(Self { inner: Arc::new(Inner { desk, life, signs }) })
    }

    /// Everything it touches the world with.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.inner.desk
    }

    /// The same, unless it has left.
    fn here(&self) -> Result<&Desk> {
        self.inner.signs.has_not_left().map(|()| self.desk())
    }

    /// Refuses at once, without a round trip, once this process knows that the agent's admission has ended. What the agent writes is refused by
    /// the store in any case.
    pub fn check(&self) -> Result<()> {
        self.inner.signs.check()
    }

    /// Runs a tool, if the agent may: see [`Guard::govern`](crate::guard::Guard::govern). Refused at once where this process knows that its admission
    /// has ended.
    pub async fn govern<T>(
        &self,
        request: &Request<'_>,
        arguments: &serde_json::Value,
        tool: impl AsyncFnOnce(Granted) -> Result<T>,
    ) -> Result<T> {
        self.check()?;
        self.desk().guard().govern(request, arguments, tool).await
    }

    /// Begins a tool's call, if the agent may: see [`Guard::begin`](crate::guard::Guard::begin). For whoever runs tools that are no Rust.
    pub async fn begin_call(&self, request: &Request<'_>, arguments: &Arguments, terms: &Terms) -> Result<Call> {
        self.check()?;
        self.desk().guard().on(terms).begin(request, arguments).await
    }

    /// The same without waiting; none where it takes a round trip to say.
    pub fn try_begin_call(&self, request: &Request<'_>, arguments: &Arguments, terms: &Terms) -> Result<Option<Call>> {
        self.check()?;
        self.desk().guard().on(terms).try_begin(request, arguments)
    }

    /// Where it is in its life.
    pub async fn phase(&self) -> Result<AgentPhase> {
        self.desk().phase().await
    }

    /// Enters the next phase: see [`Desk::enter`].
    pub async fn enter(&self, phase: AgentPhase) -> Result<()> {
        self.here()?.enter(phase).await
    }

    /// The same, waiting so long for people where EXECUTE needs an approval: see [`Desk::enter_waiting`].
    pub async fn enter_waiting(&self, phase: AgentPhase, waiting: Duration) -> Result<()> {
        self.here()?.enter_waiting(phase, waiting).await
    }

    /// Puts something out, as its phase classes it: see [`Desk::output`].
    pub async fn output(&self, content: serde_json::Value) -> Result<AgentOutput> {
        self.here()?.output(content).await
    }

    /// What it put out, oldest first.
    pub async fn outputs(&self) -> Result<Vec<AgentOutput>> {
        self.desk().outputs().await
    }

    /// What it was told by its governor.
    pub async fn packet(&self) -> Result<Option<InstructionPacket>> {
        self.desk().packet().await
    }

    /// Looks whether work can begin: see [`Desk::preflight`].
    pub async fn preflight(&self, checks: Vec<Check>) -> Result<PreflightReport> {
        self.desk().preflight(checks).await
    }

    /// Bundles evidence for what it put out: see [`Desk::package`].
    pub async fn package(&self, exhibits: &[Exhibit]) -> Result<EvidencePackage> {
        self.here()?.package(exhibits).await
    }

    /// The next thing to do: an instruction of its governor, or what another agent said. None when it was told to leave, and has left. A `revoked`
    /// error when its admission has ended. Cancel safe.
    pub async fn next_step(&self) -> Result<Option<Step>> {
        self.inner.life.next(self.desk()).await
    }

    /// A step is done.
    pub async fn done(&self, step: Step) -> Result<()> {
        self.inner.life.done(step).await
    }

    /// A step failed, with an error of this code. The error that is one too many revokes the agent.
    pub async fn failed(&self, step: Step, code: &str, message: &str) -> Result<FaultCount> {
        self.inner.life.failed(self.desk(), step, code, message).await
    }

    /// Does step after step as a worker does, until told to leave.
    pub async fn carry_on(&self, worker: &dyn Worker) -> Result<()> {
        self.inner.life.carry_on(self.desk(), worker).await
    }

    /// The next thing it should know of itself: a revocation, a budget that runs low. None when nothing more can come. Cancel safe.
    pub async fn next_event(&self) -> Option<AgentEvent> {
        self.inner.signs.next(self.desk()).await
    }

    /// Judges every solution on the blackboard.
    pub async fn evaluate(&self) -> Result<()> {
        self.desk().judge_all(CallKind::Evaluate, "evaluation").await.map(drop)
    }

    /// Reconciles what the others proposed into a solution of its own, as a mediator.
    pub async fn mediate(&self, reason: GammaReason) -> Result<()> {
        Gamma.mediate(self.desk(), reason).await
    }

    /// Leaves: gives back its lock, what it reserved, and its place on the bus. From then on its tools are refused, it puts nothing more out, and what of it
    /// still runs is dropped. What it said counts: its ballots, its entries.
    pub async fn leave(&self) -> Result<()> {
        self.inner.life.leave(self.desk()).await?;
        self.inner.life.gone(self.desk()).await
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("id", &self.desk().actor().id).finish_non_exhaustive()
    }
}
