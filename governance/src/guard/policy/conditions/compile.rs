//! A text of conditions, checked and ready to be asked.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::sync::Arc;

use cedar_policy::{Authorizer, Decision, Effect, Policy, PolicyId, PolicySet, Response, Schema, ValidationMode, Validator};

use super::bounds::bounded;
use super::cache::Cache;
use super::given::{Given, Names};
use super::reads::Reads;
use super::{Judgement, MAX_CONDITIONS, SCHEMA, Say};
use crate::error::{Error, Result};
use crate::guard::policy::pattern::{Grammar, Pattern};
use crate::guard::policy::{Facts, Request, visible};
use crate::vocabulary::{AgentProfile, ViolationType};

/// The stack that a text is compiled on, in bytes: enough for whatever the bounds leave.
const STACK: usize = 64 << 20;
/// The annotations that mean something. Others are refused: a misspelt one would mean nothing.
const ANNOTATIONS: [&str; 4] = ["id", "decision", "reason", "violation"];

/// Conditions, ready to be asked.
#[derive(Debug)]
pub(in crate::guard::policy) struct Conditions {
    profile: String,
    authorizer: Authorizer,
    names: Names,
    /// Permits, and what forbids.
    hard: PolicySet,
    /// Forbids that ask for an approval instead.
    soft: PolicySet,
    said: HashMap<PolicyId, Said>,
    reads: Reads,
    known: Cache,
}

/// What stands beside a policy.
#[derive(Debug)]
struct Said {
    /// Its `@id`, or its place.
    name: Box<str>,
    reason: Option<Box<str>>,
    violation: Option<ViolationType>,
}

impl Conditions {
    /// Reads, checks and compiles. Refuses what could mean something else than it seems to.
    pub fn compile(profile: &AgentProfile, text: &str) -> Result<Self> {
        // On a stack of its own: how much of one is left here nobody knows.
        let work = std::thread::Builder::new().name("governance-conditions".into()).stack_size(STACK);
        let failed = |_| Error::internal("the conditions could not be compiled");
        std::thread::scope(|scope| {
            let work = work.spawn_scoped(scope, || Self::compiled(profile, text));
            let work = work.map_err(|error| Error::unavailable("no_thread", "no thread can be started").because(error))?;
            work.join().map_err(failed)?
        })
    }

    fn compiled(profile: &AgentProfile, text: &str) -> Result<Self> {
        let bad = |why: &str| {
            let why: String = why.chars().take(300).collect();
            Error::invalid("bad_conditions", format!("the conditions of the profile `{}`: {}", profile.agent_id, visible(&why)))
        };
        if text.len() > MAX_CONDITIONS {
            return Err(bad(&format!("they have {} bytes, at most {MAX_CONDITIONS} are read", text.len())));
        }
        bounded(text).map_err(|why| bad(&why))?;
        let policies: PolicySet = text.parse().map_err(|error: cedar_policy::ParseErrors| bad(&located(text, &error)))?;
        if policies.num_of_templates() > 0 {
            return Err(bad("templates, with `?principal` or `?resource`, are not filled in by anybody"));
        }
        check(profile, &policies).map_err(|why| bad(&why))?;
        let mut conditions = Self {
            profile: profile.agent_id.to_string(),
            authorizer: Authorizer::new(),
            names: Names::new().map_err(|why| bad(&why))?,
            hard: PolicySet::new(),
            soft: PolicySet::new(),
            said: HashMap::new(),
            reads: Reads::default(),
            known: Cache::default(),
        };
        let mut names = BTreeSet::new();
        for policy in policies.policies() {
            let said = said(policy).map_err(|why| bad(&why))?;
            if !names.insert(said.name.clone()) {
                return Err(bad(&format!("`{}` names two of them", said.name)));
            }
            let json = policy.to_json().map_err(|error| bad(&error.to_string()))?;
            conditions.reads.add(&json).map_err(|why| bad(&format!("`{}`: {why}", said.name)))?;
            let set = if policy.annotation("decision").is_some() { &mut conditions.soft } else { &mut conditions.hard };
            set.add(policy.clone()).map_err(|error| bad(&error.to_string()))?;
            conditions.said.insert(policy.id().clone(), said);
        }
        if !policies.policies().any(|policy| policy.effect() == Effect::Permit) {
            return Err(bad("nothing is permitted: add `permit (principal, action, resource);` where only what is forbidden is meant"));
        }
        Ok(conditions)
    }

    /// What they say of a request that the patterns allow.
    pub fn judge(&self, request: &Request<'_>, facts: &Facts<'_>) -> Arc<Judgement> {
        let given = match Given::new(request, facts, &self.reads) {
            Ok(given) => given,
            Err(why) => return Arc::new(unclear(&why)),
        };
        if self.reads.the_moment() {
            return Arc::new(self.ask(&given));
        }
        let mut key = Vec::with_capacity(256);
        given.key(&mut key);
        self.known.get(&key).unwrap_or_else(|| {
            let judgement = Arc::new(self.ask(&given));
            self.known.put(&key, &judgement);
            judgement
        })
    }

    /// Whether they ask for the time.
    pub fn reads_time(&self) -> bool {
        self.reads.time()
    }

    fn ask(&self, given: &Given<'_>) -> Judgement {
        let (asked, entities) = match given.asked(&self.names, &self.profile) {
            Ok(asked) => asked,
            Err(why) => return unclear(&why),
        };
        let hard = self.authorizer.is_authorized(&asked, &self.hard, &entities);
        // Cedar passes over a policy that fails. Here a condition that fails denies.
        if let Some(error) = hard.diagnostics().errors().next() {
            return unclear(&error.to_string());
        }
        let by = self.named(&hard);
        if hard.decision() == Decision::Deny {
            if by.is_empty() {
                let why = Some("none of them permits it".to_owned());
                return Judgement { says: Say::Forbid, by: Vec::new(), why, violation: Some(ViolationType::ProcedureViolation) };
            }
            // Whatever one of them counts as a violation is one, and the gravest counts.
            let violation = by.iter().filter_map(|said| said.violation).max_by_key(|violation| violation.severity());
            return Judgement { violation, ..judgement(Say::Forbid, &by) };
        }
        if self.soft.policies().next().is_some() {
            let soft = self.authorizer.is_authorized(&asked, &self.soft, &entities);
            if let Some(error) = soft.diagnostics().errors().next() {
                return unclear(&error.to_string());
            }
            let asking = self.named(&soft);
            if !asking.is_empty() {
                return judgement(Say::StepUp, &asking);
            }
        }
        judgement(Say::Permit, &by)
    }

    /// What determined an answer, by name.
    fn named(&self, response: &Response) -> Vec<&Said> {
        let mut by: Vec<_> = response.diagnostics().reason().filter_map(|id| self.said.get(id)).collect();
        by.sort_by(|one, other| one.name.cmp(&other.name));
        by
    }
}

fn judgement(says: Say, by: &[&Said]) -> Judgement {
    let why = by.iter().find_map(|said| said.reason.as_deref().map(str::to_owned));
    Judgement { says, by: by.iter().map(|said| said.name.to_string()).collect(), why, violation: None }
}

/// What cannot be judged is denied, and held against nobody.
fn unclear(why: &str) -> Judgement {
    Judgement { says: Say::Forbid, by: Vec::new(), why: Some(why.chars().take(300).collect()), violation: None }
}

/// The annotations of a policy.
fn said(policy: &Policy) -> std::result::Result<Said, String> {
    let place = policy.id().to_string();
    let place =
        place.strip_prefix("policy").and_then(|number| number.parse::<usize>().ok()).map_or(place, |number| format!("#{}", number + 1));
    let name: Box<str> = policy.annotation("id").unwrap_or(&place).into();
    if let Some((unknown, _)) = policy.annotations().find(|(name, _)| !ANNOTATIONS.contains(name)) {
        return Err(format!("`{name}`: `@{unknown}` means nothing: there are @id, @decision, @reason, @violation"));
    }
    let forbids = policy.effect() == Effect::Forbid;
    match policy.annotation("decision") {
        None => {}
        Some("step_up") if forbids => {}
        Some("step_up") => {
            return Err(format!("`{name}`: @decision(\"step_up\") stands on what is forbidden: it then needs an approval instead"));
        }
        Some(other) => return Err(format!("`{name}`: @decision is \"step_up\", not `{other}`")),
    }
    let violation = match policy.annotation("violation") {
        Some(_) if !forbids => return Err(format!("`{name}`: @violation stands on what is forbidden")),
        Some("none") => None,
        Some(named) => Some(named.parse().map_err(|error: Error| format!("`{name}`: {error}"))?),
        None => Some(ViolationType::ProcedureViolation),
    };
    Ok(Said { name, reason: policy.annotation("reason").map(Into::into), violation })
}

/// Checks against the schema: with the actions that the text names, each of which the profile must allow.
fn check(profile: &AgentProfile, policies: &PolicySet) -> std::result::Result<(), String> {
    let allowed: Vec<_> = profile.constraints.allowed_actions.iter().filter_map(|text| Pattern::parse(text, Grammar::Name).ok()).collect();
    let mut schema = SCHEMA.to_owned();
    let mut actions = BTreeSet::from(["any other".to_owned()]);
    for policy in policies.policies() {
        for literal in policy.entity_literals().iter().filter(|literal| literal.type_name().basename() == "Action") {
            let name: &str = literal.id().unescaped();
            if !allowed.iter().any(|pattern| pattern.matches(name)) {
                return Err(format!("`Action::\"{name}\"` is in none of the profile's `allowed_actions`"));
            }
            actions.insert(name.to_owned());
        }
    }
    for action in actions {
        let _ = writeln!(
            schema,
            "action {} appliesTo {{ principal: Agent, resource: Resource, context: Call }};",
            serde_json::Value::from(action)
        );
    }
    let (schema, _) = Schema::from_cedarschema_str(&schema).map_err(|error| error.to_string())?;
    let result = Validator::new(schema).validate(policies, ValidationMode::Strict);
    let first = result.validation_errors().next().map(ToString::to_string);
    first.map_or(Ok(()), Err)
}

/// An error of the parser, with its line.
fn located(text: &str, error: &cedar_policy::ParseErrors) -> String {
    use miette::Diagnostic;
    let first = error.iter().next();
    let at = first.and_then(|error| error.labels()?.next()).map(|label| label.offset());
    let line = at.map_or(1, |at| 1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count());
    format!("line {line}: {}", first.map_or_else(|| error.to_string(), ToString::to_string))
}
