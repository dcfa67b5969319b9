//! Deciding together: a frozen electorate, one ballot each, one outcome ever. Here sealed, so that nobody votes after the others.
//!
//!     cargo run -p governance-examples --example consensus

use std::time::Duration;

use governance::Consensus;
use governance::coordination::{Choice, DecisionRule, Opening, Outcome};
use governance::store::{Actor, Store};
use governance::vocabulary::{ProposalId, TaskId, Token};
use serde_json::json;

#[tokio::main]
async fn main() -> governance::Result<()> {
    let store = Store::memory().await?;
    let (task, id) = (TaskId::new("caching")?, ProposalId::new("which-cache")?);
    let mut members = Vec::new();
    for (name, option) in [("alpha", "write-through"), ("beta", "write-back"), ("gamma", "write-through")] {
        let actor = Actor::system(&store, name).await?;
        members.push((actor.id.clone(), Consensus::open(&store, &task, &actor), Choice::One(option.to_owned())));
    }

    let governor = Consensus::open(&store, &task, &Actor::system(&store, "governor").await?);
    let opening = Opening {
        question: json!("which cache?"),
        options: vec!["write-through".into(), "write-back".into()],
        rule: DecisionRule::Majority,
        quorum: None,
        electorate: members.iter().map(|(id, ..)| (id.clone(), 1)).collect(),
        within: Duration::from_secs(60),
        sealed: true,
    };
    governor.propose(&id, opening).await?;

    // First everybody commits to a ballot that nobody can read, then everybody opens it.
    let mut nonces = Vec::new();
    for (_, member, choice) in &members {
        let nonce = Token::fresh(&*store.ports().chance).to_string();
        member.commit_vote(&id, member.commitment(&id, choice, &nonce)?).await?;
        nonces.push(nonce);
    }
    println!("committed: {:?}", governor.votes(&id).await?);
    for ((_, member, choice), nonce) in members.iter().zip(&nonces) {
        member.reveal(&id, choice.clone(), nonce).await?;
    }

    // Whoever asks, and however many ask at once: the outcome is the same, for ever. Undecided is never a yes.
    match governor.outcome(&id).await? {
        Outcome::Decided { option, counts } => println!("decided: {option} ({counts:?})"),
        Outcome::Undecided { reason, .. } => println!("undecided: {reason:?}"),
    }
    Ok(())
}
