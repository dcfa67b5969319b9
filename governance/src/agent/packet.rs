//! The instruction packet: what an agent is told by its governor, in one record that it and everybody else can read.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Desk;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::policies::Policies;
use crate::guard::policy::Policy;
use crate::guard::{Admissions, Recorder, digest};
use crate::ledger::Action;
use crate::store::{Actor, Store, from_json, to_json};
use crate::vocabulary::{AgentId, InstructionPacket, Millis};

/// The most texts in one list of a packet.
const MAX_LIST: usize = 256;
/// The longest of them, in bytes.
const MAX_TEXT: usize = 4_096;
/// Where an agent's state keeps what the profile of its own says, if it has one: whoever instructs it later need not have the file.
const OWN: &str = "own_profile";

/// What a governor says beside what follows from the agent's profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Instructions {
    /// What is to be done; the pipeline's objective unless said otherwise.
    pub objective: Option<String>,
    /// What must hold.
    pub constraints: Vec<String>,
    /// Until when, on the clock of milliseconds since 1970. Every governed call after it is denied.
    pub deadline: Option<Millis>,
    /// Names of the evidence that must be shown before the report.
    pub evidence_required: Vec<String>,
}

impl Instructions {
    fn check(&self) -> Result<()> {
        for list in [&self.constraints, &self.evidence_required] {
            if list.len() > MAX_LIST || list.iter().any(|text| text.len() > MAX_TEXT) {
                let message = format!("a packet's list has at most {MAX_LIST} texts of at most {MAX_TEXT} bytes");
                return Err(Error::invalid("packet_too_large", message));
            }
        }
        Ok(())
    }
}

/// What a packet repeats of the profile that decides for its agent.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    allowed_actions: Vec<String>,
    never: Vec<String>,
    errors: u32,
}

impl Said {
    fn by(policy: &Policy) -> Self {
        let profile = policy.profile();
        let said = &profile.constraints;
        let never = |what: &str, list: &[String]| (!list.is_empty()).then(|| format!("never {what} {}", list.join(", ")));
        let never = [never("do", &said.forbidden_actions), never("touch", &said.forbidden_targets), never("use", &said.forbidden_paths)];
        Self {
            allowed_actions: said.allowed_actions.clone(),
            never: never.into_iter().flatten().collect(),
            errors: profile.governance.error_budget.max_total_errors,
        }
    }
}

/// Writes an admitted agent's packet, as its governor. A later one takes the place of an earlier one.
pub async fn instruct(
    store: &Store,
    recorder: &Recorder,
    governor: &Actor,
    agent: &AgentId,
    instructions: &Instructions,
) -> Result<InstructionPacket> {
    instruct_by(None, store, recorder, governor, agent, instructions).await
}

/// The same for an agent that is governed by a profile of its own, which later packets then repeat too.
pub async fn instruct_by(
    own: Option<&Policy>,
    store: &Store,
    recorder: &Recorder,
    governor: &Actor,
    agent: &AgentId,
    instructions: &Instructions,
) -> Result<InstructionPacket> {
    instructions.check()?;
    if governor.id == *agent {
        return Err(Error::new(ErrorKind::Denied, "self_instructed", format!("`{agent}` cannot write its own instructions")));
    }
    let known = Admissions::new(store, recorder).agent(agent).await?;
    let missing = || Error::new(ErrorKind::NotFound, "no_such_agent", format!("there is no agent `{agent}`: see `governance agents list`"));
    let known = known.ok_or_else(missing)?;
    let state = store.keys().agent_state(agent);
    let kept = store.state(state.clone()).await?.unwrap_or_default().field(OWN).to_owned();
    let said = match own {
        Some(policy) => Said::by(policy),
        None if !kept.is_empty() => from_json("what an agent's own profile says", kept.as_bytes())?,
        None => Said::by(&Policies::new(store, recorder).law(&agent.profile(known.pipeline.as_ref()), known.tier).await?),
    };
    let objective = match (&instructions.objective, &known.pipeline) {
        (Some(objective), _) => objective.clone(),
        (None, Some(pipeline)) => store.state(store.keys().pipeline(pipeline)).await?.unwrap_or_default().field("objective").to_owned(),
        (None, None) => String::new(),
    };
    let mut packet = InstructionPacket {
        packet_id: String::new(),
        agent_id: agent.clone(),
        tier: known.tier,
        objective,
        constraints: instructions.constraints.iter().cloned().chain(said.never.iter().cloned()).collect(),
        allowed_actions: said.allowed_actions.clone(),
        error_budget: said.errors,
        deadline: instructions.deadline,
        evidence_required: instructions.evidence_required.clone(),
    };
    let hash = digest(&serde_json::to_value(&packet).map_err(|e| Error::internal("a packet is not JSON").because(e))?);
    packet.packet_id = format!("packet-{agent}-{}", hash.get(..8).unwrap_or_default());
    let told =
        json!({"packet": packet.packet_id, "hash": hash, "deadline": packet.deadline, "evidence_required": packet.evidence_required});
    let subject = (Some(agent), known.pipeline.as_ref());
    let key = store.keys().agent_packet(agent);
    let own = own.map(|_| serde_json::to_string(&said)).transpose();
    let own = own.map_err(|e| Error::internal("what a profile says is not JSON").because(e))?;
    recorder
        .record(store, Action::Instruct, subject, &told, async |token| {
            let commit = governor.commit().token(token).put(key, to_json(&packet)?);
            store.apply(own.into_iter().fold(commit, |commit, own| commit.merge(state.clone(), [(OWN, own)]))).await.map(drop)
        })
        .await?;
    Ok(packet)
}

/// An agent's packet, if it has one.
pub async fn packet(store: &Store, agent: &AgentId) -> Result<Option<InstructionPacket>> {
    Ok(store.json(store.keys().agent_packet(agent)).await?.map(|(_, packet)| packet))
}

impl Desk {
    /// What this agent was told. Its deadline counts from the moment that this process has read it.
    pub async fn packet(&self) -> Result<Option<InstructionPacket>> {
        let packet = packet(self.store(), &self.actor().id).await?;
        self.gate.set_deadline(packet.as_ref().and_then(|packet| packet.deadline));
        Ok(packet)
    }
}
