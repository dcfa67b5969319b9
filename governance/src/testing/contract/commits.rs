//! One step, all or nothing, safe to repeat.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::ErrorKind;
use crate::store::{Accepted, Cell, Check, Commit, Event, Outcome, Refused, Store, Write};
use crate::testing::Subject;
use crate::vocabulary::{Key, Kind, Token};

pub(super) fn key(subject: &Subject, name: &str, kind: Kind) -> Key {
    Key::new(format!("{}{name}", subject.keys().prefix()), kind)
}

pub(super) fn record(subject: &Subject, name: &str) -> Key {
    key(subject, name, Kind::Record)
}

pub(super) async fn accepted(store: &Store, commit: Commit) -> Accepted {
    store.apply(commit).await.unwrap()
}

pub(super) async fn refused(store: &Store, commit: Commit) -> Refused {
    match store.commit(commit).await.unwrap() {
        Outcome::Refused(refused) => refused,
        Outcome::Accepted(accepted) => panic!("accepted: {accepted:?}"),
    }
}

pub async fn a_put_raises_the_version_by_one(subject: &Subject) {
    let store = subject.store().await;
    let key = record(subject, "plan");
    for version in 1..=3 {
        assert_eq!(accepted(&store, Commit::default().put(key.clone(), format!("v{version}"))).await.results[..], [version]);
    }
    let found = store.cell(key).await.unwrap().unwrap();
    assert_eq!((found.version, &found.value[..]), (3, &b"v3"[..]));
}

pub async fn absent_holds_only_while_nothing_is_there(subject: &Subject) {
    let store = subject.store().await;
    let key = record(subject, "plan");
    accepted(&store, Commit::default().absent(key.clone()).put(key.clone(), "first")).await;
    let again = refused(&store, Commit::default().absent(key.clone()).put(key.clone(), "second")).await;
    assert_eq!(again, Refused::Conflict { cell: key.clone().into(), expected: 0, found: 1 });
    accepted(&store, Commit::default().write(Write::Delete(key.clone().into()))).await;
    accepted(&store, Commit::default().absent(key.clone()).put(key, "third")).await;
}

pub async fn of_k_concurrent_compare_and_sets_exactly_one_wins(subject: &Subject) {
    let stores = [subject.store().await, subject.store().await];
    let key = record(subject, "plan");
    for version in 0..3 {
        let tries: Vec<_> = (0..8_u64)
            .map(|number| {
                let (store, key) = (stores[(number % 2) as usize].clone(), key.clone());
                tokio::spawn(
                    async move { store.commit(Commit::default().version(key.clone(), version).put(key, number.to_string())).await },
                )
            })
            .collect();
        let mut winners = Vec::new();
        for (number, attempt) in tries.into_iter().enumerate() {
            match attempt.await.unwrap().unwrap() {
                Outcome::Accepted(accepted) => winners.push((number, accepted.results[0])),
                Outcome::Refused(refused) => {
                    assert_eq!(refused, Refused::Conflict { cell: key.clone().into(), expected: version, found: version + 1 });
                }
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        let held = stores[0].cell(key.clone()).await.unwrap().unwrap();
        assert_eq!((held.version, held.value), (version + 1, Bytes::from(winners[0].0.to_string())));
        assert_eq!(winners[0].1, version + 1);
    }
}

pub async fn a_refused_commit_writes_nothing(subject: &Subject) {
    let store = subject.store().await;
    let (plan, other) = (record(subject, "plan"), record(subject, "other"));
    let (counter, log) = (key(subject, "count", Kind::Counter), key(subject, "log", Kind::Log));
    let commit = Commit::default()
        .put(plan.clone(), "half")
        .write(Write::Add { counter: counter.clone(), delta: 1, ttl: None })
        .write(Write::Append { log: log.clone(), value: "half".into(), bound: 10 })
        .version(other, 7);
    assert!(matches!(refused(&store, commit).await, Refused::Conflict { expected: 7, found: 0, .. }));
    assert_eq!(store.cell(plan).await.unwrap(), None);
    assert_eq!(store.number(counter).await.unwrap(), 0);
    assert_eq!(store.log(log, 0, 10).await.unwrap().last, 0);
}

pub async fn the_same_token_twice_answers_the_same(subject: &Subject) {
    let (store, other) = (subject.store().await, subject.store().await);
    let (plan, counter, log) = (record(subject, "plan"), key(subject, "count", Kind::Counter), key(subject, "log", Kind::Log));
    let token = Token::new("intent.1").unwrap();
    let commit = Commit::default()
        .token(token)
        .version(plan.clone(), 0)
        .put(plan.clone(), "once")
        .write(Write::Add { counter: counter.clone(), delta: 5, ttl: None })
        .write(Write::Append { log: log.clone(), value: "once".into(), bound: 10 });
    let first = accepted(&store, commit.clone()).await;
    let second = accepted(&other, commit).await;
    assert_eq!(first.results, second.results);
    assert_eq!((first.at, second.repeated), (second.at, true));
    assert_eq!(store.number(counter).await.unwrap(), 5);
    assert_eq!(store.log(log, 0, 10).await.unwrap().last, 1);
}

pub async fn the_same_token_at_once_is_carried_out_once(subject: &Subject) {
    let stores = [subject.store().await, subject.store().await];
    let counter = key(subject, "count", Kind::Counter);
    let token = Token::new("intent.1").unwrap();
    let tries: Vec<_> = (0..6_usize)
        .map(|number| {
            let store = stores[number % 2].clone();
            let commit = Commit::default().token(token.clone()).write(Write::Add { counter: counter.clone(), delta: 1, ttl: None });
            tokio::spawn(async move { store.apply(commit).await })
        })
        .collect();
    for attempt in tries {
        assert_eq!(attempt.await.unwrap().unwrap().results[..], [1]);
    }
    assert_eq!(stores[0].number(counter).await.unwrap(), 1);
}

pub async fn a_token_on_another_commit_is_refused(subject: &Subject) {
    let store = subject.store().await;
    let token = Token::new("intent.1").unwrap();
    accepted(&store, Commit::default().token(token.clone()).put(record(subject, "plan"), "one")).await;
    let other = Commit::default().token(token.clone()).put(record(subject, "plan"), "two");
    assert_eq!(refused(&store, other).await, Refused::TokenReused { token });
    // A refusal is not remembered: the token is free until something was accepted under it.
    let token = Token::new("intent.2").unwrap();
    let early = Commit::default().token(token.clone()).version(record(subject, "late"), 1).put(record(subject, "late"), "x");
    refused(&store, early.clone()).await;
    accepted(&store, Commit::default().put(record(subject, "late"), "now")).await;
    accepted(&store, early).await;
}

pub async fn a_dropped_future_leaves_all_or_nothing(subject: &Subject) {
    let store = subject.store().await;
    for number in 0..6_u64 {
        let (plan, counter) = (record(subject, &format!("plan{number}")), key(subject, &format!("count{number}"), Kind::Counter));
        let token = store.fresh_token();
        let commit =
            Commit::default().token(token).put(plan.clone(), "whole").write(Write::Add { counter: counter.clone(), delta: 1, ttl: None });
        let attempt = tokio::spawn({
            let (store, commit) = (store.clone(), commit.clone());
            async move { store.apply(commit).await }
        });
        for _ in 0..number {
            tokio::task::yield_now().await;
        }
        attempt.abort();
        let _ = attempt.await;
        // Asking again with the token tells, and completes what did not happen.
        assert_eq!(accepted(&store, commit).await.results[..], [1, 1]);
        assert_eq!((store.cell(plan).await.unwrap().unwrap().version, store.number(counter).await.unwrap()), (1, 1));
    }
}

pub async fn a_wrong_kind_at_any_write_position_leaves_nothing_half_written(subject: &Subject) {
    let store = subject.store().await;
    let list = |name: String| key(subject, &name, Kind::List);
    let writes = |round: usize| {
        let key = |name: &str, kind| key(subject, &format!("{name}{round}"), kind);
        let put = |cell: Cell| Write::Put { cell, value: "v".into(), ttl: None, event: None };
        let log = key("events", Kind::Log);
        let event = Some(Event { log, meta: "m".into(), bound: 10 });
        vec![
            put(key("record", Kind::Record).into()),
            put(Cell::field(key("table", Kind::Table), "field")),
            Write::Put { cell: key("told", Kind::Record).into(), value: "v".into(), ttl: None, event },
            Write::Merge { state: key("state", Kind::State), fields: vec![("a".into(), "b".into())] },
            Write::Add { counter: key("counter", Kind::Counter), delta: 1, ttl: None },
            Write::Raise { key: key("epoch", Kind::Epoch), floor: 0 },
            Write::Claim {
                lease: key("lease", Kind::Record),
                fence: key("fence", Kind::Epoch),
                holder: "h".into(),
                ttl: std::time::Duration::from_secs(60),
            },
            Write::Append { log: key("log", Kind::Log), value: "v".into(), bound: 10 },
            Write::Join { set: key("set", Kind::Set), member: "m".into() },
        ]
    };
    let planted = ["record", "table", "told", "events", "state", "counter", "epoch", "lease", "fence", "log", "set"];
    for (round, name) in planted.iter().enumerate() {
        let plant = Write::Push { list: list(format!("{name}{round}")), value: "foreign".into(), bound: 10 };
        accepted(&store, Commit::default().write(plant)).await;
        let commit = Commit { writes: writes(round).into(), ..Commit::default() };
        assert!(matches!(refused(&store, commit).await, Refused::WrongKind { .. }), "a list planted at `{name}` was not noticed");
        let prefix = subject.keys().prefix();
        let left = store.scan(prefix).await.unwrap();
        let ours: Vec<_> =
            left.iter().filter(|k| k.ends_with(&round.to_string()) && k[prefix.len()..].starts_with(char::is_alphabetic)).collect();
        assert_eq!(ours, [&format!("{prefix}{name}{round}")], "half-written with a list planted at `{name}`");
        assert_eq!(store.list(list(format!("{name}{round}")), 10).await.unwrap(), ["foreign"]);
    }
    let commit = Commit { writes: writes(99).into(), ..Commit::default() };
    accepted(&store, commit).await;
}

pub async fn a_malformed_commit_never_travels(subject: &Subject) {
    let store = subject.store().await;
    let plan = record(subject, "plan");
    let table = key(subject, "table", Kind::Table);
    let malformed = [
        Commit::default().put(plan.clone(), "a").put(plan.clone(), "b"),
        Commit::default().put(table.clone(), "no field"),
        Commit::default().put(Cell::field(plan.clone(), "field of a record"), "x"),
        Commit::default().put(Cell::field(table, "f".repeat(10_000)), "x"),
        Commit::default().put(plan.clone(), vec![0; crate::store::MAX_VALUE + 1]),
        Commit::default().raise(plan.clone()),
        Commit::default().check(Check::Within { counter: plan.clone(), amount: 1, limit: 1 }),
    ];
    for commit in malformed {
        assert_eq!(store.commit(commit).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(store.cell(plan).await.unwrap(), None);
}

pub async fn a_large_commit_is_one_step(subject: &Subject) {
    let store = Arc::new(subject.store().await);
    let table = key(subject, "table", Kind::Table);
    let all = |value: &str| (0..200).fold(Commit::default(), |c, n| c.put(Cell::field(table.clone(), format!("f{n}")), value.to_owned()));
    accepted(&store, all("one")).await;
    let writer = tokio::spawn({
        let (store, commit) = (store.clone(), all("two"));
        async move { store.apply(commit).await }
    });
    loop {
        let fields = store.table(table.clone()).await.unwrap();
        let twos = fields.iter().filter(|(_, f)| f.version == 2).count();
        assert!(fields.len() == 200 && (twos == 0 || twos == 200), "a reader saw {twos} of 200 new fields");
        if twos == 200 {
            break;
        }
    }
    writer.await.unwrap().unwrap();
}
