//! A model without a network: deterministic, honest about being small. It knows a few fields of engineering and a few approaches in each, and
//! chooses among them by the objective's own words and by what is on the blackboard. It is for trying things out and for tests.

use std::sync::LazyLock;

use async_trait::async_trait;
use serde::Deserialize;

use super::mediation::reconcile;
use super::words::{significant, stem};
use super::{Analysis, Call, ChatMessage, ChatRole, Evaluation, Idea, Model, Said, Scored, Traits};
use crate::error::{Error, Result};
use crate::vocabulary::{AgentRole, GammaReason};

#[derive(Deserialize)]
struct Field {
    field: String,
    words: Vec<String>,
    approaches: Vec<Idea>,
}

#[expect(clippy::expect_used, reason = "the data is part of the program and read by a test")]
static FIELDS: LazyLock<Vec<Field>> =
    LazyLock::new(|| serde_json::from_str(include_str!("fields.json")).expect("the fields are well-formed"));

/// Words that say what matters, by trait.
const PRIORITIES: [(&str, &[&str]); 5] = [
    ("simplicity", &["simple", "small", "easy", "minimal", "quick", "maintainable", "lightweight", "prototype"]),
    ("speed", &["fast", "latency", "performance", "throughput", "realtime", "speed", "scale", "high", "cache", "cach"]),
    ("correctness", &["correct", "consistent", "consistency", "exact", "reliable", "transaction", "integrity", "accurate"]),
    (
        "safety",
        &["safe", "secure", "security", "audit", "compliance", "privacy", "protect", "production", "critical", "patient", "payment"],
    ),
    ("economy", &["cheap", "cost", "budget", "frugal", "economical", "energy", "limited"]),
];

/// The local model.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalModel;

/// The field that most of the words belong to; the last one, which is general, if none does. Of equals the first listed.
fn field_of(terms: &[String]) -> &'static Field {
    let belongs = |field: &Field, term: &String| field.words.iter().any(|word| word == term || stem(word) == *term);
    let fits = |field: &Field| terms.iter().filter(|term| belongs(field, term)).count();
    let general = &FIELDS[FIELDS.len() - 1];
    FIELDS.iter().rev().max_by_key(|field| fits(field)).filter(|field| fits(field) > 0).unwrap_or(general)
}

/// What each trait counts, out of the objective's words and the role's view.
fn weights(role: AgentRole, terms: &[String]) -> [(&'static str, u32); 5] {
    let base = |name: &str| match (role, name) {
        // Research asks whether it is right, synthesis whether it can be built.
        (AgentRole::Alpha, "correctness" | "speed") | (AgentRole::Beta, "simplicity" | "economy") => 3,
        _ => 2,
    };
    PRIORITIES.map(|(name, words)| {
        let asked = terms.iter().filter(|term| words.iter().any(|word| stem(word) == **term)).count();
        (name, base(name) + 3 * u32::try_from(asked.min(3)).unwrap_or(0))
    })
}

/// How many of the objective's words a text takes up.
fn covered<'a>(terms: &'a [String], idea: &Idea) -> Vec<&'a String> {
    let text = format!("{} {} {}", idea.title, idea.summary, idea.steps.join(" "));
    let words = significant(&text);
    terms.iter().filter(|term| words.contains(term)).collect()
}

fn score(role: AgentRole, terms: &[String], idea: &Idea) -> u32 {
    let weights = weights(role, terms);
    let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
    let got: u32 = weights.iter().zip(idea.traits.named()).map(|((_, weight), (_, value))| weight * u32::from(value.min(10))).sum();
    let coverage = u32::try_from(covered(terms, idea).len() * 10 / terms.len().max(1)).unwrap_or(0);
    // Steps beyond a handful cost attention; none at all is no plan.
    let length = match idea.steps.len() {
        0 => 0,
        few @ 1..=7 => 3 + u32::try_from(few).unwrap_or(0),
        more => 10_u32.saturating_sub(u32::try_from(more - 7).unwrap_or(10)),
    };
    (got * 80 / total.max(1) + coverage * 12 + length * 8).min(1_000)
}

/// The approach that suits best, of those that the field knows.
pub(super) fn approach(role: AgentRole, terms: &[String]) -> Result<Idea> {
    best_of(role, terms, field_of(terms).approaches.iter()).cloned().ok_or_else(|| Error::internal("a field without approaches"))
}

pub(super) fn best_of<'a>(role: AgentRole, terms: &[String], ideas: impl Iterator<Item = &'a Idea>) -> Option<&'a Idea> {
    // Of equals the first by title, so that the order in which they came does not decide.
    ideas.max_by_key(|idea| (score(role, terms, idea), std::cmp::Reverse(idea.title.clone())))
}

/// The approach, said with the objective's own words.
fn about(mut idea: Idea, terms: &[String], objective: &str) -> Idea {
    let subject: String = objective.split_whitespace().take(24).collect::<Vec<_>>().join(" ");
    let subject: String = subject.chars().take(160).collect();
    idea.summary = format!("{} For: {subject}.", idea.summary);
    if let Some(first) = idea.steps.first_mut().filter(|_| !terms.is_empty()) {
        let named = terms.iter().take(4).map(String::as_str).collect::<Vec<_>>().join(", ");
        *first = format!("{first} (here: {named})");
    }
    idea
}

/// One solution out of a base and others: the step of each that says most that is not said yet.
pub(super) fn join<'a>(base: &Idea, others: impl Iterator<Item = &'a Idea>) -> Idea {
    let mut combined = base.clone();
    for other in others {
        combined.title = format!("{} + {}", combined.title, other.title);
        combined.summary = format!("{} Joined with: {}", base.summary, other.summary);
        let own = significant(&combined.steps.join(" "));
        let adds = |step: &&String| significant(step).iter().filter(|word| !own.contains(word)).count();
        if let Some(step) = other.steps.iter().max_by_key(adds) {
            combined.steps.push(step.clone());
        }
        combined.traits = joined(combined.traits, other.traits);
    }
    combined
}

#[async_trait]
impl Model for LocalModel {
    fn name(&self) -> &str {
        "local"
    }

    async fn analyse(&self, _call: &Call<'_>, objective: &str) -> Result<Said<Analysis>> {
        let terms = significant(objective);
        let mut weighed: Vec<_> = weights(AgentRole::Gamma, &terms).to_vec();
        weighed.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        let asked = |name: &str| weighed.iter().any(|(trait_name, weight)| *trait_name == name && *weight > 2);
        let questions =
            PRIORITIES.iter().filter(|(name, _)| !asked(name)).take(2).map(|(name, _)| format!("how much does {name} matter here?"));
        Ok(Said::free(Analysis {
            field: field_of(&terms).field.clone(),
            priorities: weighed.iter().take(3).map(|(name, _)| (*name).to_owned()).collect(),
            questions: questions.collect(),
            terms,
        }))
    }

    async fn propose(&self, call: &Call<'_>, objective: &str, others: &[Idea]) -> Result<Said<Vec<Idea>>> {
        let terms = significant(objective);
        let taken = |idea: &Idea| others.iter().any(|other| other.title == idea.title);
        let field = field_of(&terms);
        // Synthesis looks for an alternative to what research would propose, also while both work at the same time.
        let research = best_of(AgentRole::Alpha, &terms, field.approaches.iter()).filter(|_| call.role != AgentRole::Alpha);
        let apart = |idea: &&Idea| !taken(idea) && research.is_none_or(|other| other.title != idea.title);
        let fresh = best_of(call.role, &terms, field.approaches.iter().filter(apart)).cloned();
        let chosen = fresh.map_or_else(|| approach(call.role, &terms), Ok)?;
        Ok(Said::free(vec![about(chosen, &terms, objective)]))
    }

    async fn evaluate(&self, call: &Call<'_>, objective: &str, idea: &Idea) -> Result<Said<Evaluation>> {
        let terms = significant(objective);
        let mut strengths: Vec<String> =
            idea.traits.named().iter().filter(|(_, v)| *v >= 8).map(|(name, _)| format!("strong on {name}")).collect();
        let taken_up = covered(&terms, idea);
        if !taken_up.is_empty() {
            let words = taken_up.iter().map(|term| term.as_str()).collect::<Vec<_>>().join(", ");
            strengths.push(format!("takes up: {words}"));
        }
        let mut concerns: Vec<String> =
            idea.traits.named().iter().filter(|(_, v)| *v <= 5).map(|(name, _)| format!("weak on {name}")).collect();
        if idea.steps.is_empty() {
            concerns.push("names no steps".to_owned());
        }
        Ok(Said::free(Evaluation { score: score(call.role, &terms, idea), strengths, concerns }))
    }

    async fn combine(&self, _call: &Call<'_>, objective: &str, ideas: &[Idea]) -> Result<Said<Idea>> {
        let terms = significant(objective);
        let nothing = || Error::invalid("nothing_to_combine", "there is no proposal to combine");
        let base = best_of(AgentRole::Gamma, &terms, ideas.iter()).ok_or_else(nothing)?;
        Ok(Said::free(join(base, ideas.iter().filter(|idea| idea.title != base.title))))
    }

    async fn mediate(&self, _call: &Call<'_>, objective: &str, proposals: &[Scored], reason: GammaReason) -> Result<Said<Idea>> {
        reconcile(objective, proposals, reason).map(Said::free)
    }

    /// Says what it would do about the last question, in its own few words.
    async fn chat(&self, call: &Call<'_>, messages: &[ChatMessage]) -> Result<Said<String>> {
        let asked = messages.iter().rev().find(|message| message.role == ChatRole::User).map_or("", |message| &message.content);
        let terms = significant(asked);
        let idea = about(approach(call.role, &terms)?, &terms, asked);
        Ok(Said::free(format!("{}: {} Steps: {}.", idea.title, idea.summary, idea.steps.join("; "))))
    }
}

/// Joining two approaches brings each halfway to the better of both, and costs simplicity.
fn joined(one: Traits, other: Traits) -> Traits {
    let half = |a: u8, b: u8| a.max(b).saturating_sub(a.abs_diff(b) / 3);
    Traits {
        simplicity: one.simplicity.min(other.simplicity),
        speed: half(one.speed, other.speed),
        correctness: half(one.correctness, other.correctness),
        safety: half(one.safety, other.safety),
        economy: half(one.economy, other.economy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::CallKind;
    use crate::vocabulary::AgentId;

    async fn propose(role: AgentRole, objective: &str, others: &[Idea]) -> Idea {
        let agent = AgentId::new(role.as_str()).unwrap();
        LocalModel.propose(&Call::new(CallKind::Propose, &agent, role), objective, others).await.unwrap().answer.remove(0)
    }

    async fn proposals(objective: &str) -> (Idea, Idea) {
        let alpha = propose(AgentRole::Alpha, objective, &[]).await;
        let beta = propose(AgentRole::Beta, objective, std::slice::from_ref(&alpha)).await;
        (alpha, beta)
    }

    #[tokio::test]
    async fn the_field_follows_the_objective_and_the_general_one_takes_the_rest() {
        for (objective, field) in [
            ("Design a caching strategy", "caching"),
            ("secure login with short-lived tokens", "security"),
            ("zero-downtime deployment to the cluster", "delivery"),
            ("organise a picnic", "work in general"),
        ] {
            let agent = AgentId::new("alpha").unwrap();
            let call = Call::new(CallKind::Analyse, &agent, AgentRole::Alpha);
            assert_eq!(LocalModel.analyse(&call, objective).await.unwrap().answer.field, field, "{objective}");
        }
    }

    #[tokio::test]
    async fn the_same_objective_gives_the_same_and_another_one_another() {
        assert_eq!(proposals("Design a caching strategy").await, proposals("Design a caching strategy").await);
        assert_ne!(proposals("Design a caching strategy").await, proposals("Design a simple, cheap caching strategy for payments").await);
    }

    #[tokio::test]
    async fn a_worse_proposal_is_judged_worse() {
        let (idea, _) = proposals("Design a caching strategy").await;
        let worse = Idea { traits: Traits::default(), steps: Vec::new(), ..idea.clone() };
        for role in AgentRole::ALL {
            let agent = AgentId::new(role.as_str()).unwrap();
            let call = Call::new(CallKind::Evaluate, &agent, *role);
            let score = async |idea: &Idea| LocalModel.evaluate(&call, "Design a caching strategy", idea).await.unwrap().answer.score;
            assert!(score(&idea).await > score(&worse).await);
        }
    }
}
