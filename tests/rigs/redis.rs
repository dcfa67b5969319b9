//! Redis-protocol servers under test.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use governance::error::Result;
use governance::store::{Backend, Redis, RedisOptions, StoreUrl};
use governance::testing::Rig;
use governance::vocabulary::{Keys, Ports};
use tempfile::TempDir;

use crate::servers::{Product, Server};

/// Redis 7 over TCP.
pub fn redis7() -> Arc<dyn Rig> {
    Arc::new(RedisRig::new(Product::Redis, false, RedisOptions::default()))
}

/// Valkey 9 over a unix socket.
pub fn valkey9() -> Arc<dyn Rig> {
    Arc::new(RedisRig::new(Product::Valkey, true, RedisOptions::default()))
}

/// Redis 7 that refuses keys which a script did not declare, as Dragonfly does.
pub fn redis7_strict_keys() -> Arc<dyn Rig> {
    Arc::new(RedisRig::new(Product::Redis, false, RedisOptions { refuse_undeclared_keys: true, ..RedisOptions::default() }))
}

/// A server, its snapshot, and the replica that stands by.
pub struct RedisRig {
    product: Product,
    unix: bool,
    options: RedisOptions,
    state: Mutex<State>,
    folder: TempDir,
}

struct State {
    server: Server,
    kept: Option<PathBuf>,
    replica: Option<Server>,
    replicas: u32,
}

impl RedisRig {
    /// A server of its own.
    pub fn new(product: Product, unix: bool, options: RedisOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
        let server = Server::start(product, folder.path(), "master", &[]);
        Self { product, unix, options, state: Mutex::new(State { server, kept: None, replica: None, replicas: 0 }), folder }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is.
    pub fn url(&self) -> StoreUrl {
        let state = self.lock();
        let url = if self.unix {
            format!("redis+unix://{}", state.server.socket.display())
        } else {
            format!("redis://127.0.0.1:{}", state.server.port)
        };
        StoreUrl::parse(&url).unwrap()
    }

    /// Does something to the server itself.
    pub fn with_server<T>(&self, act: impl FnOnce(&mut Server) -> T) -> T {
        act(&mut self.lock().server)
    }
}

#[async_trait]
impl Rig for RedisRig {
    async fn open(&self, keys: &Keys) -> Result<Arc<dyn Backend>> {
        Ok(Redis::open(&self.url(), keys, Ports::default(), self.options).await?)
    }

    fn shared(&self) -> bool {
        true
    }

    async fn flush(&self) -> Result<()> {
        self.lock().server.ask(&["FLUSHALL"]);
        Ok(())
    }

    async fn dump(&self) -> Result<()> {
        let mut state = self.lock();
        let kept = self.folder.path().join("kept.rdb");
        state.server.dump_to(&kept);
        state.kept = Some(kept);
        Ok(())
    }

    async fn mirror(&self) -> Result<()> {
        let mut state = self.lock();
        // A replica that has everything up to here, and nothing from here on.
        state.replicas += 1;
        let replica = Server::start(self.product, self.folder.path(), &format!("replica{}", state.replicas), &[]);
        replica.replicate(&state.server);
        replica.ask(&["REPLICAOF", "NO", "ONE"]);
        state.replica = Some(replica);
        Ok(())
    }

    async fn restore(&self) -> Result<()> {
        let mut state = self.lock();
        let kept = state.kept.clone().expect("a dump to restore");
        state.server.restore_from(&kept);
        Ok(())
    }

    async fn fail_over(&self) -> Result<()> {
        let mut state = self.lock();
        let mut replica = state.replica.take().expect("a replica that stands by");
        state.server.kill();
        // The promoted replica takes over the master's addresses.
        let patience = Instant::now() + Duration::from_secs(20);
        while !replica.try_move(state.server.port) {
            assert!(Instant::now() < patience, "the port of the killed master did not become free");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::fs::rename(&replica.socket, &state.server.socket).unwrap();
        replica.socket.clone_from(&state.server.socket);
        state.server = replica;
        Ok(())
    }

    async fn fill(&self) -> Result<bool> {
        let state = self.lock();
        state.server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        state.server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
        Ok(true)
    }

    async fn relieve(&self) -> Result<()> {
        self.lock().server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
        Ok(())
    }
}
