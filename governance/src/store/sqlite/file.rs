//! Opening the file: whose it is, which format, how SQLite is told to treat it.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::failure::{failed, not_a_store, not_writable};
use super::time::StoreClock;
use crate::disk::refuse_network_file_system;
use crate::error::{Error, Result};

/// "GOVs": in the file's header, so that nothing else is taken for a store.
const APPLICATION: i64 = 0x474f_5673;
/// The format of the tables.
const TABLES: i64 = 1;
/// How long opening waits for another program to let go of the file, and how often.
const OPENING: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 5;
/// How long a reader's SQLite waits in place: readers wait only while a crashed process's log is brought in.
const READING: Duration = Duration::from_millis(20);
/// More than the number of different statements.
const STATEMENTS: usize = 64;

// Creating the file closes a descriptor of it outside SQLite, which would drop the locks of a connection that was opened meanwhile.
static CREATING: Mutex<()> = Mutex::new(());

/// Opens the file for the writer: creates it, or checks that it is a store of this format.
pub(super) fn open_writer(path: &Path, clock: &StoreClock) -> Result<Connection> {
    refuse_network_file_system(path)?;
    create(path)?;
    let mut connection = connect(path).map_err(|e| failed(path, e))?;
    connection.busy_timeout(OPENING).map_err(|e| failed(path, e))?;
    prepare(&mut connection, path, clock)?;
    // The writer decides by itself when to bring the log in.
    let pragmas = "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -16000; \
                   PRAGMA journal_size_limit = 67108864";
    connection.execute_batch(pragmas).map_err(|e| failed(path, e))?;
    // From here on the writer waits by itself.
    connection.busy_timeout(Duration::ZERO).map_err(|e| failed(path, e))?;
    Ok(connection)
}

/// Opens the file, which a writer has prepared, for reading.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let open = || {
        let connection = connect(path)?;
        connection.busy_timeout(READING)?;
        connection.execute_batch("PRAGMA query_only = ON")?;
        Ok(connection)
    };
    open().map_err(|e| failed(path, e))
}

fn create(path: &Path) -> Result<()> {
    let _alone = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| not_writable(path).because(e))?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(not_writable(path).because(error)),
        _ => Ok(()),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// What a file turned out to be.
enum Found {
    Empty,
    Store,
}

fn prepare(connection: &mut Connection, path: &Path, clock: &StoreClock) -> Result<()> {
    let mut attempt = 1;
    loop {
        // SQLite does not always wait by itself while another process sets the same file up.
        match try_prepare(connection, path).and_then(|()| clock.tie(connection).map_err(|e| failed(path, e))) {
            Err(error) if error.code() == "store_busy" && attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

fn try_prepare(connection: &mut Connection, path: &Path) -> Result<()> {
    let failed = |error| failed(path, error);
    // In one transaction, or a file that another process is just setting up would look like half of one.
    let reading = connection.transaction().map_err(failed)?;
    let found = look(&reading, path)?;
    reading.finish().map_err(failed)?;
    if let Found::Store = found {
        return Ok(());
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(failed)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Another process may have been first.
    if let Found::Empty = look(&transaction, path)? {
        let header = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {TABLES};");
        transaction.execute_batch(include_str!("schema.sql")).map_err(failed)?;
        transaction.execute_batch(&header).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

fn look(connection: &Connection, path: &Path) -> Result<Found> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|e| failed(path, e));
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if application == APPLICATION {
        if version > TABLES {
            let message =
                format!("`{}` has format {version}, this version knows {TABLES}: upgrade governance, or use another store", path.display());
            return Err(Error::invalid("newer_format", message));
        }
        return Ok(Found::Store);
    }
    if application != 0 || version != 0 || number("SELECT count(*) FROM sqlite_schema")? != 0 {
        return Err(not_a_store(path, "it belongs to another program"));
    }
    Ok(Found::Empty)
}
