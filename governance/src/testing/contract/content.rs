//! What each kind holds.

use std::time::Duration;

use bytes::Bytes;

use super::commits::{accepted, key, record, refused};
use crate::store::{Cell, Check, Commit, Event, Outcome, Refused, Store, Write};
use crate::testing::Subject;
use crate::vocabulary::{Key, Keys, Kind, Ports, TenantId};

pub async fn a_value_of_any_bytes_comes_back(subject: &Subject) {
    let store = subject.store().await;
    let every: Bytes = (0..=255).collect::<Vec<u8>>().into();
    for (name, value) in [("empty", Bytes::new()), ("every", every), ("large", vec![b'x'; 1 << 20].into()), ("number", "42".into())] {
        accepted(&store, Commit::default().put(record(subject, name), value.clone())).await;
        assert_eq!(store.cell(record(subject, name)).await.unwrap().unwrap().value, value, "{name}");
        let field = Cell::field(key(subject, "table", Kind::Table), name);
        accepted(&store, Commit::default().put(field.clone(), value.clone())).await;
        assert_eq!(store.cell(field).await.unwrap().unwrap().value, value, "{name} in a table");
    }
}

pub async fn a_table_holds_versions_by_field(subject: &Subject) {
    let store = subject.store().await;
    let table = key(subject, "table", Kind::Table);
    let (one, two) = (Cell::field(table.clone(), "one"), Cell::field(table.clone(), "two"));
    accepted(&store, Commit::default().put(one.clone(), "a").put(two.clone(), "b")).await;
    accepted(&store, Commit::default().version(one.clone(), 1).absent(Cell::field(table.clone(), "three")).put(one.clone(), "c")).await;
    let versions = |store: Store, table: Key| async move {
        let fields = store.table(table).await.unwrap();
        fields.into_iter().map(|(name, f)| (name, f.version)).collect::<Vec<_>>()
    };
    assert_eq!(versions(store.clone(), table.clone()).await, [("one".to_owned(), 2), ("two".to_owned(), 1)]);
    assert_eq!(accepted(&store, Commit::default().write(Write::Delete(one))).await.results[..], [1]);
    assert_eq!(versions(store.clone(), table.clone()).await, [("two".to_owned(), 1)]);
    accepted(&store, Commit::default().write(Write::Delete(two))).await;
    accepted(&store, Commit::default().absent(table)).await;
}

pub async fn a_state_is_merged_and_versioned_as_a_whole(subject: &Subject) {
    let store = subject.store().await;
    let state = key(subject, "state", Kind::State);
    accepted(&store, Commit::default().merge(state.clone(), [("phase", "PLAN"), ("role", "alpha")])).await;
    assert_eq!(
        accepted(&store, Commit::default().version(state.clone(), 1).merge(state.clone(), [("phase", "EXECUTE")])).await.results[..],
        [2]
    );
    assert!(matches!(
        refused(&store, Commit::default().version(state.clone(), 1).merge(state.clone(), [("phase", "X")])).await,
        Refused::Conflict { found: 2, .. }
    ));
    let found = store.state(state).await.unwrap().unwrap();
    assert_eq!((found.version, found.field("phase"), found.field("role"), found.field("none")), (2, "EXECUTE", "alpha", ""));
}

pub async fn a_counter_never_passes_its_limit(subject: &Subject) {
    let stores = [subject.store().await, subject.store().await];
    let counter = key(subject, "spent", Kind::Counter);
    let tries: Vec<_> = (0..12_usize)
        .map(|number| {
            let store = stores[number % 2].clone();
            let commit = Commit::default().check(Check::Within { counter: counter.clone(), amount: 3, limit: 20 }).write(Write::Add {
                counter: counter.clone(),
                delta: 3,
                ttl: None,
            });
            tokio::spawn(async move { store.commit(commit).await })
        })
        .collect();
    let mut taken = 0;
    for attempt in tries {
        match attempt.await.unwrap().unwrap() {
            Outcome::Accepted(_) => taken += 3,
            Outcome::Refused(refused) => assert!(matches!(refused, Refused::Exceeded { current: 18, limit: 20, .. }), "{refused:?}"),
        }
    }
    assert_eq!((taken, stores[0].number(counter).await.unwrap()), (18, 18));
}

pub async fn a_counter_never_goes_below_zero(subject: &Subject) {
    let store = subject.store().await;
    let counter = key(subject, "spent", Kind::Counter);
    let add = |delta| Commit::default().write(Write::Add { counter: counter.clone(), delta, ttl: None });
    assert_eq!(accepted(&store, add(5)).await.results[..], [5]);
    assert_eq!(accepted(&store, add(-5)).await.results[..], [0]);
    assert_eq!(refused(&store, add(-1)).await, Refused::Underflow { counter: counter.clone(), current: 0 });
}

pub async fn a_log_is_numbered_without_holes(subject: &Subject) {
    let stores = [subject.store().await, subject.store().await];
    let log = key(subject, "log", Kind::Log);
    let tries: Vec<_> = (0..10_u64)
        .map(|number| {
            let store = stores[(number % 2) as usize].clone();
            let commit = Commit::default().write(Write::Append { log: log.clone(), value: number.to_string().into(), bound: 100 });
            tokio::spawn(async move { store.apply(commit).await.unwrap().results[0] })
        })
        .collect();
    let mut positions = Vec::new();
    for attempt in tries {
        positions.push(attempt.await.unwrap());
    }
    positions.sort_unstable();
    assert_eq!(positions, (1..=10).collect::<Vec<_>>());
    let page = stores[1].log(log.clone(), 4, 3).await.unwrap();
    assert_eq!(page.entries.iter().map(|e| e.position).collect::<Vec<_>>(), [5, 6, 7]);
    assert_eq!((page.first, page.last), (1, 10));
    assert!(page.entries.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

pub async fn a_bounded_log_tells_what_it_dropped(subject: &Subject) {
    let store = subject.store().await;
    let log = key(subject, "log", Kind::Log);
    for batch in 0..5 {
        // A server may trim lazily, in steps of about a hundred.
        let commit = (0..100)
            .fold(Commit::default(), |c, n| c.write(Write::Append { log: log.clone(), value: format!("{batch}.{n}").into(), bound: 50 }));
        accepted(&store, commit).await;
    }
    let page = store.log(log, 0, 1_000).await.unwrap();
    assert_eq!(page.last, 500);
    assert!(page.first > 1 && page.first <= 451, "first kept: {}", page.first);
    assert_eq!(page.entries.first().map(|e| e.position), Some(page.first));
    assert_eq!(page.entries.last().map(|e| (e.position, e.value.clone())), Some((500, "4.99".into())));
}

pub async fn an_event_carries_the_version_and_token_of_its_put(subject: &Subject) {
    let store = subject.store().await;
    let (table, log) = (key(subject, "table", Kind::Table), key(subject, "events", Kind::Log));
    let put = |field: &str, value: &str| Write::Put {
        cell: Cell::field(table.clone(), field),
        value: value.to_owned().into(),
        ttl: None,
        event: Some(Event { log: log.clone(), meta: "by alpha".into(), bound: 100 }),
    };
    let token = store.fresh_token();
    accepted(&store, Commit::default().write(put("plan", "one"))).await;
    accepted(&store, Commit::default().token(token.clone()).write(put("plan", "two")).write(put("other", "x"))).await;
    let page = store.log(log, 0, 10).await.unwrap();
    let told: Vec<_> = page
        .entries
        .iter()
        .map(|e| {
            let put = e.put.as_ref().unwrap();
            assert_eq!((&*put.key, &put.meta[..]), (table.as_str(), &b"by alpha"[..]));
            (e.position, put.field.as_deref().unwrap().to_owned(), put.version, e.value.clone())
        })
        .collect();
    assert_eq!(told, [(1, "plan".into(), 1, "one".into()), (2, "plan".into(), 2, "two".into()), (3, "other".into(), 1, "x".into())]);
    assert_eq!(page.entries[1].put.as_ref().unwrap().token.as_ref(), Some(&token));
}

pub async fn a_full_log_refuses_until_it_is_trimmed(subject: &Subject) {
    let store = subject.store().await;
    let log = key(subject, "inbox", Kind::Log);
    let send = || {
        Commit::default().check(Check::Room { log: log.clone(), amount: 1, limit: 3 }).write(Write::Append {
            log: log.clone(),
            value: "m".into(),
            bound: 0,
        })
    };
    for _ in 0..3 {
        accepted(&store, send()).await;
    }
    assert_eq!(refused(&store, send()).await, Refused::Full { log: log.clone(), held: 3, limit: 3 });
    accepted(&store, Commit::default().write(Write::Trim { log: log.clone(), through: 2 })).await;
    assert_eq!(accepted(&store, send()).await.results[..], [4]);
    accepted(&store, Commit::default().write(Write::Trim { log: log.clone(), through: 4 })).await;
    let page = store.log(log.clone(), 0, 10).await.unwrap();
    assert_eq!((page.entries.len(), page.first, page.last), (0, 5, 4));
    assert_eq!(accepted(&store, send()).await.results[..], [5]);
}

pub async fn a_list_is_bounded_and_ends_with_the_newest(subject: &Subject) {
    let store = subject.store().await;
    let list = key(subject, "alerts", Kind::List);
    for number in 0..6 {
        accepted(&store, Commit::default().write(Write::Push { list: list.clone(), value: number.to_string().into(), bound: 4 })).await;
    }
    assert_eq!(store.list(list.clone(), 100).await.unwrap(), ["2", "3", "4", "5"]);
    assert_eq!(store.list(list, 2).await.unwrap(), ["4", "5"]);
}

pub async fn a_set_knows_its_members(subject: &Subject) {
    let store = subject.store().await;
    let set = key(subject, "agents", Kind::Set);
    let join = |member: &str| Commit::default().write(Write::Join { set: set.clone(), member: member.into() });
    assert_eq!(accepted(&store, join("b")).await.results[..], [1]);
    assert_eq!(accepted(&store, join("a")).await.results[..], [1]);
    assert_eq!(accepted(&store, join("b")).await.results[..], [0]);
    assert_eq!(store.set(set.clone()).await.unwrap(), ["a", "b"]);
    accepted(&store, Commit::default().write(Write::Leave { set: set.clone(), member: "a".into() })).await;
    assert_eq!(store.set(set).await.unwrap(), ["b"]);
}

pub async fn what_has_expired_is_gone(subject: &Subject) {
    let store = subject.store().await;
    let (beat, table) = (record(subject, "heartbeat"), key(subject, "table", Kind::Table));
    let ttl = Duration::from_millis(40);
    let put = Write::Put { cell: beat.clone().into(), value: "alive".into(), ttl: Some(ttl), event: None };
    accepted(&store, Commit::default().write(put).put(Cell::field(table.clone(), "f"), "x")).await;
    accepted(&store, Commit::default().write(Write::Expire { key: table.clone(), ttl })).await;
    while store.cell(beat.clone()).await.unwrap().is_some() || !store.table(table.clone()).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    accepted(&store, Commit::default().absent(beat.clone()).absent(table.clone()).put(beat.clone(), "again")).await;
    assert_eq!(store.cell(beat).await.unwrap().unwrap().version, 1);
    assert_eq!(accepted(&store, Commit::default().write(Write::Expire { key: table, ttl })).await.results[..], [0]);
}

pub async fn a_scan_finds_every_key_of_the_tenant_and_no_other(subject: &Subject) {
    let store = subject.store().await;
    let writes = (0..30).fold(Commit::default(), |c, n| c.put(record(subject, &format!("scan:{n:02}")), "x"));
    accepted(&store, writes).await;
    let other = Keys::of(&TenantId::new("somebody-else").unwrap(), false);
    let elsewhere = Key::new(format!("{}scan:99", other.prefix()), Kind::Record);
    // By a handle of its own: on a cluster another tenant can be on another server.
    let stranger = Store::new(subject.rig.open(&other).await.unwrap(), other, Ports::default()).await.unwrap();
    accepted(&stranger, Commit::default().put(elsewhere, "x")).await;
    let prefix = format!("{}scan:", subject.keys().prefix());
    let found = store.scan(&prefix).await.unwrap();
    assert_eq!(found, (0..30).map(|n| format!("{prefix}{n:02}")).collect::<Vec<_>>());
}
