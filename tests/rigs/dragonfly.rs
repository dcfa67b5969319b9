//! What is documented of Dragonfly, put before a real Redis: see `lua54.rs`.

use std::sync::Arc;

use async_trait::async_trait;
use governance::error::Result;
use governance::store::{Backend, Redis, RedisOptions, StoreUrl};
use governance::testing::Rig;
use governance::vocabulary::{Keys, Ports};

use super::RedisRig;
use crate::lua54::Lua54;
use crate::servers::Product;

/// Scripts under Lua 5.4, integers that stay integers, no undeclared keys.
pub fn lua54() -> Arc<dyn Rig> {
    let redis = RedisRig::new(Product::Redis, false, RedisOptions::default());
    let proxy = Lua54::before(redis.with_server(|server| server.port));
    Arc::new(Lua54Rig { redis, proxy })
}

struct Lua54Rig {
    redis: RedisRig,
    proxy: Lua54,
}

#[async_trait]
impl Rig for Lua54Rig {
    async fn open(&self, keys: &Keys) -> Result<Arc<dyn Backend>> {
        let url = StoreUrl::parse(&format!("redis://127.0.0.1:{}", self.proxy.port)).unwrap();
        let options = RedisOptions { refuse_undeclared_keys: true, ..RedisOptions::default() };
        Ok(Redis::open(&url, keys, Ports::default(), options).await?)
    }

    fn shared(&self) -> bool {
        true
    }

    async fn flush(&self) -> Result<()> {
        self.redis.flush().await
    }

    async fn dump(&self) -> Result<()> {
        self.redis.dump().await
    }

    async fn restore(&self) -> Result<()> {
        self.redis.restore().await
    }

    async fn mirror(&self) -> Result<()> {
        self.redis.mirror().await
    }

    async fn fail_over(&self) -> Result<()> {
        self.redis.fail_over().await
    }

    // `fill` is left out: here the server sees commands, not a script that it could refuse as a whole.
}
