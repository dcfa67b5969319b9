//! The records that agents and operators exchange.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AgentId, AgentPhase, HandoffId, Millis, OutputType, PipelineId, StageStatus, Tier};

macro_rules! records {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)+ })+) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)+ }
    )+ };
}

records! {
    /// What an agent put out in a phase.
    AgentOutput {
        /// Who.
        agent_id: AgentId,
        /// When in its life.
        phase: AgentPhase,
        /// How mature.
        output_type: OutputType,
        /// The output.
        content: Value,
        /// SHA-256 of the content's canonical JSON, in hex.
        content_hash: String,
        /// When.
        created_at: Millis,
    }

    /// A plan restated after errors crossed the threshold.
    ClarifiedPlan {
        /// The plan.
        plan_id: String,
        /// What was asked.
        original_objective: String,
        /// What is asked now.
        clarified_objective: String,
        /// Why.
        reason: String,
        /// Errors so far.
        error_count: u32,
        /// What must hold.
        constraints: Vec<String>,
        /// When.
        created_at: Millis,
    }

    /// How a stage went.
    StageResult {
        /// Its name.
        name: String,
        /// Its state.
        status: StageStatus,
        /// What it put out.
        output: Value,
        /// What went wrong.
        error: Option<String>,
        /// When it began.
        started_at: Option<Millis>,
        /// When it ended.
        ended_at: Option<Millis>,
    }

    /// What a pipeline's stages share.
    PipelineContext {
        /// The pipeline.
        pipeline_id: PipelineId,
        /// What it was given.
        inputs: Map<String, Value>,
        /// How its stages went.
        stage_results: BTreeMap<String, StageResult>,
        /// Variables.
        variables: Map<String, Value>,
        /// Its tier.
        tier: Tier,
    }

    /// What an agent is told to do.
    InstructionPacket {
        /// The packet.
        packet_id: String,
        /// For whom.
        agent_id: AgentId,
        /// With which trust.
        tier: Tier,
        /// What.
        objective: String,
        /// What must hold.
        constraints: Vec<String>,
        /// What it may do.
        allowed_actions: Vec<String>,
        /// How many errors it may make.
        error_budget: u32,
        /// Until when.
        deadline: Option<Millis>,
        /// What it must show.
        evidence_required: Vec<String>,
    }

    /// Something that shows what an agent did.
    Evidence {
        /// Its name.
        name: String,
        /// What kind of thing it is, as `log`, `diff`, `test_report`.
        kind: String,
        /// SHA-256 of its content, in hex.
        content_hash: String,
        /// Where its content is: a file below the home directory, or `inline`.
        reference: String,
        /// The content, where it is inline.
        text: Option<String>,
        /// How many bytes the content has.
        bytes: u64,
        /// When it was shown.
        created_at: Millis,
    }

    /// What an agent bundled before it reported: its evidence, bound to what it had put out.
    EvidencePackage {
        /// Whose.
        agent_id: AgentId,
        /// The hashes of the outputs that it belongs to, oldest first.
        outputs: Vec<String>,
        /// The evidence.
        evidence: Vec<Evidence>,
        /// When something was added last.
        created_at: Millis,
    }

    /// What an agent leaves to its successor.
    Handoff {
        /// The handoff.
        handoff_id: HandoffId,
        /// From whom.
        from_agent: AgentId,
        /// Of which pipeline.
        pipeline_id: PipelineId,
        /// In which phase.
        phase: AgentPhase,
        /// Why.
        reason: String,
        /// What went wrong.
        error_summary: Vec<String>,
        /// What is done.
        completed: Vec<String>,
        /// What is left.
        pending: Vec<String>,
        /// Where the blackboard is.
        blackboard_ref: Option<String>,
        /// Where the evidence is.
        evidence_refs: Vec<String>,
        /// When.
        created_at: Millis,
    }

    /// A place to go on from.
    Checkpoint {
        /// `ckpt-YYYYMMDD-HHMMSS-8hex`.
        id: String,
        /// What phase the work is in.
        phase: String,
        /// What is being done.
        tasks: Vec<Value>,
        /// What it depends on.
        dependencies: Vec<String>,
        /// Variables.
        variables: Map<String, Value>,
        /// What came out lately.
        recent_outputs: Vec<Value>,
        /// What is kept in memory.
        memory_references: Vec<String>,
        /// Notes.
        notes: String,
    }
}
