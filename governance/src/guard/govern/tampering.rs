//! Paths that lead to the governance itself: its record, its keys, its store, its configuration, its policies. To ask for one is tampering, whatever a
//! profile allows.

use std::ffi::OsString;
use std::io::ErrorKind::NotFound;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::guard::path::{PathRefused, Place, Root};
use crate::guard::recorder::Recorder;
use crate::store::Store;
use crate::vocabulary::ViolationType;

/// What SQLite keeps beside a file.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Where the governance's own files lie. Their paths are followed anew with each question: somebody may have put a link there since.
#[derive(Debug, Clone)]
pub(super) struct Grounds {
    own: Arc<Own>,
    // Files and folders that say what agents may do.
    policies: Vec<PathBuf>,
}

/// The record's and the store's own, the same for every agent that works on them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Own {
    // The folder of the record, the keys and, unless told otherwise, the store.
    home: Option<PathBuf>,
    // What lies in the home or elsewhere, and is out of reach also for who works in the home.
    databases: Vec<PathBuf>,
    configuration: Option<PathBuf>,
}

/// Those that are known in this process: all of a store's guards share one.
#[derive(Default)]
struct Known(Mutex<Vec<Arc<Own>>>);

impl Grounds {
    pub fn of(store: &Store, recorder: &Recorder) -> Self {
        let ledger = recorder.ledger();
        let home = ledger.map(|ledger| absolute(ledger.home()));
        let databases = store.file().into_iter().chain(ledger.map(|ledger| ledger.database())).map(absolute).collect();
        let own = Own { configuration: home.as_ref().map(|home| home.join("config.toml")), home, databases };
        let known: Arc<Known> = store.beside();
        let mut known = known.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = match known.iter().find(|known| ***known == own) {
            Some(known) => known.clone(),
            None => {
                let own = Arc::new(own);
                known.push(own.clone());
                own
            }
        };
        Self { own, policies: Vec::new() }
    }

    pub fn add(&mut self, policies: impl IntoIterator<Item = PathBuf>) {
        self.policies.extend(policies.into_iter().map(|place| absolute(&place)));
    }

    /// A refusal, if a path that was asked for below a root leads there: by what it really is, or by its words where it leads to nothing that may be used.
    /// An error where nobody can say where these files lie.
    pub fn tampering(&self, root: &Root, asked: &str, place: Option<&Place>) -> Result<Option<PathRefused>> {
        let leads = place.map_or_else(|| plain(&root.path().join(asked)), Place::path);
        let refused = PathRefused {
            why: "it leads to the governance's own files, which no agent may touch".to_owned(),
            violation: ViolationType::GovernanceTampering,
        };
        Ok(self.hold(root.path(), &leads)?.then_some(refused))
    }

    fn hold(&self, root: &Path, leads: &Path) -> Result<bool> {
        for database in &self.own.databases {
            let real = real(database)?;
            if BESIDE.iter().any(|end| *leads == with_end(&real, end)) {
                return Ok(true);
            }
        }
        if let Some(configuration) = &self.own.configuration
            && leads == real(configuration)?
        {
            return Ok(true);
        }
        if let Some(home) = &self.own.home {
            let home = real(home)?;
            // Who was given a folder inside of it was given it on purpose.
            if leads.starts_with(&home) && !root.starts_with(&home) {
                return Ok(true);
            }
        }
        for place in &self.policies {
            let place = real(place)?;
            // A folder further down holds no profile that anybody reads; the folder itself is not to be worked in.
            let is_below = root != place && root.starts_with(&place);
            if (leads.starts_with(&place) && !is_below) || linked(&place)?.iter().any(|file| file == leads) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The files elsewhere that links in a folder lead to: they are read as if they lay in it.
fn linked(folder: &Path) -> Result<Vec<PathBuf>> {
    let unknown = |error| unresolved(folder, error);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), NotFound | std::io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(unknown(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unknown)?;
        if entry.file_type().map_err(unknown)?.is_symlink() {
            // One that leads nowhere is read by nobody, and one to a folder is no profile.
            files.extend(std::fs::canonicalize(entry.path()).ok().filter(|file| !file.is_dir()));
        }
    }
    Ok(files)
}

/// Where a path really leads; what is not there yet would lie where its folder does.
fn real(path: &Path) -> Result<PathBuf> {
    match std::fs::canonicalize(path) {
        Ok(real) => Ok(real),
        Err(error) if error.kind() == NotFound && path.symlink_metadata().is_err_and(|error| error.kind() == NotFound) => {
            match (path.parent(), path.file_name()) {
                (Some(folder), Some(name)) => Ok(real(folder)?.join(name)),
                _ => Err(unresolved(path, error)),
            }
        }
        Err(error) => Err(unresolved(path, error)),
    }
}

fn unresolved(path: &Path, error: std::io::Error) -> Error {
    let message = format!("nobody can say where `{}` lies, which no agent may touch: no path is used meanwhile", path.display());
    Error::new(ErrorKind::Denied, "own_files_unknown", message).because(error)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut whole = OsString::from(path);
    whole.push(end);
    whole.into()
}

/// A path without `.` and `..`, by its words alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
