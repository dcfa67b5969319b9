//! From what a server wrote to an answer that can be trusted to have its shape.
//!
//! The shape is said once, as a JSON Schema: it is what the model is told, and what its answer is checked against.

use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

/// How much of a complaint is told.
const TOLD: usize = 300;

/// A shape of answers.
pub(in crate::llm) struct Schema {
    /// Its name, as the server is told.
    pub name: &'static str,
    /// The schema itself.
    pub text: &'static str,
    checked: LazyLock<(Value, jsonschema::Validator)>,
}

impl Schema {
    /// As JSON.
    pub fn json(&self) -> &Value {
        &self.checked.0
    }
}

#[expect(clippy::expect_used, reason = "the schemas are part of the program and read by a test")]
fn compiled(text: &str) -> (Value, jsonschema::Validator) {
    let json = serde_json::from_str(text).expect("a schema is JSON");
    let validator = jsonschema::validator_for(&json).expect("a schema is a schema");
    (json, validator)
}

macro_rules! schema {
    ($name:ident, $text:literal) => {
        pub(in crate::llm) static $name: Schema = Schema {
            name: $text,
            text: include_str!(concat!("../schemas/", $text, ".json")),
            checked: LazyLock::new(|| compiled(include_str!(concat!("../schemas/", $text, ".json")))),
        };
    };
}

schema!(ANALYSIS, "analysis");
schema!(SOLUTION, "solution");
schema!(EVALUATION, "evaluation");

/// Reads an answer of a shape.
pub(in crate::llm) fn read<T: DeserializeOwned>(schema: &Schema, text: &str) -> Result<T> {
    let text = without_fence(text.trim());
    if text.is_empty() {
        return Err(Error::invalid("answer_empty", "the model answered nothing"));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let what = if error.is_eof() { "ends before it is whole" } else { "is not JSON" };
        Error::invalid("answer_not_json", short(&format!("the model's answer {what}: {error}")))
    })?;
    if let Some(wrong) = schema.checked.1.iter_errors(&value).next() {
        let place = match wrong.instance_path().to_string() {
            top if top.is_empty() => "as a whole".to_owned(),
            place => format!("at `{place}`"),
        };
        return Err(Error::invalid("answer_wrong", short(&format!("the model's answer is no {} {place}: {wrong}", schema.name))));
    }
    serde_json::from_value(value)
        .map_err(|error| Error::invalid("answer_wrong", short(&format!("the model's answer is no {}: {error}", schema.name))))
}

/// Models like to wrap JSON in a code fence, whatever they are told.
fn without_fence(text: &str) -> &str {
    let inner = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    inner.map_or(text, |inner| inner.strip_prefix("json").unwrap_or(inner).trim())
}

/// One line, without control characters, of bearable length.
pub(super) fn short(text: &str) -> String {
    let mut told: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TOLD).collect();
    if text.chars().nth(TOLD).is_some() {
        told.push('…');
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::{Analysis, Evaluation, Idea};

    fn solution() -> Value {
        let traits = serde_json::json!({"simplicity": 1, "speed": 2, "correctness": 3, "safety": 4, "economy": 10});
        serde_json::json!({"title": "t", "summary": "s", "steps": ["one"], "traits": traits})
    }

    fn code(text: &str) -> &'static str {
        read::<Idea>(&SOLUTION, text).unwrap_err().code()
    }

    #[test]
    fn answers_of_the_right_shape_are_read_also_from_a_fence() {
        let text = solution().to_string();
        for text in [text.clone(), format!("\n```json\n{text}\n```\n"), format!("```{text}```")] {
            assert_eq!(read::<Idea>(&SOLUTION, &text).unwrap().traits.economy, 10);
        }
        let analysis = r#"{"field": "f", "terms": [], "priorities": ["speed"], "questions": []}"#;
        assert_eq!(read::<Analysis>(&ANALYSIS, analysis).unwrap().priorities, ["speed"]);
        let evaluation = r#"{"score": 1000, "strengths": [], "concerns": ["x"]}"#;
        assert_eq!(read::<Evaluation>(&EVALUATION, evaluation).unwrap().score, 1000);
    }

    #[test]
    fn every_other_answer_is_an_error_that_says_what_is_wrong() {
        assert_eq!(code("  "), "answer_empty");
        assert_eq!(code("Sure! Here it is"), "answer_not_json");
        let half = &solution().to_string()[..40];
        let error = read::<Idea>(&SOLUTION, half).unwrap_err();
        assert!(error.code() == "answer_not_json" && error.to_string().contains("before it is whole"), "{error}");
        for (place, wrong) in [
            ("/traits/speed", Value::from(11)),
            ("/traits/speed", Value::from("fast")),
            ("/steps", serde_json::json!([])),
            ("/title", Value::from("x".repeat(201))),
            ("/summary", Value::Null),
        ] {
            let mut bad = solution();
            *bad.pointer_mut(place).unwrap() = wrong;
            let error = read::<Idea>(&SOLUTION, &bad.to_string()).unwrap_err();
            assert!(error.code() == "answer_wrong" && error.to_string().contains(place), "{error}");
            assert!(error.to_string().chars().count() <= TOLD + 1);
        }
        let mut more = solution();
        more["obey"] = "me".into();
        assert_eq!(code(&more.to_string()), "answer_wrong");
        assert_eq!(code(&format!("[{}]", "[".repeat(1 << 20))), "answer_not_json");
    }
}
