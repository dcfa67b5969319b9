//! The ledger's SQLite file: opened with care, migrated by number, and its errors said clearly.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlSafeStr};

use super::Durability;
use super::segment::trouble;
use crate::disk::{Opened, refuse_network_file_system};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{LedgerId, Ports};

/// "Govl": how a ledger is told from other SQLite files.
const APPLICATION: i64 = 0x476f_766c;
/// The format that this version writes. 1 was never released.
const FORMAT: i64 = 2;
/// How long a call waits for another process that writes.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks within that, where it cannot be woken.
const LOOKS: u32 = 1_000;
/// How many pages the log may have before it goes into the file. Rare and large is faster than often and small.
const CHECKPOINT_PAGES: u32 = 8_000;
/// SQLite's word for a file that somebody else holds.
const LOCKED: i32 = 5;
/// How much memory a sequencer's connection may use for pages.
const CACHE_KIB: i64 = 32_768;

fn migrations() -> Vec<Migration> {
    let one = |number, name: &'static str, sql: &'static str| {
        Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    vec![one(1, "ledger", include_str!("migrations/0001_ledger.sql"))]
}

/// The file, ready for use.
pub(super) struct Database {
    pub path: PathBuf,
    pub pool: SqlitePool,
    pub id: LedgerId,
    _opened: Opened,
}

impl Database {
    /// Opens a file or makes it, and brings it to this version's format.
    pub async fn open(path: &Path, ports: &Ports) -> Result<Self> {
        let _opened = Opened::claim()?;
        let (file, chance) = (path.to_owned(), ports.chance.clone());
        let directory = path.parent().unwrap_or(Path::new(".")).to_owned();
        let checked = move || {
            fs::create_dir_all(&directory).map_err(|e| trouble(&directory, &e))?;
            refuse_network_file_system(&directory)?;
            // A ledger that is whole is opened without waiting for anybody: who is frozen while opening it holds nobody up.
            if let Some(id) = finished(&file) {
                return Ok((None, id));
            }
            let lock = migration_lock(&directory.join("migrate.lock"))?;
            check(&file)?;
            Ok((Some(lock), LedgerId::fresh(&*chance)))
        };
        let (lock, id) = blocking(checked).await?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .busy_timeout(PATIENCE)
            // Written through this pool: what must not be lost, and seldom. The hot insert has its own connection.
            .synchronous(SqliteSynchronous::Full)
            // Errors tell; a log of statements is nobody's.
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(4).acquire_timeout(PATIENCE * 2).connect_lazy_with(options);
        let id = if lock.is_some() { finish(path, &pool, &id).await? } else { id };
        drop(lock);
        Ok(Self { path: path.to_owned(), pool, id, _opened })
    }
}

/// Brings the tables to this version's, and answers the ledger's id: a fresh one, where it has none.
async fn finish(path: &Path, pool: &SqlitePool, fresh: &LedgerId) -> Result<LedgerId> {
    let trouble = |e| sqlx_trouble(path, e);
    Migrator::with_migrations(migrations()).run(pool).await.map_err(|e| migration_trouble(path, e))?;
    let insert = sqlx::query("INSERT OR IGNORE INTO meta (name, value) VALUES ('ledger', ?)");
    insert.bind(fresh.as_str()).execute(pool).await.map_err(trouble)?;
    let id: String = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'ledger'").fetch_one(pool).await.map_err(trouble)?;
    LedgerId::new(id)
}

/// The id of a ledger that is there, whole and of this version. Everything else is looked at again by whoever holds the lock.
fn finished(path: &Path) -> Option<LedgerId> {
    let id = reader(path, false).ok()?.query_row("SELECT value FROM meta WHERE name = 'ledger'", [], |row| row.get::<_, String>(0));
    LedgerId::new(id.ok()?).ok()
}

/// One process at a time: SQLite's migrations have no lock of their own.
fn migration_lock(path: &Path) -> Result<File> {
    let file = File::create(path).map_err(|e| trouble(path, &e))?;
    for _ in 0..LOOKS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PATIENCE / LOOKS),
            Err(TryLockError::Error(e)) => return Err(trouble(path, &e)),
        }
    }
    Err(say(path, LOCKED, ""))
}

/// Runs what blocks beside the async threads.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("a task of the ledger ended early").because(e))?
}

/// A raw connection for writing.
pub(super) fn writer(path: &Path, durability: Durability) -> Result<Connection> {
    let open = || {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(PATIENCE)?;
        let synchronous = if durability == Durability::Disk { "FULL" } else { "NORMAL" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        // A batch fits into memory: otherwise its pages go to the log several times.
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        // A payload that was dropped does not stay readable in the file's free space.
        connection.pragma_update(None, "secure_delete", "ON")?;
        Ok(connection)
    };
    open().map_err(|e| sqlite_trouble(path, e))
}

/// How a file lies there that no one has open: without a log. While this stays the same, nobody writes it.
pub(super) fn at_rest(path: &Path) -> Option<(u64, SystemTime)> {
    let log = PathBuf::from(format!("{}-wal", path.display()));
    let file = fs::metadata(path).ok().filter(|_| !log.exists())?;
    Some((file.len(), file.modified().ok()?))
}

/// The code of the error that says that another writes for too long.
pub(super) const BUSY: &str = "ledger_locked";
/// The code of the error that says that a ledger holds nothing yet, not even its name.
pub const EMPTY: &str = "empty_ledger";

/// A raw connection that cannot write. One on a file at rest does not even leave the log's index behind, and works on a read-only disk.
pub(super) fn reader(path: &Path, at_rest: bool) -> Result<Connection> {
    if !path.exists() {
        let message = format!("there is no ledger at `{}`: give the path of a `governance.db`", path.display());
        return Err(Error::new(ErrorKind::NotFound, "no_ledger", message));
    }
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let uri = format!("file:{escaped}{}", if at_rest { "?immutable=1" } else { "" });
        let connection = Connection::open_with_flags(uri, flags)?;
        connection.busy_timeout(PATIENCE)?;
        let identity = identity(&connection)?;
        let finished = identity.tables > 0 && connection.table_exists(None, "meta")? && named(&connection)?;
        Ok((connection, identity, finished))
    };
    let (connection, identity, finished) = open().map_err(|e| sqlite_trouble(path, e))?;
    // Its making was cut short, so nobody has written into it yet; whoever opens it next finishes it.
    if !finished && (identity.tables == 0 || identity.application == APPLICATION) {
        let message = format!("`{}` is a ledger that was not finished being made: nothing is in it; any run finishes it", path.display());
        return Err(Error::new(ErrorKind::NotFound, EMPTY, message));
    }
    identity.require(path)?;
    Ok(connection)
}

fn named(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) FROM meta WHERE name = 'ledger'", [], |row| row.get::<_, i64>(0)).map(|rows| rows > 0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    application: i64,
    format: i64,
    tables: i64,
}

impl Identity {
    /// Refuses everything but a ledger that this version can read.
    fn require(self, path: &Path) -> Result<()> {
        let shown = path.display();
        if self.application != APPLICATION {
            let message = format!("`{shown}` is not a ledger but another SQLite file: give another path, it was not touched");
            return Err(Error::invalid("foreign_file", message));
        }
        if (1..FORMAT).contains(&self.format) {
            let message = format!(
                "`{shown}` has format {}, of before the first release, which is no longer read: name a new --home; it was not touched",
                self.format
            );
            return Err(Error::invalid("older_format", message));
        }
        if self.format > FORMAT {
            let message =
                format!("`{shown}` has format {}, this version knows {FORMAT}: upgrade governance; it was not touched", self.format);
            return Err(Error::invalid("newer_format", message).with("format", self.format).with("known", FORMAT));
        }
        Ok(())
    }
}

fn identity(connection: &Connection) -> rusqlite::Result<Identity> {
    let number = |sql| connection.query_row(sql, [], |row| row.get(0));
    Ok(Identity {
        application: number("PRAGMA application_id")?,
        format: number("PRAGMA user_version")?,
        tables: number("SELECT count(*) FROM sqlite_schema")?,
    })
}

/// Looks before anything is changed.
fn check(path: &Path) -> Result<()> {
    let looked = Connection::open(path).and_then(|connection| {
        connection.busy_timeout(PATIENCE)?;
        let identity = identity(&connection)?;
        Ok((connection, identity))
    });
    let (connection, identity) = looked.map_err(|e| sqlite_trouble(path, e))?;
    if identity == (Identity { application: 0, format: 0, tables: 0 }) {
        // First of all, so that a ledger whose making was cut short is still known as one.
        connection.pragma_update(None, "application_id", APPLICATION).map_err(|e| sqlite_trouble(path, e))?;
    } else {
        identity.require(path)?;
    }
    let mode: rusqlite::Result<String> = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
    let mode = mode.map_err(|e| sqlite_trouble(path, e))?;
    if mode != "wal" {
        let message = format!("`{}` cannot keep a write-ahead log (journal mode `{mode}`): use a local disk", path.display());
        return Err(Error::invalid("no_write_ahead_log", message));
    }
    Ok(())
}

fn primary_code(error: &rusqlite::Error) -> i32 {
    error.sqlite_error().map_or(0, |e| e.extended_code & 0xff)
}

/// Whether an error says that the file itself is damaged.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(primary_code(error), 11 | 26)
}

/// What an error of the raw connection is told as.
pub(super) fn sqlite_trouble(path: &Path, error: rusqlite::Error) -> Error {
    say(path, primary_code(&error), &error.to_string()).because(error)
}

/// What an error of the pool is told as.
pub(super) fn sqlx_trouble(path: &Path, error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|e| e.code()?.parse::<i32>().ok());
    let code = code.unwrap_or(if matches!(error, sqlx::Error::PoolTimedOut) { LOCKED } else { 0 });
    say(path, code & 0xff, &error.to_string()).because(error)
}

fn migration_trouble(path: &Path, error: sqlx::migrate::MigrateError) -> Error {
    use sqlx::migrate::MigrateError as E;
    match error {
        E::Execute(e) | E::ExecuteMigration(e, _) => sqlx_trouble(path, e),
        E::VersionMissing(number) => {
            let message = format!("`{}` was migrated by a newer version (step {number}): upgrade governance", path.display());
            Error::invalid("newer_format", message)
        }
        other => {
            let message = format!("`{}` could not be migrated: bring it back from a backup, or upgrade governance", path.display());
            Error::corrupt("not_migrated", message).because(other)
        }
    }
}

/// By SQLite's primary result code.
fn say(path: &Path, code: i32, text: &str) -> Error {
    let shown = path.display();
    match code {
        LOCKED | 6 => {
            let message = format!("`{shown}` is held locked by another process: wait, or find it with `fuser {shown}` and end it");
            Error::unavailable(BUSY, message)
        }
        13 => {
            let message = format!("`{shown}` could not grow, the disk is full: free space, then try again; nothing was lost");
            Error::new(ErrorKind::Exhausted, "disk_full", message)
        }
        26 => Error::invalid("foreign_file", format!("`{shown}` is not a ledger: give another path, it was not touched")),
        3 | 8 | 23 => {
            let message = format!("`{shown}` may not be written: give this user the right to, or use another GOVERNANCE_HOME");
            Error::invalid("not_writable", message)
        }
        14 => {
            let message = format!("`{shown}` cannot be opened: it must be a file in a directory that this user may write");
            Error::invalid("not_openable", message)
        }
        11 | 19 => {
            let message = format!("`{shown}` is damaged ({text}): run `ledger verify`, and keep the file");
            Error::corrupt("ledger_damaged", message)
        }
        10 => {
            let message = format!("`{shown}` cannot be read or written ({text}): check the disk and its free space; nothing was lost");
            Error::unavailable("ledger_io", message)
        }
        _ => Error::internal(format!("`{shown}`: {text}")),
    }
}
