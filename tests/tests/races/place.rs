//! Where a store and its ledger lie while a race is on.

use std::any::Any;
use std::path::PathBuf;

use governance::store::RedisOptions;
use governance_tests::rigs::RedisRig;
use governance_tests::servers::Product;
use tempfile::TempDir;

/// A store's URL and a ledger's home; both go with it.
pub struct Place {
    /// The store's URL.
    pub url: String,
    folder: TempDir,
    _server: Option<Box<dyn Any + Send>>,
}

impl Place {
    /// SQLite in a file.
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        Self { url, folder, _server: None }
    }

    /// Redis 7 over TCP.
    pub fn redis7() -> Self {
        Self::of(RedisRig::new(Product::Redis, false, RedisOptions::default()))
    }

    /// Valkey 9 over a unix socket.
    pub fn valkey9() -> Self {
        Self::of(RedisRig::new(Product::Valkey, true, RedisOptions::default()))
    }

    fn of(rig: RedisRig) -> Self {
        Self { url: rig.url().to_string(), folder: tempfile::tempdir().unwrap(), _server: Some(Box::new(rig)) }
    }

    /// The ledger's home.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }
}
