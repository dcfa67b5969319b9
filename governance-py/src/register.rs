//! What is known of how everything is, of agents, and of what they put out.

use ::governance::agent::{AgentDetail, AgentRecord};
use ::governance::guard::health::{ComponentHealth, Health};
use ::governance::vocabulary::{AgentOutput, Evidence, EvidencePackage, InstructionPacket};
use pyo3::prelude::*;

use crate::answer::{Answer, record, records};
use crate::hosted::Place;
use crate::json;

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

records! {
    Health => "Health" { state, at, components }
    ComponentHealth => "ComponentHealth" { component, state, reason, advice, since, latency_ms }
    AgentOutput => "AgentOutput" { agent_id, phase, output_type, content, content_hash, created_at }
    InstructionPacket => "InstructionPacket" {
        packet_id, agent_id, tier, objective, constraints, allowed_actions, error_budget, deadline, evidence_required
    }
    Evidence => "Evidence" { name, kind, content_hash, reference, text, bytes }
    EvidencePackage => "EvidencePackage" { agent_id, outputs, evidence, created_at }
}

/// What the register has of an agent, in order.
fn known<'py>(of: AgentRecord, py: Python<'py>, place: &Place) -> [Answered<'py>; 16] {
    let AgentRecord {
        id,
        profile,
        version,
        tier,
        role,
        capabilities,
        pipeline,
        runtime,
        pid,
        host,
        since,
        phase,
        status,
        health,
        why,
        waits_for,
    } = of;
    [
        id.answer(py, place),
        profile.answer(py, place),
        version.answer(py, place),
        tier.answer(py, place),
        role.answer(py, place),
        capabilities.answer(py, place),
        pipeline.answer(py, place),
        runtime.answer(py, place),
        pid.answer(py, place),
        host.answer(py, place),
        since.answer(py, place),
        phase.answer(py, place),
        status.answer(py, place),
        health.answer(py, place),
        why.answer(py, place),
        waits_for.answer(py, place),
    ]
}

impl Answer for AgentRecord {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        record(py, "AgentRecord", known(self, py, place))
    }
}

impl Answer for AgentDetail {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        let more = [
            self.last_progress.answer(py, place),
            self.last_beat.answer(py, place),
            self.spend.answer(py, place),
            self.faults.answer(py, place),
            json::shaped(py, &self.fault_limits),
            self.revocation.answer(py, place),
            self.packet.answer(py, place),
            self.preflight.answer(py, place),
            self.outputs.answer(py, place),
            self.evidence.answer(py, place),
        ];
        record(py, "AgentDetail", known(self.record, py, place).into_iter().chain(more))
    }
}
