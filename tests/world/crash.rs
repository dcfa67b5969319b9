//! A client that dies in the middle of what it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use governance::error::Result;
use governance::store::{Answer, Backend, Commit, Description, Outcome, Query, Scan, Signals, Watch};
use governance::vocabulary::{Key, Millis};
use tokio::sync::Notify;

/// A death that waits at one commit.
pub struct Crash {
    dead: Arc<Notify>,
}

struct Mortal {
    backend: Arc<dyn Backend>,
    commits: AtomicU64,
    last: u64,
    after: bool,
    dead: Arc<Notify>,
}

impl Crash {
    pub(super) fn at(backend: Arc<dyn Backend>, commit: u64, after: bool) -> (Arc<dyn Backend>, Self) {
        let dead = Arc::new(Notify::new());
        let mortal = Mortal { backend, commits: AtomicU64::new(0), last: commit, after, dead: dead.clone() };
        (Arc::new(mortal), Self { dead })
    }

    /// Does something as far as it lives: none if it died on the way.
    pub async fn during<T>(&self, life: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.dead.notified() => None,
            done = life => Some(done),
        }
    }
}

#[async_trait]
impl Backend for Mortal {
    async fn commit(&self, commit: &Commit) -> Result<Outcome> {
        if self.commits.fetch_add(1, Ordering::SeqCst) + 1 < self.last {
            return self.backend.commit(commit).await;
        }
        if self.after {
            let _ = self.backend.commit(commit).await;
        }
        self.dead.notify_one();
        std::future::pending().await
    }

    async fn read(&self, queries: &[Query]) -> Result<Vec<Answer>> {
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

    fn remote(&self) -> bool {
        self.backend.remote()
    }
}
