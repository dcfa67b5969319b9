//! A blackboard: what the agents of a task know together.
//!
//! Two agents improve one solution. Nobody overwrites what they have not read, and a watcher sees each accepted write once, in order.
//!
//!     cargo run -p governance-examples --example blackboard

use governance::Blackboard;
use governance::coordination::{Cursor, Written};
use governance::store::{Actor, Store};
use governance::vocabulary::{Section, TaskId};
use serde_json::json;

#[tokio::main]
async fn main() -> governance::Result<()> {
    // `Store::open("sqlite:state.db")` or `Store::open("redis://127.0.0.1:6379")` share it between processes.
    let store = Store::memory().await?;
    let task = TaskId::new("caching")?;
    let alpha = Blackboard::open(&store, &task, &Actor::system(&store, "alpha").await?);
    let beta = Blackboard::open(&store, &task, &Actor::system(&store, "beta").await?);

    let version = alpha.post(Section::Solutions, "cache", &json!({"kind": "write-through", "ttl": 60})).await?;

    // Both read version 1 and replace it: exactly one wins, the other is told what is there now.
    let by_beta = beta.put_if(Section::Solutions, "cache", &json!({"kind": "write-through", "ttl": 30}), version).await?;
    let by_alpha = alpha.put_if(Section::Solutions, "cache", &json!({"kind": "write-back", "ttl": 60}), version).await?;
    println!("beta: {by_beta:?}, alpha: {by_alpha:?}");
    assert_eq!((by_beta, by_alpha), (Written::Accepted(2), Written::Conflict(2)));

    // Read, change, write back, and begin again if somebody was first.
    alpha
        .update(Section::Solutions, "cache", |held| {
            let mut solution = held.unwrap_or_default();
            solution["kind"] = json!("write-back");
            solution
        })
        .await?;

    let mut events = beta.events(Cursor::default());
    for _ in 0..3 {
        match events.next().await? {
            Ok(event) => {
                println!("{} version {} by {}: {}", event.entry.name, event.entry.version, event.entry.author, event.entry.content)
            }
            Err(gap) => println!("missed: {gap:?}"),
        }
    }
    Ok(())
}
