//! A client that dies, or is held up, in the middle of what it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use governance::error::Result;
use governance::store::{Answer, Backend, Commit, Description, Outcome, Query, Scan, Signals, Watch};
use governance::vocabulary::{Key, Millis};
use tokio::sync::{Notify, mpsc, oneshot};

/// A death that waits at one commit.
pub struct Crash {
    dead: Arc<Notify>,
}

/// What happens at one commit of a handle.
pub(super) enum Fate {
    /// Its process dies before it is sent.
    DiesBefore(Arc<Notify>),
    /// Its process dies after it took effect.
    DiesAfter(Arc<Notify>),
    /// Somebody else does something just before it arrives.
    IsHeldUp(mpsc::UnboundedSender<oneshot::Sender<()>>),
}

/// A backend on which one commit meets its fate.
pub(super) struct Fated {
    pub backend: Arc<dyn Backend>,
    pub commits: AtomicU64,
    pub at: u64,
    pub fate: Fate,
}

impl Crash {
    pub(super) fn new() -> (Self, Arc<Notify>) {
        let dead = Arc::new(Notify::new());
        (Self { dead: dead.clone() }, dead)
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

/// A commit that is held up.
pub struct HeldUp {
    pub(super) arrivals: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
}

impl HeldUp {
    /// Waits until the commit is on its way. It goes on once what this answers is told so.
    pub async fn arrives(&mut self) -> oneshot::Sender<()> {
        self.arrivals.recv().await.expect("the commit arrives")
    }

    /// Does something while the commit is held up, then lets it go on.
    pub async fn meanwhile(mut self, act: impl Future<Output = ()>) {
        let go_on = self.arrives().await;
        act.await;
        go_on.send(()).expect("the commit waits");
    }
}

#[async_trait]
impl Backend for Fated {
    async fn commit(&self, commit: &Commit) -> Result<Outcome> {
        if self.commits.fetch_add(1, Ordering::SeqCst) + 1 != self.at {
            return self.backend.commit(commit).await;
        }
        match &self.fate {
            Fate::IsHeldUp(arrival) => {
                let (go_on, wait) = oneshot::channel();
                arrival.send(go_on).expect("somebody holds it up");
                wait.await.expect("it is let go");
                self.backend.commit(commit).await
            }
            Fate::DiesBefore(dead) => {
                dead.notify_one();
                std::future::pending().await
            }
            Fate::DiesAfter(dead) => {
                let _ = self.backend.commit(commit).await;
                dead.notify_one();
                std::future::pending().await
            }
        }
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
}
