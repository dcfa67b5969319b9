//! A model that stages what can go wrong. What is not in its scenario is answered by the model behind it.

mod scenario;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::scenario::{Act, Failure, Unusable};
use super::remote::{ANALYSIS, EVALUATION, SOLUTION, Schema, read, too_large};
use super::retry::RETRY_AFTER;
use super::{Analysis, Call, CallKind, ChatMessage, Evaluation, Idea, Model, Said, Scored};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{AgentId, Clock, GammaReason};

pub use self::scenario::{MAX_SCRIPT, Scenario};

/// How long a staged server asks to wait.
const WAIT_MS: u64 = 1_000;

/// A model that stages a scenario.
pub struct ScriptedModel {
    scenario: Scenario,
    model: Arc<dyn Model>,
    clock: Arc<dyn Clock>,
    agents: Mutex<HashMap<AgentId, Seen>>,
}

/// What an agent did so far.
struct Seen {
    since: Duration,
    calls: HashMap<CallKind, u64>,
    // The title of its own solution.
    own: Option<String>,
}

impl ScriptedModel {
    /// A scenario before a model.
    #[must_use]
    pub fn new(scenario: Scenario, model: Arc<dyn Model>, clock: Arc<dyn Clock>) -> Self {
        Self { scenario, model, clock, agents: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AgentId, Seen>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call. Answers what is staged for it.
    fn staged(&self, call: &Call<'_>) -> Option<Act> {
        let now = self.clock.elapsed();
        let mut agents = self.lock();
        let seen = agents.entry(call.agent.clone()).or_insert_with(|| Seen { since: now, calls: HashMap::new(), own: None });
        let number = seen.calls.entry(call.kind).or_default();
        *number += 1;
        self.scenario.staged(call.role, call.kind, *number, now.saturating_sub(seen.since)).cloned()
    }

    /// Does what is staged before an answer; what is staged about the answer itself is left.
    async fn before(&self, call: &Call<'_>) -> Result<Option<Act>> {
        let act = self.staged(call);
        match &act {
            Some(Act::Silence) => {
                tokio::time::sleep(call.deadline).await;
                let silent = format!("the model did not answer within {:.1} s", call.deadline.as_secs_f64());
                Err(Error::new(ErrorKind::Deadline, "call_timed_out", silent))
            }
            Some(Act::Error(failure)) => Err(failed(*failure)),
            Some(Act::Slow(late)) => {
                tokio::time::sleep(late.0).await;
                Ok(None)
            }
            // Ends the agent's task, or its process, as a defect would: nothing of it is cleaned up or told.
            Some(Act::Crash) => std::panic::resume_unwind(Box::new("crashed, as its scenario says")),
            Some(Act::Conflict { .. } | Act::Answer(_) | Act::Deadlock) => Ok(act),
            None => Ok(None),
        }
    }

    /// An answer as it is, or what is staged in its place, read as a model's own would be.
    fn instead<T: Serialize + DeserializeOwned>(act: Option<&Act>, schema: &Schema, said: Said<T>) -> Result<Said<T>> {
        let Some(Act::Answer(unusable)) = act else { return Ok(said) };
        let right = serde_json::to_string(&said.answer).map_err(|e| Error::internal("an answer is not JSON").because(e))?;
        let text = match unusable {
            Unusable::Nonsense => "The moon is a fine place for it.",
            Unusable::HalfJson => right.get(..right.len() / 2).unwrap_or("{"),
            Unusable::Empty => "",
            Unusable::WrongShape => r#"{"answer": 42}"#,
            Unusable::TooLarge => return Err(too_large()),
        };
        Ok(Said { answer: read(schema, text)?, charge: said.charge })
    }
}

fn failed(failure: Failure) -> Error {
    match failure {
        Failure::Unavailable => Error::unavailable("model_failed", "the model's server failed, as the scenario says"),
        Failure::RateLimited => {
            let limited = Error::new(ErrorKind::Exhausted, "rate_limited", "the model's server asks for fewer calls, as the scenario says");
            limited.with(RETRY_AFTER, WAIT_MS)
        }
        Failure::Refused => {
            Error::new(ErrorKind::Denied, "key_refused", "the model's server does not accept the key, as the scenario says")
        }
    }
}

/// Solutions that stand against one: the same steps in another order, and other claims.
fn rivals(idea: &Idea, count: u32) -> impl Iterator<Item = Idea> {
    (1..=count).map(|number| {
        let mut rival = idea.clone();
        let turn = number as usize % rival.steps.len().max(1);
        rival.steps.rotate_left(turn);
        rival.title = format!("Rival {number} of {}", idea.title);
        rival.summary = format!("Against it: {}", idea.summary);
        std::mem::swap(&mut rival.traits.simplicity, &mut rival.traits.correctness);
        rival
    })
}

#[async_trait]
impl Model for ScriptedModel {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn prompt(&self, kind: CallKind) -> Option<&'static str> {
        self.model.prompt(kind)
    }

    async fn analyse(&self, call: &Call<'_>, objective: &str) -> Result<Said<Analysis>> {
        let act = self.before(call).await?;
        Self::instead(act.as_ref(), &ANALYSIS, self.model.analyse(call, objective).await?)
    }

    async fn propose(&self, call: &Call<'_>, objective: &str, others: &[Idea]) -> Result<Said<Vec<Idea>>> {
        let act = self.before(call).await?;
        let said = self.model.propose(call, objective, others).await?;
        let (charge, mut ideas) = (said.charge, said.answer);
        if let Some(first) = ideas.first_mut() {
            *first = Self::instead(act.as_ref(), &SOLUTION, Said::free(first.clone()))?.answer;
            if let Some(seen) = self.lock().get_mut(call.agent) {
                seen.own = Some(first.title.clone());
            }
        }
        if let (Some(Act::Conflict { rivals: count }), Some(first)) = (act, ideas.first().cloned()) {
            ideas.extend(rivals(&first, count));
        }
        Ok(Said { answer: ideas, charge })
    }

    async fn evaluate(&self, call: &Call<'_>, objective: &str, idea: &Idea) -> Result<Said<Evaluation>> {
        let act = self.before(call).await?;
        let said = self.model.evaluate(call, objective, idea).await?;
        if matches!(act, Some(Act::Deadlock)) {
            let own = self.lock().get(call.agent).is_some_and(|seen| seen.own.as_ref() == Some(&idea.title));
            let score = if own { 1_000 } else { 0 };
            return Ok(said.map(|evaluation| Evaluation { score, ..evaluation }));
        }
        Self::instead(act.as_ref(), &EVALUATION, said)
    }

    async fn combine(&self, call: &Call<'_>, objective: &str, ideas: &[Idea]) -> Result<Said<Idea>> {
        let act = self.before(call).await?;
        Self::instead(act.as_ref(), &SOLUTION, self.model.combine(call, objective, ideas).await?)
    }

    async fn mediate(&self, call: &Call<'_>, objective: &str, proposals: &[Scored], reason: GammaReason) -> Result<Said<Idea>> {
        let act = self.before(call).await?;
        Self::instead(act.as_ref(), &SOLUTION, self.model.mediate(call, objective, proposals, reason).await?)
    }

    async fn chat(&self, call: &Call<'_>, messages: &[ChatMessage]) -> Result<Said<String>> {
        match self.before(call).await? {
            Some(Act::Answer(Unusable::TooLarge)) => Err(too_large()),
            Some(Act::Answer(_)) => Ok(Said::free("The moon is a fine place for it.".to_owned())),
            _ => self.model.chat(call, messages).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::LocalModel;
    use crate::vocabulary::{AgentRole, System};

    const OBJECTIVE: &str = "Design a caching strategy";

    fn scripted(steps: &str) -> ScriptedModel {
        let scenario = Scenario::parse("s.yaml", &format!("version: 1\nsteps: [{steps}]")).unwrap();
        ScriptedModel::new(scenario, Arc::new(LocalModel), Arc::new(System))
    }

    async fn propose(model: &ScriptedModel, agent: &str, role: AgentRole) -> Result<Vec<Idea>> {
        let agent = AgentId::new(agent).unwrap();
        let call = Call { deadline: Duration::from_millis(20), ..Call::new(CallKind::Propose, &agent, role) };
        model.propose(&call, OBJECTIVE, &[]).await.map(|said| said.answer)
    }

    async fn vote(model: &ScriptedModel, agent: &str, role: AgentRole, idea: &Idea) -> u32 {
        let agent = AgentId::new(agent).unwrap();
        model.evaluate(&Call::new(CallKind::Vote, &agent, role), OBJECTIVE, idea).await.unwrap().answer.score
    }

    #[tokio::test]
    async fn what_is_not_staged_is_answered_by_the_model_behind() {
        let model = scripted("{agent: alpha, on: vote, do: crash}");
        let agent = AgentId::new("alpha").unwrap();
        let call = Call::new(CallKind::Propose, &agent, AgentRole::Alpha);
        let expected = LocalModel.propose(&call, OBJECTIVE, &[]).await.unwrap().answer;
        assert_eq!(propose(&model, "alpha", AgentRole::Alpha).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn bad_answers_and_errors_are_those_of_a_real_model() {
        for (act, code) in [
            ("{answer: nonsense}", "answer_not_json"),
            ("{answer: half_json}", "answer_not_json"),
            ("{answer: empty}", "answer_empty"),
            ("{answer: wrong_shape}", "answer_wrong"),
            ("{answer: too_large}", "answer_too_large"),
            ("{error: unavailable}", "model_failed"),
            ("{error: rate_limited}", "rate_limited"),
            ("{error: refused}", "key_refused"),
            ("silence", "call_timed_out"),
        ] {
            let model = scripted(&format!("{{agent: alpha, on: propose, call: 1, do: {act}}}"));
            assert_eq!(propose(&model, "alpha", AgentRole::Alpha).await.unwrap_err().code(), code, "{act}");
            assert!(propose(&model, "alpha", AgentRole::Alpha).await.is_ok(), "only the first call");
            assert!(propose(&model, "beta", AgentRole::Beta).await.is_ok(), "only alpha");
        }
    }

    #[tokio::test]
    async fn a_conflict_brings_rivals_that_differ() {
        let ideas = propose(&scripted("{agent: beta, on: propose, do: {conflict: {rivals: 3}}}"), "beta", AgentRole::Beta).await.unwrap();
        let titles: std::collections::HashSet<_> = ideas.iter().map(|idea| &idea.title).collect();
        assert_eq!(titles.len(), 4);
    }

    #[tokio::test]
    async fn in_a_deadlock_everybody_is_for_himself() {
        let model = scripted("{agent: alpha, on: vote, do: deadlock}, {agent: beta, on: vote, do: deadlock}");
        let alphas = propose(&model, "alpha", AgentRole::Alpha).await.unwrap().remove(0);
        let betas = propose(&model, "beta", AgentRole::Beta).await.unwrap().remove(0);
        assert_eq!(vote(&model, "alpha", AgentRole::Alpha, &alphas).await, 1_000);
        assert_eq!(vote(&model, "alpha", AgentRole::Alpha, &betas).await, 0);
        assert_eq!(vote(&model, "beta", AgentRole::Beta, &betas).await, 1_000);
    }

    #[tokio::test]
    async fn a_crash_ends_the_task() {
        let model = Arc::new(scripted("{agent: alpha, do: crash}"));
        let crashed = tokio::spawn(async move { propose(&model, "alpha", AgentRole::Alpha).await });
        assert!(crashed.await.unwrap_err().is_panic());
    }
}
