//! The ledger remembers, for each store, the highest generation that was acknowledged. ADR 2 and 8.

use std::path::PathBuf;

use async_trait::async_trait;
use sqlx::sqlite::SqlitePool;

use super::database::sqlx_trouble;
use crate::error::{Error, Result};
use crate::store::Witness;

/// The identities of the stores that were met at these addresses.
macro_rules! met {
    () => {
        "SELECT value FROM meta WHERE name IN (SELECT 'store:' || value FROM json_each(?))"
    };
}

/// What a ledger calls a store: the identity that the store bears, and the addresses under which it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreName {
    /// What the store says it is.
    pub identity: String,
    /// Where it is; none for a store that ends with its process.
    pub addresses: Vec<String>,
}

/// A store that is known by its URL only; what may be secret in it is left out.
impl From<&str> for StoreName {
    fn from(url: &str) -> Self {
        let identity = match (url.find("://"), url.rfind('@')) {
            (Some(scheme), Some(at)) if at > scheme => format!("{}://{}", &url[..scheme], &url[at + 1..]),
            _ => url.to_owned(),
        };
        Self { identity, addresses: Vec::new() }
    }
}

impl From<&String> for StoreName {
    fn from(url: &String) -> Self {
        url.as_str().into()
    }
}

/// Reads it from the database each time: another process may have raised it.
pub(super) struct StoreWitness {
    pub pool: SqlitePool,
    pub path: PathBuf,
    pub store: StoreName,
}

#[async_trait]
impl Witness for StoreWitness {
    async fn generation(&self) -> Result<u64> {
        // Also what was acknowledged for the store that was met here: it may have been emptied since, or recovered under another identity.
        let held: Option<i64> =
            sqlx::query_scalar(concat!("SELECT max(generation) FROM witness WHERE store = ? OR store IN (", met!(), ")"))
                .bind(&self.store.identity)
                .bind(self.addresses())
                .fetch_one(&self.pool)
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
        sqlx::query(concat!(
            "INSERT INTO witness (store, generation) SELECT name, ? FROM (SELECT ? AS name UNION ",
            met!(),
            ") WHERE true ON CONFLICT (store) DO UPDATE SET generation = max(generation, excluded.generation)"
        ))
        .bind(signed)
        .bind(&self.store.identity)
        .bind(self.addresses())
        .execute(&self.pool)
        .await
        .map_err(|e| sqlx_trouble(&self.path, e))?;
        Ok(())
    }

    /// The highest generation acknowledged for *another* store that was met at one of these addresses: what is there now is not what was.
    pub async fn missed(&self) -> Result<Option<u64>> {
        let missed: Option<i64> =
            sqlx::query_scalar(concat!("SELECT max(generation) FROM witness WHERE store <> ? AND store IN (", met!(), ")"))
                .bind(&self.store.identity)
                .bind(self.addresses())
                .fetch_one(&self.pool)
                .await
                .map_err(|e| sqlx_trouble(&self.path, e))?;
        Ok(missed.map(i64::cast_unsigned))
    }

    /// Remembers that this store is what is at its addresses, and at every other address of a store that was there before.
    pub async fn meet(&self) -> Result<()> {
        let trouble = |e| sqlx_trouble(&self.path, e);
        let mut writing = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(trouble)?;
        sqlx::query(concat!("UPDATE meta SET value = ? WHERE name LIKE 'store:%' AND value <> ? AND value IN (", met!(), ")"))
            .bind(&self.store.identity)
            .bind(&self.store.identity)
            .bind(self.addresses())
            .execute(&mut *writing)
            .await
            .map_err(trouble)?;
        sqlx::query("INSERT OR IGNORE INTO meta (name, value) SELECT 'store:' || value, ? FROM json_each(?)")
            .bind(&self.store.identity)
            .bind(self.addresses())
            .execute(&mut *writing)
            .await
            .map_err(trouble)?;
        writing.commit().await.map_err(trouble)
    }

    /// Whether `meet` has nothing to add.
    pub async fn is_known(&self) -> Result<bool> {
        let known: i64 = sqlx::query_scalar(concat!("SELECT count(*) FROM (", met!(), " AND value = ?)"))
            .bind(self.addresses())
            .bind(&self.store.identity)
            .fetch_one(&self.pool)
            .await
            .map_err(|e| sqlx_trouble(&self.path, e))?;
        Ok(usize::try_from(known).is_ok_and(|known| known == self.store.addresses.len()))
    }

    fn addresses(&self) -> String {
        serde_json::Value::from(self.store.addresses.clone()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stores_name_holds_no_password() {
        assert_eq!(StoreName::from("redis://user:p@ss@host:6379/0").identity, "redis://host:6379/0");
        assert_eq!(StoreName::from("sqlite:/a/b@c.db").identity, "sqlite:/a/b@c.db");
    }
}
