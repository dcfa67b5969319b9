use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::guard::policy::{Decision, Facts, Policy, Request, Verdict};
use crate::vocabulary::{AgentId, AgentPhase, AgentRole, Millis, PipelineId, Tier};

const OFFICE: &str = include_str!("golden/office.cedar");
const SPENDING: &str = include_str!("golden/spending.cedar");

fn compile(text: &str) -> crate::Result<Policy> {
    let constraints = json!({
        "allowed_actions": ["write_file", "buy", "terraform_*"], "allowed_targets": ["*"],
        "forbidden_targets": ["vault-*"], "approval_targets": ["prod-*"], "allowed_paths": ["**"],
    });
    let profile = json!({"agent_id": "tried", "agent_version": "1", "tier": "T2", "constraints": constraints, "conditions": text});
    Policy::read("tried", &profile.to_string())
}

fn refused(text: &str) -> String {
    let error = compile(text).unwrap_err();
    assert!(matches!(error.code(), "bad_conditions"), "{error}");
    error.to_string()
}

fn agent() -> AgentId {
    AgentId::new("tried-7f3k2q").unwrap()
}

/// A day of November 2026, which began on a Sunday, and an hour.
fn moment(day: u64, hour: u64) -> Millis {
    Millis(1_793_491_200_000 + (day - 1) * 86_400_000 + hour * 3_600_000)
}

fn told(decision: &Decision) -> (Verdict, String) {
    (decision.verdict(), decision.reason())
}

#[test]
fn office_hours_hold_for_production_and_for_nothing_else() {
    let policy = compile(OFFICE).unwrap();
    let id = agent();
    let ask = |target, day, hour| {
        told(&policy.decide_for(&Request::new("write_file").on(target), &Facts::of(&id, Tier::T2).at(moment(day, hour))))
    };
    // The patterns alone ask for an approval there; the conditions take nothing of that away.
    assert_eq!(ask("prod-db", 20, 9).0, Verdict::StepUp);
    for (day, hour) in [(20, 8), (20, 17), (21, 12), (22, 12)] {
        let (verdict, why) = ask("prod-db", day, hour);
        assert!(verdict == Verdict::Deny && why.contains("`office-hours`") && why.contains("production only in office hours"), "{why}");
        assert_eq!(ask("sandbox-1", day, hour).0, Verdict::Allow);
    }
    assert_eq!(ask("vault-1", 20, 9).0, Verdict::Deny, "what the patterns forbid stays forbidden");
    assert!(policy.reads_time());
    let unknown = policy.decide_for(&Request::new("write_file").on("prod-db"), &Facts::of(&id, Tier::T2));
    assert!(unknown.verdict() == Verdict::Deny && unknown.violation().is_none() && unknown.reason().contains("the time"), "{unknown:?}");
}

#[test]
fn what_may_be_spent_is_asked_of_the_argument_and_nobody_slips_past_it() {
    let policy = compile(SPENDING).unwrap();
    let id = agent();
    let ask = |arguments: Value| policy.decide_for(&Request::new("buy"), &Facts::of(&id, Tier::T2).with(&arguments));
    for (amount, verdict) in [
        (json!(100), Verdict::Allow),
        (json!(99.99), Verdict::Allow),
        (json!(100.0), Verdict::Allow),
        (json!(100.0001), Verdict::StepUp),
        (json!(1000), Verdict::StepUp),
        (json!(1000.5), Verdict::Deny),
        (json!(-1), Verdict::Deny),
        // Not a sum that can be compared: no way around the limit.
        (json!("1"), Verdict::Deny),
        (json!([1]), Verdict::Deny),
        (json!({"value": 1}), Verdict::Deny),
        (json!(null), Verdict::Deny),
        (json!(1.000_001), Verdict::Deny),
        (json!(1e300), Verdict::Deny),
        (json!(u64::MAX), Verdict::Deny),
        (json!(true), Verdict::Deny),
    ] {
        let decision = ask(json!({"amount": amount}));
        assert_eq!(decision.verdict(), verdict, "{amount}: {}", decision.reason());
    }
    assert_eq!(ask(json!({})).verdict(), Verdict::Deny, "an amount that is not said is none that is allowed");
    assert_eq!(ask(json!({"AMOUNT": 1})).verdict(), Verdict::Deny);
    let over = ask(json!({"amount": 5000}));
    assert_eq!((over.rule().unwrap().list, over.rule().unwrap().pattern.as_deref()), ("conditions", Some("limit")));
    assert_eq!(over.violation(), Some(crate::vocabulary::ViolationType::ForbiddenAction), "as it says");
    let unreadable = ask(json!({"amount": "1"}));
    assert!(unreadable.violation().is_none() && unreadable.reason().contains("`amount`"), "{}", unreadable.reason());
}

#[test]
fn arguments_in_order_are_named_by_the_first_or_by_their_place() {
    let id = agent();
    let text = |name: &str| {
        format!(
            "permit (principal, action, resource) when {{ context.numbers.hasTag(\"{name}\") && context.numbers.getTag(\"{name}\") <= 100 }};"
        )
    };
    let ask = |name, arguments: Value| {
        compile(&text(name)).unwrap().decide_for(&Request::new("buy"), &Facts::of(&id, Tier::T2).with(&arguments)).verdict()
    };
    assert_eq!(ask("amount", json!([{"amount": 100, "to": "ann"}, 1])), Verdict::Allow);
    assert_eq!(ask("amount", json!([{"amount": 101}])), Verdict::Deny);
    assert_eq!(ask("amount", json!([1, {"amount": 100}])), Verdict::Deny, "only the first says names");
    assert_eq!(ask("amount", json!([[{"amount": 100}]])), Verdict::Deny);
    assert_eq!(
        (ask("1", json!(["ann", 100])), ask("1", json!(["ann", 101])), ask("1", json!(["ann"]))),
        (Verdict::Allow, Verdict::Deny, Verdict::Deny)
    );
    assert_eq!(
        (ask("amount", json!([])), ask("amount", json!(null)), ask("amount", json!("amount"))),
        (Verdict::Deny, Verdict::Deny, Verdict::Deny)
    );
}

#[test]
fn a_policy_with_conditions_decides_nothing_without_facts() {
    let policy = compile("permit (principal, action, resource);").unwrap();
    assert_eq!(policy.decide(&Request::new("buy")).verdict(), Verdict::Defer);
    assert_eq!(policy.decide(&Request::new("nothing")).verdict(), Verdict::Deny);
    let id = agent();
    assert_eq!(policy.decide_for(&Request::new("buy"), &Facts::of(&id, Tier::T2)).verdict(), Verdict::Allow);
    assert_eq!(policy.decide_for(&Request::new("nothing"), &Facts::of(&id, Tier::T2)).verdict(), Verdict::Deny);
}

#[test]
fn what_could_mean_something_else_is_refused_with_its_reason() {
    let permit = "permit (principal, action, resource)";
    for (text, says) in [
        ("", "nothing is permitted"),
        ("// nothing", "nothing is permitted"),
        ("forbid (principal, action, resource);", "nothing is permitted"),
        ("permit (principal, action, resource)", "line 1"),
        ("permit (principal, action, resource);\n\npermit (principal;", "line 3"),
        (&format!("{permit} when {{ context.hours > 1 }};"), "hours"),
        (&format!("{permit} when {{ context.hour > \"1\" }};"), "type"),
        (&format!("{permit} when {{ resource.target == \"x\" }};"), "target"),
        (&format!("{permit} when {{ context.numbers.getTag(\"amount\") > 1 }};"), "amount"),
        (&format!("{permit} when {{ context.numbers.hasTag(context.action) }};"), "by its kind and its name"),
        (&format!("{permit} when {{ [context].contains(context) }};"), "field by field"),
        ("permit (principal, action == Action::\"wirte_file\", resource);", "`Action::\"wirte_file\"` is in none"),
        ("permit (principal == User::\"ann\", action, resource);", "User"),
        ("permit (principal == ?principal, action, resource);", "templates"),
        (&format!("@decision(\"step_up\") {permit};"), "stands on what is forbidden"),
        (&format!("{permit}; @decision(\"allow\") forbid (principal, action, resource);"), "is \"step_up\", not `allow`"),
        (&format!("@desicion(\"step_up\") {permit};"), "`@desicion` means nothing"),
        (&format!("@id(\"one\") {permit}; @id(\"one\") {permit};"), "names two"),
        (&format!("{permit}; @violation(\"none\") {permit};"), "@violation stands"),
        (&format!("{permit}; @violation(\"treason\") forbid (principal, action, resource);"), "treason"),
    ] {
        let why = refused(text);
        assert!(why.contains(says), "{text}: {why}");
        assert!(why.chars().count() < 450 && !why.contains('\n'), "{why}");
    }
    assert!(refused(&" ".repeat(MAX_CONDITIONS + 1)).contains("at most"));
    let escape = refused(&format!("@\u{1b}[31m(\"x\") {permit};"));
    assert!(!escape.contains('\u{1b}'), "{escape:?}");
}

/// On the small stack that a worker of a runtime has, where what overflows would end the process.
#[test]
fn what_goes_too_deep_is_refused_and_what_is_left_fits_on_any_stack() {
    let small = std::thread::Builder::new().stack_size(1 << 20).spawn(|| {
        let when = |text: &str| compile(&format!("permit (principal, action, resource) when {{ {text} }};"));
        let nested = |count: usize, [open, close]: [&str; 2]| when(&format!("{}true{}", open.repeat(count), close.repeat(count)));
        for shape in [["(", ")"], ["[", "]"], ["if true then (", ") else false"], ["{a: ", "}"]] {
            for count in [60, 5_000] {
                assert!(nested(count, shape).unwrap_err().to_string().contains("within each other"), "{shape:?}");
            }
        }
        let id = agent();
        for (word, rest) in [
            ("true && ", "true"),
            ("false || ", "true"),
            ("1 + ", "1 > 0"),
            ("if false then false else ", "true"),
            ("!", "true"),
            ("-", "1 < 2"),
        ] {
            assert!(when(&format!("{}{rest}", word.repeat(5_000))).is_err(), "{word}");
            // As long as it may be: it is compiled, asked, and dropped here.
            for count in [10, 100, 190, 200, 380, 399] {
                let Ok(policy) = when(&format!("{}{rest}", word.repeat(count))) else { continue };
                let decision = policy.decide_for(&Request::new("buy"), &Facts::of(&id, Tier::T2));
                assert!(matches!(decision.verdict(), Verdict::Allow | Verdict::Deny), "{word} {count}");
            }
        }
        assert!(nested(10, ["(", ")"]).is_ok() && when(&format!("{}true", "true && ".repeat(150))).is_ok());
        // Brackets in texts and comments are none.
        assert!(when(&format!("context.action != \"{}\" // {}\n", "(".repeat(200), "[".repeat(200))).is_ok());
        for broken in ["\"", "\"\\", "/", "//", "when { \"\u{e9}"] {
            assert!(when(broken).is_err(), "{broken}");
        }
    });
    small.unwrap().join().unwrap();
}

/// A test of a request, to be said in Cedar and to be done by hand.
#[derive(Debug, Clone)]
enum Test {
    TierAtLeast(i64),
    Role(AgentRole),
    Phase(&'static str),
    Pipeline(&'static str),
    TargetBegins(&'static str),
    HasPath,
    Action(&'static str),
    WholeAtMost(i64),
    DecimalBelow(i64),
    Text(&'static str),
    Flag,
    HourBelow(i64),
    Weekend,
    Risky,
    Not(Box<Test>),
    Both(Box<Test>, Box<Test>),
    Either(Box<Test>, Box<Test>),
}

impl Test {
    fn cedar(&self) -> String {
        let tag = |kind: &str, then: &str| format!("(context.{kind}.hasTag(\"x\") && context.{kind}.getTag(\"x\"){then})");
        match self {
            Self::TierAtLeast(tier) => format!("principal.tier >= {tier}"),
            Self::Role(role) => format!("principal.role == \"{role}\""),
            Self::Phase(name) => format!("principal.phase == \"{name}\""),
            Self::Pipeline(name) => format!("principal.pipeline == \"{name}\""),
            Self::TargetBegins(text) => format!("(resource has target && resource.target like \"{text}*\")"),
            Self::HasPath => "resource has path".to_owned(),
            Self::Action(name) => format!("context.action == \"{name}\""),
            Self::WholeAtMost(most) => tag("numbers", &format!(" <= {most}")),
            Self::DecimalBelow(most) => tag("decimals", &format!(".lessThan(decimal(\"{most}.0\"))")),
            Self::Text(text) => tag("strings", &format!(" == \"{text}\"")),
            Self::Flag => tag("booleans", ""),
            Self::HourBelow(hour) => format!("context.hour < {hour}"),
            Self::Weekend => "context.weekday > 5".to_owned(),
            Self::Risky => "context.risks.contains(\"irreversible\")".to_owned(),
            Self::Not(test) => format!("!({})", test.cedar()),
            Self::Both(one, other) => format!("(({}) && ({}))", one.cedar(), other.cedar()),
            Self::Either(one, other) => format!("(({}) || ({}))", one.cedar(), other.cedar()),
        }
    }

    fn holds(&self, call: &Call) -> bool {
        match self {
            Self::TierAtLeast(tier) => call.tier as i64 >= *tier,
            Self::Role(role) => call.role == Some(*role),
            // Of whom nobody says where it is, the text is empty.
            Self::Phase(name) => call.phase.map_or("", AgentPhase::as_str) == *name,
            Self::Pipeline(name) => call.pipeline.unwrap_or_default() == *name,
            Self::TargetBegins(text) => call.target.is_some_and(|target| target.starts_with(text)),
            Self::HasPath => call.path,
            Self::Action(name) => call.action == *name,
            Self::WholeAtMost(most) => call.x.as_ref().and_then(Value::as_f64).is_some_and(|x| x.fract() == 0.0 && x <= *most as f64),
            Self::DecimalBelow(most) => call.x.as_ref().and_then(Value::as_f64).is_some_and(|x| x < *most as f64),
            Self::Text(text) => call.x.as_ref().and_then(Value::as_str) == Some(text),
            Self::Flag => call.x == Some(json!(true)),
            Self::HourBelow(hour) => i64::try_from(call.now.0 / 3_600_000 % 24).unwrap() < *hour,
            // The first of November 2026 is a Sunday.
            Self::Weekend => matches!((call.now.0 - moment(1, 0).0) / 86_400_000 % 7, 0 | 6),
            Self::Risky => call.risky,
            Self::Not(test) => !test.holds(call),
            Self::Both(one, other) => one.holds(call) && other.holds(call),
            Self::Either(one, other) => one.holds(call) || other.holds(call),
        }
    }

    /// As what the argument is read.
    fn reads(&self, kinds: &mut Vec<&'static str>) {
        match self {
            Self::WholeAtMost(_) => kinds.push("numbers"),
            Self::DecimalBelow(_) => kinds.push("decimals"),
            Self::Text(_) => kinds.push("strings"),
            Self::Flag => kinds.push("booleans"),
            Self::Not(test) => test.reads(kinds),
            Self::Both(one, other) | Self::Either(one, other) => {
                one.reads(kinds);
                other.reads(kinds);
            }
            _ => {}
        }
    }
}

#[derive(Debug, Clone)]
struct Condition {
    forbids: bool,
    steps_up: bool,
    action: Option<&'static str>,
    when: Test,
    unless: Option<Test>,
}

impl Condition {
    fn cedar(&self) -> String {
        let soft = if self.forbids && self.steps_up { "@decision(\"step_up\") " } else { "" };
        let effect = if self.forbids { "forbid" } else { "permit" };
        let action = self.action.map_or_else(|| "action".to_owned(), |name| format!("action == Action::\"{name}\""));
        let unless = self.unless.as_ref().map_or_else(String::new, |test| format!(" unless {{ {} }}", test.cedar()));
        format!("{soft}{effect} (principal, {action}, resource) when {{ {} }}{unless};\n", self.when.cedar())
    }

    fn holds(&self, call: &Call) -> bool {
        self.action.is_none_or(|name| name == call.action)
            && self.when.holds(call)
            && !self.unless.as_ref().is_some_and(|test| test.holds(call))
    }
}

#[derive(Debug, Clone)]
struct Call {
    tier: Tier,
    role: Option<AgentRole>,
    phase: Option<AgentPhase>,
    pipeline: Option<&'static str>,
    action: &'static str,
    target: Option<&'static str>,
    path: bool,
    x: Option<Value>,
    now: Millis,
    risky: bool,
}

/// The whole decision, said as simply as it can be.
fn reference(conditions: &[Condition], by_patterns: Verdict, call: &Call) -> Verdict {
    let mut kinds = Vec::new();
    for condition in conditions {
        condition.when.reads(&mut kinds);
        condition.unless.iter().for_each(|test| test.reads(&mut kinds));
    }
    let is_a = |x: &Value, kind: &str| match kind {
        "strings" => x.is_string(),
        "booleans" => x.is_boolean(),
        "numbers" => x.as_f64().is_some_and(|x| x.fract() == 0.0 && x.abs() < 1e15),
        _ => x.as_f64().is_some_and(|x| x.abs() < 9e14 && ((x * 10_000.0).round() / 10_000.0 - x).abs() < 1e-9),
    };
    let unreadable = call.x.as_ref().is_some_and(|x| !kinds.is_empty() && !kinds.iter().any(|kind| is_a(x, kind)));
    let permitted = conditions.iter().any(|condition| !condition.forbids && condition.holds(call));
    let forbidden =
        |soft: bool| conditions.iter().any(|condition| condition.forbids && condition.steps_up == soft && condition.holds(call));
    match by_patterns {
        Verdict::Deny => Verdict::Deny,
        _ if unreadable || !permitted || forbidden(false) => Verdict::Deny,
        _ if forbidden(true) => Verdict::StepUp,
        other => other,
    }
}

fn tests() -> impl Strategy<Value = Test> {
    let leaf = prop_oneof![
        (0..5_i64).prop_map(Test::TierAtLeast),
        select(AgentRole::ALL.to_vec()).prop_map(Test::Role),
        select(vec!["PLAN", "EXECUTE", ""]).prop_map(Test::Phase),
        select(vec!["pipe-1", "pipe-2", ""]).prop_map(Test::Pipeline),
        select(vec!["prod-", "sandbox-", ""]).prop_map(Test::TargetBegins),
        Just(Test::HasPath),
        select(vec!["write_file", "buy", "terraform_plan"]).prop_map(Test::Action),
        select(vec![-1, 0, 100, 1000]).prop_map(Test::WholeAtMost),
        select(vec![0, 100, 1000]).prop_map(Test::DecimalBelow),
        select(vec!["a", "100"]).prop_map(Test::Text),
        Just(Test::Flag),
        (0..25_i64).prop_map(Test::HourBelow),
        Just(Test::Weekend),
        Just(Test::Risky),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|test| Test::Not(Box::new(test))),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| Test::Both(Box::new(one), Box::new(other))),
            (inner.clone(), inner).prop_map(|(one, other)| Test::Either(Box::new(one), Box::new(other))),
        ]
    })
}

fn conditions() -> impl Strategy<Value = Vec<Condition>> {
    let action = proptest::option::of(select(vec!["write_file", "buy", "terraform_plan"]));
    let condition = (any::<bool>(), any::<bool>(), action, tests(), proptest::option::of(tests()));
    let condition = condition.prop_map(|(forbids, steps_up, action, when, unless)| Condition { forbids, steps_up, action, when, unless });
    // Where nothing is permitted there is nothing to decide, and the text is refused.
    let permit = |mut conditions: Vec<Condition>| {
        conditions[0].forbids = false;
        conditions
    };
    proptest::collection::vec(condition, 1..6).prop_map(permit)
}

fn calls() -> impl Strategy<Value = Call> {
    let x = vec![
        None,
        Some(json!(0)),
        Some(json!(100)),
        Some(json!(100.0)),
        Some(json!(99.5)),
        Some(json!(1_000.123_456)),
        Some(json!("a")),
        Some(json!("100")),
        Some(json!(true)),
        Some(json!(false)),
        Some(json!(null)),
        Some(json!([100])),
        Some(json!({"y": 1})),
    ];
    let who = (
        select(Tier::ALL.to_vec()),
        proptest::option::of(select(AgentRole::ALL.to_vec())),
        proptest::option::of(select(vec![AgentPhase::Plan, AgentPhase::Execute])),
        select(vec![None, Some("pipe-1"), Some("pipe-2")]),
    );
    let what = (
        select(vec!["write_file", "buy", "terraform_plan", "unheard_of"]),
        select(vec![None, Some("prod-1"), Some("sandbox-1"), Some("vault-1")]),
        any::<bool>(),
        select(x),
    );
    (who, what, 1..30_u64, 0..24_u64, any::<bool>()).prop_map(
        |((tier, role, phase, pipeline), (action, target, path, x), day, hour, risky)| Call {
            tier,
            role,
            phase,
            pipeline,
            action,
            target,
            path,
            x,
            now: moment(day, hour),
            risky,
        },
    )
}

fn asked(call: &Call) -> Request<'_> {
    let risks: &[&str] = if call.risky { &["irreversible"] } else { &[] };
    Request { action: call.action, target: call.target, path: call.path.then_some("a/b"), risks }
}

fn decide(policy: &Policy, call: &Call) -> Verdict {
    let (id, pipeline) = (agent(), call.pipeline.map(|name| PipelineId::new(name).unwrap()));
    let arguments = call.x.as_ref().map_or_else(|| json!({"other": 7}), |x| json!({"x": x, "other": 7}));
    let facts = Facts { role: call.role, phase: call.phase, pipeline: pipeline.as_ref(), ..Facts::of(&id, call.tier) };
    policy.decide_for(&asked(call), &facts.with(&arguments).at(call.now)).verdict()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Also where the answer was known from before: every call is asked for twice, among all the others.
    #[test]
    fn conditions_decide_as_the_simplest_evaluator_does(conditions in conditions(), calls in proptest::collection::vec(calls(), 1..12)) {
        let text: String = conditions.iter().map(Condition::cedar).collect();
        let policy = compile(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        for call in calls.iter().chain(&calls).chain(calls.iter().rev()) {
            let request = asked(call);
            let expected = reference(&conditions, policy.by_patterns(&request).verdict(), call);
            prop_assert_eq!(decide(&policy, call), expected, "{:?}\n{}", call, text);
        }
    }
}

#[test]
fn the_schema_is_the_one_that_is_published() {
    let documented = include_str!("../../../../../docs/policies.md");
    assert!(documented.contains(SCHEMA.trim()), "docs/policies.md does not show the schema as it is");
}
