//! A message bus: what agents say to each other.
//!
//! A durable message stays in its recipient's inbox until it is acknowledged, and ends in the dead letters if it never is.
//!
//!     cargo run -p governance-examples --example bus

use std::time::Duration;

use governance::MessageBus;
use governance::coordination::{MailboxOptions, Sent};
use governance::store::{Actor, Store};
use governance::vocabulary::TaskId;
use serde_json::json;

#[tokio::main]
async fn main() -> governance::Result<()> {
    let store = Store::memory().await?;
    let task = TaskId::new("caching")?;
    let (alpha_actor, beta_actor) = (Actor::system(&store, "alpha").await?, Actor::system(&store, "beta").await?);
    let mut alpha = MessageBus::open(&store, &task, &alpha_actor);
    let mut beta = MessageBus::open(&store, &task, &beta_actor);
    alpha.join(MailboxOptions::default()).await?;
    // Bounded: a third waiting message is refused, and the sender is told.
    beta.join(MailboxOptions { capacity: 2, ..MailboxOptions::default() }).await?;

    // Beta answers one question, in a task of its own.
    let answering = {
        let beta = beta.clone();
        tokio::spawn(async move {
            let question = beta.receive().await?;
            beta.reply(&question, &json!({"ttl": 30})).await?;
            beta.acknowledge(&question).await
        })
    };
    let answer = alpha.request(&beta_actor.id, &json!("which ttl?"), Duration::from_secs(5)).await?;
    println!("{} answered: {}", answer.from, answer.body);
    answering.await.expect("beta answers")?;

    for number in 1..=3 {
        match alpha.send(&beta_actor.id, &number).await? {
            Sent::Accepted(id) => println!("sent {number} as {id}"),
            Sent::Full { inbox } => println!("the inbox of {inbox} is full, {number} was not sent"),
        }
    }

    // What was acknowledged as sent is never lost: what waits for one who leaves goes to the dead letters.
    beta.leave().await?;
    for letter in alpha.dead_letters().await? {
        println!("dead: {} ({})", letter.message.body, letter.reason);
    }
    Ok(())
}
