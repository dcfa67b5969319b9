//! What SQLite's errors mean to the caller.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::{Error, ErrorKind};

/// What helps a damaged file.
const PUT_BACK: &str =
    "end every program that uses it, put a copy of it back or, without one, remove it, then run `governance store recover`";

/// An error of SQLite on a file, by what the caller can do about it.
pub(super) fn failed(path: &Path, error: rusqlite::Error) -> Error {
    let file = path.display();
    let told = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => busy(path),
        Some(ErrorCode::DiskFull) => Error::new(
            ErrorKind::Exhausted,
            "store_full",
            format!("the disk that holds `{file}` is full: free some space and ask again; nothing that was acknowledged is lost"),
        ),
        Some(ErrorCode::NotADatabase) => not_a_store(path, "it is not an SQLite file"),
        Some(ErrorCode::DatabaseCorrupt) => damaged(path),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => not_writable(path),
        Some(ErrorCode::SystemIoFailure) => {
            Error::unavailable("store_io", format!("`{file}` could not be read or written: look at the disk"))
        }
        None if matches!(error, rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..)) => {
            Error::corrupt("store_damaged", format!("`{file}` holds a row that was not written by this program: put a copy of it back"))
        }
        // Opening it makes its tables: whoever misses one finds a file of which nothing is left.
        _ if error.to_string().contains("no such table") => damaged(path),
        _ => Error::internal(format!("the store `{file}` failed: {error}")),
    };
    told.because(error)
}

pub(super) fn busy(path: &Path) -> Error {
    Error::unavailable("store_busy", format!("another program keeps `{}` locked: try again, or end that program", path.display()))
}

pub(super) fn not_a_store(path: &Path, why: &str) -> Error {
    Error::invalid("not_a_store", format!("`{}` is not a governance store, {why}: name another path", path.display()))
}

pub(super) fn not_writable(path: &Path) -> Error {
    Error::invalid(
        "store_not_writable",
        format!("`{}` cannot be opened for writing: look at the permissions of it and its folder", path.display()),
    )
}

pub(super) fn moved(path: &Path) -> Error {
    let message = format!("`{}` was deleted or replaced while it was in use: restart every program that uses it", path.display());
    Error::corrupt("store_moved", message)
}

/// A reader may find that a file was cut off before the writer compares its length: both say the same.
pub(super) fn damaged(path: &Path) -> Error {
    Error::corrupt("store_damaged", format!("`{}` is damaged, or was cut off while it was in use: {PUT_BACK}", path.display()))
}

pub(super) fn closed(path: &Path) -> Error {
    Error::unavailable("store_closed", format!("the writer of `{}` has ended: open the store again", path.display()))
}
