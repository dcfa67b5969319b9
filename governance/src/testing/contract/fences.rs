//! Whose word still counts: epochs, leases, fences.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::commits::{accepted, key, record, refused};
use crate::store::{Admission, Check, Commit, Outcome, Refused, Write};
use crate::testing::Subject;
use crate::vocabulary::{Key, Kind};

pub async fn an_old_epoch_is_refused(subject: &Subject) {
    let store = subject.store().await;
    let (epoch, plan) = (key(subject, "agent:epoch", Kind::Epoch), record(subject, "plan"));
    let first = accepted(&store, Commit::default().raise(epoch.clone())).await.results[0];
    let admission = Admission::default().and(epoch.clone(), first);
    accepted(&store, Commit::by(&admission).put(plan.clone(), "admitted")).await;
    let second = accepted(&store, Commit::default().raise(epoch.clone())).await.results[0];
    let late = refused(&store, Commit::by(&admission).put(plan.clone(), "late")).await;
    assert_eq!(late, Refused::Stale { key: epoch, carried: first, current: Some(second) });
    assert_eq!(store.cell(plan).await.unwrap().unwrap().value, "admitted");
}

pub async fn an_epoch_that_the_store_does_not_know_is_refused(subject: &Subject) {
    let store = subject.store().await;
    let (epoch, plan) = (key(subject, "agent:epoch", Kind::Epoch), record(subject, "plan"));
    let commit = |carried| Commit::by(&Admission::default().and(epoch.clone(), carried)).put(plan.clone(), "x");
    assert_eq!(refused(&store, commit(5)).await, Refused::Stale { key: epoch.clone(), carried: 5, current: None });
    let now = accepted(&store, Commit::default().raise(epoch.clone())).await.results[0];
    assert!(matches!(refused(&store, commit(now + 1)).await, Refused::Stale { .. }), "an epoch from the future was believed");
}

pub async fn after_a_raise_returns_no_write_with_the_old_epoch_lands(subject: &Subject) {
    let (agent, governor) = (subject.store().await, subject.store().await);
    let (epoch, counter) = (key(subject, "agent:epoch", Kind::Epoch), key(subject, "writes", Kind::Counter));
    let admitted = accepted(&governor, Commit::default().raise(epoch.clone())).await.results[0];
    let returned = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (returned, epoch, counter) = (returned.clone(), epoch.clone(), counter.clone());
        async move {
            let admission = Admission::default().and(epoch, admitted);
            let mut landed = 0_u64;
            loop {
                let late = returned.load(Ordering::SeqCst);
                let commit = Commit::by(&admission).write(Write::Add { counter: counter.clone(), delta: 1, ttl: None });
                match agent.commit(commit).await.unwrap() {
                    Outcome::Accepted(_) if late => panic!("a write landed after the raise had returned"),
                    Outcome::Accepted(_) => landed += 1,
                    Outcome::Refused(_) => return landed,
                }
            }
        }
    });
    tokio::task::yield_now().await;
    accepted(&governor, Commit::default().urgent().raise(epoch)).await;
    returned.store(true, Ordering::SeqCst);
    let landed = writer.await.unwrap();
    assert_eq!(governor.number(counter).await.unwrap(), landed);
}

pub async fn a_raised_epoch_is_never_one_used_before(subject: &Subject) {
    let store = subject.store().await;
    let epoch = key(subject, "agent:epoch", Kind::Epoch);
    let before = store.now().await.unwrap();
    let mut last = 0;
    for _ in 0..5 {
        let raised = accepted(&store, Commit::default().raise(epoch.clone())).await.results[0];
        assert!(raised > last && raised >= before.0, "{raised} after {last}, store time {}", before.0);
        last = raised;
    }
    let far = last + 1_000_000_000;
    let above = Commit::default().write(Write::Raise { key: epoch.clone(), floor: far });
    assert_eq!(accepted(&store, above).await.results[..], [far + 1]);
    assert_eq!(accepted(&store, Commit::default().raise(epoch)).await.results[..], [far + 2]);
}

fn claim(lease: &Key, fence: &Key, holder: &'static str, ttl: Duration) -> Commit {
    Commit::default().write(Write::Claim { lease: lease.clone(), fence: fence.clone(), holder: holder.into(), ttl })
}

pub async fn a_lease_has_one_holder(subject: &Subject) {
    let stores = [subject.store().await, subject.store().await];
    let (lease, fence) = (record(subject, "lock"), key(subject, "fence", Kind::Epoch));
    let tries: Vec<_> = (0..6_usize)
        .map(|number| {
            let (store, commit) = (stores[number % 2].clone(), claim(&lease, &fence, "somebody", Duration::from_secs(60)));
            tokio::spawn(async move { store.commit(commit).await.unwrap() })
        })
        .collect();
    let mut fences = Vec::new();
    for attempt in tries {
        if let Outcome::Accepted(accepted) = attempt.await.unwrap() {
            fences.push(accepted.results[0]);
        }
    }
    assert_eq!(fences.len(), 1, "{fences:?}");
    let held = stores[0].cell(lease.clone()).await.unwrap().unwrap();
    assert_eq!((held.version, &held.value[..]), (fences[0], &b"somebody"[..]));
    let holds = Commit::default().check(Check::Fence { lease: lease.clone(), fence: fences[0] }).put(record(subject, "plan"), "x");
    accepted(&stores[1], holds).await;
}

pub async fn a_lapsed_lease_fences_its_holder(subject: &Subject) {
    let store = subject.store().await;
    let (lease, fence, plan) = (record(subject, "lock"), key(subject, "fence", Kind::Epoch), record(subject, "plan"));
    let old = accepted(&store, claim(&lease, &fence, "first", Duration::from_millis(30))).await.results[0];
    let new = loop {
        match store.commit(claim(&lease, &fence, "second", Duration::from_secs(60))).await.unwrap() {
            Outcome::Accepted(accepted) => break accepted.results[0],
            Outcome::Refused(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert!(new > old);
    let late = Commit::default().check(Check::Fence { lease: lease.clone(), fence: old }).put(plan.clone(), "late");
    assert_eq!(refused(&store, late).await, Refused::Fenced { lease, carried: old, held: Some(new) });
    assert_eq!(store.cell(plan).await.unwrap(), None);
}

pub async fn a_renewed_lease_keeps_its_fence(subject: &Subject) {
    let store = subject.store().await;
    let (lease, fence) = (record(subject, "lock"), key(subject, "fence", Kind::Epoch));
    let held = accepted(&store, claim(&lease, &fence, "holder", Duration::from_secs(30))).await.results[0];
    for _ in 0..3 {
        let renew = Commit::default()
            .check(Check::Fence { lease: lease.clone(), fence: held })
            .write(Write::Expire { key: lease.clone(), ttl: Duration::from_secs(60) });
        assert_eq!(accepted(&store, renew).await.results[..], [1]);
    }
    assert_eq!(store.cell(lease).await.unwrap().unwrap().version, held);
}
