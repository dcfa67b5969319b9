//! A master and a replica that sentinels watch.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use governance::error::Result;
use governance::store::{Backend, Redis, RedisOptions, StoreUrl};
use governance::testing::Rig;
use governance::vocabulary::{Keys, Ports};
use tempfile::TempDir;

use crate::sentinels::{MASTER, Sentinel};
use crate::servers::{Product, Server};

/// Redis 7 behind a sentinel. One is enough here; the kill tests have three.
pub fn sentinel() -> Arc<dyn Rig> {
    Arc::new(SentinelRig::new(1))
}

/// The servers and their sentinels. The replica comes when it is needed.
pub struct SentinelRig {
    sentinels: Vec<Sentinel>,
    state: Mutex<State>,
    folder: TempDir,
}

struct State {
    master: Server,
    replica: Option<Server>,
    replicas: u32,
}

impl SentinelRig {
    /// A master and so many sentinels.
    pub fn new(sentinels: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
        let master = Server::start(Product::Redis, folder.path(), "master", &[]);
        let sentinels = Sentinel::start(folder.path(), sentinels, &master);
        Self { sentinels, state: Mutex::new(State { master, replica: None, replicas: 0 }), folder }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> PathBuf {
        self.folder.path().join("kept.rdb")
    }

    /// Where the sentinels are.
    pub fn url(&self) -> StoreUrl {
        let hosts: Vec<_> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        StoreUrl::parse(&format!("redis-sentinel://{}/{MASTER}", hosts.join(","))).unwrap()
    }

    /// Starts a replica, and waits until it is in step and the sentinels know it.
    pub fn stand_by(&self) {
        let mut state = self.lock();
        state.replicas += 1;
        let replica = Server::start(Product::Redis, self.folder.path(), &format!("replica{}", state.replicas), &[]);
        replica.replicate(&state.master);
        for sentinel in &self.sentinels {
            sentinel.wait_for_replica(&replica);
        }
        state.replica = Some(replica);
    }

    /// Waits until the replica has heard everything.
    pub fn wait_in_step(&self) {
        let state = self.lock();
        if let Some(replica) = &state.replica {
            replica.wait_in_step(&state.master, "rig:mark");
        }
    }

    /// From now on the replica hears nothing.
    pub fn cut_off(&self) {
        self.wait_in_step();
        self.lock().master.cut_off_replicas();
    }

    /// Kills the master, and returns at once.
    pub fn kill(&self) {
        self.lock().master.kill();
    }

    /// Waits until every sentinel names the replica.
    pub fn wait_for_replica(&self) {
        let mut state = self.lock();
        let replica = state.replica.take().expect("a replica that stands by");
        let until = Instant::now() + Duration::from_secs(30);
        while !self.sentinels.iter().all(|sentinel| sentinel.master() == Some(replica.port)) {
            assert!(Instant::now() < until, "the sentinels did not promote the replica");
            std::thread::sleep(Duration::from_millis(10));
        }
        state.master = replica;
    }
}

#[async_trait]
impl Rig for SentinelRig {
    async fn open(&self, keys: &Keys) -> Result<Arc<dyn Backend>> {
        Ok(Redis::open(&self.url(), keys, Ports::default(), RedisOptions::default()).await?)
    }

    fn shared(&self) -> bool {
        true
    }

    async fn flush(&self) -> Result<()> {
        self.lock().master.ask(&["FLUSHALL"]);
        Ok(())
    }

    async fn dump(&self) -> Result<()> {
        self.lock().master.dump_to(&self.kept());
        Ok(())
    }

    async fn mirror(&self) -> Result<()> {
        self.stand_by();
        self.cut_off();
        Ok(())
    }

    async fn restore(&self) -> Result<()> {
        // Back again before the sentinels call it dead.
        self.lock().master.restore_from(&self.kept());
        Ok(())
    }

    async fn fail_over(&self) -> Result<()> {
        self.kill();
        self.wait_for_replica();
        Ok(())
    }

    async fn fill(&self) -> Result<bool> {
        self.lock().master.ask(&["CONFIG", "SET", "maxmemory", "1"]);
        Ok(true)
    }

    async fn relieve(&self) -> Result<()> {
        self.lock().master.ask(&["CONFIG", "SET", "maxmemory", "0"]);
        Ok(())
    }
}
