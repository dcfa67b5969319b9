//! A handle whose questions are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use governance::error::Result;
use governance::store::{Answer, Backend, Commit, Description, Outcome, Query, Scan, Signals, Watch};
use governance::vocabulary::{Key, Millis};

/// A backend that counts how often it is read.
pub(super) struct Counted {
    pub backend: Arc<dyn Backend>,
    pub reads: Arc<AtomicU64>,
}

#[async_trait]
impl Backend for Counted {
    async fn commit(&self, commit: &Commit) -> Result<Outcome> {
        self.backend.commit(commit).await
    }

    async fn read(&self, queries: &[Query]) -> Result<Vec<Answer>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.backend.read(queries).await
    }

    async fn scan(&self, prefix: &str, from: Option<&str>, limit: usize) -> Result<Scan> {
        self.backend.scan(prefix, from, limit).await
    }

    async fn watch(&self, keys: &[Key]) -> Result<Watch> {
        self.backend.watch(keys).await
    }

    async fn signals(&self, channel: &Key) -> Result<Signals> {
        self.backend.signals(channel).await
    }

    async fn now(&self) -> Result<Millis> {
        self.backend.now().await
    }

    async fn describe(&self) -> Result<Description> {
        self.backend.describe().await
    }

    fn connection(&self) -> u64 {
        self.backend.connection()
    }
}
