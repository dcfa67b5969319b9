//! A backend that fails once, at a chosen call, in a chosen way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::store::{Answer, Backend, Commit, Description, Outcome, Query, Scan, Signals, Watch};
use crate::vocabulary::{Key, Millis, named};

named! {
    /// How a call fails.
    pub enum Fault {
        /// The store refuses the connection: the call did not happen.
        Refused = "refused",
        /// The answer comes late.
        Delayed = "delayed",
        /// The line is cut before the call arrives.
        CutBefore = "cut_before",
        /// The line is cut after the call was carried out: the answer is lost.
        CutAfter = "cut_after",
    }
}

/// Counts calls, and fails one of them.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub calls: AtomicU64,
    pub fail: Option<(Fault, u64)>,
}

/// A backend whose n-th call fails.
pub struct Faulty {
    backend: Arc<dyn Backend>,
    plan: Arc<Plan>,
}

impl Faulty {
    pub(super) fn new(backend: Arc<dyn Backend>, plan: Arc<Plan>) -> Self {
        Self { backend, plan }
    }

    async fn through<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let number = self.plan.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let Some((fault, _)) = self.plan.fail.filter(|(_, at)| *at == number) else { return call.await };
        let cut = || Error::unavailable("cut", "the line was cut");
        match fault {
            Fault::Refused => Err(Error::unavailable("refused", "connection refused")),
            Fault::CutBefore => Err(cut()),
            Fault::CutAfter => call.await.and_then(|_| Err(cut())),
            Fault::Delayed => {
                tokio::time::sleep(Duration::from_millis(15)).await;
                call.await
            }
        }
    }
}

#[async_trait]
impl Backend for Faulty {
    async fn commit(&self, commit: &Commit) -> Result<Outcome> {
        self.through(self.backend.commit(commit)).await
    }

    async fn read(&self, queries: &[Query]) -> Result<Vec<Answer>> {
        self.through(self.backend.read(queries)).await
    }

    async fn scan(&self, prefix: &str, from: Option<&str>, limit: usize) -> Result<Scan> {
        self.through(self.backend.scan(prefix, from, limit)).await
    }

    async fn watch(&self, keys: &[Key]) -> Result<Watch> {
        self.through(self.backend.watch(keys)).await
    }

    async fn signals(&self, channel: &Key) -> Result<Signals> {
        self.through(self.backend.signals(channel)).await
    }

    async fn now(&self) -> Result<Millis> {
        self.through(self.backend.now()).await
    }

    async fn describe(&self) -> Result<Description> {
        self.through(self.backend.describe()).await
    }

    fn connection(&self) -> u64 {
        self.backend.connection()
    }

    fn file(&self) -> Option<&std::path::Path> {
        self.backend.file()
    }

    fn remote(&self) -> bool {
        true
    }
}
