use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::coordination::Undecided;

fn setup(auto: bool) -> Setup {
    Setup { auto, complex: false, conflicts: 3, recoveries: 3, quorum: None }
}

fn pipeline() -> PipelineId {
    PipelineId::new("pipeline-x").unwrap()
}

fn trouble() -> Trouble {
    Trouble { code: Some("model_failed".into()), message: "x".into() }
}

fn id(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

fn through(run: Run, events: impl IntoIterator<Item = Event>) -> (Run, Vec<Effect>) {
    events.into_iter().fold((run, Vec::new()), |(run, mut all), event| {
        let (run, effects) = run.apply(event);
        all.extend(effects);
        (run, all)
    })
}

fn both(stage: Stage) -> [Event; 2] {
    [Event::Done(id("alpha-x"), stage), Event::Done(id("beta-x"), stage)]
}

fn begun(auto: bool) -> Run {
    Run::new(pipeline(), setup(auto)).apply(Event::Begun).0
}

/// A run whose agents have done everything up to a stage.
fn up_to(stage: Stage) -> Run {
    let mut run = begun(true);
    for step in [Stage::Ready, Stage::Work, Stage::Evaluate] {
        if step == stage {
            break;
        }
        run = through(run, both(step)).0;
    }
    run
}

fn decided() -> Outcome {
    Outcome::Decided { option: "x".into(), counts: BTreeMap::new() }
}

fn undecided() -> Outcome {
    Outcome::Undecided { reason: Undecided::Tie(vec![]), counts: BTreeMap::new() }
}

#[test]
fn a_run_goes_from_spawn_to_completed() {
    let events = both(Stage::Ready).into_iter().chain(both(Stage::Work)).chain(both(Stage::Evaluate));
    let events = events.chain([Event::Assessed(1)]).chain(both(Stage::Vote)).chain([Event::VoteClosed(decided())]);
    let (run, effects) = through(begun(true), events);
    assert_eq!(run.status, PipelineStatus::Completed);
    let recorded: Vec<_> =
        effects.iter().filter_map(|effect| if let Effect::Record(status) = effect { Some(*status) } else { None }).collect();
    assert_eq!(recorded, [PipelineStatus::Running, PipelineStatus::Report, PipelineStatus::Orchestrating, PipelineStatus::Completed]);
    assert!(effects.contains(&Effect::Decide(decided())));
}

#[test]
fn without_auto_it_waits_at_report_for_continue() {
    let (run, _) = through(begun(false), both(Stage::Ready).into_iter().chain(both(Stage::Work)));
    assert!(!run.goes_on() && run.status == PipelineStatus::Report);
    assert_eq!(run.apply(Event::Continue).0.status, PipelineStatus::Orchestrating);
}

#[test]
fn promise_09_undecided_waits_for_the_user_and_is_never_completed() {
    let (run, effects) = through(up_to(Stage::Vote), [Event::Assessed(1), Event::VoteClosed(undecided())]);
    assert!(run.awaiting_user && run.status == PipelineStatus::Orchestrating && !run.goes_on());
    assert!(effects.iter().any(|effect| matches!(effect, Effect::KeepFailure(_))));
    for event in [Event::Continue, Event::TimeUp, Event::VoteClosed(decided()), Event::Broken("x".into())] {
        assert_eq!(run.clone().apply(event).0, run);
    }
    assert_eq!(run.clone().apply(Event::GivenUp).0.status, PipelineStatus::ConsensusFailed);
    let (partial, effects) = run.apply(Event::Fallback(FallbackAction::AcceptPartial));
    assert!(partial.partial && partial.status == PipelineStatus::Completed && effects[0] == Effect::Accept);
}

#[test]
fn a_rerun_starts_agents_with_ids_of_their_own() {
    let (run, _) = through(up_to(Stage::Vote), [Event::Assessed(1), Event::VoteClosed(undecided())]);
    for (action, agents) in [(FallbackAction::RerunSame, 2), (FallbackAction::RerunGamma, 3), (FallbackAction::EscalateTier, 2)] {
        let (again, effects) = run.clone().apply(Event::Fallback(action));
        let spawned: Vec<_> =
            effects.iter().filter_map(|e| if let Effect::Spawn(id, _) = e { Some(id.to_string()) } else { None }).collect();
        assert!(spawned.len() == agents && spawned.iter().all(|id| id.ends_with("-x-2")), "{action}: {spawned:?}");
        assert_eq!(again.tier, if action == FallbackAction::EscalateTier { Tier::T1 } else { Tier::T0 });
    }
}

#[test]
fn conflicts_failures_and_stillness_call_one_mediator() {
    let (run, effects) = up_to(Stage::Vote).apply(Event::Assessed(3));
    assert_eq!(run.mediated, Some(GammaReason::Conflict));
    assert!(effects.contains(&Effect::Spawn(id("gamma-x"), AgentRole::Gamma)));
    let (run, effects) = through(run, [Event::Done(id("gamma-x"), Stage::Ready), Event::Done(id("gamma-x"), Stage::Mediate)]);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::OpenVote(_))), "then it votes");
    assert_eq!(run.step, Step::Vote);

    let (run, _) = up_to(Stage::Evaluate).apply(Event::Stuck(id("alpha-x")));
    assert_eq!(run.mediated, Some(GammaReason::Stuck));
    assert_eq!(run.clone().apply(Event::Stuck(id("beta-x"))).0, run, "once");
    let (run, effects) = run.apply(Event::Silent(id("alpha-x")));
    assert_eq!(run.agents[&id("alpha-x")].status, AgentStatus::Revoked);
    assert!(matches!(&effects[0], Effect::Revoke(who, _) if *who == id("alpha-x")));

    let (run, _) = up_to(Stage::Evaluate).apply(Event::Failed(id("alpha-x"), Stage::Evaluate, trouble()));
    assert_eq!(run.mediated, Some(GammaReason::Stuck));
}

#[test]
fn one_failure_goes_on_alone_and_two_end_it() {
    let (run, _) = through(begun(true), both(Stage::Ready).into_iter().chain([Event::Failed(id("alpha-x"), Stage::Work, trouble())]));
    assert_eq!(run.status, PipelineStatus::Running);
    let (alone, _) = run.clone().apply(Event::Done(id("beta-x"), Stage::Work));
    assert_eq!(alone.status, PipelineStatus::Orchestrating);
    assert_eq!(run.apply(Event::Gone(id("beta-x"), trouble())).0.status, PipelineStatus::Failed);
    let lost = |agents: &[&str]| agents.iter().map(|name| Event::Gone(id(name), trouble())).collect::<Vec<_>>();
    assert_eq!(through(up_to(Stage::Evaluate), lost(&["alpha-x", "beta-x", "gamma-x"])).0.status, PipelineStatus::OrchestrationFailed);
}

#[test]
fn revocations_are_recovered_from_three_times_then_it_is_aborted() {
    let mut run = up_to(Stage::Evaluate);
    for recovered in 0..=3 {
        assert_eq!(run.recovered, recovered);
        let alive: Vec<_> = run.alive().map(|(id, _)| id.clone()).collect();
        run = through(run, alive.into_iter().map(|id| Event::Revoked(id, "x".into()))).0;
    }
    assert_eq!(run.status, PipelineStatus::Aborted);
}

#[test]
fn a_stop_is_lifted_and_the_run_goes_on_where_it_was() {
    let run = up_to(Stage::Evaluate);
    let (stopped, _) = run.clone().apply(Event::Stopped("x".into()));
    assert_eq!(stopped.status, PipelineStatus::Stopped);
    let (again, effects) = stopped.apply(Event::Resumed);
    assert_eq!((again.status, again.step), (run.status, run.step));
    assert_eq!(effects.iter().filter(|effect| matches!(effect, Effect::Spawn(..))).count(), 2);
    let (_, effects) = again.apply(Event::Done(id("alpha-x"), Stage::Ready));
    assert_eq!(effects, [Effect::Tell(id("alpha-x"), Instruction::Evaluate)], "what it owed");
}

fn any_event() -> impl Strategy<Value = Event> {
    let agent = prop::sample::select(vec!["alpha-x", "beta-x", "gamma-x", "alpha-x-2", "stranger"]).prop_map(id);
    let stage = prop::sample::select(Stage::ALL);
    let fallback = prop::sample::select(FallbackAction::ALL);
    prop_oneof![
        12 => (agent.clone(), stage.clone()).prop_map(|(a, s)| Event::Done(a, s)),
        1 => (agent.clone(), stage).prop_map(|(a, s)| Event::Failed(a, s, trouble())),
        1 => agent.clone().prop_map(|a| Event::Gone(a, trouble())),
        1 => agent.clone().prop_map(|a| Event::Revoked(a, "x".into())),
        1 => agent.clone().prop_map(Event::Stuck),
        1 => agent.prop_map(Event::Silent),
        2 => (0_u32..5).prop_map(Event::Assessed),
        1 => Just(Event::Continue),
        1 => fallback.prop_map(Event::Fallback),
        1 => Just(Event::GivenUp),
        1 => Just(Event::VoteClosed(decided())),
        1 => Just(Event::VoteClosed(undecided())),
        1 => Just(Event::TimeUp),
        1 => Just(Event::Stopped("x".into())),
        2 => Just(Event::Resumed),
        1 => Just(Event::Broken("x".into())),
    ]
}

proptest! {
    #[test]
    fn a_run_ends_once_and_is_completed_only_by_a_decision_or_its_user(events in prop::collection::vec(any_event(), 0..60), auto: bool) {
        let mut run = begun(auto);
        let mut allowed = false;
        for event in events {
            let before = run.clone();
            allowed |= matches!(event, Event::VoteClosed(Outcome::Decided { .. }) | Event::Fallback(FallbackAction::AcceptPartial));
            let resumed = event == Event::Resumed && before.status == PipelineStatus::Stopped;
            run = run.apply(event).0;
            if before.status.is_final() && !resumed {
                prop_assert_eq!(&run, &before);
            }
            prop_assert!(run.status != PipelineStatus::Completed || allowed);
            prop_assert!(run.recovered <= 3);
            prop_assert!(!(run.awaiting_user && run.goes_on()));
        }
    }

    #[test]
    fn promise_14_the_same_events_give_the_same_run(events in prop::collection::vec(any_event(), 0..60)) {
        let (a, b) = (through(begun(true), events.clone()), through(begun(true), events));
        prop_assert_eq!(a, b);
    }
}
