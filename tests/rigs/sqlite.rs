//! SQLite: every handle opens the file for itself, as another process would.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use governance::error::Result;
use governance::store::{Backend, Sqlite};
use governance::testing::Rig;
use governance::vocabulary::{Keys, Ports};
use rusqlite::Connection;
use tempfile::TempDir;

const TABLES: [&str; 6] = ["keys", "cells", "entries", "tokens", "signals", "clock"];

/// SQLite in a folder of its own.
pub fn sqlite() -> Arc<dyn Rig> {
    Arc::new(SqliteRig { folder: tempfile::tempdir().unwrap() })
}

struct SqliteRig {
    folder: TempDir,
}

impl SqliteRig {
    fn store(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("copy.db")
    }

    fn raw(&self) -> Connection {
        let connection = Connection::open(self.store()).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        connection
    }
}

#[async_trait]
impl Rig for SqliteRig {
    async fn open(&self, keys: &Keys) -> Result<Arc<dyn Backend>> {
        Ok(Sqlite::open(&self.store(), keys, Ports::default())?)
    }

    fn shared(&self) -> bool {
        true
    }

    async fn flush(&self) -> Result<()> {
        let delete: String = TABLES.iter().map(|table| format!("DELETE FROM {table};")).collect();
        self.raw().execute_batch(&format!("BEGIN IMMEDIATE; {delete} COMMIT")).unwrap();
        Ok(())
    }

    async fn dump(&self) -> Result<()> {
        let _ = std::fs::remove_file(self.copy());
        self.raw().execute("VACUUM INTO ?1", [self.copy().to_str().unwrap()]).unwrap();
        Ok(())
    }

    async fn restore(&self) -> Result<()> {
        let raw = self.raw();
        raw.execute("ATTACH ?1 AS copy", [self.copy().to_str().unwrap()]).unwrap();
        let put_back: String =
            TABLES.iter().map(|t| format!("DELETE FROM main.{t}; INSERT INTO main.{t} SELECT * FROM copy.{t};")).collect();
        raw.execute_batch(&format!("BEGIN IMMEDIATE; {put_back} COMMIT")).unwrap();
        Ok(())
    }
}
