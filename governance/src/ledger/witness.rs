//! The ledger remembers, for each store, the highest generation that was acknowledged. ADR 2.

use std::path::PathBuf;

use async_trait::async_trait;
use sqlx::sqlite::SqlitePool;

use super::database::sqlx_trouble;
use crate::error::{Error, Result};
use crate::store::Witness;

/// Reads it from the database each time: another process may have raised it.
pub(super) struct StoreWitness {
    pub pool: SqlitePool,
    pub path: PathBuf,
    pub store: String,
}

#[async_trait]
impl Witness for StoreWitness {
    async fn generation(&self) -> Result<u64> {
        let held: Option<i64> = sqlx::query_scalar("SELECT generation FROM witness WHERE store = ?")
            .bind(&self.store)
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| sqlx_trouble(&self.path, e))?;
        Ok(held.unwrap_or(0).cast_unsigned())
    }
}

impl StoreWitness {
    /// Remembers a generation; a lower one than is known changes nothing. Returns when it is on the disk.
    pub async fn raise(&self, generation: u64) -> Result<()> {
        let signed = i64::try_from(generation)
            .map_err(|_| Error::invalid("generation_too_large", format!("`{generation}` is not a generation of a store")))?;
        sqlx::query(
            "INSERT INTO witness (store, generation) VALUES (?, ?) \
             ON CONFLICT (store) DO UPDATE SET generation = max(generation, excluded.generation)",
        )
        .bind(&self.store)
        .bind(signed)
        .execute(&self.pool)
        .await
        .map_err(|e| sqlx_trouble(&self.path, e))?;
        Ok(())
    }
}

/// A store's name in the ledger: its URL without what may be secret.
pub(super) fn store_name(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://{}", &url[..scheme], &url[at + 1..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stores_name_holds_no_password() {
        assert_eq!(store_name("redis://user:p@ss@host:6379/0"), "redis://host:6379/0");
        assert_eq!(store_name("sqlite:/a/b@c.db"), "sqlite:/a/b@c.db");
    }
}
