//! `RevocationEngine`.

use ::governance::guard::{self, ProcessReceipt, Receipt, Receipts, Response, Revocation, RevokedPipeline, Roll, Stop, Unfinished};
use ::governance::vocabulary::{AgentId, PipelineId, RevocationType, ViolationType};
use pyo3::prelude::*;

use crate::answer::{handle, records, variants};
use crate::given::{Named, Span, Whole};
use crate::hosted::{Hosted, Made};

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// Ends the admission of agents, of pipelines, of everything.
#[pyclass(name = "_RevocationEngine", module = "governance._governance", frozen, subclass)]
pub struct RevocationEngine(Hosted<guard::RevocationEngine>);

#[pymethods]
impl RevocationEngine {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// Revokes an agent and, with it, everything it admitted. Once this returns no write that it was admitted to lands.
    fn revoke<'py>(&self, py: Python<'py>, agent: Named<AgentId>, kind: Named<RevocationType>, reason: String) -> Answered<'py> {
        self.0.call(py, move |engine| async move { engine.revoke(&agent.0, kind.0, &reason).await })
    }

    /// Stops a pipeline with all of its agents.
    fn stop_pipeline<'py>(&self, py: Python<'py>, pipeline: Named<PipelineId>, reason: String) -> Answered<'py> {
        self.0.call(py, move |engine| async move { engine.stop_pipeline(&pipeline.0, &reason).await })
    }

    /// Revokes a pipeline, and each of its agents by name.
    fn revoke_pipeline<'py>(
        &self,
        py: Python<'py>,
        pipeline: Named<PipelineId>,
        kind: Named<RevocationType>,
        reason: String,
    ) -> Answered<'py> {
        self.0.call(py, move |engine| async move { engine.revoke_pipeline(&pipeline.0, kind.0, &reason).await })
    }

    /// Stops everything, also what is being begun at this moment. Nothing begins until `lift`.
    fn stop_all<'py>(&self, py: Python<'py>, reason: String) -> Answered<'py> {
        self.0.call(py, move |engine| async move { engine.stop_all(&reason).await })
    }

    /// What each process says of a revocation or a stop by now, by the generation that it came to.
    fn receipts<'py>(&self, py: Python<'py>, generation: Whole<u64>, within: Span) -> Answered<'py> {
        self.0.call(py, move |engine| async move { engine.receipts(generation.0, within.0).await })
    }

    /// Waits until each process that was there has confirmed it, is gone, or is overdue.
    fn confirmed<'py>(&self, py: Python<'py>, generation: Whole<u64>, within: Span) -> Answered<'py> {
        self.0.call(py, move |engine| async move { engine.confirmed(&Roll::default(), generation.0, within.0, |_| ()).await })
    }

    /// Lifts a stop: what was stopped stays so, but new work may begin.
    fn lift<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |engine| async move { engine.lift().await })
    }

    /// The stop that is in force, if one is.
    fn stop_in_force<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |engine| async move { engine.stop_in_force().await })
    }

    /// Why an agent was revoked, if it was.
    fn revocation_of<'py>(&self, py: Python<'py>, agent: Named<AgentId>) -> Answered<'py> {
        self.0.call(py, move |engine| async move { engine.revocation_of(&agent.0).await })
    }

    /// The newest revocations, oldest first.
    fn revocations<'py>(&self, py: Python<'py>, last: Whole<u64>) -> Answered<'py> {
        self.0.call_apart(py, move |engine| async move { engine.revocations(last.0).await })
    }

    /// Takes note of a violation, and does what it leads to.
    fn violation<'py>(&self, py: Python<'py>, agent: Named<AgentId>, violation: Named<ViolationType>, detail: String) -> Answered<'py> {
        self.0.call(py, move |engine| async move { engine.violation(&agent.0, violation.0, &detail).await })
    }

    /// Counts an error in the agent's last minute, and does what that leads to.
    fn error<'py>(&self, py: Python<'py>, agent: Named<AgentId>, message: String) -> Answered<'py> {
        self.0.call(py, move |engine| async move { engine.error(&agent.0, &message).await })
    }

    /// Counts an API call in the agent's last minute, and does what that leads to.
    fn api_call<'py>(&self, py: Python<'py>, agent: Named<AgentId>) -> Answered<'py> {
        self.0.call(py, move |engine| async move { engine.api_call(&agent.0).await })
    }

    /// Acts on an agent that has made no progress for so long.
    fn idle<'py>(&self, py: Python<'py>, agent: Named<AgentId>, span: Span) -> Answered<'py> {
        self.0.call(py, move |engine| async move { engine.idle(&agent.0, span.0).await })
    }
}

handle!(guard::RevocationEngine => "RevocationEngine");

records! {
    Receipt => "Receipt" { epoch, generation }
    RevokedPipeline => "RevokedPipeline" { pipeline, revoked, ended }
    Revocation => "Revocation" { agent_id, pipeline_id, kind, reason, at }
    Stop => "Stop" { reason, at }
    Receipts => "Receipts" { generation, issued_at, receipts }
    ProcessReceipt => "ProcessReceipt" { state, pid, host, runtime, confirmed_at, ended, ended_count, unfinished }
    Unfinished => "Unfinished" { generation, agent, what }
}

variants! {
    Response => "Response" {
        Nothing => "nothing",
        Alert => "alert",
        Fault => "fault",
        RateLimit => "rate_limit",
        Revoke { kind, diagnose } as "Revoke" => "revoke",
    }
}
