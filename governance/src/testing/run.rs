//! Runs a case: once as it is, and again with every fault at every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;

use super::faults::Plan;
use super::{Fault, Faulty, Rig};
use crate::store::Store;
use crate::vocabulary::{Keys, Ports, TenantId};

/// The longest that one run of a case may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// At most so many calls of a case are struck with each fault; a longer case is sampled evenly.
const STRUCK: u64 = 24;

/// One named case.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it promises.
    pub name: &'static str,
    /// How that is tried.
    pub body: for<'a> fn(&'a Subject) -> BoxFuture<'a, ()>,
}

/// What a case is tried on: a tenant of its own on the backend under test.
pub struct Subject {
    /// The backend's rig.
    pub rig: Arc<dyn Rig>,
    keys: Keys,
    plan: Arc<Plan>,
}

impl Subject {
    fn new(rig: Arc<dyn Rig>, fail: Option<(Fault, u64)>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let tenant = TenantId::new(format!("case-{number}")).unwrap();
        Self { rig, keys: Keys::of(&tenant, false), plan: Arc::new(Plan { calls: AtomicU64::new(0), fail }) }
    }

    /// Another handle on the subject's state.
    pub async fn store(&self) -> Store {
        let backend = self.rig.open(&self.keys).await.unwrap();
        Store::new(Arc::new(Faulty::new(backend, self.plan.clone())), self.keys.clone(), Ports::default()).await.unwrap()
    }

    /// The subject's keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }
}

/// Runs a case once.
pub fn check(rig: Arc<dyn Rig>, case: Case) {
    runtime().block_on(run(&rig, case, None));
}

/// Runs a case for every fault at every call that the case makes; sampled, for each fault at one call, for a backend on which a run
/// takes long. Which one follows from the case's name and the fault's place: the same calls are struck in every run of the suite.
pub fn check_with_faults(rig: Arc<dyn Rig>, case: Case, sampled: bool) {
    runtime().block_on(async {
        let calls = run(&rig, case, None).await;
        let mut runs = 0;
        for (fault, place) in Fault::ALL.iter().zip(0..) {
            for call in if sampled { one(case, place, calls) } else { evenly(calls) } {
                run(&rig, case, Some((*fault, call))).await;
                runs += 1;
            }
        }
        eprintln!("{}: {runs} runs with {} faults, {calls} calls", case.name, Fault::ALL.len());
    });
}

fn evenly(calls: u64) -> Vec<u64> {
    let step = calls.div_ceil(STRUCK).max(1);
    (1..=calls).step_by(usize::try_from(step).unwrap()).collect()
}

fn one(case: Case, place: u64, calls: u64) -> Vec<u64> {
    let first: u64 = case.name.bytes().map(u64::from).sum();
    vec![1 + (first + place * calls.div_ceil(4)) % calls.max(1)]
}

async fn run(rig: &Arc<dyn Rig>, case: Case, fail: Option<(Fault, u64)>) -> u64 {
    let subject = Subject::new(rig.clone(), fail);
    let ended = tokio::time::timeout(
        PATIENCE,
        tokio::spawn(async move {
            (case.body)(&subject).await;
            subject.plan.calls.load(Ordering::SeqCst)
        }),
    )
    .await;
    match ended {
        Ok(Ok(calls)) => calls,
        Ok(Err(panic)) => panic!("`{}` failed{}: {panic}", case.name, told(fail)),
        Err(_) => panic!("`{}` did not end within {PATIENCE:?}{}", case.name, told(fail)),
    }
}

fn told(fail: Option<(Fault, u64)>) -> String {
    fail.map_or(String::new(), |(fault, call)| format!(" with `{fault}` at call {call}"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
