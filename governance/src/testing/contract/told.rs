//! Puts that tell of themselves, which a backend may carry out many at once.

use super::commits::{accepted, key, refused};
use crate::store::{Admission, Cell, Commit, Event, Outcome, Refused, Write};
use crate::testing::Subject;
use crate::vocabulary::{Key, Kind, Token};

pub async fn puts_that_come_at_once_are_judged_each_for_itself(subject: &Subject) {
    let store = subject.store().await;
    let (epoch, list) = (key(subject, "agent:late:epoch", Kind::Epoch), key(subject, "foreign", Kind::List));
    accepted(&store, Commit::default().write(Write::Push { list, value: "foreign".into(), bound: 10 })).await;
    accepted(&store, Commit::default().merge(key(subject, "state", Kind::State), [("a", "b")])).await;
    let raised = accepted(&store, Commit::default().raise(epoch.clone())).await.results[0];
    let (now, late) = (Admission::default().and(epoch.clone(), raised), Admission::default().and(epoch.clone(), raised - 1));
    let (table, log) = (key(subject, "table", Kind::Table), key(subject, "events", Kind::Log));
    let (strange_table, strange_log) = (key(subject, "foreign", Kind::Table), key(subject, "foreign", Kind::Log));
    let cell = |field: &str| Cell::field(table.clone(), field);
    let put = |token: &str, admission: &Admission, cell: Cell, log: &Key| {
        let event = Some(Event { log: log.clone(), meta: "by alpha".into(), bound: 100 });
        let token = Token::new(token).unwrap();
        Commit::by(admission).token(token.clone()).write(Write::Put { cell, value: token.as_str().to_owned().into(), ttl: None, event })
    };
    let commits = vec![
        put("first", &now, cell("both"), &log),
        put("second", &now, cell("both"), &log),
        put("once", &now, cell("once"), &log).absent(cell("once")),
        put("once", &now, cell("once"), &log).absent(cell("once")),
        put("conflict", &now, cell("none"), &log).version(cell("none"), 7),
        put("late", &late, cell("none"), &log),
        put("log", &now, cell("none"), &strange_log),
        put("table", &now, Cell::field(strange_table, "none"), &log),
        put("state", &now, Cell::field(key(subject, "state", Kind::Table), "none"), &log),
    ];
    let tries: Vec<_> = commits
        .into_iter()
        .map(|commit| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(commit).await.unwrap() })
        })
        .collect();
    let (mut results, mut refusals) = (Vec::new(), Vec::new());
    for attempt in tries {
        match attempt.await.unwrap() {
            Outcome::Accepted(accepted) => results.extend(accepted.results),
            Outcome::Refused(refused) => refusals.push(refused),
        }
    }
    results[..2].sort_unstable();
    assert_eq!(results, [1, 2, 1, 1]);
    assert!(matches!(&refusals[0], Refused::Conflict { expected: 7, found: 0, .. }), "{refusals:?}");
    assert!(matches!(&refusals[1], Refused::Stale { current, .. } if *current == Some(raised)), "{refusals:?}");
    for (refused, name) in refusals[2..].iter().zip(["foreign", "foreign", "state"]) {
        assert!(matches!(refused, Refused::WrongKind { key } if key.as_str().ends_with(name)), "{refusals:?}");
    }
    assert_eq!(refusals.len(), 5);
    let told = store.log(log.clone(), 0, 10).await.unwrap();
    assert_eq!((told.first, told.last), (1, 3));
    let fields = store.table(table.clone()).await.unwrap();
    assert_eq!(fields.iter().map(|(name, field)| (name.as_str(), field.version)).collect::<Vec<_>>(), [("both", 2), ("once", 1)]);
    for entry in &told.entries {
        let put = entry.put.as_ref().unwrap();
        assert_eq!((put.token.as_ref().unwrap().as_str().as_bytes(), &put.meta[..]), (&entry.value[..], &b"by alpha"[..]));
    }
    let reused = put("first", &now, cell("other"), &log);
    assert!(matches!(refused(&store, reused).await, Refused::TokenReused { .. }));
    // What is remembered under a token comes before the epochs.
    accepted(&store, Commit::default().raise(epoch)).await;
    let again = accepted(&store, put("once", &now, cell("once"), &log).absent(cell("once"))).await;
    assert!(again.repeated && again.results[..] == [1]);
}
