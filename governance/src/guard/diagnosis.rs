//! Why an agent failed, and what to try: made for one whose revocation asks for it, from its faults and from what the record says of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::faults::Faults;
use super::remedies::remedies;
use super::revocation::{Revocation, RevocationEngine};
use crate::coordination::Blackboard;
use crate::error::{ErrorKind, Result};
use crate::ledger::{AgentAction, Filter, OutcomeResult};
use crate::store::{Actor, Commit, to_json};
use crate::vocabulary::{AgentId, Handoff, Millis, Section};

/// Who makes diagnoses, as an author.
pub const DIAGNOSTIC: &str = "diagnostic";
/// How far back the record is read.
const READ: u32 = 200;
/// How many failures are told in words.
const TOLD: usize = 5;

/// What went wrong with an agent. It is on the blackboard as `diagnosis-{id}`, in its handoff, and among the alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentDiagnosis {
    /// Whom it is about.
    pub agent_id: AgentId,
    /// What happened to it.
    pub what: String,
    /// Why, as far as it is known.
    pub why: String,
    /// What to try, the most promising first.
    pub attempts: Vec<String>,
    /// When it was made.
    pub at: Millis,
}

/// One thing that failed: its code and its words.
struct Failed {
    code: String,
    message: String,
}

/// Says what went wrong. Pure.
fn made(agent: &AgentId, revocation: Option<&Revocation>, faults: &Faults, failed: &[Failed], at: Millis) -> AgentDiagnosis {
    let what = revocation
        .map_or_else(|| format!("`{agent}` works on, after {} errors", faults.total_errors), |revoked| format!("`{agent}` was {revoked}"));
    let mut causes: Vec<String> = Vec::new();
    for failure in failed {
        let cause = format!("{} ({})", failure.message.trim(), failure.code);
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    let more = causes.len().saturating_sub(TOLD);
    causes.truncate(TOLD);
    if more > 0 {
        causes.push(format!("and {more} more"));
    }
    if let Some((print, times)) = faults.by_fingerprint.iter().max_by_key(|(_, times)| **times).filter(|(_, times)| **times > 1) {
        causes.push(format!("most often, {times} times: {print}"));
    }
    let why = if causes.is_empty() { "no failure of it is on record".to_owned() } else { causes.join("; ") };
    let mut attempts: Vec<String> = Vec::new();
    for remedy in failed.iter().flat_map(|failure| remedies(&failure.code)) {
        if !attempts.iter().any(|attempt| attempt == remedy) {
            attempts.push((*remedy).to_owned());
        }
    }
    attempts.push(format!("see what it did last: `governance ledger list --agent {agent}`"));
    AgentDiagnosis { agent_id: agent.clone(), what, why, attempts, at }
}

fn failed(action: &AgentAction) -> Option<Failed> {
    if !matches!(action.result, Some(OutcomeResult::Error | OutcomeResult::Unknown)) {
        return None;
    }
    let said: Value = serde_json::from_str(action.payload.as_deref()?).ok()?;
    let text = |name: &str| Some(said[name].as_str()?.chars().take(300).collect::<String>());
    Some(Failed { code: text("code")?, message: text("message").unwrap_or_default() })
}

impl RevocationEngine {
    /// Makes a diagnosis of an agent and leaves it where it is looked for: the blackboard's progress section, the handoff, an alert.
    pub async fn diagnose(&self, agent: &AgentId) -> Result<AgentDiagnosis> {
        let keys = self.store.keys();
        let (known, revocation) = (self.known(agent).await?, self.revocation_of(agent).await?);
        let faults: Faults = self.store.json(keys.agent_errors(agent)).await?.map_or_else(Faults::default, |(_, faults)| faults);
        let mut failures = Vec::new();
        if let Some(ledger) = self.recorder.ledger() {
            let filter = Filter { agent: Some(agent.clone()), newest_first: true, limit: READ, ..Filter::default() };
            failures.extend(ledger.list(&filter).await?.actions.iter().filter_map(failed));
        }
        let diagnosis = made(agent, revocation.as_ref(), &faults, &failures, self.store.ports().clock.now());
        let mut commit = Commit::default().write(self.alert("agent_diagnosed", &json!(diagnosis))?);
        if let Some((version, mut handoff)) = self.store.json::<Handoff>(keys.agent_handoff(agent)).await? {
            handoff.error_summary.push(diagnosis.why.clone());
            handoff.pending.extend(diagnosis.attempts.iter().cloned());
            commit = commit.version(keys.agent_handoff(agent), version).put(keys.agent_handoff(agent), to_json(&handoff)?);
        }
        match self.store.apply(commit).await {
            // Somebody else tells of the same agent.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            other => drop(other?),
        }
        if let Some(pipeline) = &known.pipeline {
            let author = Actor::system(&self.store, DIAGNOSTIC).await?;
            let board = Blackboard::open(&self.store, &pipeline.task(), &author);
            match board.post(Section::Progress, &format!("diagnosis-{agent}"), &diagnosis).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                other => drop(other?),
            }
        }
        Ok(diagnosis)
    }

    /// The diagnosis that was made of an agent, if one was.
    pub async fn diagnosis_of(&self, agent: &AgentId) -> Result<Option<AgentDiagnosis>> {
        let Some(pipeline) = self.known(agent).await?.pipeline else { return Ok(None) };
        let author = Actor::system(&self.store, DIAGNOSTIC).await?;
        let board = Blackboard::open(&self.store, &pipeline.task(), &author);
        let entry = board.entry(Section::Progress, &format!("diagnosis-{agent}")).await?;
        Ok(entry.and_then(|entry| serde_json::from_value(entry.content).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::{Extent, RevocationType};

    #[test]
    fn a_diagnosis_says_what_failed_why_and_what_to_try() {
        let agent = AgentId::new("alpha-1").unwrap();
        let revocation = Revocation {
            agent_id: agent.clone(),
            pipeline_id: None,
            kind: RevocationType::ErrorBudget,
            extent: Extent::Full,
            reason: "6 errors within a minute".into(),
            at: Millis(1),
        };
        let failures: Vec<_> = (0..8).map(|n| Failed { code: "call_timed_out".into(), message: format!("late {n}") }).collect();
        let told = made(&agent, Some(&revocation), &Faults::default(), &failures, Millis(2));
        assert!(told.what.contains("6 errors within a minute") && told.why.contains("late 0 (call_timed_out)"), "{told:?}");
        assert!(told.why.ends_with("and 3 more") && told.attempts[0].contains("--call-timeout"), "{told:?}");
        assert!(told.attempts.last().unwrap().contains("--agent alpha-1"));
        let nothing = made(&agent, None, &Faults::default(), &[], Millis(2));
        assert!(nothing.why.contains("no failure") && nothing.attempts.len() == 1);
    }
}
