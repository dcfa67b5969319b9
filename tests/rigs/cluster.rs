//! One cluster for all cases of a test program, each in its turn: making one takes seconds.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use governance::error::Result;
use governance::store::{Backend, Redis, RedisOptions, StoreUrl};
use governance::testing::Rig;
use governance::vocabulary::{Keys, Ports};

use crate::clusters::Cluster;

/// Redis 7 as a cluster.
pub fn cluster() -> Arc<dyn Rig> {
    let turn = Turn::take();
    Arc::new(ClusterRig { shared: shared(), key: Mutex::default(), pair: Mutex::default(), _turn: turn })
}

static TAKEN: Mutex<bool> = Mutex::new(false);
static GIVEN_BACK: Condvar = Condvar::new();

/// One case's turn; the next one waits until it is dropped.
struct Turn;

impl Turn {
    fn take() -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        *GIVEN_BACK.wait_while(taken, |taken| *taken).unwrap_or_else(PoisonError::into_inner) = true;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = false;
        GIVEN_BACK.notify_one();
    }
}

/// The cluster that this program shares.
struct Shared {
    cluster: Mutex<Cluster>,
    folder: PathBuf,
    // Ends the servers, whose process is never dropped, when this program ends.
    undertaker: Mutex<Child>,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap().keep();
        let cluster = Cluster::start(&folder);
        // It reads the processes to kill line by line, and sets about it when nobody can write any more.
        let script = r#"while read -r pid; do all="$all $pid"; done; kill -9 $all 2>/dev/null; rm -rf "$0""#;
        let undertaker = Command::new("sh").args(["-c", script]).arg(&folder).stdin(Stdio::piped()).spawn().unwrap();
        let shared = Shared { cluster: Mutex::new(cluster), folder, undertaker: Mutex::new(undertaker) };
        shared.bury(&shared.lock().pids());
        shared
    })
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bury(&self, pids: &[u32]) {
        let mut undertaker = self.undertaker.lock().unwrap_or_else(PoisonError::into_inner);
        for pid in pids {
            writeln!(undertaker.stdin.as_mut().unwrap(), "{pid}").unwrap();
        }
    }
}

struct ClusterRig {
    shared: &'static Shared,
    // A key of the tenant whose case this is.
    key: Mutex<String>,
    pair: Mutex<Option<(usize, usize)>>,
    _turn: Turn,
}

impl ClusterRig {
    fn key(&self) -> String {
        self.key.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ask(&self, words: &[&str]) {
        self.shared.lock().owner(&self.key()).ask(words);
    }

    fn kept(&self) -> PathBuf {
        self.shared.folder.join("kept.rdb")
    }
}

#[async_trait]
impl Rig for ClusterRig {
    async fn open(&self, keys: &Keys) -> Result<Arc<dyn Backend>> {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = keys.generation().to_string();
        let url = StoreUrl::parse(&self.shared.lock().url()).unwrap();
        Ok(Redis::open(&url, keys, Ports::default(), RedisOptions::default()).await?)
    }

    fn shared(&self) -> bool {
        true
    }

    async fn flush(&self) -> Result<()> {
        self.ask(&["FLUSHALL"]);
        Ok(())
    }

    async fn dump(&self) -> Result<()> {
        self.shared.lock().owner(&self.key()).dump_to(&self.kept());
        Ok(())
    }

    async fn restore(&self) -> Result<()> {
        let mut cluster = self.shared.lock();
        let owner = cluster.owner(&self.key());
        std::fs::copy(self.kept(), owner.snapshot()).unwrap();
        // In place: a master that is started anew takes nothing for two seconds.
        owner.ask(&["DEBUG", "RELOAD", "NOSAVE"]);
        Ok(())
    }

    async fn mirror(&self) -> Result<()> {
        let mut cluster = self.shared.lock();
        let pair = cluster.pair(&self.key());
        cluster.node(pair.0).cut_off_replicas();
        *self.pair.lock().unwrap_or_else(PoisonError::into_inner) = Some(pair);
        Ok(())
    }

    async fn fail_over(&self) -> Result<()> {
        let (owner, replica) = self.pair.lock().unwrap_or_else(PoisonError::into_inner).take().expect("a replica that stands by");
        let mut cluster = self.shared.lock();
        cluster.node(owner).kill();
        // At once: the election is tried by the kill tests.
        cluster.node(replica).ask(&["CLUSTER", "FAILOVER", "TAKEOVER"]);
        // The killed one comes back as its replica, for the next case.
        cluster.node(owner).restart();
        self.shared.bury(&[cluster.node(owner).pid()]);
        Ok(())
    }

    async fn fill(&self) -> Result<bool> {
        self.ask(&["CONFIG", "SET", "maxmemory", "1"]);
        Ok(true)
    }

    async fn relieve(&self) -> Result<()> {
        self.ask(&["CONFIG", "SET", "maxmemory", "0"]);
        Ok(())
    }
}
