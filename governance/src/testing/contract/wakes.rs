//! Who is told of a change.

use std::time::Duration;

use super::commits::{accepted, key, record, refused};
use crate::store::{Commit, Write};
use crate::testing::Subject;
use crate::vocabulary::Kind;

const SOON: Duration = Duration::from_secs(5);

pub async fn a_watcher_wakes_for_another_handles_write(subject: &Subject) {
    let (writer, reader) = (subject.store().await, subject.store().await);
    let log = key(subject, "events", Kind::Log);
    let mut watch = reader.watch(std::slice::from_ref(&log)).await.unwrap();
    for number in 1..=5 {
        accepted(&writer, Commit::default().write(Write::Append { log: log.clone(), value: "x".into(), bound: 10 })).await;
        while reader.log(log.clone(), 0, 10).await.unwrap().last < number {
            tokio::time::timeout(SOON, watch.changed()).await.expect("the watcher slept through a write");
        }
    }
}

pub async fn a_signal_reaches_who_listens(subject: &Subject) {
    let (speaker, listener) = (subject.store().await, subject.store().await);
    let (bus, other) = (key(subject, "bus:t", Kind::Channel), key(subject, "bus:u", Kind::Channel));
    let mut signals = listener.signals(&bus).await.unwrap();
    let say = |channel: &crate::vocabulary::Key, payload: &'static str| {
        Commit::default().write(Write::Signal { channel: channel.clone(), payload: payload.into() })
    };
    accepted(&speaker, say(&other, "not for you")).await;
    for word in ["one", "two"] {
        accepted(&speaker, say(&bus, word)).await;
        assert_eq!(tokio::time::timeout(SOON, signals.next()).await.unwrap().unwrap(), word);
    }
}

pub async fn a_refused_commit_signals_nothing(subject: &Subject) {
    let (speaker, listener) = (subject.store().await, subject.store().await);
    let bus = key(subject, "bus:t", Kind::Channel);
    let mut signals = listener.signals(&bus).await.unwrap();
    let say = |payload: &'static str| Commit::default().write(Write::Signal { channel: bus.clone(), payload: payload.into() });
    refused(&speaker, say("never").version(record(subject, "plan"), 9)).await;
    accepted(&speaker, say("once")).await;
    assert_eq!(tokio::time::timeout(SOON, signals.next()).await.unwrap().unwrap(), "once");
}
