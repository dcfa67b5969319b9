//! A scenario as it is written: which agent, at which call, does what instead of answering. The format is documented in docs/scenarios.md.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::error::{Error, Result};
use crate::llm::CallKind;
use crate::vocabulary::{AgentRole, millis};

/// The largest scenario, in bytes.
pub const MAX_SCRIPT: usize = 64 << 10;
/// The longest time that a scenario can name.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// The most rivals that one call proposes.
const MAX_RIVALS: u32 = 8;

/// What is staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: Spanned<u32>,
    steps: Vec<Spanned<Step>>,
}

/// One thing that is staged.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    agent: AgentRole,
    on: Option<CallKind>,
    // Signed, so that a negative one is told as well as it can be.
    call: Option<i64>,
    #[serde(default, deserialize_with = "span")]
    from: Option<Duration>,
    #[serde(default, deserialize_with = "span")]
    until: Option<Duration>,
    #[serde(rename = "do")]
    pub act: Act,
}

/// What an agent's model does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Act {
    /// Proposes rivals beside its own solution.
    Conflict {
        /// How many.
        rivals: u32,
    },
    /// Never answers.
    Silence,
    /// Fails.
    Error(Failure),
    /// Answers late.
    Slow(Late),
    /// Answers what cannot be used.
    Answer(Unusable),
    /// Gives all to its own solution and nothing to any other.
    Deadlock,
    /// The agent dies.
    Crash,
}

/// A span as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Late(pub Duration);

/// How a model's server fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Failure {
    /// Its server fails.
    Unavailable,
    /// Its server asks for fewer calls.
    RateLimited,
    /// Its server does not take the key.
    Refused,
}

/// What cannot be used as an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unusable {
    /// Words that are no JSON.
    Nonsense,
    /// The first half of the right answer.
    HalfJson,
    /// Nothing.
    Empty,
    /// More than is read.
    TooLarge,
    /// JSON of another shape.
    WrongShape,
}

impl Scenario {
    /// Reads a scenario. `name` is its file's, for errors, which say the line and what is allowed.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let bad = |line: u64, what: &str| Error::invalid("bad_script", format!("`{name}`, line {line}: {what}"));
        if text.len() > MAX_SCRIPT {
            return Err(bad(1, &format!("it has more than {MAX_SCRIPT} bytes, which is the most")));
        }
        if text.trim().is_empty() {
            return Err(bad(1, "it is empty: it takes `version: 1` and `steps`"));
        }
        let written: Written = serde_saphyr::from_str(text).map_err(|error| {
            let line = error.location().map_or(1, |at| at.line());
            bad(line, &told(&error))
        })?;
        if written.version.value != 1 {
            let version = written.version.value;
            return Err(bad(written.version.referenced.line(), &format!("`version` is `{version}`: it takes 1")));
        }
        let mut steps = Vec::new();
        for step in written.steps {
            step.value.check().map_err(|what| bad(step.referenced.line(), &what))?;
            steps.push(step.value);
        }
        Ok(Self { steps })
    }

    /// What is staged for the `number`-th such call of an agent, so long after its first call of any kind. The first step that fits.
    pub(super) fn staged(&self, role: AgentRole, kind: CallKind, number: u64, since: Duration) -> Option<&Act> {
        self.steps.iter().find(|step| step.fits(role, kind, number, since)).map(|step| &step.act)
    }
}

impl Step {
    fn fits(&self, role: AgentRole, kind: CallKind, number: u64, since: Duration) -> bool {
        self.agent == role
            && self.on.is_none_or(|on| on == kind)
            && self.call.is_none_or(|call| u64::try_from(call) == Ok(number))
            && self.from.is_none_or(|from| since >= from)
            && self.until.is_none_or(|until| since < until)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(call) = self.call.filter(|call| *call < 1) {
            return Err(format!("`call` is `{call}`: it takes 1 for the first call, 2 for the second, …"));
        }
        if let (from, Some(until)) = (self.from.unwrap_or_default(), self.until)
            && until <= from
        {
            return Err(format!("`until` is {} ms and `from` is {} ms: it takes a later time", millis(until), millis(from)));
        }
        let only = |act: &str, kind: CallKind| match self.on {
            Some(on) if on == kind => Ok(()),
            Some(on) => Err(format!("`{act}` is staged `on: {on}`: it takes `on: {kind}`")),
            None => Err(format!("`{act}` is staged on every call: it takes `on: {kind}`")),
        };
        match &self.act {
            Act::Conflict { rivals } if !(1..=MAX_RIVALS).contains(rivals) => {
                Err(format!("`rivals` is `{rivals}`: it takes 1 to {MAX_RIVALS}"))
            }
            Act::Conflict { .. } => only("conflict", CallKind::Propose),
            Act::Deadlock => only("deadlock", CallKind::Vote),
            _ => Ok(()),
        }
    }
}

/// The sentence of the error, without the excerpt that follows it.
fn told(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it is not YAML").to_owned();
    // The line is said before it.
    let end = first.rfind(" at line ").unwrap_or(first.len());
    first[..end].chars().take(300).collect()
}

/// A span as `500ms`, `2s`, `1m`.
fn read_span(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{}` is not a time: it takes `500ms`, `2s` or `1m`, at most `60m`", text.escape_default());
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| bad())?;
    let span = match &text[digits..] {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err(bad()),
    };
    if span > LONGEST { Err(bad()) } else { Ok(span) }
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    read_span(&text).map(Some).map_err(D::Error::custom)
}

impl<'de> Deserialize<'de> for Late {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        read_span(&text).map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(step: &str) -> Result<Scenario> {
        Scenario::parse("s.yaml", &format!("version: 1\nsteps:\n  - {}\n", step.replace('\n', "\n    ")))
    }

    #[test]
    fn the_first_step_that_fits_is_staged() {
        let text = "version: 1\nsteps:\n  - {agent: alpha, on: propose, call: 2, do: silence}\n  - {agent: alpha, on: propose, do: {slow: 2s}}\n  \
                    - {agent: beta, from: 1s, until: 1m, do: crash}\n";
        let scenario = Scenario::parse("s.yaml", text).unwrap();
        let staged = |role, kind, number, since| scenario.staged(role, kind, number, Duration::from_secs(since)).cloned();
        assert_eq!(staged(AgentRole::Alpha, CallKind::Propose, 2, 0), Some(Act::Silence));
        assert_eq!(staged(AgentRole::Alpha, CallKind::Propose, 1, 0), Some(Act::Slow(Late(Duration::from_secs(2)))));
        assert_eq!(staged(AgentRole::Alpha, CallKind::Vote, 1, 0), None);
        assert_eq!([0, 1, 59, 60].map(|at| staged(AgentRole::Beta, CallKind::Vote, 9, at).is_some()), [false, true, true, false]);
        assert_eq!(staged(AgentRole::Gamma, CallKind::Mediate, 1, 5), None);
    }

    #[test]
    fn everything_that_can_be_staged_is_read() {
        for act in [
            "{conflict: {rivals: 3}}",
            "silence",
            "{error: unavailable}",
            "{error: rate_limited}",
            "{error: refused}",
            "{slow: 500ms}",
            "{answer: nonsense}",
            "{answer: half_json}",
            "{answer: empty}",
            "{answer: too_large}",
            "{answer: wrong_shape}",
            "crash",
        ] {
            assert!(one(&format!("agent: alpha\non: propose\ndo: {act}")).is_ok(), "{act}");
        }
        assert!(one("agent: beta\non: vote\ndo: deadlock").is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_what_is_allowed() {
        for (step, line, says) in [
            ("agent: alfa\ndo: crash", 3, &["alfa", "alpha", "beta", "gamma"][..]),
            ("agent: alpha\non: propse\ndo: crash", 4, &["propse", "propose", "mediate"]),
            ("agent: alpha\nwhen: 3\ndo: crash", 4, &["when", "from", "until"]),
            ("agent: alpha\ndo: crush", 4, &["crush", "crash", "silence"]),
            ("agent: alpha\ndo: {slow: fast}", 4, &["fast", "500ms"]),
            ("agent: alpha\ndo: {slow: 61m}", 4, &["61m", "60m"]),
            ("agent: alpha\nfrom: -1s\ndo: crash", 4, &["-1s", "2s"]),
            ("agent: alpha\nfrom: 9s\nuntil: 9s\ndo: crash", 3, &["9000", "later"]),
            ("agent: alpha\ncall: 0\ndo: crash", 3, &["`call`", "1 for the first"]),
            ("agent: alpha\ncall: -1\ndo: crash", 3, &["`-1`", "1 for the first"]),
            ("agent: alpha\ncall: soon\ndo: crash", 4, &["invalid"]),
            ("agent: alpha\non: propose\ndo: {conflict: {rivals: 9}}", 3, &["9", "1 to 8"]),
            ("agent: alpha\non: propose\ndo: {conflict: {rivlas: 2}}", 5, &["rivlas", "rivals"]),
            ("agent: alpha\non: vote\ndo: {conflict: {rivals: 1}}", 3, &["on: propose"]),
            ("agent: alpha\ndo: deadlock", 3, &["on: vote"]),
            ("agent: alpha", 3, &["do"]),
            ("agent: alpha\nagent: beta\ndo: crash", 4, &["agent"]),
        ] {
            let error = one(step).expect_err(step).to_string();
            assert!(error.starts_with(&format!("`s.yaml`, line {line}: ")), "{step:?}: {error}");
            assert!(says.iter().all(|word| error.contains(word)), "{step:?}: {error}");
            assert!(!error.contains('\n') && error.chars().count() < 400, "{error}");
        }
        for (text, says) in
            [("", "version"), ("version: 2\nsteps: []", "it takes 1"), ("- 1", "line 1"), ("version: [", "line 1"), ("\0", "line 1")]
        {
            let error = Scenario::parse("s.yaml", text).unwrap_err();
            assert!(error.code() == "bad_script" && error.to_string().contains(says), "{text:?}: {error}");
        }
        assert!(Scenario::parse("s.yaml", &" ".repeat(MAX_SCRIPT + 1)).is_err());
    }
}
