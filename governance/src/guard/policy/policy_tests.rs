use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::vocabulary::{AgentId, Constraints, Severity, Tier};

fn profile(constraints: Constraints) -> AgentProfile {
    AgentProfile {
        agent_id: AgentId::new("tried").unwrap(),
        agent_version: "1".to_owned(),
        tier: Tier::T1,
        capabilities: Vec::new(),
        constraints,
        conditions: None,
        conditions_file: None,
        vault: None,
        governance: crate::vocabulary::GovernanceRules::default(),
        promotion: None,
    }
}

fn texts(of: &[&str]) -> Vec<String> {
    of.iter().map(|text| (*text).to_owned()).collect()
}

/// Whether a pattern stands for a name, said as simply as it can be.
fn naive(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|at| naive(rest, &text[at..])),
        ['?', rest @ ..] => !text.is_empty() && naive(rest, &text[1..]),
        [c, rest @ ..] => text.first() == Some(c) && naive(rest, &text[1..]),
    }
}

/// The same for a path.
fn naive_path(pattern: &[&str], path: &[&str]) -> bool {
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    match pattern {
        [] => path.is_empty(),
        ["**", rest @ ..] => (0..=path.len()).any(|at| naive_path(rest, &path[at..])),
        [name, rest @ ..] => !path.is_empty() && naive(&chars(name), &chars(path[0])) && naive_path(rest, &path[1..]),
    }
}

fn first(patterns: &[String], text: &str, path: bool, any_case: bool) -> Option<usize> {
    let cased = |text: &str| if any_case { text.to_lowercase() } else { text.to_owned() };
    let text = cased(text);
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    patterns.iter().map(|pattern| cased(pattern)).position(|pattern| match path {
        true => naive_path(&pattern.split('/').collect::<Vec<_>>(), &parts),
        false => naive(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>()),
    })
}

/// The whole decision, said as simply as it can be: its verdict, the list and the pattern.
fn reference(said: &Constraints, request: &Request<'_>) -> (Verdict, Option<(&'static str, Option<String>)>) {
    let fields = [
        (Some(request.action), &said.forbidden_actions, &said.allowed_actions, ["forbidden_actions", "allowed_actions"], false),
        (request.target, &said.forbidden_targets, &said.allowed_targets, ["forbidden_targets", "allowed_targets"], false),
        (request.path, &said.forbidden_paths, &said.allowed_paths, ["forbidden_paths", "allowed_paths"], true),
    ];
    for (text, forbidden, allowed, [forbids, allows], path) in fields {
        let Some(text) = text else { continue };
        if let Some(place) = first(forbidden, text, path, true) {
            return (Verdict::Deny, Some((forbids, Some(forbidden[place].clone()))));
        }
        if first(allowed, text, path, false).is_none() {
            return (Verdict::Deny, Some((allows, None)));
        }
    }
    if let Some(place) = request.target.and_then(|target| first(&said.approval_targets, target, false, true)) {
        return (Verdict::StepUp, Some(("approval_targets", Some(said.approval_targets[place].clone()))));
    }
    let place = first(&said.allowed_actions, request.action, false, false);
    (Verdict::Allow, place.map(|place| ("allowed_actions", Some(said.allowed_actions[place].clone()))))
}

/// Names and patterns out of few parts, so that they meet often.
fn name(stars: bool) -> impl Strategy<Value = String> {
    let parts = if stars { vec!["a", "B", "b", "-", "ab", "*", "?", "**"] } else { vec!["a", "B", "b", "-", "ab", "A"] };
    prop::collection::vec(select(parts), 1..6).prop_map(|parts| parts.concat())
}

fn path(stars: bool) -> impl Strategy<Value = String> {
    let parts =
        if stars { vec!["a", "b", "é", "*", "**", "a*", "?", "*b", "a?b", "É"] } else { vec!["a", "b", "é", "ab", "aéb", "É", "éb"] };
    prop::collection::vec(select(parts), usize::from(stars)..5).prop_map(|parts| parts.join("/"))
}

prop_compose! {
    fn constraints()(
        actions in (prop::collection::vec(name(true), 0..4), prop::collection::vec(name(true), 0..8)),
        targets in (prop::collection::vec(name(true), 0..4), prop::collection::vec(name(true), 0..4), prop::collection::vec(name(true), 0..8)),
        paths in (prop::collection::vec(path(true), 0..4), prop::collection::vec(path(true), 0..8)),
    ) -> Constraints {
        Constraints {
            forbidden_actions: actions.0, allowed_actions: actions.1,
            forbidden_targets: targets.0, approval_targets: targets.1, allowed_targets: targets.2,
            forbidden_paths: paths.0, allowed_paths: paths.1,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_compiled_evaluator_decides_as_the_simplest_one_does(
        said in constraints(),
        asked in prop::collection::vec((name(false), prop::option::of(name(false)), prop::option::of(path(false))), 1..6),
    ) {
        let policy = Policy::new(profile(said.clone())).unwrap();
        for (action, target, path) in &asked {
            let request = Request { target: target.as_deref(), path: path.as_deref(), ..Request::new(action) };
            let decision = policy.decide(&request);
            let rule = decision.rule().map(|rule| (rule.list, rule.pattern));
            prop_assert_eq!((decision.verdict(), rule), reference(&said, &request), "{:?}", request);
        }
    }

    #[test]
    fn an_explanation_comes_to_what_was_decided(said in constraints(), action in name(false), target in name(false), path in path(false)) {
        let policy = Policy::new(profile(said)).unwrap();
        let Explanation { steps, decision, .. } = policy.explain(&Request::new(&action).on(&target).at(&path));
        let found = |list: &str| steps.iter().find(|step| step.list.is_some_and(|of| of == list)).and_then(|step| step.by.clone());
        let forbidden = [Field::Action, Field::Target, Field::Path].iter().any(|field| found(&format!("forbidden_{field}s")).is_some());
        let allowed = [Field::Action, Field::Target, Field::Path].iter().all(|field| found(&format!("allowed_{field}s")).is_some());
        let expected = match (forbidden, allowed, found("approval_targets")) {
            (true, ..) | (_, false, _) => Verdict::Deny,
            (false, true, Some(_)) => Verdict::StepUp,
            (false, true, None) => Verdict::Allow,
        };
        prop_assert_eq!(decision.verdict(), expected, "{:#?}", steps);
    }

    #[test]
    fn no_text_from_outside_makes_it_panic(pattern in ".{0,40}", text in ".{0,40}") {
        let said = Constraints { allowed_actions: vec![pattern.clone()], allowed_paths: vec![pattern], ..Constraints::default() };
        if let Ok(policy) = Policy::new(profile(said)) {
            let _ = policy.explain(&Request::new(&text).on(&text).at(&text));
        }
    }
}

fn decided(tier: Tier, request: Request<'_>) -> (Verdict, Option<ViolationType>) {
    let decision = Policy::shipped(tier).unwrap().decide(&request);
    assert!(!decision.reason().is_empty() && decision.policy_hash().len() == 64);
    (decision.verdict(), decision.violation())
}

#[test]
fn each_shipped_tier_may_what_it_is_for() {
    use ViolationType::{ForbiddenAction, ForbiddenTargetAccess, GovernanceTampering, PathOutOfScope, ProcedureViolation};
    let deny = |violation| (Verdict::Deny, Some(violation));
    let allow = (Verdict::Allow, None);
    let write = |target| Request::new("write_file").on(target);
    assert_eq!(decided(Tier::T0, Request::new("read_file").at("docs/guide/start.md")), allow);
    assert_eq!(decided(Tier::T0, Request::new("read_file").at("src/main.rs")), deny(PathOutOfScope));
    assert_eq!(decided(Tier::T0, Request::new("read_file").at("docs/secret.pem")), deny(PathOutOfScope));
    assert_eq!(decided(Tier::T0, write("localhost")), deny(ForbiddenAction));
    assert_eq!(decided(Tier::T0, Request::new("read_file").on("localhost")), deny(ForbiddenTargetAccess));
    assert_eq!(decided(Tier::T1, write("sandbox-1")), allow);
    assert_eq!(decided(Tier::T1, write("sandbox-1").at("src/main.rs")), allow);
    assert_eq!(decided(Tier::T1, write("prod-db")), deny(ForbiddenTargetAccess));
    assert_eq!(decided(Tier::T1, write("PROD-db")), deny(ForbiddenTargetAccess));
    assert_eq!(decided(Tier::T1, write("elsewhere")), deny(ProcedureViolation));
    assert_eq!(decided(Tier::T1, Request::new("frobnicate")), deny(ProcedureViolation));
    assert_eq!(decided(Tier::T1, Request::new("delete_production").on("sandbox-1")), deny(ForbiddenAction));
    assert_eq!(decided(Tier::T1, Request::new("access_vault_root")), deny(ViolationType::UnauthorizedSecretAccess));
    assert_eq!(decided(Tier::T1, write("localhost").at("work/.governance/state.db")), deny(PathOutOfScope));
    assert_eq!(decided(Tier::T2, write("prod-db")), (Verdict::StepUp, None));
    assert_eq!(decided(Tier::T2, write("elsewhere")), allow);
    assert_eq!(decided(Tier::T2, Request::new("delete_production").on("prod-db")), deny(ForbiddenAction));
    assert_eq!(decided(Tier::T3, write("prod-db")), allow);
    assert_eq!(decided(Tier::T4, Request::new("access_vault_root")), allow);
    for tier in Tier::ALL {
        assert_eq!(decided(*tier, Request::new("Modify_Governance")), deny(GovernanceTampering));
        assert_eq!(Policy::shipped(*tier).unwrap().profile().tier, *tier);
    }
    assert_eq!(GovernanceTampering.severity(), Severity::Critical);
}

#[test]
fn what_could_be_read_in_two_ways_is_denied_and_says_so() {
    let anything = Constraints {
        allowed_actions: texts(&["*"]),
        allowed_targets: texts(&["*"]),
        allowed_paths: texts(&["**"]),
        ..Constraints::default()
    };
    let policy = Policy::new(profile(anything)).unwrap();
    let refused = |request: Request<'_>, why: &str| {
        let decision = policy.decide(&request);
        assert_eq!((decision.verdict(), decision.violation()), (Verdict::Deny, Some(ViolationType::ProcedureViolation)), "{request:?}");
        assert!(decision.reason().contains(why), "{}", decision.reason());
        assert!(!decision.reason().chars().any(char::is_control), "{:?}", decision.reason());
    };
    let act = Request::new("act");
    // U+0440 looks like `p`; a resolver reads full-width letters as plain ones.
    for (target, why) in [("", "256 bytes"), ("рrod-db", "ASCII"), ("ｐrod-db", "ASCII"), ("prod db", "ASCII"), ("prod\0db", "ASCII")] {
        refused(act.on(target), why);
    }
    for (target, why) in [("prod-db.", "dot"), ("%70rod-db", "percent"), ("prod-*", "one thing")] {
        refused(act.on(target), why);
    }
    for path in ["/etc", "a//b", "a/./b", "a/../b", "a/", "..", "."] {
        refused(act.at(path), "not resolved");
    }
    let odd = [
        ("a\0b", "NUL"),
        ("a\nb", "control"),
        ("a%2e%2e", "percent"),
        ("a%2Fb", "percent"),
        ("a/b.", "dot"),
        ("a/ b", "space"),
        ("a/b ", "space"),
        ("a\\b", "backslash"),
        ("e\u{301}", "NFC"),
        ("a\u{202e}b", "direction"),
        ("a\u{200b}b", "not seen"),
        ("a\u{a0}b", "not seen"),
    ];
    for (path, why) in odd {
        refused(act.at(path), why);
    }
    for fine in ["", "é", "100% sure", "50%", "a b", ".hidden", "日本/語.md", "a.b.c", "..a"] {
        assert_eq!(policy.decide(&act.at(fine)).verdict(), Verdict::Allow, "{fine}");
    }
}

#[test]
fn another_spelling_of_what_is_forbidden_is_forbidden_and_one_of_what_is_allowed_is_not_allowed() {
    let said = Constraints {
        allowed_actions: texts(&["act"]),
        allowed_paths: texts(&["a/**", "ΟΔΟΣ*"]),
        forbidden_paths: texts(&["**/ΣΑΣ*", "a/Keys/**"]),
        ..Constraints::default()
    };
    let policy = Policy::new(profile(said)).unwrap();
    let rule = |path: &str| policy.decide(&Request::new("act").at(path)).rule().unwrap().list;
    for forbidden in ["a/ΣΑΣ", "a/σας", "a/σασα", "a/ΣΑΣΑ", "a/keys/b", "a/KEYS", "a/\u{212a}eys"] {
        // The Kelvin sign is no composed form, and refused as such.
        let expected = if forbidden.contains('\u{212a}') { Finding::Malformed } else { Finding::Matched };
        let found = policy.explain(&Request::new("act").at(forbidden)).steps;
        assert!(found.iter().any(|step| step.finding == expected), "{forbidden}");
        assert!(!policy.decide(&Request::new("act").at(forbidden)).is_allowed(), "{forbidden}");
    }
    assert_eq!((rule("ΟΔΟΣΑ"), rule("a/b")), ("allowed_actions", "allowed_actions"));
    assert_eq!((rule("οδοσα"), rule("A/b")), ("allowed_paths", "allowed_paths"), "nothing stands for it");
}

#[test]
fn a_pattern_that_could_mean_something_else_is_refused() {
    let refused = |constraints: Constraints, why: &str| {
        let error = Policy::new(profile(constraints)).unwrap_err();
        assert!(error.code() == "bad_profile" && error.to_string().contains(why), "{error}");
    };
    for (pattern, why) in [("", "1 to"), ("prod-[ab]", "`[`"), ("{a,b}", "`{`"), ("!prod", "`!`"), ("a b", "ASCII"), ("é", "ASCII")] {
        refused(Constraints { allowed_targets: texts(&[pattern]), ..Constraints::default() }, why);
    }
    for (pattern, why) in [("/etc/**", "root"), ("a//b", "between"), ("a/../b", "between"), ("a**/b", "alone"), ("a\\b", "`\\")] {
        refused(Constraints { forbidden_paths: texts(&[pattern]), ..Constraints::default() }, why);
    }
}

#[test]
fn a_profile_is_read_and_its_mistakes_are_named_with_their_line() {
    let wrong = |text: &str, why: &str| {
        let error = Policy::read("mine", text).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    let good = r#"{"agent_id":"mine","agent_version":"1","tier":"T1","constraints":{"allowed_actions":["read_file"]}}"#;
    let policy = Policy::read("mine", good).unwrap();
    assert_eq!(policy.decide(&Request::new("read_file")).verdict(), Verdict::Allow);
    let spaced = good.replace(',', ",\n ");
    assert_eq!(Policy::read("mine", &spaced).unwrap().hash(), policy.hash(), "the same profile, spelled otherwise");
    assert_ne!(Policy::read("mine", &good.replace("read_file", "read_files")).unwrap().hash(), policy.hash());
    wrong(&spaced.replace("allowed_actions", "allowed_action"), "line 4: unknown field `allowed_action`");
    wrong(&good.replace("T1", "T9"), "T9");
    wrong("{", "line 1");
    wrong(&" ".repeat(MAX_PROFILE + 1), "is the most");
    #[cfg(feature = "llm")]
    {
        let yaml = "agent_id: mine\nagent_version: '1'\ntier: T1\nconstraints:\n  allowed_actions: [read_file]\n";
        assert_eq!(Policy::read("mine", yaml).unwrap().hash(), policy.hash());
        wrong(&yaml.replace("allowed_actions", "allowed_action"), "line 5");
        wrong("", "line 1");
    }
}
