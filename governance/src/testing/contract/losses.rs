//! A store that lost acknowledged writes permits nothing. ADR 2.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::commits::{accepted, key, record, refused};
use crate::error::{ErrorKind, Result};
use crate::store::{Admission, Commit, Refused, Store, Witness, Write};
use crate::testing::Subject;
use crate::vocabulary::{Kind, LedgerId};

/// A ledger's memory of the highest generation, in this process.
#[derive(Default)]
struct Remembers(AtomicU64);

#[async_trait]
impl Witness for Remembers {
    async fn generation(&self) -> Result<u64> {
        Ok(self.0.load(Ordering::SeqCst))
    }
}

/// An agent admitted, then revoked and the revoke acknowledged, with the store lost in between as `lose` says. A second handle knows of the
/// revoke only through the witness.
struct Loss {
    governor: Store,
    bystander: Store,
    witness: Arc<Remembers>,
    old: Admission,
}

fn ledger() -> LedgerId {
    LedgerId::new("ledger-of-the-case").unwrap()
}

async fn before(subject: &Subject) -> Loss {
    let (governor, bystander) = (subject.store().await, subject.store().await);
    let witness = Arc::new(Remembers::default());
    governor.bind(&ledger(), witness.clone()).await.unwrap();
    bystander.bind(&ledger(), witness.clone()).await.unwrap();
    let epoch = key(subject, "agent:a:epoch", Kind::Epoch);
    let admitted = accepted(&governor, Commit::default().raise(epoch.clone())).await.results[0];
    let old = governor.admission().await.unwrap().and(epoch, admitted);
    accepted(&bystander, Commit::by(&old).put(record(subject, "plan"), "before")).await;
    Loss { governor, bystander, witness, old }
}

async fn revoke(loss: &Loss) {
    let keys = loss.governor.keys();
    let (agent, _) = loss.old.0[1].clone();
    let revoke = Commit::default().urgent().raise(keys.generation()).raise(agent);
    let generation = accepted(&loss.governor, revoke).await.results[0];
    loss.witness.0.fetch_max(generation, Ordering::SeqCst);
}

async fn after(subject: &Subject, loss: &Loss) {
    let plan = record(subject, "plan");
    for store in [&loss.governor, &loss.bystander] {
        for commit in [Commit::by(&loss.old).put(plan.clone(), "late"), Commit::default().put(plan.clone(), "anyone")] {
            let denied = refused(store, commit).await;
            assert!(matches!(denied, Refused::RolledBack { .. }), "{denied:?}");
        }
    }
    loss.governor.recover().await.unwrap();
    for store in [&loss.governor, &loss.bystander, &subject.store().await] {
        let late = refused(store, Commit::by(&loss.old).put(plan.clone(), "late")).await;
        assert!(matches!(late, Refused::Stale { .. }), "{late:?}");
        let fresh = store.admission().await.unwrap();
        accepted(store, Commit::by(&fresh).put(plan.clone(), "after")).await;
    }
}

pub async fn a_flushed_store_denies_until_it_is_recovered(subject: &Subject) {
    let loss = before(subject).await;
    revoke(&loss).await;
    subject.rig.flush().await.unwrap();
    after(subject, &loss).await;
}

pub async fn a_restored_older_dump_denies_until_it_is_recovered(subject: &Subject) {
    let loss = before(subject).await;
    subject.rig.dump().await.unwrap();
    revoke(&loss).await;
    // Both handles have seen the revoke; the dump has not.
    accepted(&loss.bystander, Commit::default().put(record(subject, "plan"), "seen")).await;
    subject.rig.restore().await.unwrap();
    after(subject, &loss).await;
}

pub async fn a_failover_before_replication_denies_until_it_is_recovered(subject: &Subject) {
    let loss = before(subject).await;
    subject.rig.mirror().await.unwrap();
    revoke(&loss).await;
    accepted(&loss.bystander, Commit::default().put(record(subject, "plan"), "seen")).await;
    subject.rig.fail_over().await.unwrap();
    after(subject, &loss).await;
}

pub async fn a_reader_is_told_that_the_log_is_not_the_one_it_knew(subject: &Subject) {
    let loss = before(subject).await;
    let log = key(subject, "log", Kind::Log);
    let append = || Commit::default().write(Write::Append { log: log.clone(), value: "x".into(), bound: 10 });
    accepted(&loss.governor, append()).await;
    let lineage = loss.bystander.lineage().await.unwrap();
    subject.rig.flush().await.unwrap();
    loss.governor.recover().await.unwrap();
    assert_eq!(accepted(&loss.governor, append()).await.results[..], [1]);
    assert_ne!(loss.bystander.lineage().await.unwrap(), lineage);
}

pub async fn a_store_of_a_newer_format_is_refused(subject: &Subject) {
    let store = subject.store().await;
    accepted(&store, Commit::default().merge(subject.keys().meta(), [("format", 99)])).await;
    let backend = subject.rig.open(subject.keys()).await.unwrap();
    let refused = Store::new(backend, subject.keys().clone(), crate::vocabulary::Ports::default()).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Invalid, "newer_format"));
}

pub async fn a_store_of_another_ledger_is_refused(subject: &Subject) {
    let loss = before(subject).await;
    let other = LedgerId::new("ledger-of-somebody-else").unwrap();
    let refused = loss.governor.bind(&other, Arc::new(Remembers::default())).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Denied, "foreign_ledger"));
    subject.store().await.bind(&ledger(), Arc::new(Remembers::default())).await.unwrap();
}

pub async fn an_emptied_store_of_a_known_ledger_is_refused_on_opening(subject: &Subject) {
    let loss = before(subject).await;
    revoke(&loss).await;
    subject.rig.flush().await.unwrap();
    let newcomer = subject.store().await;
    let refused = newcomer.bind(&ledger(), loss.witness.clone()).await.unwrap_err();
    assert_eq!(refused.code(), "rolled_back");
    newcomer.recover().await.unwrap();
    subject.store().await.bind(&ledger(), loss.witness.clone()).await.unwrap();
}

pub async fn a_revoke_lands_when_the_memory_is_full(subject: &Subject) {
    let loss = before(subject).await;
    if !subject.rig.fill().await.unwrap() {
        return;
    }
    let plan = record(subject, "plan");
    let full = loss.bystander.commit(Commit::by(&loss.old).put(plan.clone(), "no room")).await.unwrap_err();
    assert_eq!((full.kind(), full.code()), (ErrorKind::Exhausted, "store_full"));
    assert_eq!(loss.bystander.cell(plan.clone()).await.unwrap().unwrap().value, "before");
    revoke(&loss).await;
    subject.rig.relieve().await.unwrap();
    assert!(matches!(refused(&loss.bystander, Commit::by(&loss.old).put(plan, "late")).await, Refused::Stale { .. }));
}
