//! The facts of one request as conditions are given them: those that their text reads, and no other.

use std::collections::HashSet;

use cedar_policy::{Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request as Asked, RestrictedExpression};
use serde_json::Value;

use super::reads::{KINDS, Reads};
use super::today::Today;
use crate::guard::policy::{Facts, Request};

/// An argument as Cedar knows it.
#[derive(Debug, Clone, PartialEq)]
enum Scalar {
    Text(String),
    Whole(i64),
    /// With at most four places.
    Decimal(String),
    Flag(bool),
}

/// What one request gives. INVARIANT: its key holds everything that Cedar is given.
#[derive(Debug)]
pub(super) struct Given<'a> {
    request: Request<'a>,
    facts: Facts<'a>,
    today: Option<Today>,
    arguments: Vec<(&'a str, &'static str, Scalar)>,
    reads: &'a Reads,
}

/// The names of entity types, read once.
#[derive(Debug)]
pub(super) struct Names {
    agent: EntityTypeName,
    resource: EntityTypeName,
    action: EntityTypeName,
    kinds: Vec<(&'static str, EntityUid)>,
}

impl Names {
    pub fn new() -> Result<Self, String> {
        let name = |text: &str| text.parse::<EntityTypeName>().map_err(|e| e.to_string());
        let types = ["Strings", "Numbers", "Decimals", "Booleans"];
        let uid = |(kind, text): (&'static str, &str)| Ok((kind, EntityUid::from_type_name_and_id(name(text)?, EntityId::new("call"))));
        let kinds = KINDS.into_iter().zip(types).map(uid).collect::<Result<_, String>>()?;
        Ok(Self { agent: name("Agent")?, resource: name("Resource")?, action: name("Action")?, kinds })
    }
}

impl<'a> Given<'a> {
    /// Refuses what cannot be given as it is read, so that nobody slips past a condition by a number that is none.
    pub fn new(request: &Request<'a>, facts: &Facts<'a>, reads: &'a Reads) -> Result<Self, String> {
        let today = facts.now.filter(|_| reads.time()).map(Today::at);
        if reads.time() && today.is_none() {
            return Err("the conditions ask for the time, which is not known".to_owned());
        }
        let mut arguments = Vec::new();
        for (name, kinds) in &reads.arguments {
            let Some(value) = argument(facts.arguments, name) else { continue };
            let read = kinds.iter().filter_map(|kind| Some((name.as_str(), *kind, scalar(value, kind)?)));
            let before = arguments.len();
            arguments.extend(read);
            if arguments.len() == before {
                let kinds = kinds.iter().copied().collect::<Vec<_>>().join(", ");
                return Err(format!("the argument `{}` cannot be read as the conditions read it, among {kinds}", name.escape_debug()));
            }
        }
        Ok(Self { request: *request, facts: *facts, today, arguments, reads })
    }

    /// Everything that is given, told apart: what has the same key is the same.
    pub fn key(&self, key: &mut Vec<u8>) {
        let mut text = |text: Option<&str>| {
            let text = text.map(str::as_bytes);
            key.extend(text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
            key.extend(text.unwrap_or_default());
        };
        let (request, facts) = (&self.request, &self.facts);
        text(Some(request.action));
        text(request.target);
        text(request.path);
        text(Some(facts.agent.as_str()));
        text(Some(facts.tier.as_str()));
        text(facts.role.map(|role| role.as_str()));
        text(facts.phase.map(|phase| phase.as_str()));
        text(facts.pipeline.map(|pipeline| pipeline.as_str()));
        for (name, kind, value) in &self.arguments {
            text(Some(name));
            text(Some(kind));
            match value {
                Scalar::Text(value) | Scalar::Decimal(value) => text(Some(value)),
                Scalar::Whole(value) => text(Some(&value.to_string())),
                Scalar::Flag(value) => text(Some(if *value { "true" } else { "false" })),
            }
        }
        // Behind the arguments nothing else begins with a name that is not there.
        text(None);
        if self.is_read("risks") {
            request.risks.iter().for_each(|risk| text(Some(risk)));
            text(None);
        }
        if let Some(today) = &self.today {
            for (name, value) in [("hour", today.hour), ("minute", today.minute), ("weekday", today.weekday)] {
                if self.is_read(name) {
                    key.extend(value.to_le_bytes());
                }
            }
        }
    }

    /// As Cedar is asked.
    pub fn asked(&self, names: &Names, profile: &str) -> Result<(Asked, Entities), String> {
        let (request, facts) = (&self.request, &self.facts);
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let uid = |name: &EntityTypeName, id: &str| EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id));
        let principal = uid(&names.agent, facts.agent.as_str());
        let resource = uid(&names.resource, "asked");
        let agent = [
            ("profile".to_owned(), text(profile)),
            ("tier".to_owned(), RestrictedExpression::new_long(facts.tier as i64)),
            ("role".to_owned(), text(facts.role.map_or("", |role| role.as_str()))),
            ("phase".to_owned(), text(facts.phase.map_or("", |phase| phase.as_str()))),
            ("pipeline".to_owned(), text(facts.pipeline.map_or("", |pipeline| pipeline.as_str()))),
        ];
        let touched = [("target", request.target), ("path", request.path)];
        let touched = touched.into_iter().filter_map(|(name, value)| Some((name.to_owned(), text(value?))));
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        let mut entities = vec![
            Entity::new(principal.clone(), agent.into(), HashSet::new()).map_err(|e| failed(&e))?,
            Entity::new(resource.clone(), touched.collect(), HashSet::new()).map_err(|e| failed(&e))?,
        ];
        let mut context = Vec::new();
        let mut give = |name: &str, value: RestrictedExpression| {
            if self.is_read(name) {
                context.push((name.to_owned(), value));
            }
        };
        give("action", text(request.action));
        give("risks", RestrictedExpression::new_set(request.risks.iter().map(|risk| text(risk))));
        if let Some(today) = &self.today {
            give("now", RestrictedExpression::new_datetime(today.text()));
            give("hour", RestrictedExpression::new_long(today.hour));
            give("minute", RestrictedExpression::new_long(today.minute));
            give("weekday", RestrictedExpression::new_long(today.weekday));
        }
        for (kind, uid) in &names.kinds {
            if !self.is_read(kind) {
                continue;
            }
            give(kind, RestrictedExpression::new_entity_uid(uid.clone()));
            let of_kind = self.arguments.iter().filter(|(_, of, _)| of == kind);
            let tags = of_kind.map(|(name, _, value)| ((*name).to_owned(), value.expression()));
            entities.push(Entity::new_with_tags(uid.clone(), [], [], tags).map_err(|e| failed(&e))?);
        }
        let context = Context::from_pairs(context).map_err(|e| failed(&e))?;
        let asked = Asked::new(principal, uid(&names.action, request.action), resource, context, None).map_err(|e| failed(&e))?;
        Ok((asked, Entities::from_entities(entities, None).map_err(|e| failed(&e))?))
    }

    fn is_read(&self, name: &str) -> bool {
        self.reads.context.contains(name)
    }
}

impl Scalar {
    fn expression(&self) -> RestrictedExpression {
        match self {
            Self::Text(text) => RestrictedExpression::new_string(text.clone()),
            Self::Whole(number) => RestrictedExpression::new_long(*number),
            Self::Decimal(text) => RestrictedExpression::new_decimal(text),
            Self::Flag(flag) => RestrictedExpression::new_bool(*flag),
        }
    }
}

/// An argument by its name. Those that stand in order, as JavaScript's do, have the names of what the first one holds, or their places, from 0.
fn argument<'a>(arguments: &'a Value, name: &str) -> Option<&'a Value> {
    match arguments {
        Value::Array(listed) => listed.first().and_then(|first| first.get(name)).or_else(|| listed.get(name.parse::<usize>().ok()?)),
        named => named.get(name),
    }
}

/// An argument as a kind; none where it is no such thing, or could only be given as another number than it is.
fn scalar(value: &Value, kind: &str) -> Option<Scalar> {
    match (kind, value) {
        ("strings", Value::String(text)) => Some(Scalar::Text(text.clone())),
        ("booleans", Value::Bool(flag)) => Some(Scalar::Flag(*flag)),
        ("numbers", Value::Number(number)) => number.as_i64().or_else(|| whole(number.as_f64()?)).map(Scalar::Whole),
        ("decimals", Value::Number(number)) => decimal(number).map(Scalar::Decimal),
        _ => None,
    }
}

/// A number that is whole although it is written with a point.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and small enough to be exact")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// A number as Cedar's `decimal` reads it: from one to four places, as large as 64 bits of ten thousandths are.
fn decimal(number: &serde_json::Number) -> Option<String> {
    const LARGEST: i64 = i64::MAX / 10_000;
    if let Some(whole) = number.as_i64().or_else(|| whole(number.as_f64()?)) {
        return (-LARGEST..=LARGEST).contains(&whole).then(|| format!("{whole}.0"));
    }
    // The shortest text that is this number: what a person would have written.
    let text = number.as_f64()?.to_string();
    let (whole, places) = text.split_once('.')?;
    let fits = places.len() <= 4 && whole.parse::<i64>().is_ok_and(|whole| (-LARGEST + 1..LARGEST).contains(&whole));
    fits.then_some(text)
}
