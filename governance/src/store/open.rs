//! From a URL to a store.

use std::sync::Arc;

use super::sqlite::Sqlite;
use super::{Backend, Memory, Store, StoreUrl};
use crate::error::Result;
use crate::vocabulary::{Ports, TenantId};

impl Store {
    /// Opens the default tenant's state at a URL: `sqlite:PATH`, a Redis-protocol server by one of the forms of docs/stores.md, or `memory:`.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let store = governance::store::Store::open("memory:").await?;
    /// assert!(!store.describe().await?.shared);
    /// # Ok::<_, governance::Error>(()) })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_as(url, &TenantId::default(), Ports::default()).await
    }

    /// Opens a tenant's state at a URL, with a clock and a source of randomness.
    pub async fn open_as(url: &str, tenant: &TenantId, ports: Ports) -> Result<Self> {
        let url = StoreUrl::parse(url)?;
        let keys = url.keys(tenant);
        let backend: Arc<dyn Backend> = match &url {
            StoreUrl::Memory => Arc::new(Memory::new(&keys, ports.clone())),
            StoreUrl::Sqlite(path) => Sqlite::open(path, &keys, ports.clone())?,
            #[cfg(feature = "redis")]
            StoreUrl::Redis(_) => super::redis::Redis::open(&url, &keys, ports.clone(), super::redis::RedisOptions::default()).await?,
            #[cfg(not(feature = "redis"))]
            StoreUrl::Redis(_) => {
                let message = format!("this build cannot reach `{url}`: build it with the feature `redis`");
                return Err(crate::error::Error::invalid("feature_missing", message));
            }
        };
        Self::new(backend, keys, ports).await
    }
}
