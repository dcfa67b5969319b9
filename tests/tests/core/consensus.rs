//! Votes, held against a model that counts who was still admitted when the vote closed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use governance::coordination::{Ballot, Cast, Choice, Consensus, Cursor, DecisionRule, Opening, Outcome, Step, Undecided, tally};
use governance::store::{Actor, Store};
use governance::vocabulary::{AgentId, PipelineId, ProposalId, RevocationType, TaskId};
use governance::{ErrorKind, RevocationEngine};
use governance_tests::world::{Backend, World, until_after};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

governance_tests::on_every_backend! {
    it_counts_one_ballot_of_each_member_that_is_still_admitted_when_the_vote_closes
    many_that_settle_at_once_come_to_one_outcome
    a_vote_whose_counter_died_is_finished_by_the_next
    a_voter_revoked_between_counting_and_closing_is_not_counted
    at_the_deadline_whoever_voted_is_counted
    a_ballot_that_wakes_up_after_the_deadline_is_not_taken
    only_the_instance_that_was_put_into_the_electorate_votes
    weights_need_four_voters_or_more_each_below_one_third
    a_proposal_that_could_not_be_voted_on_is_refused
}

const HOUR: Duration = Duration::from_secs(3600);

pub fn proposal() -> ProposalId {
    ProposalId::new("p").unwrap()
}

pub fn consensus(store: &Store, actor: &Actor) -> Consensus {
    Consensus::open(store, &TaskId::new("t").unwrap(), actor)
}

pub fn opening(rule: DecisionRule, voters: &[&str]) -> Opening {
    Opening {
        question: json!("which?"),
        options: ["a", "b", "c"].map(String::from).to_vec(),
        rule,
        quorum: None,
        electorate: voters.iter().map(|id| (AgentId::new(id).unwrap(), 1)).collect(),
        within: HOUR,
        sealed: false,
    }
}

pub fn one(option: &str) -> Choice {
    Choice::One(option.to_owned())
}

async fn governor(world: &World) -> Consensus {
    let (store, actor) = world.actor("governor").await;
    consensus(&store, &actor)
}

pub async fn revoke(world: &World, name: &str) {
    let engine = RevocationEngine::open(&world.store().await);
    engine.revoke(&AgentId::new(name).unwrap(), RevocationType::Manual, "a test").await.unwrap();
}

/// Opens a vote among members who vote as the governor's guests, admitted with the tenant's epoch only.
async fn vote_among(world: &World, voters: &[&str], opening: Opening) -> (Consensus, Vec<Consensus>) {
    let governor = governor(world).await;
    governor.propose(&proposal(), opening).await.unwrap();
    let mut members = Vec::new();
    for name in voters {
        let (store, actor) = world.actor(name).await;
        members.push(consensus(&store, &actor));
    }
    (governor, members)
}

#[derive(Debug, Clone)]
enum Op {
    Vote(usize, &'static str),
    Revoke(usize),
    RevokeBoss,
    Settle,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (0..5_usize, select(vec!["a", "a", "b", "c", ""])).prop_map(|(who, option)| Op::Vote(who, option)),
        1 => (0..5_usize).prop_map(Op::Revoke),
        1 => Just(Op::RevokeBoss),
        3 => Just(Op::Settle),
    ];
    prop::collection::vec(op, 1..20)
}

const NAMES: [&str; 5] = ["m0", "m1", "m2", "m3", "m4"];

#[derive(Default)]
struct Model {
    ballots: BTreeMap<usize, Choice>,
    revoked: BTreeSet<usize>,
    boss_revoked: bool,
    outcome: Option<Outcome>,
}

impl Model {
    /// Even members are the boss's children.
    fn is_admitted(&self, who: usize) -> bool {
        !(self.revoked.contains(&who) || self.boss_revoked && who.is_multiple_of(2))
    }

    fn settle(&mut self, rule: DecisionRule, members: usize, quorum: u32) {
        // Whose ballot is void, and who is not revoked, may be admitted again and vote.
        let waits_for = |who: &usize| !(self.revoked.contains(who) || self.ballots.contains_key(who) && self.is_admitted(*who));
        if self.outcome.is_some() || (0..members).any(|who| waits_for(&who)) {
            return;
        }
        let valid = self.ballots.iter().filter(|(who, _)| self.is_admitted(**who));
        let ballots: Vec<_> =
            valid.map(|(who, choice)| Ballot { member: AgentId::new(NAMES[*who]).unwrap(), weight: 1, choice: choice.clone() }).collect();
        let options = ["a", "b", "c"].map(String::from);
        self.outcome = Some(tally(rule, &options, u32::try_from(members).unwrap(), quorum, &ballots));
    }
}

fn it_counts_one_ballot_of_each_member_that_is_still_admitted_when_the_vote_closes(on: Backend) {
    let rule = select(vec![DecisionRule::Majority, DecisionRule::Supermajority, DecisionRule::Unanimity, DecisionRule::Plurality]);
    on.property((rule, 1..6_usize, 1..4_u32, ops()), async |world, (rule, members, quorum, ops)| {
        let quorum = quorum.min(u32::try_from(members).unwrap());
        let pipeline = PipelineId::new("pipe").unwrap();
        let admission = world.pipeline(&pipeline).await;
        let (_, boss) = world.agent(&admission, &pipeline, "boss").await;
        let mut voters = Vec::new();
        for (number, name) in NAMES[..members].iter().enumerate() {
            let parent = if number % 2 == 0 { &boss.admission } else { &admission };
            let (store, actor) = world.agent(parent, &pipeline, name).await;
            voters.push(consensus(&store, &actor));
        }
        let governor = governor(&world).await;
        governor.propose(&proposal(), Opening { quorum: Some(quorum), ..opening(rule, &NAMES[..members]) }).await.unwrap();
        let mut model = Model::default();
        for op in ops {
            match op {
                Op::Vote(who, option) if who < members => vote(&mut model, &voters[who], who, option).await,
                Op::Revoke(who) if who < members => {
                    revoke(&world, NAMES[who]).await;
                    model.revoked.insert(who);
                }
                Op::RevokeBoss => {
                    revoke(&world, "boss").await;
                    model.boss_revoked = true;
                    // Whom it began is revoked with it, by name.
                    model.revoked.extend((0..members).filter(|who| who.is_multiple_of(2)));
                }
                Op::Settle => {
                    model.settle(rule, members, quorum);
                    assert_eq!(governor.settle(&proposal()).await.unwrap(), model.outcome);
                }
                Op::Vote(..) | Op::Revoke(_) => {}
            }
        }
        // Whoever has not voted yet does, or is revoked: then nothing is waited for.
        for who in 0..members {
            if model.is_admitted(who) {
                vote(&mut model, &voters[who], who, "").await;
            } else {
                revoke(&world, NAMES[who]).await;
                model.revoked.insert(who);
            }
        }
        model.settle(rule, members, quorum);
        assert_eq!(governor.settle(&proposal()).await.unwrap(), model.outcome);
        assert!(model.outcome.is_some());
    });
}

async fn vote(model: &mut Model, voter: &Consensus, who: usize, option: &str) {
    let choice = if option.is_empty() { Choice::Abstain } else { one(option) };
    let cast = voter.vote(&proposal(), choice.clone()).await;
    if model.outcome.is_some() {
        assert_eq!(cast.unwrap(), Cast::Closed);
    } else if !model.is_admitted(who) {
        assert_eq!(cast.unwrap_err().kind(), ErrorKind::Revoked);
    } else {
        // One ballot a member: the first stands.
        let first = model.ballots.len();
        model.ballots.entry(who).or_insert(choice);
        let expected = if model.ballots.len() > first { Cast::Accepted } else { Cast::AlreadyVoted };
        assert_eq!(cast.unwrap(), expected);
    }
}

/// How often each thing was told of the task's proposals.
pub async fn told(consensus: &Consensus) -> BTreeMap<String, usize> {
    let (mut events, mut told) = (consensus.events(Cursor::default()), BTreeMap::new());
    while let Some(Step::Entries(entries)) = events.step().await.unwrap() {
        for entry in entries {
            *told.entry(String::from_utf8(entry.put.unwrap().meta.to_vec()).unwrap()).or_default() += 1;
        }
    }
    told
}

fn many_that_settle_at_once_come_to_one_outcome(on: Backend) {
    on.property((1..7_usize, prop::collection::vec(select(vec!["a", "b"]), 3)), async |world, (settlers, votes)| {
        let names = ["x", "y", "z"];
        let (governor, voters) = vote_among(&world, &names, opening(DecisionRule::Majority, &names)).await;
        let mut settling = Vec::new();
        for number in 0..settlers {
            let (store, actor) = world.actor(&format!("s{number}")).await;
            settling.push(tokio::spawn(async move { consensus(&store, &actor).outcome(&proposal()).await.unwrap() }));
        }
        for (voter, option) in voters.iter().zip(&votes) {
            assert_eq!(voter.vote(&proposal(), one(option)).await.unwrap(), Cast::Accepted);
        }
        let outcome = governor.outcome(&proposal()).await.unwrap();
        for other in settling {
            assert_eq!(other.await.unwrap(), outcome);
        }
        let told = told(&governor).await;
        assert_eq!((told["vote"], told["closing"], told["closed"]), (3, 1, 1), "one outcome, ever");
    });
}

fn a_vote_whose_counter_died_is_finished_by_the_next(on: Backend) {
    on.story(async |world| {
        let names = ["x", "y", "z"];
        let (governor, voters) = vote_among(&world, &names, opening(DecisionRule::Majority, &names)).await;
        for voter in &voters {
            voter.vote(&proposal(), one("b")).await.unwrap();
        }
        let (_, actor) = world.actor("settler").await;
        // It dies before closing, after closing, before counting, after counting.
        for (commit, after) in [(1, false), (1, true), (1, false), (1, true)] {
            let (store, crash) = world.mortal(commit, after).await;
            assert!(crash.during(consensus(&store, &actor).settle(&proposal())).await.is_none());
        }
        let outcome = governor.settle(&proposal()).await.unwrap().unwrap();
        assert!(matches!(outcome, Outcome::Decided { option, .. } if option == "b"));
        let told = told(&governor).await;
        assert_eq!((told["closing"], told["closed"]), (1, 1));
    });
}

fn a_voter_revoked_between_counting_and_closing_is_not_counted(on: Backend) {
    on.story(async |world| {
        let pipeline = PipelineId::new("pipe").unwrap();
        let admission = world.pipeline(&pipeline).await;
        let (_, boss) = world.agent(&admission, &pipeline, "boss").await;
        for (voter, revoked) in [("m0", "m0"), ("m1", "boss")] {
            let id = ProposalId::new(voter).unwrap();
            let (store, actor) = world.agent(&boss.admission, &pipeline, voter).await;
            let governor = governor(&world).await;
            governor.propose(&id, opening(DecisionRule::Plurality, &[voter])).await.unwrap();
            consensus(&store, &actor).vote(&id, one("a")).await.unwrap();
            let (store, held_up) = world.slow(2).await;
            let (_, actor) = world.actor("settler").await;
            let settling = tokio::spawn(async move { consensus(&store, &actor).settle(&id).await.unwrap().unwrap() });
            held_up.meanwhile(revoke(&world, revoked)).await;
            let outcome = settling.await.unwrap();
            assert!(matches!(outcome, Outcome::Undecided { reason: Undecided::NoQuorum { cast: 0, needed: 1 }, .. }), "{outcome:?}");
        }
    });
}

fn at_the_deadline_whoever_voted_is_counted(on: Backend) {
    on.story(async |world| {
        let names = ["x", "y", "z"];
        let within = Duration::from_millis(1_500);
        let (governor, voters) = vote_among(&world, &names, Opening { within, ..opening(DecisionRule::Plurality, &names) }).await;
        voters[0].vote(&proposal(), one("a")).await.unwrap();
        assert_eq!(governor.settle(&proposal()).await.unwrap(), None, "ballots can still come");
        let outcome = governor.outcome(&proposal()).await.unwrap();
        assert!(matches!(outcome, Outcome::Undecided { reason: Undecided::NoQuorum { cast: 1, needed: 2 }, .. }), "{outcome:?}");
        assert!(world.store().await.now().await.unwrap() >= governor.proposal(&proposal()).await.unwrap().unwrap().deadline);
        assert_eq!(voters[1].vote(&proposal(), one("a")).await.unwrap(), Cast::Closed);
        assert_eq!(governor.settle(&proposal()).await.unwrap(), Some(outcome), "and so it stays");
    });
}

fn a_ballot_that_wakes_up_after_the_deadline_is_not_taken(on: Backend) {
    on.story(async |world| {
        let within = Duration::from_millis(1_500);
        let (governor, _) = vote_among(&world, &["x"], Opening { within, ..opening(DecisionRule::Plurality, &["x"]) }).await;
        let (_, actor) = world.actor("x").await;
        let (store, held_up) = world.slow(1).await;
        let voting = tokio::spawn(async move { consensus(&store, &actor).vote(&proposal(), one("a")).await.unwrap() });
        let store = world.store().await;
        let deadline = governor.proposal(&proposal()).await.unwrap().unwrap().deadline;
        // The vote is taken as long after its opening reached the store, which may have taken a while.
        held_up.meanwhile(until_after(&store, deadline.after(within))).await;
        assert_eq!(voting.await.unwrap(), Cast::Closed, "nobody had closed the vote yet, but its time was over");
        assert!(governor.votes(&proposal()).await.unwrap().is_empty());
    });
}

fn only_the_instance_that_was_put_into_the_electorate_votes(on: Backend) {
    on.story(async |world| {
        let pipeline = PipelineId::new("pipe").unwrap();
        let admission = world.pipeline(&pipeline).await;
        let (store, member) = world.agent(&admission, &pipeline, "m0").await;
        let (governor, strangers) = vote_among(&world, &["stranger", "m0"], opening(DecisionRule::Plurality, &["m0", "m1"])).await;
        for stranger in strangers {
            let denied = stranger.vote(&proposal(), one("a")).await.unwrap_err();
            assert_eq!((denied.kind(), denied.code()), (ErrorKind::Denied, "not_in_the_electorate"));
        }
        // Frozen: who is admitted under a member's name later is another.
        let (late_store, late) = world.agent(&admission, &pipeline, "m1").await;
        consensus(&late_store, &late).vote(&proposal(), one("b")).await.unwrap();
        assert_eq!(consensus(&store, &member).vote(&proposal(), one("a")).await.unwrap(), Cast::Accepted);
        let Outcome::Undecided { counts, .. } = governor.settle(&proposal()).await.unwrap().unwrap() else {
            panic!("one of two is no quorum")
        };
        assert_eq!((counts["a"], counts["b"]), (1, 0));
    });
}

fn weights_need_four_voters_or_more_each_below_one_third(on: Backend) {
    on.property(prop::collection::vec(0..6_u32, 1..7), async |world, weights| {
        let electorate: Vec<_> = weights.iter().enumerate().map(|(n, w)| (AgentId::new(format!("m{n}")).unwrap(), *w)).collect();
        let total: u32 = weights.iter().sum();
        let fair = weights.len() >= 4 && weights.iter().all(|w| *w > 0 && w * 3 < total);
        let opened = governor(&world).await.propose(&proposal(), Opening { electorate, ..opening(DecisionRule::Weighted, &[]) }).await;
        assert_eq!(opened.is_ok(), fair, "{weights:?}");
    });
}

fn a_proposal_that_could_not_be_voted_on_is_refused(on: Backend) {
    on.story(async |world| {
        let governor = governor(&world).await;
        let good = opening(DecisionRule::Majority, &["x", "y"]);
        let bad = [
            Opening { options: Vec::new(), ..good.clone() },
            Opening { options: vec!["a".into(), "a".into()], ..good.clone() },
            Opening { electorate: Vec::new(), ..good.clone() },
            Opening { electorate: vec![good.electorate[0].clone(); 2], ..good.clone() },
            Opening { quorum: Some(0), ..good.clone() },
            Opening { quorum: Some(3), ..good.clone() },
            Opening { within: Duration::ZERO, ..good.clone() },
        ];
        for opening in bad {
            assert_eq!(governor.propose(&proposal(), opening).await.unwrap_err().code(), "invalid_proposal");
        }
        governor.propose(&proposal(), good.clone()).await.unwrap();
        assert_eq!(governor.propose(&proposal(), good).await.unwrap_err().kind(), ErrorKind::Conflict, "an id is used once");
        let missing = governor.settle(&ProposalId::new("none").unwrap()).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    });
}
