//! Sealed votes: commit, then reveal.

use std::time::Duration;

use governance::ErrorKind;
use governance::coordination::{Cast, Choice, Consensus, DecisionRule, Opening, Outcome};
use governance_tests::world::{Backend, World, until};
use proptest::prelude::*;
use proptest::sample::select;

use crate::consensus::{consensus, one, opening, proposal, revoke};

governance_tests::on_every_backend! {
    what_is_revealed_as_committed_counts_and_nothing_else
    a_sealed_ballot_cannot_be_changed_copied_or_cast_openly
    who_committed_and_was_revoked_is_neither_waited_for_nor_counted
    after_the_time_for_revealing_the_vote_is_counted_without_the_silent
    a_sealed_vote_whose_counter_died_is_finished_by_the_next
}

const NAMES: [&str; 3] = ["x", "y", "z"];
const NONCE: &str = "a nonce that nobody guesses";

fn sealed() -> Opening {
    Opening { sealed: true, ..opening(DecisionRule::Plurality, &NAMES) }
}

async fn voters(world: &World, opening: Opening) -> (Consensus, Vec<Consensus>) {
    let (store, actor) = world.actor("governor").await;
    let governor = consensus(&store, &actor);
    governor.propose(&proposal(), opening).await.unwrap();
    let mut voters = Vec::new();
    for name in NAMES {
        let (store, actor) = world.actor(name).await;
        voters.push(consensus(&store, &actor));
    }
    (governor, voters)
}

async fn commit(voter: &Consensus, choice: &Choice) -> Cast {
    let commitment = voter.commitment(&proposal(), choice, NONCE).unwrap();
    voter.commit_vote(&proposal(), commitment).await.unwrap()
}

async fn reveal(voter: &Consensus, choice: &Choice) -> Cast {
    voter.reveal(&proposal(), choice.clone(), NONCE).await.unwrap()
}

fn what_is_revealed_as_committed_counts_and_nothing_else(on: Backend) {
    let choices = prop::collection::vec((select(vec!["a", "b"]), any::<bool>()), 3);
    on.property(choices, async |world, choices| {
        let (governor, voters) = voters(&world, sealed()).await;
        let choices: Vec<_> = choices.into_iter().map(|(option, honest)| (one(option), honest)).collect();
        for (voter, (choice, _)) in voters.iter().zip(&choices) {
            assert_eq!(commit(voter, choice).await, Cast::Accepted);
            assert!(governor.votes(&proposal()).await.unwrap().values().all(Option::is_none), "a sealed ballot shows nothing");
        }
        let mut honest = 0;
        for (voter, (choice, is_honest)) in voters.iter().zip(&choices) {
            if *is_honest {
                assert_eq!(reveal(voter, choice).await, Cast::Accepted);
                honest += 1;
            } else {
                let other = one("c");
                let refused = voter.reveal(&proposal(), other, NONCE).await.unwrap_err();
                assert_eq!((refused.kind(), refused.code()), (ErrorKind::Denied, "not_what_was_committed"));
            }
        }
        let settled = governor.settle(&proposal()).await.unwrap();
        if honest < voters.len() {
            assert_eq!(settled, None, "a commitment is still unrevealed, and its time is not over");
            return;
        }
        let a = choices.iter().filter(|(choice, _)| *choice == one("a")).count();
        let expected = if a > choices.len() - a { "a" } else { "b" };
        assert!(matches!(settled, Some(Outcome::Decided { option, .. }) if option == expected));
    });
}

fn a_sealed_ballot_cannot_be_changed_copied_or_cast_openly(on: Backend) {
    on.story(async |world| {
        let (_, voters) = voters(&world, sealed()).await;
        let [x, y, z] = &voters[..] else { unreachable!() };
        assert_eq!(x.vote(&proposal(), one("a")).await.unwrap_err().code(), "sealed_vote");
        assert_eq!(x.commitment(&proposal(), &one("a"), "short").unwrap_err().code(), "short_nonce");
        assert_eq!(x.commit_vote(&proposal(), "not a hash".into()).await.unwrap_err().code(), "invalid_commitment");
        assert_eq!(x.reveal(&proposal(), one("a"), NONCE).await.unwrap_err().code(), "no_commitment");
        assert_eq!(commit(x, &one("a")).await, Cast::Accepted);
        assert_eq!(commit(x, &one("b")).await, Cast::AlreadyVoted, "the first one stands");
        assert_eq!(reveal(x, &one("a")).await, Cast::Early, "others are still to commit");
        // Y hands in X's commitment as its own.
        let copied = x.commitment(&proposal(), &one("a"), NONCE).unwrap();
        assert_eq!(y.commit_vote(&proposal(), copied).await.unwrap(), Cast::Accepted);
        assert_eq!(commit(z, &one("b")).await, Cast::Accepted);
        assert_eq!(reveal(x, &one("a")).await, Cast::Accepted);
        assert_eq!(reveal(x, &one("a")).await, Cast::AlreadyVoted);
        assert_eq!(y.reveal(&proposal(), one("a"), NONCE).await.unwrap_err().code(), "not_what_was_committed");
        assert_eq!(commit(z, &one("b")).await, Cast::Closed, "commitments are in");
        // An open vote takes no sealed ballots.
        let id = governance::vocabulary::ProposalId::new("open").unwrap();
        x.propose(&id, opening(DecisionRule::Plurality, &NAMES)).await.unwrap();
        let commitment = x.commitment(&id, &one("a"), NONCE).unwrap();
        assert_eq!(x.commit_vote(&id, commitment).await.unwrap_err().code(), "open_vote");
    });
}

fn who_committed_and_was_revoked_is_neither_waited_for_nor_counted(on: Backend) {
    on.story(async |world| {
        let pipeline = governance::vocabulary::PipelineId::new("pipe").unwrap();
        let admission = world.pipeline(&pipeline).await;
        let (store, member) = world.agent(&admission, &pipeline, "m0").await;
        let electorate = NAMES[..2].iter().chain(&["m0"]).copied().collect::<Vec<_>>();
        let (governor, voters) = voters(&world, Opening { sealed: true, ..opening(DecisionRule::Plurality, &electorate) }).await;
        assert_eq!(commit(&consensus(&store, &member), &one("c")).await, Cast::Accepted);
        for voter in &voters[..2] {
            assert_eq!(commit(voter, &one("a")).await, Cast::Accepted);
            // Only when every member has committed.
            reveal(voter, &one("a")).await;
        }
        reveal(&voters[0], &one("a")).await;
        revoke(&world, "m0").await;
        let settled = governor.settle(&proposal()).await.unwrap();
        assert!(matches!(settled, Some(Outcome::Decided { option, counts }) if option == "a" && counts["c"] == 0));
    });
}

fn after_the_time_for_revealing_the_vote_is_counted_without_the_silent(on: Backend) {
    on.story(async |world| {
        let (governor, voters) = voters(&world, Opening { within: Duration::from_millis(1_500), ..sealed() }).await;
        // Z commits to nothing; Y commits and stays silent.
        assert_eq!(commit(&voters[0], &one("a")).await, Cast::Accepted);
        assert_eq!(commit(&voters[1], &one("b")).await, Cast::Accepted);
        until("it can be revealed", async || reveal(&voters[0], &one("a")).await != Cast::Early).await;
        let outcome = governor.outcome(&proposal()).await.unwrap();
        let Outcome::Undecided { counts, .. } = outcome else { panic!("one ballot of three is no quorum") };
        assert_eq!((counts["a"], counts["b"]), (1, 0));
        assert_eq!(reveal(&voters[1], &one("b")).await, Cast::Closed);
    });
}

fn a_sealed_vote_whose_counter_died_is_finished_by_the_next(on: Backend) {
    on.story(async |world| {
        let (governor, voters) = voters(&world, sealed()).await;
        let (_, actor) = world.actor("settler").await;
        let die = async |after| {
            let (store, crash) = world.mortal(1, after).await;
            assert!(crash.during(consensus(&store, &actor).settle(&proposal())).await.is_none());
        };
        for voter in &voters {
            assert_eq!(commit(voter, &one("b")).await, Cast::Accepted);
        }
        for after in [false, true] {
            die(after).await;
        }
        for voter in &voters {
            assert_eq!(reveal(voter, &one("b")).await, Cast::Accepted);
        }
        for after in [false, true, false, true] {
            die(after).await;
        }
        assert!(matches!(governor.settle(&proposal()).await.unwrap(), Some(Outcome::Decided { option, .. }) if option == "b"));
    });
}
